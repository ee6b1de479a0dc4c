"""The decisions of one session, in order, for its report: read a chunk at a time, whatever its length."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Self

from klined.domain import Decision
from klined.store.faults import guarding
from klined.store.migrations import open_reading
from klined.store.reading import DECISION, decision

CHUNK = 2000


class Session:
    """All that was decided after input `after_seq` of the journal at `path`.

    Raises:
        StateError: no journal, or not readable.
    """

    def __init__(self, path: Path, after_seq: int) -> None:
        self._path, self._after_seq = path, after_seq
        self._link = open_reading(path)

    def decisions(self) -> Iterator[Decision]:
        """Oldest first."""
        sql = f"SELECT {DECISION} WHERE d.seq > ? ORDER BY d.id"
        with guarding(self._path), closing(self._link.execute(sql, (self._after_seq,))) as cursor:
            while rows := cursor.fetchmany(CHUNK):
                for row in rows:
                    yield decision(row)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._link.close()
