"""The disk of the simulated machine: SQLite in memory, whose image outlives the process, and which may fail.

A kill leaves what was committed, as SIGKILL leaves a WAL: the image is taken with `serialize` and opened by the next
life. Faults are SQLite's own: a page limit makes it say FULL, `query_only` makes it say READONLY.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

from klined.domain import Record, Recovered
from klined.simulation.schedule import Timeline
from klined.simulation.world import World
from klined.store.migrations import open_database
from klined.store.synchronous import SyncJournal

MEMORY = Path(":memory:")
PAGES_MAX = 1_000_000
_template: list[bytes] = []


class Disk:
    """One state directory."""

    def __init__(self, world: World, timeline: Timeline) -> None:
        self._world, self._timeline = world, timeline
        self.link = self._open(fresh())
        self._fault = ""

    def crash(self) -> None:
        """The process was killed: keep what was durable."""
        image = self.link.serialize()
        self.link.close()
        self.link = self._open(image)
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

    def delay_s(self) -> float:
        """How long a commit takes now."""
        fault = self._timeline.at("disk", self._world.now_s)
        return fault.amount * self._world.random("disk", self._world.now_s) if fault and fault.what == "slow" else 0.0

    @staticmethod
    def _open(image: bytes) -> sqlite3.Connection:
        link, written = sqlite3.connect(MEMORY, isolation_level=None), sqlite3.connect(MEMORY)
        written.deserialize(image)
        written.backup(link)  # pages of its own are faster to write than those of an image
        written.close()
        return link


class SimJournal(SyncJournal):
    """The production journal on the simulated disk; a commit suspends, as one through a thread does."""

    def __init__(self, disk: Disk, on_durable: Callable[[Record], None]) -> None:
        super().__init__(MEMORY, 1, disk.link)
        self._disk, self._on_durable = disk, on_durable
        self.dead = False

    async def recover(self) -> Recovered:
        await asyncio.sleep(0)
        return await super().recover()

    async def commit(self, record: Record, snapshot: Callable[[], bytes] | None) -> None:
        taken = snapshot() if snapshot is not None else None  # as the production journal: of the moment of the call
        await asyncio.sleep(self._disk.delay_s())
        if self.dead:
            return
        self._disk.weather()
        await super().commit(record, None if taken is None else lambda: taken)
        self._on_durable(record)
        await asyncio.sleep(0)

    async def flush(self) -> None:
        if not self.dead:
            await super().flush()

    async def remember(self, key: str, value: str | None) -> None:
        await asyncio.sleep(self._disk.delay_s())
        if not self.dead:
            self._disk.weather()
            await super().remember(key, value)

    async def begin_run(self, time_ms: int) -> int:
        self._disk.weather()
        return await super().begin_run(time_ms)

    async def end_run(self, run: int, time_ms: int, outcome: str) -> None:
        if not self.dead:
            self._disk.weather()
            await super().end_run(run, time_ms, outcome)


def fresh() -> bytes:
    """The image of a new journal; migrated once in a process."""
    if not _template:
        link = open_database(MEMORY, "journal", "FULL", sqlite3.Connection)
        _template.append(link.serialize())
        link.close()
    return _template[0]
