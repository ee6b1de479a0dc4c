"""The disk of the simulated machine: SQLite, whose image outlives the process, and which may fail.

A kill leaves what was committed, as SIGKILL leaves a database: the next life opens the same pages. Faults are SQLite's
own: a page limit makes it say FULL, `query_only` makes it say READONLY. `klined.simulation.power` has the disk that
loses its power.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Generic, TypeVar

from klined.domain import Record, Recovered
from klined.simulation.schedule import Timeline
from klined.simulation.world import World
from klined.store.faults import state_error
from klined.store.migrations import BUSY_TIMEOUT_S, open_database
from klined.store.synchronous import SyncJournal

MEMORY = Path(":memory:")
PAGES_MAX = 1_000_000
_template: list[bytes] = []

T = TypeVar("T")
Moment = TypeVar("Moment")


class Disk:
    """One state directory. `dark`: the power is gone, and nothing that is asked for ever ends."""

    def __init__(self, world: World, timeline: Timeline) -> None:
        self._world, self._timeline = world, timeline
        self._fault = ""
        self.dark = False
        self.failing = False  # power fails soon
        self.link = self._begin()

    def crash(self) -> None:
        """The process was killed: keep what was durable."""
        image = self.link.serialize()
        self.link.close()
        self.link = _opened(image)
        self._fault = ""

    def weather(self) -> str:
        """Let the fault of this moment take hold, or go; its name, empty for none."""
        fault = self._timeline.at("disk", self._world.now_s)
        what = fault.what if fault else ""
        if what != self._fault:
            self._fault = what
            pages = self.link.execute("PRAGMA page_count").fetchone()[0] if what == "full" else PAGES_MAX
            self.link.execute(f"PRAGMA max_page_count = {pages}")
            self.link.execute(f"PRAGMA query_only = {int(what == 'readonly')}")
        return what

    async def turn(self) -> None:
        """Wait until a transaction may begin: at once, or as long as a slow disk or another process takes.

        Raises:
            StateError: another process kept it for longer than SQLite waits.
        """
        world = self._world
        fault = self._timeline.at("disk", world.now_s)
        if fault is None or fault.what not in {"slow", "busy"}:
            await asyncio.sleep(0)
        elif fault.what == "slow":
            await asyncio.sleep(fault.amount * world.random("disk", world.now_s))
        else:
            left_s = fault.at_s + fault.for_s - world.now_s
            await asyncio.sleep(min(left_s, BUSY_TIMEOUT_S))
            if left_s > BUSY_TIMEOUT_S:
                error = sqlite3.OperationalError("database is locked")
                error.sqlite_errorname = "SQLITE_BUSY"
                raise state_error(error, MEMORY)

    def lose_power(self, after: int, dies: Callable[[], None]) -> None:
        """Power fails: here as a kill, since no transaction lasts longer than a moment."""
        del after
        dies()

    def before(self) -> object:
        """Called before each transaction."""

    def after(self, before: object) -> bool:
        """Called after each transaction, with what `before` returned; whether the power is gone."""
        del before
        return False

    def close(self) -> None:
        self.link.close()

    def _begin(self) -> sqlite3.Connection:
        return _opened(fresh())


class SimJournal(SyncJournal, Generic[Moment]):
    """The production journal on the simulated disk; a commit suspends, as one through a thread does.

    `moment` is asked at the call of each commit, as the snapshot is taken; `on_durable` is told it when the record is
    on the disk, `on_torn` when power failed in its transaction: then it may be, or not.
    """

    def __init__(
        self,
        disk: Disk,
        moment: Callable[[], Moment],
        on_durable: Callable[[Record, Moment], None],
        on_torn: Callable[[Record, Moment], None],
    ) -> None:
        super().__init__(MEMORY, 1, disk.link)
        self._disk, self._moment, self._on_durable, self._on_torn = disk, moment, on_durable, on_torn
        self.dead = False

    async def recover(self) -> Recovered:
        await asyncio.sleep(0)
        return await super().recover()

    def commit(  # pyright: ignore[reportIncompatibleMethodOverride]  # a coroutine either way
        self, record: Record, snapshot: Callable[[], bytes] | None
    ) -> Coroutine[Any, Any, None]:
        """As the production journal: of the moment of the call, not of the first step of a task that awaits it."""
        return self._commit(record, snapshot() if snapshot is not None else None, self._moment())

    async def _commit(self, record: Record, taken: bytes | None, moment: Moment) -> None:
        await self._disk.turn()
        if self.dead:
            return
        await self._transacted(
            super().commit(record, None if taken is None else lambda: taken),
            lambda: self._on_torn(record, moment),
        )
        self._on_durable(record, moment)
        await asyncio.sleep(0)

    async def flush(self) -> None:
        if not self.dead:
            await super().flush()

    async def remember(self, key: str, value: str | None) -> None:
        await self._disk.turn()
        if not self.dead:
            await self._transacted(super().remember(key, value))

    async def begin_run(self, time_ms: int) -> int:
        return await self._transacted(super().begin_run(time_ms))

    async def end_run(self, run: int, time_ms: int, outcome: str) -> None:
        if not self.dead:
            await self._transacted(super().end_run(run, time_ms, outcome))

    async def _transacted(self, work: Coroutine[Any, Any, T], torn: Callable[[], None] = lambda: None) -> T:
        """Run `work`, which is one transaction. Never ends when the power is gone."""
        disk = self._disk
        if disk.dark:
            work.close()
        else:
            disk.weather()
            before = disk.before()
            gone = False
            try:
                result = await work
            finally:
                gone = disk.after(before)
            if not gone:
                return result
            torn()
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]  # nothing ever comes


def fresh() -> bytes:
    """The image of a new journal; migrated once in a process."""
    if not _template:
        link = open_database(MEMORY, "journal", "FULL", sqlite3.Connection)
        _template.append(link.serialize())
        link.close()
    return _template[0]


def _opened(image: bytes) -> sqlite3.Connection:
    link, written = sqlite3.connect(MEMORY, isolation_level=None), sqlite3.connect(MEMORY)
    written.deserialize(image)
    written.backup(link)  # pages of its own are faster to write than those of an image
    written.close()
    return link
