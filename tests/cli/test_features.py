"""What a policy may see, told and checked from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest

from klined.cli.main import main
from klined.trader.indicators import INDICATORS
from klined.trader.inspection import inspect
from klined.trader.plans import ETH44, PLANS, declared_plan


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """900 made-up minutes of ETHUSDT."""
    rng = np.random.default_rng(5)
    close = np.round(2500.0 * np.exp(np.cumsum(rng.normal(size=900) * 6e-4)), 2)
    opened = np.concatenate((close[:1], close[:-1]))
    high, low = np.maximum(opened, close) + 0.5, np.minimum(opened, close) - 0.5
    times = 1_700_000_040_000 + np.arange(900) * 60_000
    path = tmp_path / "ETHUSDT-1m.csv"
    rows = np.column_stack((times, opened, high, low, close, rng.exponential(50.0, size=900).round(3) + 0.001))
    np.savetxt(path, rows, delimiter=",", fmt=["%d", *["%.6f"] * 5])
    return path


def test_list_names_every_indicator_with_its_lookback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "features", "list"]) == 0
    told = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert told.keys() == INDICATORS.keys()
    assert told["dmi"]["lookback"] == 14
    assert told["obv"]["stable_bars"] is None
    assert main(["features", "list"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {name}" in text for name in INDICATORS)
    assert "never" in text


def test_show_tells_formula_plan_and_declaration(capsys: pytest.CaptureFixture[str]) -> None:
    for name, part in (
        ("rsi", "Wilder"),
        ("adx", "directional"),
        ("eth44", "60 values"),
        ("eth44-mtf", "78 values"),
        ("ema(5)@5m / close - 1", "warm-up"),
    ):
        assert main(["features", "show", name]) == 0
        assert part in capsys.readouterr().out


@pytest.mark.parametrize(
    ("told", "part"),
    [
        ("rsy", "did you mean 'rsi'"),
        ("rsi(14, flta=50)", "did you mean 'flat'"),
        ("macd.hits", "did you mean 'hist'"),
        ("rsi(0)", "column 1: rsi: n is 0"),
        ("rsi(14", "column 7: the end where ')' should be"),
        ("ema(rsi(14)@5m, 3)", "put the @ around the whole"),
        ("close@7s", "write 5m"),
        ("close / 0", "division by zero"),
    ],
)
def test_wrong_features_are_a_sentence_with_the_nearest_name(
    told: str, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["features", "show", told]) == 2
    assert part in capsys.readouterr().err


def test_check_finds_nothing_wrong_with_honest_features(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["features", "check", str(file), "--feature", "z = zscore(close, 60)", "--feature", "er(10)"]) == 0
    assert "no feature knows the future" in capsys.readouterr().out
    assert main(["--json", "features", "check", str(file), "--plan", "eth15"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["clean"]
    assert report["first_bar"] == 79


def test_check_sees_a_sum_that_never_forgets_its_start(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["features", "check", str(file), "--feature", "obv", "--feature", "rsi(5)"]) == 1
    assert "depends on its start for ever" in capsys.readouterr().out


def test_too_short_a_history_says_how_long_it_must_be(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["features", "check", str(file), "--plan", "eth44"]) == 2
    assert str(2 * ETH44.warmup_bars + 60) in capsys.readouterr().err


def test_inspection_catches_a_feature_that_knows_the_future(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = declared_plan("planted", ["close", "rsi(5)"])
    rng = np.random.default_rng(1)
    close = 100.0 + np.cumsum(rng.normal(size=600))
    bars = np.column_stack((np.arange(600) * 6e4, close, close + 1.0, close - 1.0, close, np.ones(600)))

    def peeking(_plan: object, rows: list[list[float]]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        whole = np.array(rows)
        return np.column_stack((np.append(whole[1:, 4], whole[-1, 4]), whole[:, 4]))

    assert not inspect(plan, bars).leaks
    monkeypatch.setattr("klined.trader.inspection.run", peeking)
    assert [seen.leaks > 0 for seen in inspect(plan, bars).features] == [True, False]


def test_every_plan_that_ships_can_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    for name in PLANS:
        assert main(["features", "show", name]) == 0
        assert f"{name}: " in capsys.readouterr().out
