"""What survives a restart: rows of the venues in one SQLite file, written before anything is answered.

WAL and synchronous=NORMAL: a killed sandbox loses nothing that it has answered. A power cut may lose the last moments,
which a rehearsal survives.
"""

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from klined.errors import StateError

FILE = "sandbox.sqlite"


class Store:
    """Rows by key. Without a directory, everything is forgotten at the end."""

    def __init__(self, directory: Path | None) -> None:
        """Raises StateError when the file cannot be used."""
        try:
            if directory is not None:
                directory.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(":memory:" if directory is None else directory / FILE, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute("CREATE TABLE IF NOT EXISTS row (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT")
        except (OSError, sqlite3.Error) as fault:
            raise StateError(f"the sandbox's state in {directory} cannot be used: {fault}") from fault

    def load(self, prefix: str) -> list[tuple[str, bytes]]:
        """Rows whose key begins with `prefix`, without it."""
        found = self._db.execute("SELECT key, value FROM row WHERE key >= ? AND key < ?", (prefix, prefix + "\uffff"))
        return [(key.removeprefix(prefix), value) for key, value in found]

    def commit(self, rows: Iterable[tuple[str, bytes | None]]) -> None:
        """Write rows, forget those without a value: all of it or nothing."""
        rows = list(rows)
        if not rows:
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for key, value in rows:
                if value is None:
                    self._db.execute("DELETE FROM row WHERE key = ?", (key,))
                else:
                    self._db.execute("INSERT OR REPLACE INTO row VALUES (?, ?)", (key, value))
            self._db.execute("COMMIT")
        except sqlite3.Error as fault:
            self._db.execute("ROLLBACK")
            raise StateError(f"the sandbox cannot write its state: {fault}") from fault

    def close(self) -> None:
        self._db.close()
