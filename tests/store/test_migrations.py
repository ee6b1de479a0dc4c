"""Opening a file: created, migrated with a copy of the old one, or refused with a sentence and left as it is."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from klined.domain import Record
from klined.errors import StateError
from klined.store.journal import AsyncJournal
from klined.store.migrations import APPLICATION_ID, damage, migrate, open_database, open_reading, steps
from klined.store.synchronous import SyncJournal

Make = Callable[[int], Record]
LATEST = len(steps("journal"))


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as link:
        return int(link.execute("PRAGMA user_version").fetchone()[0])


def at_version(path: Path, number: int) -> None:
    """A journal as a klined of schema `number` left it, with one decision and one flag."""
    with closing(sqlite3.connect(path, isolation_level=None)) as link:
        link.execute("PRAGMA journal_mode = WAL")
        migrate(link, path, steps("journal")[:number])
        link.execute(
            "INSERT INTO decisions (id, bar_time_ms, symbol, observation, target, output, verdict, reason)"
            " VALUES (1024, 60000, 'ETH/USDT', x'00', 0.5, x'', 0, 1)"
        )
        link.execute("INSERT INTO memory VALUES ('installation', '7f3a')")


@pytest.mark.parametrize("old", range(1, LATEST))
async def test_old_schema_is_migrated_and_a_copy_of_it_kept(journal: Path, make: Make, old: int) -> None:
    at_version(journal, old)
    store = SyncJournal(journal, group=1)
    await store.commit(make(1), lambda: b"x")
    assert (await store.recover()).memory == {"installation": "7f3a"}
    await store.close()
    kept = journal.with_name(f"journal.db.v{old}.bak")
    assert (version(journal), version(kept)) == (LATEST, old)
    with closing(sqlite3.connect(kept)) as link:
        assert link.execute("SELECT count(*) FROM decisions").fetchone() == (1,)
        assert damage(link, thorough=True) is None


def test_there_is_an_old_schema_to_migrate_from() -> None:
    assert LATEST >= 2


def test_migrated_schema_equals_a_new_one(tmp_path: Path) -> None:
    at_version(tmp_path / "old.db", 1)
    schemas = []
    for name in ("old.db", "new.db"):
        open_database(tmp_path / name, "journal", "FULL", sqlite3.Connection).close()
        with closing(sqlite3.connect(tmp_path / name)) as link:
            schemas.append(link.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall())
    assert schemas[0] == schemas[1]


def test_step_that_fails_leaves_the_schema_it_began_with(journal: Path) -> None:
    at_version(journal, 1)
    with closing(sqlite3.connect(journal, isolation_level=None)) as link:
        with pytest.raises(sqlite3.OperationalError):
            migrate(link, journal, [*steps("journal")[:1], "CREATE TABLE half (x);\nCREATE TABLE half (x);"])
        assert link.execute("SELECT count(*) FROM sqlite_master WHERE name = 'half'").fetchone() == (0,)
    assert version(journal) == 1
    assert journal.with_name("journal.db.v1.bak").is_file()


def test_newer_schema_is_refused_and_untouched(journal: Path) -> None:
    SyncJournal(journal)._link.close()
    with closing(sqlite3.connect(journal)) as link:
        link.execute("PRAGMA user_version = 99")
    before = journal.read_bytes()
    with pytest.raises(StateError, match=r"schema 99 is newer than this klined knows \(2\).*nothing was changed"):
        SyncJournal(journal)
    assert journal.read_bytes() == before


async def test_newer_schema_is_refused_by_the_live_journal_too(journal: Path) -> None:
    await (await AsyncJournal.open(journal)).close()
    with closing(sqlite3.connect(journal)) as link:
        link.execute("PRAGMA user_version = 99")
    with pytest.raises(StateError, match="schema 99 is newer"):
        await AsyncJournal.open(journal)


@pytest.fixture
async def filled(journal: Path, make: Make) -> Path:
    """A journal of some hundred pages."""
    store = SyncJournal(journal)
    for n in range(1, 2001):
        await store.commit(make(n), lambda: b"s" * 5000)
    await store.flush()
    await store.close()
    return journal


@pytest.mark.parametrize("place", ["header", "first page", "middle page"])
def test_damaged_file_is_refused_and_kept(filled: Path, place: str) -> None:
    raw = bytearray(filled.read_bytes())
    at = {"header": 0, "first page": 100, "middle page": len(raw) // 2 // 4096 * 4096}[place]
    raw[at : at + 64] = b"\xff" * 64
    filled.write_bytes(raw)
    with pytest.raises(StateError, match=r"journal\.db: .*left as it is.*klined state restore"):
        SyncJournal(filled)
    assert filled.read_bytes() == raw


def test_truncated_file_is_refused_and_kept(filled: Path) -> None:
    raw = filled.read_bytes()[: filled.stat().st_size // 2]
    filled.write_bytes(raw)
    with pytest.raises(StateError, match=r"left as it is.*klined state restore"):
        SyncJournal(filled)
    assert filled.read_bytes() == raw


def test_whole_file_is_not_called_damaged(filled: Path) -> None:
    with closing(SyncJournal(filled)._link) as link:
        assert damage(link, thorough=True) is None


async def test_snapshot_that_was_changed_is_refused(filled: Path) -> None:
    with closing(sqlite3.connect(filled)) as link, link:
        link.execute("UPDATE snapshot SET blob = x'00'")
    store = SyncJournal(filled)
    with pytest.raises(StateError, match="does not match its checksum"):
        await store.recover()
    await store.close()


def test_someone_elses_database_is_refused_and_untouched(journal: Path) -> None:
    with closing(sqlite3.connect(journal)) as link, link:
        link.execute("CREATE TABLE customers (name)")
    before = journal.read_bytes()
    with pytest.raises(StateError, match="a database, but not klined's"):
        SyncJournal(journal)
    assert journal.read_bytes() == before


def test_text_file_is_refused(journal: Path) -> None:
    journal.write_text("this is a text file, much longer than the hundred bytes of a header" * 9)
    with pytest.raises(StateError, match="no database and was left as it is"):
        SyncJournal(journal)


def test_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"nowhere/journal\.db: it cannot be opened: check that the directory exists"):
        SyncJournal(tmp_path / "nowhere" / "journal.db")


def test_reading_what_is_not_there_says_how_it_comes_to_be(journal: Path) -> None:
    with pytest.raises(StateError, match="no such file; start klined once"):
        open_reading(journal)


def test_connection_for_reading_cannot_write(filled: Path) -> None:
    with closing(open_reading(filled)) as link, pytest.raises(sqlite3.OperationalError, match="readonly"):
        link.execute("DELETE FROM decisions")


def test_place_that_cannot_be_written_is_refused_in_words(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    places = [Path("/proc")] if os.geteuid() == 0 else [Path("/proc"), folder]  # root may write anywhere but there
    for place in places:
        with pytest.raises(StateError, match=r"journal\.db: it cannot be opened: check that the directory"):
            SyncJournal(place / "journal.db")


def test_files_bear_klineds_mark(journal: Path) -> None:
    SyncJournal(journal)._link.close()
    with closing(sqlite3.connect(journal)) as link:
        assert link.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
