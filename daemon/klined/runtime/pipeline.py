"""The way of one bar: five stages, five queues, one TaskGroup.

    feed ─[bars]─▶ indicators ─[observations]─▶ policy ─[targets]─▶ gate ─[approved]─▶ executor
     ▲                                           │  ▲                                     │
     └────────────────[permits]◀─────────────────┘  └─────────────[settled]◀──────────────┘

Up to the policy travel blocks: what the feed has at hand already, a single batch where it waits for the market, for
indicators depend on bars alone. From there on one batch is in flight: the policy admits the next when the executor says
that the decisions of the one before are durable and its orders were sent; after the block's last one the feed gets its
permit back. So every queue holds at most one item and the end mark, none can be full, and what a decision saw depends
neither on how tasks were scheduled nor on how long blocks are.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from klined.domain import Batch, News, Verdict
from klined.ports import Choice, Clock, Feed, Plentiful, Policy, Venue
from klined.runtime.hop import Hop
from klined.runtime.outbox import Outbox
from klined.runtime.stages import executor, feed, gate, indicators, policy
from klined.trader.trader import Trader

Batches = Sequence[Batch]
Wanted = tuple[Batch, list[Choice]]
Judged = tuple[Batch, list[Choice], list[Verdict]]
Deliberation = Callable[[NDArray[np.float32]], Awaitable[list[Choice]]]
QUEUE_SIZE = 2  # what is in flight and the end mark (None)
BLOCK = 256  # batches that the indicators may be ahead of the policy: a replay's transaction, so snapshots fall between


class Pipeline:
    """What the stages share. `progress` is called after each batch, with the batch; it must not block."""

    def __init__(
        self,
        *,
        feed: Feed,
        policy: Policy,
        venue: Venue,
        clock: Clock,
        trader: Trader,
        outbox: Outbox,
        progress: Callable[[Batch], None],
        set_time: Callable[[int], None] | None = None,
    ) -> None:
        self.feed, self.policy, self.venue, self.clock = feed, policy, venue, clock
        self.trader, self.outbox, self.progress, self.set_time = trader, outbox, progress, set_time
        self.bars: Hop[Batches | None] = Hop(QUEUE_SIZE)
        self.observations: Hop[Batches | None] = Hop(QUEUE_SIZE)
        self.targets: Hop[Wanted | None] = Hop(QUEUE_SIZE)
        self.approved: Hop[Judged | None] = Hop(QUEUE_SIZE)
        self.settled: Hop[None] = Hop(1)
        self.permits: Hop[None] = Hop(1)
        self.between: list[Callable[[], bool]] = []  # run before a batch is admitted; done when they return True
        self.beside: list[Callable[[], Coroutine[Any, Any, None]]] = []  # run as long as the stages do
        self.backlog: deque[Batch] = deque()  # refilled at start, admitted before the feed's own
        self.stopping = False
        self.busy = ""  # feed, agent or executor, which wait for something outside
        self._plentiful: Plentiful | None = None
        self.deliberate: Deliberation | None = None  # asked instead of the policy, and waited for; it must answer
        self.feeding: asyncio.Task[None] | None = None  # set by the stage: cancelled before it runs, it would not end

    async def run(self) -> None:
        """Until the feed ends or `stop` is called.

        Raises:
            ExceptionGroup: a stage died; all others were stopped with it.
        """
        self.permits.put_nowait(None)
        self._plentiful = self.feed if isinstance(self.feed, Plentiful) else None
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(feed(self), name="feed")
                group.create_task(indicators(self), name="indicators")
                group.create_task(policy(self), name="policy")
                group.create_task(gate(self), name="gate")
                deciding = group.create_task(executor(self), name="executor")
                side = [group.create_task(self.outbox.settle(), name="settle")]
                side.append(group.create_task(self.outbox.listen(), name="listen"))
                side += [group.create_task(work()) for work in self.beside]
                await asyncio.wait({deciding})
                for task in side:
                    task.cancel()
        finally:
            self.outbox.idle.set()  # a stage that died leaves no batch to wait for

    def stop(self) -> None:
        """Admit no further batch; the one in flight is finished. Safe from a signal handler and more than once."""
        self.stopping = True
        if self.feeding is not None:
            self.feeding.cancel()

    def stage(self) -> str:
        """The stage that the batch in flight is in, or waits for; empty before the first."""
        return next((stage for stage, queued in self.waiting().items() if queued), self.busy)

    def waiting(self) -> dict[str, int]:
        """Batches queued before each stage."""
        return {
            "indicators": self.bars.qsize(),
            "policy": self.observations.qsize(),
            "gate": self.targets.qsize(),
            "executor": self.approved.qsize(),
        }

    async def next(self) -> Batches:
        """What may be admitted next: all that is here already, at most a block; else one batch, waiting for it."""
        if self.backlog:
            return [self.backlog.popleft() for _ in range(min(BLOCK, len(self.backlog)))]
        if self._plentiful is not None and (ready := self._plentiful.ready(BLOCK)):
            return ready
        batch = await self.feed.next()
        return [] if batch is None else [batch]

    async def admit_anew(self, batch: Batch) -> None:
        """Begin a batch, and end what rests of the batch before: behind a wire first, in process after its fills."""
        if not self.venue.in_process:
            await self.outbox.withdraw()
        self.admit(batch)
        if self.venue.in_process:
            await self.outbox.withdraw()

    def admit(self, batch: Batch) -> None:
        """Begin a batch: what the in-process market did first, then the bars. Nothing here may wait."""
        if self.set_time is not None:
            self.set_time(batch.close_time_ms)
        if self.between:
            self.between = [change for change in self.between if not change()]
        self.outbox.idle.clear()
        self.trader.begin(batch)
        news: Sequence[News] = self.venue.on_batch(batch)
        for item in news:
            self.trader.hear(item, self.clock.now_ms())
        self.trader.show(batch)
