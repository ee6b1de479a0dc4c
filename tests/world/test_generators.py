"""Every generator: seeded, causal, on the grid and on ticks, quick, and what its textbook says."""

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from klined.domain import Bar, MarketKind
from klined.errors import ConfigError
from klined.world.facts import stylised_facts
from klined.world.filters import default_instrument
from klined.world.generators import SAYS, Copula, generate
from klined.world.markets import Market
from klined.world.names import spelled
from klined.world.tables import sound

MINUTE_MS = 60_000
ETH, BTC = "ETH/USDT", "BTC/USDT"
BASE = Market(3, [ETH, BTC], MINUTE_MS, 0).arrays(5_000)
PROCESSES = [kind for kind in SAYS if kind not in {"market", "bootstrap"}]

Bars = NDArray[np.float64]


def bars(kind: str, count: int, seed: int = 1, **more: Any) -> Bars:
    return generate(kind, [ETH], count, seed=seed, base=BASE if kind == "bootstrap" else None, **more)[ETH]


def returns(table: Bars) -> Bars:
    return np.diff(np.log(table[:, 4]))


def kurtosis(values: Bars) -> float:
    return float(((values - values.mean()) ** 4).mean() / values.var() ** 2 - 3.0)


@pytest.mark.parametrize("kind", SAYS)
@given(seed=st.integers(0, 2**31), minutes=st.sampled_from([1, 5, 60, 1440]), price=st.floats(0.0005, 90_000.0))
@settings(max_examples=6, deadline=None)
def test_every_generator_makes_bars_on_the_grid_and_on_ticks(kind: str, seed: int, minutes: int, price: float) -> None:
    symbol = "NEW/USDT"
    tick = float(default_instrument(symbol, MarketKind.SPOT, price).tick)
    base = {symbol: BASE[ETH]}
    made = generate(kind, [symbol], 700, seed=seed, interval_ms=minutes * MINUTE_MS, prices={symbol: price}, base=base)
    table = made[symbol]
    assert table.shape == (700, 6)
    assert sound(table).all()
    assert np.array_equal(np.diff(table[:, 0]), np.full(699, minutes * MINUTE_MS))
    ticks = table[:, 1:5] / tick
    assert (np.abs(ticks - np.round(ticks)) <= 1e-9 * ticks + 1e-6).all()
    for row in table[::97].tolist():
        Bar(symbol, int(row[0]), *row[1:])


@pytest.mark.parametrize("kind", SAYS)
def test_the_first_bars_are_the_same_however_many_follow_and_another_seed_makes_others(kind: str) -> None:
    long = bars(kind, 3_000)
    assert np.array_equal(bars(kind, 500), long[:500])
    assert not np.array_equal(bars(kind, 500, seed=2)[:, 1:], long[:500, 1:])


@pytest.mark.parametrize("kind", SAYS)
def test_a_symbol_is_the_same_whatever_other_symbols_are_there(kind: str) -> None:
    both = generate(kind, [BTC, ETH], 400, seed=1, base=BASE)
    assert np.array_equal(both[ETH], bars(kind, 400))


@pytest.mark.parametrize("kind", SAYS)
def test_a_hundred_thousand_bars_take_less_than_two_seconds(kind: str) -> None:
    start = time.process_time()
    assert len(bars(kind, 100_000)) == 100_000
    assert time.process_time() - start < 2.0


@pytest.mark.parametrize("kind", PROCESSES)
def test_sigma_is_the_standard_deviation_of_a_minute_and_grows_with_the_root_of_time(kind: str) -> None:
    plain: dict[str, Any] = {"nu": 0, "rhythm": 0.0}
    plain |= {"per_day": 0.0} if kind == "jumps" else {"factors": [1.0], "drifts": [0.0], "stays": [9.0]} if (
        kind == "regimes"
    ) else {}  # fmt: skip
    for minutes in (1, 15):
        made = bars(kind, 30_000, interval_ms=minutes * MINUTE_MS, sigma=0.001, ticks={ETH: 1e-6}, **plain)
        assert returns(made).std() == pytest.approx(0.001 * minutes**0.5, rel=0.15)


def test_garch_remembers_the_size_of_returns_and_merton_does_not() -> None:
    garch, jumps = (np.abs(returns(bars(kind, 30_000, rhythm=0.0))) for kind in ("garch", "jumps"))
    assert np.corrcoef(garch[:-10], garch[10:])[0, 1] > 0.1
    assert abs(np.corrcoef(jumps[:-10], jumps[10:])[0, 1]) < 0.03
    assert kurtosis(returns(bars("jumps", 30_000))) > 5.0


def test_garch_has_the_persistence_it_is_given() -> None:
    """Squared returns of GARCH(1,1) are ARMA(1,1): their autocorrelation falls by alpha + beta a bar."""
    made = bars("garch", 200_000, nu=0, alpha=0.1, beta=0.85, rhythm=0.0, ticks={ETH: 1e-6})
    squares = returns(made) ** 2
    near, far = (float(np.corrcoef(squares[:-lag], squares[lag:])[0, 1]) for lag in (2, 12))
    assert (far / near) ** 0.1 == pytest.approx(0.95, abs=0.02)


def test_gjr_is_more_afraid_of_falls_than_of_rises() -> None:
    moves = returns(bars("gjr", 60_000, gamma=0.12, alpha=0.0, nu=8, rhythm=0.0))
    after = np.abs(moves[1:])
    assert after[moves[:-1] < 0.0].mean() > 1.02 * after[moves[:-1] > 0.0].mean()


def test_regimes_stay_as_long_as_they_are_told() -> None:
    made = bars("regimes", 60_000, factors=[1.0, 50.0], drifts=[0.0, 0.0], stays=[90.0, 30.0], nu=0, sigma=1e-4,
                rhythm=0.0, ticks={ETH: 1e-6})  # fmt: skip
    stormy = np.abs(returns(made)) > 4e-4
    assert stormy.mean() == pytest.approx(30.0 / 120.0, abs=0.05)


def test_hawkes_volume_clusters_and_follows_the_moves() -> None:
    made = bars("hawkes", 30_000, rhythm=0.0)
    volume, size = np.log(made[1:, 5] + 1e-9), np.abs(returns(made))
    assert np.corrcoef(volume[:-1], volume[1:])[0, 1] > 0.3
    assert np.corrcoef(made[1:, 5], size)[0, 1] > 0.3
    calm = bars("hawkes", 30_000, rhythm=0.0, branching=0.0)
    assert abs(np.corrcoef(np.log(calm[:-1, 5] + 1.0), np.log(calm[1:, 5] + 1.0))[0, 1]) < 0.05


def test_a_bootstrap_is_made_of_the_bars_it_was_given_in_runs_of_the_length_asked_for() -> None:
    base = BASE[ETH].copy()
    base[:, 5] = np.arange(len(base))  # tells where a bar was drawn
    made = generate("bootstrap", [ETH], 20_000, seed=1, base={ETH: base}, mean_block=50, ticks={ETH: 1e-9})[ETH]
    rows = made[:, 5].astype(np.int64)
    assert (np.diff(rows) == 1).mean() == pytest.approx(1.0 - 1.0 / 50.0, abs=0.005)
    at = int(np.flatnonzero(np.diff(rows) == 1)[5]) + 1
    assert made[at, 1:5] / made[at - 1, 4] == pytest.approx(base[rows[at], 1:5] / base[rows[at] - 1, 4], rel=1e-6)


def test_symbols_of_a_bootstrap_are_drawn_at_the_same_places() -> None:
    made = generate("bootstrap", [ETH, BTC], 5_000, seed=1, base=BASE)
    before = np.corrcoef(*(returns(BASE[symbol]) for symbol in (ETH, BTC)))[0, 1]
    assert np.corrcoef(*(returns(made[symbol]) for symbol in (ETH, BTC)))[0, 1] == pytest.approx(before, abs=0.1)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_symbols_are_as_correlated_as_they_are_told(correlation: float) -> None:
    together = Copula(correlation=correlation, nu=8)
    made = generate("gbm", [ETH, BTC], 20_000, seed=1, together=together)
    found = np.corrcoef(*(returns(made[symbol]) for symbol in (ETH, BTC)))[0, 1]
    assert found == pytest.approx(correlation, abs=0.05)


def test_symbols_crash_together_more_often_than_normal_ones() -> None:
    def together(nu: int) -> float:
        made = generate("gbm", [ETH, BTC], 60_000, seed=1, together=Copula(correlation=0.5, nu=nu))
        worst = [moves < np.quantile(moves, 0.005) for moves in map(returns, made.values())]
        return float((worst[0] & worst[1]).mean() / 0.005)

    assert together(2) > together(64) + 0.15


@pytest.mark.parametrize("kind", ["market", "garch", "gjr", "hawkes", "regimes"])
def test_richer_generators_have_the_facts_that_tell_a_market_from_a_random_walk(kind: str) -> None:
    facts = stylised_facts(bars(kind, 40_000)).facts
    assert [fact.name for fact in facts if fact.telling and not fact.passed] == []


@pytest.mark.parametrize(
    ("kind", "more", "words"),
    [
        ("garhc", {}, "no generator is called 'garhc'; did you mean garch"),
        ("zebra", {}, "known are market, gbm"),
        ("garch", {"alpah": 1}, "no parameter of garch is called 'alpah'; did you mean alpha"),
        ("garch", {"alpha": 0.3, "beta": 0.8}, "below 1"),
        ("gbm", {"sigma": -1}, "sigma -1"),
        ("gbm", {"sigma": "much"}, "Expected `float`"),
        ("hawkes", {"branching": 1.2}, "branching 1.2"),
        ("regimes", {"factors": [1.0]}, "same length"),
        ("bootstrap", {"mean_block": 0}, "at least one bar"),
        ("market", {"sigmas": 1}, "did you mean sigma"),
    ],
)
def test_a_wrong_name_or_number_is_told_with_the_nearest_right_one(kind: str, more: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        generate(kind, [ETH], 10, seed=1, base=BASE, **more)


def test_a_bootstrap_of_nothing_or_of_other_times_is_refused() -> None:
    with pytest.raises(ConfigError, match="none of SOL/USDT"):
        generate("bootstrap", ["SOL/USDT"], 10, seed=1, base=BASE)
    with pytest.raises(ConfigError, match="same times"):
        generate("bootstrap", [ETH, BTC], 10, seed=1, base={ETH: BASE[ETH], BTC: BASE[BTC][1:]})
    broken = BASE[ETH].copy()
    broken[7, 2] = 0.0
    with pytest.raises(ConfigError, match="row 7 is no bar"):
        generate("bootstrap", [ETH], 10, seed=1, base={ETH: broken})


def test_a_generator_is_spelled_in_one_text() -> None:
    assert spelled("garch") == ("garch", {})
    assert spelled("garch: alpha=0.1, beta=.85") == ("garch", {"alpha": "0.1", "beta": ".85"})
    kind, parameters = spelled("regimes:factors=1;3,drifts=0;0,stays=9;9")
    assert len(generate(kind, [ETH], 5, seed=1, **parameters)[ETH]) == 5
    with pytest.raises(ConfigError, match="'alpha' is no parameter"):
        spelled("garch:alpha")
