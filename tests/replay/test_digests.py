"""Every real market through the whole daemon comes to what it came to before: same decisions, orders and fills."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from klined.config.settings import Settings
from klined.errors import ConfigError, ModelError
from klined.policies.rules import EmaCross
from klined.ports import Choice
from klined.runtime.assembly import shipped
from klined.runtime.process import run_replay
from klined.store.digests import digest
from replay.outcomes import BLESS, acts, expected, outcome
from replay.worlds import NAMES, WORLDS, World

FUNDED = "SELECT json_extract(data, '$.amount') FROM events WHERE name = 'funding.booked'"


def replayed(settings: Settings) -> dict[str, Any]:
    told: dict[str, Any] = {}
    code = run_replay(settings, told)
    assert code == 0
    assert told["flat"]
    return told


def rows(journal: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(journal)) as link:
        return link.execute(sql).fetchall()


def must_equal(name: str, journal: Path, told: dict[str, Any], *, network: bool = False) -> None:
    found = outcome(journal, told["equity_end"], network=network)
    assert found == expected(name, found), f"{name} decides differently; if that is meant: make bless"


@pytest.mark.parametrize("world", WORLDS, ids=NAMES)
def test_rule_decides_on_every_real_market_as_it_did(shared_data: Path, tmp_path: Path, world: World) -> None:
    state = tmp_path / "state"
    told = replayed(world.settings(shared_data, state, "ema_cross"))
    assert told["trades"] >= world.fills_min
    assert (len(rows(state / "journal.db", "SELECT 1 FROM decisions WHERE reason = 22")) > 0) == world.gap
    must_equal(f"{world.name}/ema_cross", state / "journal.db", told)


@pytest.mark.parametrize("world", WORLDS, ids=NAMES)
def test_shipped_network_decides_on_every_real_minute_market_as_it_did_and_refuses_others(
    shared_data: Path, tmp_path: Path, world: World
) -> None:
    try:
        shipped()
    except ConfigError as error:
        pytest.skip(str(error))
    state = tmp_path / "state"
    settings = world.settings(shared_data, state, "onnx")
    if world.timeframe != "1m":
        with pytest.raises(ModelError, match="bar_interval_ms is 60000"):
            run_replay(settings, {})
        return
    told = replayed(settings)
    must_equal(f"{world.name}/onnx", state / "journal.db", told, network=True)


@pytest.mark.slow
@pytest.mark.parametrize("world", [w for w in WORLDS if w.first or w.rows], ids=lambda world: world.name)
def test_rule_decides_on_every_bar_of_every_file_as_it_did(shared_data: Path, tmp_path: Path, world: World) -> None:
    state = tmp_path / "state"
    told = replayed(world.whole.settings(shared_data, state, "ema_cross"))
    must_equal(f"{world.name}/ema_cross/whole", state / "journal.db", told)


def test_perpetual_is_traded_long_and_short_and_pays_its_funding(shared_data: Path, tmp_path: Path) -> None:
    world = next(w for w in WORLDS if w.kind == "perp")
    told = replayed(world.settings(shared_data, tmp_path / "state", "ema_cross"))
    journal = tmp_path / "state" / "journal.db"
    booked = [float(amount) for (amount,) in rows(journal, FUNDED)]
    assert len(booked) > 20
    assert told["funding"] == pytest.approx(sum(booked), rel=1e-9)
    held, sides = 0.0, set()
    for (quantity,) in rows(journal, "SELECT quantity FROM fills ORDER BY seq, trade_id"):
        held += float(quantity)
        sides.add(held > 1e-9) if abs(held) > 1e-9 else None
    assert sides == {True, False}, "long and short"
    assert abs(held) < 1e-9, "flat at the end"


def test_equal_replays_have_equal_digests_and_one_changed_decision_is_noticed(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World("short", WORLDS[0].files, rows=1_500)
    journals = [tmp_path / name / "journal.db" for name in ("one", "two", "changed")]
    for journal in journals[:2]:
        replayed(world.settings(shared_data, journal.parent, "ema_cross"))
    assert digest(journals[0]) == digest(journals[1])
    assert acts(journals[0]) == acts(journals[1])

    decide, bars = EmaCross.decide, iter(range(10_000))

    def otherwise(self: EmaCross, observations: NDArray[np.float32]) -> list[Choice]:
        """The planted fault: at one bar, the other way."""
        choices = decide(self, observations)
        return [(-target, output) for target, output in choices] if next(bars) == 700 else choices

    monkeypatch.setattr(EmaCross, "decide", otherwise)
    replayed(world.settings(shared_data, journals[2].parent, "ema_cross"))
    assert digest(journals[2], observations=False) != digest(journals[0], observations=False)
    assert acts(journals[2]) != acts(journals[0])


def test_stored_outcomes_change_only_by_bless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(BLESS, raising=False)
    before = expected("eth_2025/ema_cross", {})
    assert before, "make bless stores what the replays come to"
    assert expected("eth_2025/ema_cross", {"digest": "another"}) == before
