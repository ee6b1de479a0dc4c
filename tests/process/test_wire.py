"""Daemon and exchange as processes of their own: killed, stopped, cut off, lied to, restarted, out of room.

Clocks run thirty times faster, so two seconds are a minute of market. At the end the exchange's own ledger is compared
with the journal.
"""

import os
import time
from collections import Counter
from pathlib import Path

import pytest

from klined.simulation.proof import add_row
from process.disk import fill_up
from tiers.fate import Fate
from tiers.ledgers import findings
from tiers.processes import CANARY_KEY, CANARY_SECRET, Town, town


def leaks(folder: Path) -> list[str]:
    """Places in which a secret of the daemon stands, but for the settings of the exchange that gave it."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "sandbox.toml"]
    assert any(path.name == "journal.db" for path in files)
    assert any(path.name == "log" for path in files)
    canaries = (CANARY_KEY.encode(), CANARY_SECRET.encode())
    return [str(path) for path in files if any(canary in path.read_bytes() for canary in canaries)]


async def books(place: Town) -> list[str]:
    return findings(place.state / "journal.db", await place.truth(), place.market)


async def test_daemon_killed_stopped_and_cut_off_ends_with_the_exchanges_own_books(tmp_path: Path) -> None:
    async with town(tmp_path, "perp", os.environ) as place:
        fate = Fate(place, 3, rest_s=0.5)
        await fate.begin()
        await fate.daemon.wait_event("order.filled")
        for way in (fate.lie, fate.kill_daemon, fate.cut, fate.stop_daemon, fate.kill_exchange):
            await fate.act(way)
        status = await place.klined("-v", "logs", "--level", "debug")
        assert await fate.peace(1) == 0
        assert await books(place) == []
        (tmp_path / "status").write_text(status)
    assert leaks(tmp_path) == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_many_seeds_of_blows_end_flat_with_the_exchanges_own_books(tmp_path: Path, budget_s: float) -> None:
    faults: Counter[str] = Counter()
    failed: dict[int, list[str]] = {}
    runs = kills = 0
    began_s = time.monotonic()
    while time.monotonic() - began_s < budget_s:
        folder = tmp_path / str(runs)
        async with town(folder, ("perp", "spot")[runs % 2], os.environ) as place:
            fate = Fate(place, runs)
            await fate.begin()
            for _ in range(8):
                await fate.act()
            code = await fate.peace()
            found = await books(place)
            if found or code:
                failed[runs] = [f"exit {code}", *found]
            faults.update(fate.count + place.proxy.count)
            kills += fate.kills
        assert leaks(folder) == []
        runs += 1
    per_minute = 60 * runs / (time.monotonic() - began_s)
    add_row(
        "processes", runs=runs, faults=faults, kills=kills, violations=len(failed), per_minute=per_minute, adding=True
    )
    assert failed == {}


@pytest.mark.slow
async def test_full_disk_under_open_orders_stops_entries_until_there_is_room(tmp_path: Path, small_disk: Path) -> None:
    async with town(tmp_path, "perp", os.environ) as place:
        place.state = small_disk / "state"
        daemon = await place.daemon()
        await daemon.wait_event("order.filled", 2)
        await place.arm({"kind": "lost_answer"}, {"kind": "late", "delay_ms": 2000})
        fill_up(small_disk / "ballast")
        await daemon.wait_event("journal.failed")
        sent = len((await place.truth())["perp"]["orders"])
        assert await daemon.lives_on(4.0)
        assert len((await place.truth())["perp"]["orders"]) <= sent + 1, "sent without an intent on disk"
        (small_disk / "ballast").unlink()
        await daemon.wait_event("journal.recovered")
        await daemon.wait_event("order.filled", 2)
        assert await daemon.stop() == 0
        assert await books(place) == []
    add_row("processes", runs=1, faults={"disk full": 1}, adding=True)
