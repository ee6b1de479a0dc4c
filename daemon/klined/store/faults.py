"""What an error of SQLite means for the person who must act: one sentence with the path and the remedy."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from klined.errors import StateError

REMEDIES = {
    "SQLITE_FULL": "the disk is full: free space, then start again",
    "SQLITE_READONLY": "it cannot be written: check its owner and mode, and that the file system is not read-only",
    "SQLITE_PERM": "it cannot be written: check its owner and mode",
    "SQLITE_CANTOPEN": "it cannot be opened: check that the directory exists and belongs to this user",
    "SQLITE_BUSY": "another process keeps it locked: end it (a dashboard, a sqlite3 shell?), then start again",
    "SQLITE_LOCKED": "it is locked: end the reader that holds it, then start again",
    "SQLITE_CORRUPT": "it is damaged and was left as it is: restore a backup with `klined state restore FILE`",
    "SQLITE_NOTADB": "it is no database and was left as it is: restore a backup with `klined state restore FILE`",
    "SQLITE_IOERR": "the disk failed: check it (dmesg, smartctl), then restore a backup if the check finds damage",
    "SQLITE_CONSTRAINT": "a record contradicts what it already holds and was not stored: nothing of it may be acted on",
}
UNKNOWN = "SQLite gave up on it: keep the file and restore a backup with `klined state restore FILE`"


class Damaged(StateError):
    """The file is not what was written; it was left as it is."""


def state_error(fault: sqlite3.Error, path: Path) -> StateError:
    """`fault` as a sentence: what happened, to which file, what to do."""
    name = getattr(fault, "sqlite_errorname", "")
    remedy = next((text for code, text in REMEDIES.items() if name.startswith(code)), UNKNOWN)
    kind = Damaged if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) else StateError
    return kind(f"{path}: {remedy} ({fault})")


@contextmanager
def guarding(path: Path) -> Iterator[None]:
    """Turn what SQLite raises about `path` into a StateError."""
    try:
        yield
    except sqlite3.Error as fault:
        raise state_error(fault, path) from fault
