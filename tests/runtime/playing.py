"""A daemon inside the test: the real parts over a generated market in virtual time, with doubles where asked for."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from klined.config.load import load
from klined.config.settings import Settings
from klined.domain import Intent, Record, Recovered
from klined.errors import StateError
from klined.ports import Observer
from klined.runtime.assembly import assemble
from klined.runtime.daemon import Daemon
from klined.runtime.loop import VirtualLoop
from klined.store.synchronous import SyncJournal

WIDE = (
    "market.exchange=sim",
    "market.speed=0",
    "policy.name=ema_cross",
    "risk.max_exposure=0.5",
    "risk.max_change=2",
    "risk.max_day_loss=1",
    "risk.max_week_loss=1",
    "risk.max_drawdown=1",
    "risk.reduce_drawdown=1",
    "risk.max_losses=1000",
    "risk.max_trades_hour=1000",
    "risk.max_trades_day=10000",
    "risk.max_turnover_day=1000",
    "risk.max_fees_day=1",
)


class FailingJournal:
    """A journal on disk whose commits number `failing` fail; knows which intents it made durable."""

    def __init__(self, inner: SyncJournal, failing: range) -> None:
        self._inner, self._failing = inner, failing
        self.path = inner.path
        self.commits = 0
        self.durable: set[str] = set()
        self.failed: list[Record] = []

    async def commit(self, record: Record, snapshot: Callable[[], bytes] | None) -> None:
        self.commits += 1
        if self.commits in self._failing:
            self.failed.append(record)
            raise StateError(f"{self.path}: the disk is full: free space, then start again")
        await self._inner.commit(record, snapshot)
        self.durable |= {intent.client_id for intent in record.intents}

    async def remember(self, key: str, value: str | None) -> None:
        if self.commits + 1 in self._failing:
            raise StateError(f"{self.path}: the disk is full: free space, then start again")
        await self._inner.remember(key, value)

    async def flush(self) -> None:
        await self._inner.flush()

    async def recover(self) -> Recovered:
        return await self._inner.recover()

    async def venue_rows(self) -> tuple[tuple[str, bytes], ...]:
        return await self._inner.venue_rows()

    async def begin_run(self, time_ms: int) -> int:
        return await self._inner.begin_run(time_ms)

    async def end_run(self, run: int, time_ms: int, outcome: str) -> None:
        await self._inner.end_run(run, time_ms, outcome)

    async def close(self) -> None:
        await self._inner.close()


def settings_of(state: Path, bars: int, *more: str) -> Settings:
    return load(None, [*WIDE, f"market.bars={bars}", f"store.dir={state}", *more], environ={})


def play(  # each is one thing that some test changes
    settings: Settings,
    *,
    failing: range = range(0),
    observers: Sequence[Observer] = (),
    forgiving: bool = False,
    prepare: Callable[[Daemon], object] = lambda _daemon: None,
) -> tuple[int, Daemon, FailingJournal, list[Intent]]:
    """Exit code, daemon, journal, and what reached the exchange, in order."""
    sent: list[Intent] = []

    async def serve() -> tuple[int, Daemon, FailingJournal]:
        settings.state_dir.mkdir(exist_ok=True)
        journal = FailingJournal(SyncJournal(settings.state_dir / "journal.db", 1), failing)
        daemon = await assemble(
            settings, journal=journal, observers=observers, installation="replay", forgiving=forgiving
        )
        venue: Any = daemon.venue
        submit = venue.submit

        async def watched(intent: Intent) -> Any:
            sent.append(intent)
            assert intent.client_id in journal.durable, f"{intent} was sent before it was durable"
            return await submit(intent)

        venue.submit = watched
        prepare(daemon)
        try:
            return await daemon.serve(), daemon, journal
        finally:
            await journal.close()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return *runner.run(serve()), sent
