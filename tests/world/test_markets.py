"""The made-up market looks like a market, the control does not, and a seed says everything."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from klined.domain import Bar, MarketKind
from klined.world.filters import default_instrument
from klined.world.markets import BLOCK, GBM, Climate, Market, generated_funding
from klined.world.tables import COLUMNS

START_MS = 1_735_689_600_000  # a Wednesday, 00:00 UTC
MINUTE_MS = 60_000
PAIR = ("ETH/USDT", "BTC/USDT")


def table(seed: int, count: int, climate: Climate | None = None) -> NDArray[np.float64]:
    market = Market(seed, PAIR[:1], MINUTE_MS, START_MS, climate=climate or Climate())
    return market.arrays(count)[PAIR[0]]


def autocorrelation(values: NDArray[np.float64], lag: int) -> float:
    return float(np.corrcoef(values[:-lag], values[lag:])[0, 1])


def facts(bars: NDArray[np.float64]) -> dict[str, bool]:
    """Which stylised facts of one-minute crypto returns hold (bands: arXiv 2402.11930, 1707.07618)."""
    returns = np.diff(np.log(bars[:, 4]))
    centred = returns - returns.mean()
    kurtosis = (centred**4).mean() / (centred**2).mean() ** 2 - 3.0
    size = np.abs(returns)
    return {
        "fat tails": bool(kurtosis > 3.0),
        "clusters for a minute": autocorrelation(size, 1) > 0.1,
        "clusters for an hour": autocorrelation(size, 60) > 0.05,
        "volume follows the move": float(np.corrcoef(bars[1:, 5], size)[0, 1]) > 0.2,
    }


@pytest.mark.parametrize("seed", [1, 7, 42])
def test_the_market_has_the_stylised_facts(seed: int) -> None:
    bars = table(seed, 40_000)
    assert facts(bars) == dict.fromkeys(facts(bars), True)
    returns = np.diff(np.log(bars[:, 4]))
    assert abs(autocorrelation(returns, 1)) < 0.05
    assert 0.0004 < returns.std() < 0.002


def test_geometric_brownian_motion_has_none_of_them() -> None:
    bars = table(7, 40_000, GBM)
    assert facts(bars) == dict.fromkeys(facts(bars), False)


def test_real_bars_have_them_too(shared_data: object) -> None:
    """Else the bands above would be ours alone."""
    path = f"{shared_data}/small/ETHUSDT-1m_spot_2025-05_08.csv.gz"
    bars = np.loadtxt(path, delimiter=",", skiprows=1, max_rows=40_000)
    assert facts(bars) == dict.fromkeys(facts(bars), True)


def test_weekends_and_nights_are_quieter() -> None:
    bars = table(3, 8 * 7 * 1440)
    size = np.abs(np.diff(np.log(bars[:, 4])))
    minute = (bars[1:, 0].astype(np.int64) // MINUTE_MS - 4 * 1440) % (7 * 1440)
    hour = minute // 60 % 24
    assert np.median(size[minute >= 5 * 1440]) < 0.9 * np.median(size[minute < 5 * 1440])
    assert np.median(size[(hour >= 2) & (hour < 5)]) < 0.9 * np.median(size[(hour >= 13) & (hour < 17)])


@given(seed=st.integers(0, 2**31), interval_min=st.sampled_from([1, 5, 60, 1440]), price=st.floats(0.0005, 90_000.0))
@settings(max_examples=15, deadline=None)
def test_every_bar_is_a_bar_on_the_grid_and_on_ticks(seed: int, interval_min: int, price: float) -> None:
    symbol = "NEW/USDT"
    tick = float(default_instrument(symbol, MarketKind.SPOT, price).tick)
    market = Market(seed, [symbol], interval_min * MINUTE_MS, START_MS, prices={symbol: price})
    bars = market.arrays(3 * BLOCK)[symbol]
    assert bars.shape == (3 * BLOCK, len(COLUMNS))
    assert np.array_equal(np.diff(bars[:, 0]), np.full(3 * BLOCK - 1, interval_min * MINUTE_MS))
    ticks = bars[:, 1:5] / tick
    assert np.abs(ticks - np.round(ticks)).max() < 1e-3
    for row in bars[::97].tolist():
        Bar(symbol, int(row[0]), *row[1:])
    jump = np.abs(bars[1:, 1] - bars[:-1, 4]) / tick
    assert jump.max() < 1.5  # the market reopens within a tick


def test_bar_by_bar_and_as_arrays_it_is_the_same_market() -> None:
    arrays = Market(7, PAIR, MINUTE_MS, START_MS).arrays(2_500)
    market = Market(7, PAIR, MINUTE_MS, START_MS)
    for i in range(2_500):
        batch = market.next()
        assert batch.close_time_ms == START_MS + (i + 1) * MINUTE_MS
        for bar, symbol in zip(batch.bars, PAIR, strict=True):
            assert bar is not None
            expected = arrays[symbol][i].tolist()
            assert [bar.open_time_ms, bar.open, bar.high, bar.low, bar.close, bar.volume] == expected
    with pytest.raises(RuntimeError, match="has begun"):
        market.arrays(10)


def test_prices_print_as_whole_ticks() -> None:
    market = Market(7, ["ETH/USDT"], MINUTE_MS, START_MS)
    for _ in range(200):
        bar = market.next().bars[0]
        assert bar is not None
        assert all(len(repr(price).partition(".")[2]) <= 2 for price in (bar.open, bar.high, bar.low, bar.close))


def test_symbols_move_together_and_apart_and_do_not_disturb_each_other() -> None:
    both = Market(7, PAIR, MINUTE_MS, START_MS).arrays(20_000)
    returns = [np.diff(np.log(both[symbol][:, 4])) for symbol in PAIR]
    assert 0.4 < float(np.corrcoef(*returns)[0, 1]) < 0.95
    alone = Market(7, PAIR[1:], MINUTE_MS, START_MS).arrays(20_000)
    assert np.array_equal(alone[PAIR[1]], both[PAIR[1]])


def test_another_process_makes_the_same_market_and_another_seed_another() -> None:
    code = (
        "import hashlib\nfrom klined.world.markets import Market\n"
        f"t = Market(7, {PAIR}, {MINUTE_MS}, {START_MS}).arrays(3000)\n"
        "print(hashlib.sha256(b''.join(t[s].tobytes() for s in t)).hexdigest())"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()

    def here(seed: int) -> str:
        made = Market(seed, PAIR, MINUTE_MS, START_MS).arrays(3_000)
        return hashlib.sha256(b"".join(made[symbol].tobytes() for symbol in made)).hexdigest()

    assert here(7) == there
    assert here(8) != there


def test_generated_funding_is_small_seeded_and_mostly_paid_by_longs() -> None:
    rates = [generated_funding(7)("ETH/USDT:USDT", i * 28_800_000) for i in range(500)]
    assert rates == [generated_funding(7)("ETH/USDT:USDT", i * 28_800_000) for i in range(500)]
    assert max(abs(rate) for rate in rates) < 0.0006
    assert 0.00005 < sum(rates) / 500 < 0.00015
