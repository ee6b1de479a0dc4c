"""Stylised facts: real bars have them, random walks do not, and what cannot be judged is refused."""

from pathlib import Path

import numpy as np
import pytest

from klined.errors import ConfigError
from klined.feeds.columns import read_columns
from klined.world.facts import BARS_MIN, stylised_facts
from klined.world.generators import generate
from klined.world.tables import CLOSE, VOLUME

ETH = "ETH/USDT"
INTERVALS_MS = {"1m": 60_000, "5m": 300_000, "1h": 3_600_000}


def walk(count: int, seed: int = 1, kind: str = "gbm") -> np.ndarray:
    return generate(kind, [ETH], count, seed=seed)[ETH]


def read(path: Path) -> np.ndarray:
    interval_ms = INTERVALS_MS[path.name.split("-")[1].split("_")[0].split(".")[0]]
    found = read_columns([ETH], interval_ms, [path])[ETH]
    return np.column_stack((found.times.astype(np.float64), found.values))


def recorded(shared: Path, *patterns: str) -> list[Path]:
    return sorted(path for pattern in patterns for path in shared.glob(pattern))


def test_every_small_recorded_market_has_every_fact(shared_data: Path) -> None:
    paths = recorded(shared_data, "small/*-1m*.csv.gz", "ohlcv/*hourly*/*.csv.gz", "ohlcv/*5m*/BTC*.csv.gz")
    assert len(paths) >= 14
    assert {path.name: missing for path in paths if (missing := stylised_facts(read(path)).missing)} == {}


@pytest.mark.slow
def test_every_recorded_market_has_every_fact(shared_data: Path) -> None:
    paths = recorded(shared_data, "ohlcv/*/*.csv.gz", "vision_um_1m_raw/*.csv.gz")
    assert len(paths) > 60
    assert {str(path): missing for path in paths if (missing := stylised_facts(read(path)).missing)} == {}


@pytest.mark.parametrize("count", [8_000, 40_000, 120_000])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_random_walk_fails_every_telling_fact_and_no_other(count: int, seed: int) -> None:
    report = stylised_facts(walk(count, seed))
    assert not report.realistic
    assert {fact.name for fact in report.facts if not fact.passed} == {f.name for f in report.facts if f.telling}


def test_a_market_without_clusters_is_found_out_by_those_facts_alone(shared_data: Path) -> None:
    """Real returns in random order: tails stay, memory goes."""
    bars = read(shared_data / "small" / "ETHUSDT-1m_um_2025-05.csv.gz")
    order = np.random.default_rng(1).permutation(len(bars) - 1)
    moves = np.diff(np.log(bars[:, CLOSE]))[order]
    shuffled = bars.copy()
    shuffled[:, CLOSE] = bars[0, CLOSE] * np.exp(np.concatenate(([0.0], np.cumsum(moves))))
    shuffled[1:, VOLUME] = bars[1:, VOLUME][order]
    shuffled[:, 1:4] = shuffled[:, CLOSE : CLOSE + 1]
    missing = stylised_facts(shuffled).missing
    assert {"clusters over 1 bar", "clusters over 60 bars", "volume persists"} <= set(missing)
    assert not {"fat tails", "tail index", "volume follows the move"} & set(missing)


@pytest.mark.parametrize(("phi", "fact"), [(0.4, "no momentum"), (-0.4, "no momentum")])
def test_bars_that_predict_the_next_are_no_market(phi: float, fact: str) -> None:
    bars = walk(20_000, kind="garch")
    moves = np.diff(np.log(bars[:, CLOSE]))
    for i in range(1, len(moves)):
        moves[i] += phi * moves[i - 1]
    bars[1:, CLOSE] = bars[0, CLOSE] * np.exp(np.cumsum(moves))
    bars[:, 1:4] = bars[:, CLOSE : CLOSE + 1]
    assert fact in stylised_facts(bars).missing


def test_a_gap_in_time_is_no_return() -> None:
    bars = walk(12_000, kind="garch")
    bars[6_000:, 0] += 9 * 60_000
    bars[6_000:, 1:5] *= 2.0
    assert stylised_facts(bars)["fat tails"].value < 1_000.0  # one return of ln 2 would be 40,000 sigmas to the fourth


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(ConfigError, match="too few"):
        stylised_facts(walk(BARS_MIN - 1))
    flat = walk(BARS_MIN)
    flat[:, 1:5] = 100.0
    with pytest.raises(ConfigError, match="none that moves"):
        stylised_facts(flat)
    with pytest.raises(ConfigError, match="shape"):
        stylised_facts(flat[:, :5])
    with pytest.raises(ConfigError, match="not later"):
        stylised_facts(np.flipud(walk(BARS_MIN)))
