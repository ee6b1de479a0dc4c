"""Power fails in the middle of a write: SQLite's own recovery finds all of a commit or nothing of it, never a half."""

import sqlite3
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from klined.domain import Bar, Batch, Purpose
from klined.simulation import run
from klined.simulation.power import SECTOR, Image, partly, read_image, torn, write_image
from klined.simulation.run import simulate
from klined.simulation.schedule import Fault, Schedule, make_schedule
from klined.simulation.world import World
from klined.store.bars import BarStore
from klined.store.migrations import damage, open_database
from klined.store.rows import remember

POWERLESS = tuple(Fault(60.0 * k + 0.3, "kill", "power", 0.0, float(k % 3)) for k in (2, 5, 8))


def committed(folder: Path, checkpoint: int, records: int) -> list[Image]:
    """What the disk held after each of some commits of the production journal's file."""
    link = open_database(folder / "a.db", "journal", "FULL", sqlite3.Connection)
    link.execute(f"PRAGMA wal_autocheckpoint = {checkpoint}")
    images = [read_image(folder / "a.db")]
    for k in range(records):
        link.execute("BEGIN")
        for part in ("x", "y"):
            remember(link, f"{part}{k}", str(k) * 700)
        link.execute("COMMIT")
        images.append(read_image(folder / "a.db"))
    link.close()
    return images


def recovered(folder: Path, image: Image) -> set[str]:
    """What the production code finds in such a file; it must be whole."""
    path = folder / "b.db"
    write_image(path, image)
    link = open_database(path, "journal", "FULL", sqlite3.Connection)
    try:
        assert damage(link, thorough=True) is None
        return {key for (key,) in link.execute("SELECT key FROM memory")}
    finally:
        link.close()


def keys(commits: int) -> set[str]:
    return {f"{part}{k}" for k in range(commits) for part in "xy"}


def test_log_cut_anywhere_in_a_commit_recovers_to_before_or_after_it(tmp_path: Path) -> None:
    *_, before, after = committed(tmp_path, checkpoint=1_000, records=6)
    found = [
        recovered(tmp_path, Image(after.database, after.wal[:cut]))
        for cut in (*range(len(before.wal), len(after.wal), 301), len(after.wal))
    ]
    assert len(found) > 20
    assert all(each in (keys(5), keys(6)) for each in found)
    assert found[0] == keys(5)
    assert found[-1] == keys(6)


@pytest.mark.parametrize("checkpoint", [3, 12, 1_000])
def test_any_part_of_a_commit_and_its_checkpoint_recovers_to_before_or_after_it(
    tmp_path: Path, checkpoint: int
) -> None:
    images = committed(tmp_path, checkpoint, records=8)
    outcomes = set()
    for k, (before, after) in enumerate(pairwise(images)):
        for seed in range(6):
            found = recovered(tmp_path, torn(before, after, partial(World(seed).random, "power")))
            assert found in (keys(k), keys(k + 1))
            outcomes.add(len(found) - 2 * k)
    assert outcomes == {0, 2}  # both happen: else nothing was torn


def test_bars_without_a_sync_lose_their_newest_and_nothing_else(tmp_path: Path) -> None:
    path, bars = tmp_path / "bars.db", [Bar("A", k * 60_000, 1.0, 2.0, 1.0, 1.5, float(k)) for k in range(40)]
    store = BarStore(path)
    synced = read_image(path)
    for bar in bars:
        store.add(Batch(bar.open_time_ms + 60_000, (bar,), Purpose.TRADE))
    written = read_image(path)
    lengths = set()
    for seed in range(40):
        copy = tmp_path / str(seed) / "bars.db"
        copy.parent.mkdir()
        write_image(copy, Image(synced.database, partly(synced.wal, written.wal, partial(World(seed).random, "bars"))))
        again = BarStore(copy)
        found = again.latest("A", 100)
        again.close()
        assert again.set_aside is None
        assert found == bars[: len(found)]
        lengths.add(len(found))
    store.close()
    assert len(lengths) > 5


def test_parts_of_a_change_are_whole_sectors_or_end_at_a_byte() -> None:
    before, after = bytes(4 * SECTOR), b"\x01" * (6 * SECTOR)
    for seed in range(50):
        part = partly(before, after, partial(World(seed).random, "part"))
        sectors = [part[at : at + SECTOR] for at in range(0, len(part), SECTOR)]
        mixed = [sector for sector in sectors if len(set(sector)) > 1]
        assert len(part) <= len(after)
        assert len(mixed) <= 1


@pytest.mark.parametrize("symbols", [("ETH/USDT",), ("ETH/USDT:USDT",)])
def test_daemon_recovers_from_power_that_fails_in_its_transactions(symbols: tuple[str, ...]) -> None:
    kept = 0
    for seed in range(6):
        outcome = simulate(Schedule(seed, 45, symbols, tight=False, faults=POWERLESS))
        assert outcome.violations == ()
        assert sum(line[1] == "disk.torn" for line in outcome.trace) >= 2
        kept += sum(line[1] == "disk.kept" for line in outcome.trace)
    assert kept  # a record that was under way, and is there


def test_same_seed_tears_the_same_bytes() -> None:
    seed = next(s for s in range(99) if any(f.what == "power" for f in make_schedule(s).faults))
    assert simulate(make_schedule(seed, 60)).hash == simulate(make_schedule(seed, 60)).hash


def test_without_room_for_files_power_fails_as_a_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run, "FileDisk", none)
    outcome = simulate(Schedule(1, 45, ("ETH/USDT",), tight=False, faults=POWERLESS))
    assert outcome.violations == ()
    assert outcome.kills >= 2
    assert outcome.trace[0][1] == "disk.no_room"


def test_no_file_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("klined.simulation.power.QUICK", tmp_path)
    simulate(Schedule(2, 41, ("ETH/USDT",), tight=False, faults=POWERLESS))
    assert list(tmp_path.iterdir()) == []
