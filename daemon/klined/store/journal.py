"""The journal of the live daemon: aiosqlite, one transaction a record, durable before `commit` returns.

    commit ─▶ encode ─▶ job ─ one hop to aiosqlite's thread ─▶ BEGIN … COMMIT (FULL) ─ back

aiosqlite hands each statement to its thread in a hop of its own, about 100 us each. The connection's `commit` runs the
next waiting job instead, so a record of any size costs one hop. A cancelled `commit` may still become durable, as an
answer may be lost; jobs never overtake each other.
"""

import sqlite3
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeVar

import aiosqlite

from klined.domain import Record, Recovered
from klined.errors import StateError
from klined.store import recovery
from klined.store.faults import guarding
from klined.store.migrations import open_database
from klined.store.rows import Rows, remember

T = TypeVar("T")

FETCH_ROWS = 64  # of aiosqlite's cursors, which are not used


class _Link(sqlite3.Connection):
    """A connection whose `commit` does the next job: work is transactions here, not statements."""

    jobs: deque[Callable[[], None]]

    def commit(self) -> None:
        self.jobs.popleft()()


class AsyncJournal:
    """`ports.Journal` for the live daemon; made by `open`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._jobs: deque[Callable[[], None]] = deque()
        self._raw: _Link | None = None
        self._fault: StateError | None = None
        self._thread = aiosqlite.Connection(self._connect, FETCH_ROWS)

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Raises: StateError when the file cannot be used; see `open_database`."""
        journal = cls(path)
        await journal._thread
        if journal._fault is not None:
            await journal._thread.close()
            raise journal._fault
        return journal

    async def recover(self) -> Recovered:
        return await self.perform(lambda link: recovery.recover(link, self.path))

    async def commit(self, record: Record, snapshot: Callable[[], bytes] | None) -> None:
        """Make `record` durable; `snapshot` is called before anything is awaited.

        Raises:
            StateError: nothing of it was stored, and nothing of it may be acted on.
        """
        blob = None if snapshot is None else snapshot()
        rows = Rows()
        rows.add(record)
        await self.perform(lambda link: rows.write(link, blob))

    async def remember(self, key: str, value: str | None) -> None:
        await self.perform(lambda link: remember(link, key, value))

    async def flush(self) -> None:
        """Nothing to do: every record is its own transaction."""

    async def venue_rows(self) -> tuple[tuple[str, bytes], ...]:
        return await self.perform(recovery.venue_rows)

    async def begin_run(self, time_ms: int) -> int:
        return await self.perform(lambda link: recovery.begin_run(link, time_ms))

    async def end_run(self, run: int, time_ms: int, outcome: str) -> None:
        await self.perform(lambda link: recovery.end_run(link, run, time_ms, outcome))

    async def perform(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work`, such as retention or a backup, on the journal's own connection, in its thread."""
        link = self._raw
        if link is None:
            raise ValueError("journal is closed")
        result: list[T] = []

        def job() -> None:
            with guarding(self.path):
                result.append(work(link))

        self._jobs.append(job)
        await self._thread.commit()
        return result[0]

    async def close(self) -> None:
        self._raw = None
        await self._thread.close()

    def _connect(self) -> sqlite3.Connection:
        try:
            link = open_database(self.path, "journal", "FULL", _Link)
        except StateError as fault:  # raised here, aiosqlite would leave its thread behind unawaited
            self._fault = fault
            return sqlite3.connect(":memory:")
        link.jobs = self._jobs
        self._raw = link
        return link
