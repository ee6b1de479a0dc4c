"""Opening a database file: checked, migrated, or refused with a sentence; never changed when refused.

    user_version   0 and empty ─▶ create      < latest ─▶ back up, migrate      > latest ─▶ StateError, untouched

A family is a folder of numbered .sql files; each is one transaction that ends by setting `user_version`.
"""

import os
import sqlite3
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from klined.errors import StateError
from klined.store.faults import Damaged, guarding

APPLICATION_ID = 0x6B6C6E64  # "klnd", in the file's header
BUSY_TIMEOUT_S = 5.0
CHECKPOINT_PAGES = 4000  # 16 MB of WAL: rarer fsyncs of the main file than the default 1000
CHECK_BYTES_MAX = 256 << 20  # beyond, only the tables that recovery reads are checked at start
RECOVERY_TABLES = ("head", "snapshot", "memory", "orders", "intents", "fills", "venue")

_Link = TypeVar("_Link", bound=sqlite3.Connection)


def steps(family: str) -> list[str]:
    """SQL texts of `family` in order; the last one's number (from 1) is the newest schema."""
    folder = files("klined.store") / "sql" / family
    return [p.read_text("utf-8") for p in sorted(folder.iterdir(), key=lambda p: p.name) if p.name.endswith(".sql")]


def open_database(path: Path, family: str, synchronous: str, factory: type[_Link]) -> _Link:
    """A connection in autocommit mode, its schema the newest, its file checked.

    Raises:
        StateError: damaged, newer, not klined's, locked, read-only or full; the file is as it was.
    """
    with guarding(path):
        link = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, factory=factory)
        try:
            _check(link, path)
            schema(link, path, len(steps(family)))
            link.execute("PRAGMA journal_mode = WAL")
            link.execute(f"PRAGMA synchronous = {synchronous}")
            link.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            migrate(link, path, steps(family))
        except BaseException:
            link.close()
            raise
        return link


def open_reading(path: Path) -> sqlite3.Connection:
    """A connection that cannot write; the daemon may be running.

    Raises:
        StateError: missing, not klined's, damaged.
    """
    if not path.is_file():
        raise StateError(f"{path}: no such file; start klined once, or name another state directory with --state")
    with guarding(path):
        link = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)
        try:
            schema(link, path)
        except BaseException:
            link.close()
            raise
        return link


def migrate(link: sqlite3.Connection, path: Path, texts: list[str]) -> None:
    """Bring `link` to schema `len(texts)`, one transaction a step, after a copy to `<name>.v<old>.bak`.

    Raises:
        StateError: the file's schema is newer than this klined knows.
        sqlite3.Error: a step failed and was rolled back.
    """
    version = schema(link, path, len(texts))
    if 0 < version < len(texts):
        copy(link, path.with_name(f"{path.name}.v{version}.bak"))
    for number, text in enumerate(texts[version:], start=version + 1):
        try:
            link.executescript(
                f"BEGIN IMMEDIATE;\n{text}\nPRAGMA application_id = {APPLICATION_ID};"
                f"PRAGMA user_version = {number};\nCOMMIT;"
            )
        except sqlite3.Error:
            if link.in_transaction:
                link.rollback()
            raise


def copy(link: sqlite3.Connection, target: Path) -> None:
    """Copy the whole database to `target`: on disk, or not there at all. A writer may go on meanwhile."""
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    with closing(sqlite3.connect(part)) as other:
        link.backup(other)
        other.execute("PRAGMA journal_mode = DELETE")  # one file, complete in itself
    sync(part)
    part.replace(target)
    sync(target.parent)


def sync(path: Path) -> None:
    """Make a file or a directory's entries durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def damage(link: sqlite3.Connection, *, thorough: bool) -> str | None:
    """What SQLite's own check finds wrong, or None."""
    pragmas = ["PRAGMA integrity_check(1)"] if thorough else ["PRAGMA quick_check(1)"]
    pages = int(link.execute("PRAGMA page_count").fetchone()[0])
    if not thorough and pages * int(link.execute("PRAGMA page_size").fetchone()[0]) > CHECK_BYTES_MAX:
        present = {name for (name,) in link.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        pragmas = [f"PRAGMA quick_check({table})" for table in RECOVERY_TABLES if table in present]
    for pragma in pragmas:
        for (finding,) in link.execute(pragma):
            if finding != "ok":
                return " ".join(str(finding).split())
    return None


def schema(link: sqlite3.Connection, path: Path, known: int | None = None) -> int:
    """Schema of a file that is klined's or empty; refused when it is newer than `known`."""
    version = int(link.execute("PRAGMA user_version").fetchone()[0])
    owner = int(link.execute("PRAGMA application_id").fetchone()[0])
    empty = link.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if owner != APPLICATION_ID and not (empty and owner == 0 and version == 0):
        raise StateError(f"{path}: a database, but not klined's; name another state directory with --state")
    if known is not None and version > known:
        raise StateError(
            f"{path}: schema {version} is newer than this klined knows ({known}); "
            "install the newer klined again, or restore a backup made by this one; nothing was changed"
        )
    return version


def _check(link: sqlite3.Connection, path: Path) -> None:
    found = damage(link, thorough=False)
    if found is not None:
        raise Damaged(f"{path}: damaged and left as it is ({found}); restore a backup with `klined state restore FILE`")
