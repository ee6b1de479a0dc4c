"""A state directory that cannot be used: the right exit code, one sentence, and nothing lost."""

import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from runtime.living import KLINED, configure, must_be_flat, rows, running, until

ROOT = os.geteuid() == 0


def start(folder: Path) -> subprocess.CompletedProcess[str]:
    """One start that is expected to end by itself."""
    command = [str(KLINED), "-c", "klined.toml", "--state", "state", "run"]
    return subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True, timeout=60)


def one_sentence(done: subprocess.CompletedProcess[str]) -> str:
    """What it said before it ended; a traceback is more than that."""
    said = [line for line in done.stderr.splitlines() if line]
    assert len(said) == 1, done.stderr
    return said[0]


def used(folder: Path) -> Path:
    """A state directory with a history; its journal."""
    configure(folder, bars=60)
    assert start(folder).returncode == 0
    return folder / "state" / "journal.db"


def test_second_daemon_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    configure(tmp_path)
    with running(tmp_path) as daemon:
        daemon.wait_for("daemon.ready")
        done = start(tmp_path)
        assert done.returncode == 1
        assert f"used by pid {daemon.process.pid}" in one_sentence(done)
        daemon.wait_for("order.filled")
        assert daemon.end(signal.SIGTERM) == 0
    must_be_flat(tmp_path)


def test_newer_schema_is_refused_and_nothing_changed(tmp_path: Path) -> None:
    journal = used(tmp_path)
    with closing(sqlite3.connect(journal)) as link:
        link.execute("PRAGMA user_version = 99")
        link.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = journal.read_bytes()
    done = start(tmp_path)
    assert done.returncode == 1
    said = one_sentence(done)
    assert "schema 99 is newer" in said
    assert "install the newer klined" in said
    assert journal.read_bytes() == before


@pytest.mark.parametrize("damage", ["a page of zeros", "cut short", "no database"])
def test_corrupt_journal_is_refused_and_left_as_it_is(tmp_path: Path, damage: str) -> None:
    journal = used(tmp_path)
    whole = journal.read_bytes()
    broken = {
        "a page of zeros": whole[:8_192] + bytes(16_384) + whole[24_576:],
        "cut short": whole[: len(whole) // 2],
        "no database": b"these are my notes\n" * 1_000,
    }[damage]
    journal.write_bytes(broken)
    done = start(tmp_path)
    assert done.returncode == 1
    said = one_sentence(done)
    assert str(journal.name) in said
    assert "klined state restore" in said or "another state directory" in said
    assert journal.read_bytes() == broken


def test_read_only_state_directory_is_refused(tmp_path: Path) -> None:
    configure(tmp_path)
    state = tmp_path / "state"
    state.mkdir(mode=0o500)
    if not ROOT:
        assert_refused_for_writing(tmp_path)
        return
    mount(state, "ro")  # no mode is a hindrance to root
    try:
        assert_refused_for_writing(tmp_path)
    finally:
        free(tmp_path)


def assert_refused_for_writing(folder: Path) -> None:
    done = start(folder)
    assert done.returncode == 1
    assert "state directory cannot be written" in one_sentence(done)


def mount(folder: Path, options: str) -> None:
    """A file system in memory; skips where that may not be had."""
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if not ROOT or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("a file system of its own takes root")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder whose state directory is a file system of 2 MB."""
    configure(tmp_path)
    (tmp_path / "state").mkdir()
    mount(tmp_path / "state", "size=2m")
    yield tmp_path
    free(tmp_path)


def free(folder: Path) -> None:
    subprocess.run(["umount", "-l", str(folder / "state")], check=True)


def fill(folder: Path) -> Path:
    """Take what is left of the disk."""
    ballast = folder / "state" / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as out:
        while out.write(bytes(4_096)):
            pass
    return ballast


def test_disk_that_is_full_at_start_is_told_in_a_sentence(small_disk: Path) -> None:
    fill(small_disk)
    done = start(small_disk)
    assert done.returncode == 1
    assert "free space" in one_sentence(done)


def test_disk_that_fills_up_stops_orders_until_there_is_room(small_disk: Path) -> None:
    with running(small_disk) as daemon:
        daemon.wait_for("order.filled", 2)
        ballast = fill(small_disk)
        assert "full" in daemon.wait_for("journal.failed")["why"]
        ballast.unlink()
        until(lambda: bool(daemon.told("journal.recovered")))
        daemon.wait_for("order.filled")
        assert daemon.end(signal.SIGTERM) == 0
    must_be_flat(small_disk)
    assert rows(small_disk, "PRAGMA integrity_check") == [("ok",)]
