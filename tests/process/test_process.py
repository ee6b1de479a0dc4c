"""The real daemon on a real disk: killed, stopped, out of room; then its journal against the paper exchange's books."""

import json
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from process.disk import fill_up

BARS = 1_500
SETTINGS = f"""
[market]
symbols = ["ETH/USDT", "BTC/USDT"]
speed = 2000
bars = {BARS}
[policy]
name = "ema_cross"
[risk]
max_drawdown = 0.9
max_day_loss = 0.9
"""
WAIT_S = 60


class Running:
    """One process of `klined run`."""

    def __init__(self, folder: Path, state: Path, *sets: str) -> None:
        words = [sys.executable, "-m", "klined.cli.main", "-c", str(folder / "klined.toml"), "--state", str(state)]
        for each in sets:
            words += ["--set", each]
        self.process = subprocess.Popen([*words, "run"], stderr=subprocess.PIPE, text=True)
        self.said: list[str] = []

    def wait_for(self, name: str, times: int = 1) -> dict[str, object]:
        """The line of the log that tells this event for the `times`-th time from now on."""
        assert self.process.stderr is not None
        line = ""
        while times:
            line = self.process.stderr.readline()
            assert line, f"the daemon ended before {name}: {''.join(self.said[-5:])}"
            self.said.append(line)
            times -= f'"event": "{name}"' in line
        told: dict[str, object] = json.loads(line)
        return told

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        _, rest = self.process.communicate(timeout=WAIT_S)
        self.said += rest.splitlines(keepends=True)
        return self.process.returncode


@contextmanager
def running(folder: Path, state: Path, *sets: str) -> Iterator[Running]:
    (folder / "klined.toml").write_text(SETTINGS)
    daemon = Running(folder, state, *sets)
    try:
        yield daemon
    finally:
        daemon.process.kill()
        daemon.process.communicate()


def books(state: Path) -> tuple[int, dict[str, str]]:
    """Fills of the journal, and what they come to; checked against the exchange's own ledger in its `venue` rows."""
    with closing(sqlite3.connect(state / "journal.db")) as link:
        assert link.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        fills = link.execute("SELECT symbol, quantity, price, fee, client_id, trade_id FROM fills").fetchall()
        known = {row[0] for row in link.execute("SELECT client_id FROM intents")}
        decided = link.execute("SELECT count(*), count(DISTINCT bar_time_ms || symbol) FROM decisions").fetchone()
        ledger = dict(link.execute("SELECT key, value FROM venue").fetchall())
    assert decided[0] == decided[1], "a bar was decided twice"
    assert {fill[4] for fill in fills} <= known, "something traded that was never intended"
    money = {"USDT": Decimal(10_000)}
    for symbol, quantity, price, fee, *_ in fills:
        base = symbol.partition("/")[0]
        money[base] = money.get(base, Decimal(0)) + Decimal(quantity)
        money["USDT"] -= Decimal(quantity) * Decimal(price) + Decimal(fee)
    return len(fills), compared(money, ledger)


def compared(money: dict[str, Decimal], ledger: dict[str, bytes]) -> dict[str, str]:
    """What fills come to, after it was found equal to what the exchange holds."""
    from klined.domain import MarketKind
    from klined.venues.paper import PaperVenue
    from klined.world.filters import default_instrument

    venue = PaperVenue([default_instrument(s, MarketKind.SPOT) for s in ("ETH/USDT", "BTC/USDT")], {"USDT": Decimal(1)})
    venue.load(sorted(ledger.items()))
    held = venue.exchange.account().balances
    assert {asset: amount for asset, amount in held.items() if amount} == {a: m for a, m in money.items() if m}
    return {asset: str(amount.normalize()) for asset, amount in money.items()}


def test_daemon_killed_at_random_ends_with_the_exchanges_own_books_and_those_of_an_unkilled_one(tmp_path: Path) -> None:
    with running(tmp_path, tmp_path / "whole") as daemon:
        assert daemon.end() == 0
    rng = random.Random(7)
    kills = 0
    for _ in range(20):
        with running(tmp_path, tmp_path / "killed") as daemon:
            daemon.wait_for("daemon.ready")
            ended = waited(daemon, rng.uniform(0.02, 0.35))
            if not ended:
                daemon.signal(signal.SIGKILL)
                kills += 1
            daemon.end()
        if ended:
            break
    else:
        with running(tmp_path, tmp_path / "killed") as daemon:
            assert daemon.end() == 0
    assert kills >= 3
    fills, money = books(tmp_path / "killed")
    assert fills > 10
    assert (fills, money) == books(tmp_path / "whole")


def waited(daemon: Running, seconds: float) -> bool:
    """Whether the process ended by itself within that time."""
    try:
        daemon.process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def test_stopped_process_tells_the_jump_and_goes_on_to_the_same_end(tmp_path: Path) -> None:
    with running(tmp_path, tmp_path / "s", "market.speed=400", "market.bars=1200") as daemon:
        daemon.wait_for("order.filled", 3)
        daemon.signal(signal.SIGSTOP)
        assert not waited(daemon, 6.5)
        daemon.signal(signal.SIGCONT)
        told = daemon.wait_for("time.jumped")
        assert told["kind"] == "stopped"
        assert float(str(told["by_s"])) > 5
        assert daemon.end() == 0
    assert books(tmp_path / "s")[0] > 10


def test_books_that_lost_a_fill_are_noticed(tmp_path: Path) -> None:
    with running(tmp_path, tmp_path / "s", "market.bars=600") as daemon:
        assert daemon.end() == 0
    books(tmp_path / "s")
    with closing(sqlite3.connect(tmp_path / "s" / "journal.db")) as link, link:
        link.execute("DELETE FROM fills WHERE trade_id = (SELECT min(trade_id) FROM fills)")
    with pytest.raises(AssertionError):
        books(tmp_path / "s")


def test_full_disk_stops_entries_and_trading_goes_on_when_there_is_room_again(tmp_path: Path, small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    with running(tmp_path, small_disk / "s", "market.speed=400") as daemon:
        daemon.wait_for("order.filled", 3)
        fill_up(ballast)
        daemon.wait_for("journal.failed")
        ballast.unlink()
        daemon.wait_for("journal.recovered")
        daemon.wait_for("order.filled", 3)
        daemon.signal(signal.SIGTERM)
        assert daemon.end() == 0
    fills, money = books(small_disk / "s")
    assert fills >= 6
    assert money.keys() - {asset for asset, amount in money.items() if amount == "0"} == {"USDT"}
