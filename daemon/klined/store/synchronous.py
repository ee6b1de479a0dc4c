"""The journal for replay and simulation: SQLite inline, so that awaiting it never suspends and no time passes.

    commit ─▶ rows ─ after `group` records ─▶ one transaction with the snapshot at that moment ─▶ disk (FULL)

Up to `group` records are one transaction, so a kill loses at most the records since the last one, all of them, and the
in-process exchange's ledger with them: state, orders and fills stay of one moment.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from klined.domain import Record, Recovered
from klined.errors import StateError
from klined.store import recovery
from klined.store.faults import guarding
from klined.store.migrations import open_database
from klined.store.rows import Rows, remember

GROUP_MAX = 256

T = TypeVar("T")


class SyncJournal:
    """`ports.Journal` without a thread. `close` drops an unfinished group as a kill would: call `flush` before.

    `link`: an open database to use instead of the file at `path`.

    Raises:
        StateError: the file cannot be used; see `open_database`.
    """

    def __init__(self, path: Path, group: int = GROUP_MAX, link: sqlite3.Connection | None = None) -> None:
        if not 1 <= group <= GROUP_MAX:
            raise ValueError(f"group={group}: choose 1 to {GROUP_MAX}")
        self.path = path
        self._group = group
        self._rows = Rows()
        self._snapshot: Callable[[], bytes] | None = None
        self._lost: StateError | None = None
        self._link = link or open_database(path, "journal", "FULL", sqlite3.Connection)

    async def recover(self) -> Recovered:
        with guarding(self.path):
            return recovery.recover(self._link, self.path)

    async def commit(self, record: Record, snapshot: Callable[[], bytes] | None) -> None:
        """Gather `record`; the group's last one writes them all, with the newest `snapshot` called then.

        Raises:
            StateError: nothing of the group was stored. When records accepted before were lost with it, every later
                commit fails too: the journal would have a hole.
        """
        if self._lost is not None:
            raise self._lost
        rows = self._rows
        rows.add(record)
        if snapshot is not None:
            self._snapshot = snapshot
        if rows.records >= self._group:
            self._write()

    async def flush(self) -> None:
        """Write what was gathered. The snapshot is taken now, so all that the cores heard must be committed."""
        if self._lost is not None:
            raise self._lost
        if self._rows.records:
            self._write()

    async def remember(self, key: str, value: str | None) -> None:
        """Set a flag at once, ahead of an unfinished group; delete it not before the group is durable.

        So a kill may leave a flag that was just set or just deleted, never one missing that the records rely on.
        """
        rows = self._rows
        if value is None and rows.records:
            rows.forgotten.add(key)
            return
        rows.forgotten.discard(key)
        with guarding(self.path):
            remember(self._link, key, value)

    async def venue_rows(self) -> tuple[tuple[str, bytes], ...]:
        return await self.perform(recovery.venue_rows)

    async def begin_run(self, time_ms: int) -> int:
        return await self.perform(lambda link: recovery.begin_run(link, time_ms))

    async def end_run(self, run: int, time_ms: int, outcome: str) -> None:
        await self.perform(lambda link: recovery.end_run(link, run, time_ms, outcome))

    async def perform(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work`, such as retention or a backup, on the journal's own connection."""
        with guarding(self.path):
            return work(self._link)

    async def close(self) -> None:
        self._link.close()

    def _write(self) -> None:
        rows, snapshot = self._rows, self._snapshot
        records = rows.records
        try:
            with guarding(self.path):
                rows.write(self._link, None if snapshot is None else snapshot())
        except StateError as fault:
            if records > 1:
                self._lost = fault
            raise
        finally:
            rows.clear()
            self._snapshot = None
