"""A copy beside a running daemon, and the way back from it; whatever fails, the journal is as it was."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from klined.domain import Record
from klined.errors import StateError
from klined.store.backup import backup, restore
from klined.store.digests import digest, state_digest
from klined.store.lock import StateLock
from klined.store.reading import Reader
from klined.store.synchronous import SyncJournal

Make = Callable[[int], Record]


def filled(path: Path, make: Make, count: int) -> None:
    """Commit `count` more records."""

    async def fill() -> None:
        store = SyncJournal(path)
        seq = (await store.recover()).seq // 2
        for n in range(seq + 1, seq + count + 1):
            await store.commit(make(n), lambda n=n: b"s%d" % n)
        await store.flush()
        await store.close()

    asyncio.run(fill())


def test_backup_beside_a_writer_equals_the_journal(tmp_path: Path, journal: Path, make: Make) -> None:
    target = tmp_path / "copy.db"

    async def write_and_copy() -> None:
        store = SyncJournal(journal, group=1)
        for n in range(1, 50):
            await store.commit(make(n), lambda: b"s")
        assert backup(tmp_path, target) > 0
        assert state_digest(target) == state_digest(journal)
        await store.commit(make(50), None)
        await store.close()

    asyncio.run(write_and_copy())
    assert not list(tmp_path.glob("copy.db?*"))


def test_restore_brings_the_backup_back_and_keeps_what_it_replaces(tmp_path: Path, journal: Path, make: Make) -> None:
    filled(journal, make, 10)
    then = digest(journal)
    backup(tmp_path, tmp_path / "old.db")
    filled(journal, make, 10)
    now = state_digest(journal)
    kept = restore(tmp_path, tmp_path / "old.db")
    assert kept == tmp_path / "journal.db.before-restore-1"
    assert state_digest(kept) == now
    assert digest(journal) == then
    with Reader(tmp_path) as reader:
        shown = reader.show()
    assert (shown["seq"], shown["memory"]) == (20, {"restored": "old.db"})
    assert restore(tmp_path, tmp_path / "old.db") == tmp_path / "journal.db.before-restore-2"


def test_restore_into_an_empty_directory_keeps_nothing(tmp_path: Path, journal: Path, make: Make) -> None:
    filled(journal, make, 3)
    (tmp_path / "new").mkdir()
    assert restore(tmp_path / "new", journal) is None
    assert digest(tmp_path / "new" / "journal.db") == digest(journal)


def test_restore_replaces_a_damaged_journal_and_keeps_it(tmp_path: Path, journal: Path, make: Make) -> None:
    filled(journal, make, 10)
    backup(tmp_path, tmp_path / "good.db")
    journal.write_bytes(b"\xff" * 20_000)
    kept = restore(tmp_path, tmp_path / "good.db")
    assert kept is not None
    assert kept.read_bytes() == b"\xff" * 20_000
    assert digest(journal) == digest(tmp_path / "good.db")


def test_restore_under_a_running_daemon_is_refused(tmp_path: Path, journal: Path, make: Make) -> None:
    filled(journal, make, 3)
    backup(tmp_path, tmp_path / "good.db")
    before = journal.read_bytes()
    with StateLock(tmp_path), pytest.raises(StateError, match="used by pid"):
        restore(tmp_path, tmp_path / "good.db")
    assert journal.read_bytes() == before


@pytest.mark.parametrize("fault", ["truncated", "changed", "missing", "text"])
def test_bad_backup_is_refused_and_the_journal_left_alone(
    tmp_path: Path, journal: Path, make: Make, fault: str
) -> None:
    filled(journal, make, 2000)
    source = tmp_path / "backup.db"
    backup(tmp_path, source)
    raw = source.read_bytes()
    match fault:
        case "truncated":
            source.write_bytes(raw[: len(raw) // 2])
        case "changed":
            at = len(raw) // 2 // 4096 * 4096
            source.write_bytes(raw[:at] + b"\xff" * 64 + raw[at + 64 :])
        case "missing":
            source.unlink()
        case _:
            source.write_text("no database at all, only words " * 99)
    before = journal.read_bytes()
    with pytest.raises(StateError, match=r"backup\.db"):
        restore(tmp_path, source)
    assert journal.read_bytes() == before


def test_backup_never_overwrites_a_file_that_exists(tmp_path: Path, journal: Path, make: Make) -> None:
    filled(journal, make, 3)
    (tmp_path / "there.db").write_text("precious")
    with pytest.raises(StateError, match="exists; name a new file"):
        backup(tmp_path, tmp_path / "there.db")
    assert (tmp_path / "there.db").read_text() == "precious"


def test_backup_to_a_place_that_is_not_there_is_named(tmp_path: Path, journal: Path, make: Make) -> None:
    filled(journal, make, 3)
    with pytest.raises(StateError, match="nowhere"):
        backup(tmp_path, tmp_path / "nowhere" / "copy.db")
