"""Money is conserved, averages are what textbooks say, and both builds give the same bytes."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st

from klined.kernels import jit
from klined.kernels import layout as at
from klined.kernels.account import (
    account_mark,
    apply_fill,
    apply_funding,
    liquidation_price,
    maintenance_margin,
    mark_step,
)
from klined.kernels.rows import Block, Row

TIERS = ((0.0, 0.004, 0.0), (50_000.0, 0.005, 50.0), (600_000.0, 0.0065, 950.0), (3_000_000.0, 0.01, 11_450.0))
LOT = 0.001


class Rows:
    """One account of `n` symbols."""

    def __init__(self, n: int = 1, *, perp: bool = True, cash: float = 10_000.0) -> None:
        self.A, self.Q, self.M, self.P = Block(1, at.NA), Block(n, at.NQ), Block(n, at.NM), Block(1, at.NP)
        self.a, self.p = self.A.row[0], self.P.row[0]
        self.q, self.m = self.Q.row, self.M.row
        self.n = n
        self.a[at.CASH] = cash
        self.p[at.MAX_EXPOSURE] = 2.0
        for row in self.m:
            row[at.PERP], row[at.LOT], row[at.TICK] = float(perp), LOT, 0.01
            write_tiers(row, TIERS if perp else ())

    def mark(self, *prices: float) -> float:
        for q, price in zip(self.q, prices, strict=True):
            q[at.MARK] = price
        account_mark(self.a, self.q, self.m, self.p, self.n, 60_000.0)
        return self.a[at.EQUITY]

    def fill(self, lots: float, price: float, fee: float = 0.0, time_ms: float = 1.0, i: int = 0) -> float:
        return apply_fill(self.a, self.q[i], self.m[i], lots, price, fee, time_ms)


def write_tiers(row: Row, tiers: Sequence[tuple[float, float, float]]) -> None:
    row[at.TIERS] = float(len(tiers))
    for k, tier in enumerate(tiers):
        for j, number in enumerate(tier):
            row[at.TIER0 + 3 * k + j] = number


prices = st.floats(10.0, 10_000.0)
trades = st.lists(st.tuples(st.integers(-500, 500).filter(bool), prices, st.floats(0.0, 5.0)), max_size=30)


@pytest.mark.parametrize("kind", ["spot", "perp"])
@given(trades=trades, last=prices, funding=st.floats(-50.0, 50.0))
def test_equity_changes_by_profit_less_fees_plus_funding(
    kind: str, trades: list[tuple[int, float, float]], last: float, funding: float
) -> None:
    rows = Rows(perp=kind == "perp")
    for lots, price, fee in trades:
        rows.fill(float(lots), price, fee)
    apply_funding(rows.a, funding)
    equity = rows.mark(last)
    q, a = rows.q[0], rows.a
    unrealised = q[at.LOTS] * LOT * (last - q[at.ENTRY])
    booked = a[at.REALISED] + unrealised - a[at.FEES] + a[at.FUNDING]
    scale = 1.0 + sum(abs(lots) * LOT * price for lots, price, _ in trades)
    assert equity - 10_000.0 == pytest.approx(booked, abs=1e-9 * scale)


def test_flip_closes_all_and_opens_the_rest_at_the_fill() -> None:
    rows = Rows()
    rows.fill(1_000.0, 100.0, fee=0.1, time_ms=5.0)
    assert rows.fill(-3_000.0, 110.0, fee=0.3, time_ms=9.0) == pytest.approx(10.0)
    q, a = rows.q[0], rows.a
    assert (q[at.LOTS], q[at.ENTRY], q[at.ENTRY_TIME], q[at.EXTREME]) == (-2_000.0, 110.0, 9.0, 110.0)
    assert a[at.LAST_SETTLED] == pytest.approx(10.0 - 0.1 - 0.1)  # a third of the fee closed the long
    assert q[at.TRIP] == pytest.approx(-0.2)
    assert a[at.CASH] == pytest.approx(10_000.0 + 10.0 - 0.4)


def test_adding_averages_and_reducing_keeps_the_entry() -> None:
    rows = Rows()
    rows.fill(100.0, 100.0)
    rows.fill(300.0, 200.0)
    assert rows.q[0][at.ENTRY] == pytest.approx(175.0)
    rows.fill(-150.0, 180.0)
    assert rows.q[0][at.ENTRY] == pytest.approx(175.0)
    assert rows.a[at.REALISED] == pytest.approx(0.150 * 5.0)
    assert rows.a[at.LAST_SETTLED] == 0.0  # the round trip is still open


def test_flat_again_forgets_the_position_and_settles_the_round_trip() -> None:
    rows = Rows()
    rows.fill(100.0, 100.0, fee=1.0)
    rows.fill(-100.0, 90.0, fee=1.0)
    q = rows.q[0]
    assert (q[at.LOTS], q[at.ENTRY], q[at.ENTRY_TIME], q[at.EXTREME], q[at.TRIP]) == (0.0, 0.0, 0.0, 0.0, 0.0)
    assert rows.a[at.LAST_SETTLED] == pytest.approx(-3.0)


def test_exposure_and_its_last_change_are_in_units_of_what_a_full_target_means() -> None:
    rows = Rows()
    rows.mark(100.0)
    rows.fill(50_000.0, 100.0)
    rows.mark(100.0)
    assert rows.q[0][at.EXPOSURE] == pytest.approx(5_000.0 / (2.0 * 10_000.0))
    assert rows.q[0][at.CHANGE] == pytest.approx(0.25)
    assert (rows.a[at.GROSS_NOTIONAL], rows.a[at.NET_NOTIONAL]) == (5_000.0, 5_000.0)


def test_peak_equity_only_ever_rises() -> None:
    rows = Rows()
    rows.fill(1_000.0, 100.0)
    peaks = []
    for price in (100.0, 130.0, 90.0):
        rows.mark(price)
        peaks.append(rows.a[at.PEAK])
    assert peaks == pytest.approx([10_000.0, 10_030.0, 10_030.0])


positions = st.tuples(st.integers(-400_000, 400_000).filter(lambda lots: abs(lots) > 10), st.floats(500.0, 5_000.0))


@given(first=positions, second=positions, mark=st.floats(500.0, 5_000.0), cash=st.floats(100.0, 1e6))
def test_at_the_liquidation_price_margin_balance_is_maintenance_margin(
    first: tuple[int, float], second: tuple[int, float], mark: float, cash: float
) -> None:
    rows = Rows(2, cash=cash)
    for i, (lots, entry) in enumerate((first, second)):
        rows.q[i][at.LOTS], rows.q[i][at.ENTRY] = float(lots), entry
    rows.mark(first[1], mark)
    price = rows.q[0][at.LIQUIDATION]
    if price == 0.0:
        assert rows.mark(0.01, mark) >= rows.a[at.MAINTENANCE] or first[0] < 0
        return
    equity = rows.mark(price, mark)
    scale = cash + sum(abs(lots) * LOT * max(entry, mark, price) for lots, entry in (first, second))
    assert equity == pytest.approx(rows.a[at.MAINTENANCE], abs=1e-9 * scale)


def test_maintenance_is_continuous_where_tiers_meet_and_the_wrong_tier_is_never_used() -> None:
    m = Rows().m[0]
    for floor, _, _ in TIERS[1:]:
        assert maintenance_margin(m, floor) == pytest.approx(maintenance_margin(m, floor * (1.0 - 1e-12)), rel=1e-9)
    for notional in np.geomspace(10.0, 1e8, 200).tolist():
        assert maintenance_margin(m, notional) == max(notional * mmr - cum for _, mmr, cum in TIERS)


def test_a_long_that_cash_covers_cannot_be_liquidated() -> None:
    assert liquidation_price(Rows().m[0], 1_000.0, 2_000.0, 5_000.0) == 0.0
    assert liquidation_price(Rows().m[0], -1_000.0, 2_000.0, 5_000.0) > 0.0


def walk(count: int) -> list[tuple[float, float, float, float, float]]:
    rng = np.random.Generator(np.random.Philox(5))
    bars, price = [], 2_000.0
    for _ in range(count):
        close = price * math.exp(rng.normal(0.0, 0.002))
        high = max(price, close) * (1.0 + abs(rng.normal(0.0, 0.001)))
        low = min(price, close) * (1.0 - abs(rng.normal(0.0, 0.001)))
        bars.append((price, high, low, close, float(rng.uniform(0.0, 500.0))))
        price = close
    return bars


def test_atr_equals_talib_from_its_first_value_on() -> None:
    bars, q, atr = walk(300), Rows().q[0], []
    for i, bar in enumerate(bars):
        mark_step(q, 60_000.0 * (i + 1), 60_000.0, *bar)
        atr.append(q[at.ATR])
    _, high, low, close, _ = np.array(bars).T
    expected = talib.ATR(high, low, close, 14)
    assert not np.isnan(expected[14:]).any()
    np.testing.assert_allclose(atr[14:], expected[14:], rtol=1e-9)


def test_sigma_is_the_mean_square_of_returns_and_then_exponential() -> None:
    bars, q = walk(200), Rows().q[0]
    variance, sigmas = 0.0, []
    for i, bar in enumerate(bars):
        mark_step(q, 60_000.0 * (i + 1), 60_000.0, *bar)
        if i:
            r = math.log(bar[3] / bars[i - 1][3])
            alpha = max(1.0 / i, 2.0 / 61.0)
            variance = (1.0 - alpha) * variance + alpha * r * r
            assert q[at.RETURN] == r
        sigmas.append((q[at.SIGMA], math.sqrt(variance)))
    np.testing.assert_allclose(*np.array(sigmas).T, rtol=1e-9)
    assert q[at.BARS] == 200.0
    assert q[at.MARK] == bars[-1][3]


def test_a_bar_that_does_not_follow_is_marked_as_a_gap() -> None:
    q = Rows().q[0]
    gaps = []
    for close_ms in (60_000.0, 120_000.0, 240_000.0, 300_000.0):
        mark_step(q, close_ms, 60_000.0, 1.0, 1.0, 1.0, 1.0, 0.0)
        gaps.append(q[at.GAPPED])
    assert gaps == [0.0, 0.0, 1.0, 0.0]


def test_extreme_follows_the_side_of_the_position() -> None:
    rows = Rows()
    rows.fill(-10.0, 100.0)
    mark_step(rows.q[0], 60_000.0, 60_000.0, 100.0, 120.0, 95.0, 110.0, 1.0)
    assert rows.q[0][at.EXTREME] == 95.0
    rows.fill(20.0, 110.0)
    mark_step(rows.q[0], 120_000.0, 60_000.0, 110.0, 120.0, 95.0, 110.0, 1.0)
    assert rows.q[0][at.EXTREME] == 120.0


@pytest.mark.parametrize("kind", ["spot", "perp"])
def test_compiled_and_interpreted_marks_and_fills_are_equal_by_the_byte(kind: str) -> None:
    """Also with bounds checks, so that no step reads outside its row."""
    images = []
    for build, compiled in ((jit.interpreted(), False), (jit.compiled(boundscheck=True), True)):
        rows = Rows(2, perp=kind == "perp")
        blocks = (rows.A, rows.Q, rows.M, rows.P)
        a, q, m, p = (block.array if compiled else block.row for block in blocks)
        image = []
        for i, bar in enumerate(walk(400)):
            close_ms = 60_000.0 * (i + 1)
            if i % 3 == 0:
                build.account.apply_fill(a[0], q[i % 2], m[i % 2], float((i * 7919) % 41 - 20), bar[0], 0.01, close_ms)
            for k in range(2):
                build.account.mark_step(q[k], close_ms, 60_000.0, *bar)
            build.account.account_mark(a[0], q, m, p[0], 2, close_ms)
            image.append(b"".join(block.dump() for block in blocks))
        images.append(image)
    assert images[0] == images[1]
