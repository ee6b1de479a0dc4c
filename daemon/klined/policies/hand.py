"""A policy that is somebody outside: it hands the observation out and waits for what comes back.

    policy stage ─ deliberate ─▶ question ─▶ agent: answer(targets)      decided, judged, journalled as ever
                        │                        └─ spare(): no wish; what is held and ordered stays
                        └── patience is over ──▶ as `spare`, and counted in `missed`

A market does not wait: what is asked for too long is answered by keeping what is there, and a late answer is not taken.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from klined.ports import Choice
from klined.trader.plans import Plan


class Hand:
    """One question at a time. The three callables are set before the first one.

    `keep` gives targets that change nothing; `patience_s` is asked anew for each question, None waits for ever, for a
    market that stands still; `on_question` is called when one is open.
    """

    name = "hand"

    def __init__(self, plan: Plan) -> None:
        self.plan, self.declared = plan.name, plan
        self.keep: Callable[[], list[Choice]] = list
        self.patience_s: Callable[[], float | None] = lambda: None
        self.on_question: Callable[[], None] = lambda: None
        self.observations: NDArray[np.float32] = np.zeros((0, 0), np.float32)  # of the newest question
        self.asked = 0  # questions so far
        self.missed = 0  # of them, those that nobody answered in time
        self._busy = 0
        self._answer: asyncio.Future[list[Choice]] | None = None

    @property
    def waiting(self) -> bool:
        """Whether a question is open."""
        return self._answer is not None and not self._answer.done()

    def answer(self, targets: list[float]) -> None:
        """Decide the open question: one target per symbol. Raises RuntimeError when none is open."""
        if self._answer is None or self._answer.done():
            raise RuntimeError("no question is open")
        self._answer.set_result([(target, (target,)) for target in targets])

    def spare(self) -> None:
        """Let the bar that is asked about pass without a wish; nothing where none is asked about."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(self.keep())

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Spare every question meanwhile: whoever would answer waits for a record, which waits for the answer."""
        self._busy += 1
        self.spare()
        try:
            yield
        finally:
            self._busy -= 1

    async def deliberate(self, observations: NDArray[np.float32]) -> list[Choice]:
        """Ask, and wait for the answer for as long as the market does."""
        if self._busy:
            return self.keep()
        self.observations = observations.copy()
        self._answer = asyncio.get_running_loop().create_future()
        self.asked += 1
        self.on_question()
        try:
            async with asyncio.timeout(self.patience_s()):
                return await self._answer
        except TimeoutError:
            self.missed += 1
            return self.keep()
        finally:
            self._answer = None

    def decide(self, observations: NDArray[np.float32]) -> list[Choice]:  # noqa: ARG002 - nobody is asked
        """What is decided on bars that are too old to ask about."""
        return self.keep()

    def state(self) -> bytes:
        return b""

    def restore(self, state: bytes) -> None:
        """Whoever decides remembers by himself."""
