"""A daemon in this loop, and the policy's seat in it, taken by an agent.

    sit(settings) ─▶ process.host ─▶ daemon ─ question ─▶ Hand ─▶ whoever answers
                                        └── decisions, events, bars done ─▶ ring ─▶ whoever waits

A seat is taken once: when its daemon has ended, the next one needs a new seat.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

from klined.config.settings import Settings
from klined.domain import Approved, Batch, Decision, Event
from klined.errors import ConfigError, KlinedError, NotFlat
from klined.kernels import layout as at
from klined.policies.hand import Hand
from klined.runtime import process
from klined.runtime.byhand import ByHand
from klined.runtime.clock import FeedClock
from klined.runtime.daemon import EXIT_NOT_FLAT, Daemon
from klined.runtime.hurry import HurriedLoop
from klined.runtime.remote import is_remote
from klined.trader.plans import Plan
from klined_models.envs.orders import Order, Orders

EVENTS_KEPT = 256


class Seat:
    """Everything of one daemon's life that an agent touches. `events` and `decisions` are what is durable.

    Raises:
        ConfigError: `sit` in a loop that is slower than the market, or the daemon is asked for before it is there.
    """

    def __init__(self, plan: Plan) -> None:
        self.hand = Hand(plan)
        self.orders = Orders()
        self.events: deque[Event] = deque(maxlen=EVENTS_KEPT)
        self.decisions: dict[str, Decision] = {}  # the newest by symbol
        self.batches = 0  # bars that were decided
        self._daemon: Daemon | None = None
        self._byhand: ByHand | None = None
        self._task: asyncio.Task[int] | None = None
        self._interval_ms = 0
        self._max_age_s = 0.0
        self._news = asyncio.Event()

    def sit(self, settings: Settings) -> None:
        """Start the daemon, or recover what a dead one left."""
        speed, loop = settings.exchange.speed, asyncio.get_running_loop()
        if is_remote(settings) and speed != 1.0 and not isinstance(loop, HurriedLoop):
            raise ConfigError(
                f"exchange.speed = {speed:g} needs a loop that runs as fast: asyncio.Runner(loop_factory="
                "klined.runtime.process.loop_of(settings)), or SyncLiveTradingEnv, which brings it"
            )
        self._interval_ms, self._max_age_s = settings.market.interval_ms, settings.risk.max_bar_age_s
        self._task = asyncio.create_task(process.host(settings, self.hand, [self], self._made), name="klined")
        self._task.add_done_callback(lambda _task: self._ring())

    async def leave(self) -> None:
        """Stop as the settings say, flat by default.

        Raises:
            NotFlat: something is left at the venue; the next start finishes it.
        """
        task, daemon = self._task, self._daemon
        if task is None:
            return
        if daemon is None:
            task.cancel()
        else:
            daemon.stop("the environment was closed")
            self.hand.spare()
        [code] = await asyncio.gather(task, return_exceptions=True)
        self.renew()
        if code == EXIT_NOT_FLAT and daemon is not None:
            left = ", ".join(daemon.trader.left()) or "open orders"
            raise NotFlat(f"{left} could not be closed in time; the next reset finishes it")

    @property
    def daemon(self) -> Daemon:
        """The daemon, once it is put together."""
        if self._daemon is None:
            raise ConfigError("the environment does not run; await reset() first")
        return self._daemon

    @property
    def byhand(self) -> ByHand:
        """Orders of this daemon that no policy decides."""
        if self._byhand is None:
            raise ConfigError("the environment does not run; await reset() first")
        return self._byhand

    @property
    def going(self) -> bool:
        """Whether the daemon lives."""
        return self._task is not None and not self._task.done()

    @property
    def still(self) -> bool:
        """Whether the market waits for whoever decides."""
        return self._daemon is not None and isinstance(self._daemon.clock, FeedClock)

    @property
    def equity(self) -> float:
        """Quote, at the last close."""
        return float(self.daemon.trader.book.A.row[0][at.EQUITY])

    @property
    def over(self) -> bool:
        """Whether nothing can be traded any more: ruined, or halted and flat."""
        trader = self.daemon.trader
        return self.equity <= 0.0 or (trader.book.A.row[0][at.HALT] != 0.0 and not trader.left())

    def failure(self) -> BaseException | None:
        """What ended the daemon, if it was a fault."""
        if self._task is not None and self._task.done() and not self._task.cancelled():
            error = self._task.exception()
            if error is not None:
                return error
        failed = [] if self._daemon is None else self._daemon.failed
        return next((error for error in failed if isinstance(error, KlinedError)), failed[0] if failed else None)

    async def question(self, after: int = -1) -> bool:
        """Wait for an open question beyond the `after`th; whether there is one, or the daemon has ended."""
        while not (self.hand.waiting and self.hand.asked > after):
            if not self.going:
                return False
            await self._news.wait()
        return True

    async def decided(self, batches: int) -> None:
        """Wait until more than so many bars were decided, or the daemon has ended."""
        while self.batches <= batches and self.going:
            await self._news.wait()

    @property
    def news(self) -> asyncio.Event:
        """What is set by the next thing that happens."""
        return self._news

    async def heard(self, news: asyncio.Event, seconds: float | None) -> None:
        """Wait for `news`, for no longer than `seconds` of the loop."""
        try:
            async with asyncio.timeout(seconds):
                await news.wait()
        except TimeoutError:
            pass

    def renew(self, order_id: str = "") -> Order | None:
        """Bring all orders up to date; the one that is named."""
        if self._daemon is not None:
            self.orders.renew(self._daemon.trader.executor, self._interval_ms)
        return self.orders.get(order_id) if order_id else None

    def observe(self, item: Decision | Event) -> None:
        """Hear of what is durable; the daemon calls this."""
        if isinstance(item, Event):
            self.events.append(item)
        else:
            self.decisions[item.symbol] = item
            if isinstance(item.verdict, Approved):
                self.orders.take(item.verdict.intent, item.bar_time_ms + self._interval_ms)
        self._ring()

    def _made(self, daemon: Daemon) -> None:
        """The daemon is put together, and does not run yet."""
        self._daemon, self._byhand = daemon, ByHand(daemon)
        hand = self.hand
        hand.keep, hand.patience_s, hand.on_question = self._byhand.keep, self._patience_s, self._ring
        daemon.pipeline.deliberate = hand.deliberate
        daemon.pipeline.progress = partial(self._progress, daemon.pipeline.progress)

    def _patience_s(self) -> float | None:
        """How long a bar may wait for its decision; a market that stands still waits for ever."""
        if self.still or self._daemon is None:
            return None
        age_s = (self._daemon.clock.now_ms() - self._daemon.trader.time_ms) / 1000.0
        return max(0.0, self._max_age_s - age_s)

    def _progress(self, further: Callable[[Batch], None], batch: Batch) -> None:
        further(batch)
        self.batches += 1
        self._ring()

    def _ring(self) -> None:
        """Wake everybody who waits for something to change."""
        news, self._news = self._news, asyncio.Event()
        news.set()
