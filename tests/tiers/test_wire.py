"""aiohttp, ccxt and websockets as they are, the daemon and the sandbox in one process, and no time to wait for.

Hours of market with lost answers, lagging reads, mute streams and cut connections; then the exchange's ledger against
the journal.
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from klined.domain import Doubted, Intent, News
from klined.runtime import assembly
from klined.runtime.daemon import Daemon
from klined.simulation.proof import add_row
from tiers.proxy import Proxy
from tiers.virtual import Loop
from tiers.whim import Whim
from tiers.wire import CANARY_KEY, CANARY_SECRET, Played, play

DAY_H = 24.0


@pytest.fixture(autouse=True)
def _whim(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "make_policy", lambda _: Whim())


def leaks(place: Path) -> list[str]:
    """Files in which a secret stands."""
    files = [path for path in place.rglob("*") if path.is_file()]
    assert len(files) >= 2
    return [
        f"{path}: {canary}"
        for path in files
        for canary in (CANARY_KEY, CANARY_SECRET)
        if canary.encode() in path.read_bytes()
    ]


def sound(played: Played, place: Path) -> None:
    assert played.findings == []
    assert played.code == 0
    assert leaks(place) == []


@pytest.mark.parametrize("market", ["spot", "perp"])
def test_hours_on_a_bad_wire_end_flat_with_the_exchanges_own_books(market: str, tmp_path: Path, said: Path) -> None:
    played = play(market, 1, 1.0, tmp_path)
    sound(played, said.parent)
    assert played.bars == 59
    assert played.fills > 12
    assert len(played.faults) > 15
    assert played.events["order.doubted"] > 2


def test_two_runs_of_a_seed_tell_the_same(tmp_path: Path, said: Path) -> None:
    first, again = play("perp", 2, 0.6, tmp_path / "1"), play("perp", 2, 0.6, tmp_path / "2")
    assert (first.fills, first.faults, first.events) == (again.fills, again.faults, again.events)


def resend(daemon: Daemon) -> None:
    """The wrong protocol: what was not answered is sent once more."""
    submit = daemon.venue.submit

    async def twice(intent: Intent) -> Sequence[News]:
        news = await submit(intent)
        return await submit(intent) if any(isinstance(each, Doubted) for each in news) else news

    daemon.venue.submit = twice  # type: ignore[method-assign]


def test_an_order_sent_again_after_a_lost_answer_is_noticed(tmp_path: Path, said: Path) -> None:
    played = play("perp", 1, 1.0, tmp_path, spoil=resend)
    assert any("executed 2 times" in finding for finding in played.findings)


def test_hour_of_maintenance_is_waited_out_with_alerts_and_trading_goes_on(tmp_path: Path, said: Path) -> None:
    def maintain(loop: Loop, proxy: Proxy) -> None:
        loop.call_at(900.0, proxy.go_dark)
        loop.call_at(4500.0, proxy.heal)

    played = play("perp", 1, 1.6, tmp_path, faulty=False, befall=maintain)
    sound(played, said.parent)
    told = [json.loads(line)["event"] for line in said.read_text().splitlines()]
    assert told.count("wait.supervised") >= 10
    assert "watchdog.starved" not in told
    assert any(second < 900 for second in played.trades_s)
    assert not any(900 < second < 4500 for second in played.trades_s)
    assert sum(second > 4500 for second in played.trades_s) > 5


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_virtual_days_of_many_seeds_end_as_they_must(tmp_path: Path, said: Path, budget_s: float) -> None:
    faults: Counter[str] = Counter()
    runs = failed = 0
    took_s = 0.0
    while took_s < budget_s:
        for market in ("spot", "perp"):
            place = tmp_path / f"{market}-{runs}"
            played = play(market, 100 + runs, DAY_H, place)
            runs, took_s = runs + 1, took_s + played.took_s
            faults.update(played.faults)
            failed += bool(played.findings or played.code)
    caught = {
        "sends an unanswered order again": 1 if play("perp", 1, 1.0, tmp_path / "m", spoil=resend).findings else 0
    }
    add_row(
        "wire, a virtual day a run",
        runs=runs,
        faults=faults,
        violations=failed,
        caught=caught,
        per_minute=60 * runs / took_s,
    )
    assert failed == 0
    assert leaks(tmp_path) == []
