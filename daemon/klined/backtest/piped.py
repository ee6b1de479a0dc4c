"""The daemon's own pipeline over recorded bars, in virtual time, told in the same figures as a lane.

settings ─▶ assembly ─▶ five stages, paper venue ─▶ records kept in memory ─▶ Result
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from klined.backtest.history import History
from klined.backtest.lanes import Result
from klined.config.settings import Settings
from klined.domain import Approved, Batch, Decision, Fill, Instrument, Record, Recovered
from klined.kernels import layout as at
from klined.kernels import tapes
from klined.runtime.assembly import assemble
from klined.runtime.daemon import Daemon
from klined.runtime.loop import VirtualLoop
from klined.trader.exits import CAUSES

STOPS = frozenset(cause for cause in CAUSES if cause.value.startswith("stop."))
INSTALLATION = "replay"
REASON_EXIT = 3.0
CAUSE_CODES = {cause: float(code) for code, cause in enumerate(CAUSES)}


class Memory:
    """A journal that forgets everything when the process ends, and keeps every record until then."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    async def recover(self) -> Recovered:
        return Recovered(0, None, (), {})

    async def commit(self, record: Record, snapshot: Callable[[], bytes] | None) -> None:  # noqa: ARG002 - never read
        self.records.append(record)

    async def remember(self, key: str, value: str | None) -> None:
        """Nothing outlives the process."""

    async def flush(self) -> None:
        """Nothing is held back."""

    async def close(self) -> None:
        """Nothing is open."""

    async def venue_rows(self) -> tuple[tuple[str, bytes], ...]:
        return ()

    async def begin_run(self, time_ms: int) -> int:  # noqa: ARG002
        return 1

    async def end_run(self, run: int, time_ms: int, outcome: str) -> None:
        """Nobody asks."""


def run_piped(settings: Settings, history: History, instruments: Sequence[Instrument]) -> Result:
    """What the pipeline decides and does over the files of `settings`, whose bars are those of `history`.

    The flatten at the end is left out: it belongs to the stop, not to the bars.

    Raises:
        ConfigError, ModelError: as the daemon's start would.
    """
    recorder = Recorder(history, instruments)

    async def play() -> Daemon:
        daemon = await recorder.daemon(settings)
        await daemon.start()
        await daemon.pipeline.run()
        await daemon.feed.close()
        await daemon.venue.close()
        return daemon

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return recorder.result(runner.run(play()))


class Recorder:
    """Makes a daemon that remembers what it did, and tells it in the figures of a lane."""

    def __init__(self, history: History, instruments: Sequence[Instrument]) -> None:
        self._memory = Memory()
        self._history, self._instruments = history, instruments
        self._equity = np.zeros(len(history.times))

    async def daemon(self, settings: Settings) -> Daemon:
        """The daemon of `settings`, not yet started."""
        daemon = await assemble(settings, journal=self._memory, installation=INSTALLATION)
        account, index = daemon.trader.book.A.row[0], iter(range(len(self._equity)))

        def progress(_: Batch) -> None:
            self._equity[next(index)] = account[at.EQUITY]

        daemon.pipeline.progress = progress
        return daemon

    def result(self, daemon: Daemon) -> Result:
        told = _Told(self._history, self._instruments, daemon.trader.engine.plan.dim)
        for record in self._memory.records:
            for decision in record.decisions:
                told.decision(decision)
            for fill in record.fills:
                told.fill(fill)
        book = daemon.trader.book
        return Result(
            equity=self._equity,
            fills=np.array(told.fills).reshape(-1, tapes.NX),
            decisions=told.decisions,
            observations=told.observations,
            account=book.A.array[0],
            positions=book.Q.array,
        )


class _Told:
    """Decisions and fills of the journal as arrays."""

    def __init__(self, history: History, instruments: Sequence[Instrument], dim: int) -> None:
        n, count = history.bars.shape[:2]
        self._times = {time: t for t, time in enumerate(history.times.tolist())}
        self._interval_ms = history.interval_ms
        self._index = {instrument.symbol: i for i, instrument in enumerate(instruments)}
        self._instruments = tuple(instruments)
        self.decisions = np.full((n, count, tapes.ND), np.nan)
        self.observations = np.zeros((n, count, dim), np.float32)
        self.fills: list[list[float]] = []

    def decision(self, decision: Decision) -> None:
        i, t = self._index[decision.symbol], self._times[decision.bar_time_ms]
        self.observations[i, t] = np.frombuffer(decision.observation, np.float32)
        row = self.decisions[i, t]
        row[tapes.TARGET] = decision.target
        row[tapes.DECIDED_LOTS] = row[tapes.REDUCE] = row[tapes.CAUSE] = 0.0
        verdict = decision.verdict
        if isinstance(verdict, Approved):
            intent = verdict.intent
            row[tapes.REASON] = REASON_EXIT if intent.cause in STOPS else 0.0
            row[tapes.DECIDED_LOTS] = float(intent.quantity / self._instruments[i].lot)
            row[tapes.REDUCE] = float(intent.reduce_only)
            row[tapes.CAUSE] = CAUSE_CODES[intent.cause]
        else:
            row[tapes.REASON] = float(verdict.reason)

    def fill(self, fill: Fill) -> None:
        i = self._index[fill.symbol]
        instrument = self._instruments[i]
        liquidated = fill.client_id.startswith("autoclose-")
        open_ms = fill.time_ms + 1 - self._interval_ms if liquidated else fill.time_ms
        row: list[Any] = [0.0] * tapes.NX
        row[tapes.FILL_BAR] = float(self._times[open_ms])
        row[tapes.FILL_SYMBOL] = float(i)
        row[tapes.FILL_KIND] = float(liquidated)
        row[tapes.FILL_LOTS] = float(fill.quantity / instrument.lot)
        row[tapes.FILL_TICKS] = float(fill.price / instrument.tick)
        row[tapes.FILL_FEE] = float(fill.fee)
        row[tapes.FILL_TIME] = float(fill.time_ms)
        row[tapes.FILL_SETTLED] = np.nan
        self.fills.append(row)
