"""Fills are adverse, bounded and the same in both builds; costs never help; liquidation comes first."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from klined.kernels import fills as kernel
from klined.kernels import jit
from klined.kernels import layout as at
from klined.kernels.account import account_mark, mark_step
from klined.kernels.fills import (
    FUNDED,
    LIQUIDATED,
    NOUT,
    ORDER,
    STOPPED,
    capped_lots,
    fill_step,
    flatten_step,
    fundings_due,
    liquidation_step,
    market_step,
    price_ticks,
    reducing_lots,
    round_adverse,
    stop_step,
)
from klined.kernels.rows import Block

HOUR_MS = 3_600_000.0
BAR = (2_000.0, 2_010.0, 1_990.0, 2_005.0, 100.0)  # open, high, low, close, volume


class Rows:
    """One account of one symbol."""

    def __init__(self, *, perp: bool = True, cash: float = 10_000.0, taker: float = 0.0005) -> None:
        self.blocks = tuple(Block(1, width) for width in (at.NA, at.NQ, at.NM, at.NP, NOUT))
        self.a, self.q, self.m, self.p, self.out = (block.row[0] for block in self.blocks)
        self.a[at.CASH] = self.a[at.EQUITY] = cash
        self.p[at.MAX_EXPOSURE] = 1.0
        m = self.m
        m[at.PERP], m[at.LOT], m[at.TICK], m[at.TAKER] = float(perp), 0.001, 0.01, taker
        m[at.HALF_SPREAD], m[at.IMPACT], m[at.PARTICIPATION] = 0.0001, 1.0, 0.1
        m[at.FUNDING_INTERVAL], m[at.LIQUIDATION_FEE] = 8.0 * HOUR_MS, 0.02
        if perp:
            m[at.TIERS], m[at.TIER0 + 1] = 1.0, 0.004

    def hold(self, lots: float, entry: float) -> None:
        self.q[at.LOTS], self.q[at.ENTRY] = lots, entry
        self.mark(entry)

    def mark(self, price: float) -> float:
        self.q[at.MARK] = price
        account_mark(self.a, [self.q], [self.m], self.p, 1, 0.0)
        return self.a[at.EQUITY]


sizes = st.integers(-5_000, 5_000).filter(bool)
levels = st.floats(0.5, 90_000.0)


@given(lots=sizes, reference=levels, sigma=st.floats(0.0, 0.05), volume=st.floats(0.0, 1e4))
def test_price_is_a_whole_tick_worse_than_the_reference_by_at_least_half_the_spread(
    lots: int, reference: float, sigma: float, volume: float
) -> None:
    m = Rows().m
    ticks = price_ticks(m, float(lots), reference, sigma, volume)
    side = math.copysign(1.0, lots)
    assert ticks == int(ticks) >= 1
    assert side * (ticks * 0.01 - reference) >= 0.0001 * reference - 2e-6 or ticks == 1
    dearer = price_ticks(m, float(2 * lots), reference, sigma, volume)
    assert side * (dearer - ticks) >= 0


@given(ticks=st.integers(1, 10**7), part=st.floats(0.01, 0.99), tick=st.sampled_from([0.01, 0.1, 0.00001]))
def test_rounding_is_up_for_buys_down_for_sells_and_leaves_whole_ticks_alone(
    ticks: int, part: float, tick: float
) -> None:
    assert round_adverse(ticks * tick, tick, 1.0) == round_adverse(ticks * tick, tick, -1.0) == ticks
    assert round_adverse((ticks + part) * tick, tick, 1.0) == ticks + 1
    assert round_adverse((ticks + part) * tick, tick, -1.0) == ticks


@given(lots=sizes, volume=st.floats(0.0, 100.0))
def test_an_order_takes_whole_lots_and_no_more_than_its_share_of_the_bar(lots: int, volume: float) -> None:
    m = Rows().m
    filled = capped_lots(m, float(lots), volume)
    assert filled == int(filled)
    assert abs(filled) <= min(abs(lots), 0.1 * volume / 0.001 + 1e-6)
    assert filled * lots >= 0
    assert abs(lots) > 0.1 * volume / 0.001 - 1.0 or filled == lots


def test_a_partial_fill_books_what_filled_and_no_more() -> None:
    rows = Rows()
    o, h, low, _, _ = BAR
    assert market_step(rows.a, rows.q, rows.m, 500.0, o, h, low, 2.0, 0.0, rows.out) == 200.0
    assert rows.q[at.LOTS] == rows.out[ORDER] == 200.0
    assert rows.out[ORDER + 2] == pytest.approx(0.2 * rows.out[ORDER + 1] * 0.01 * 0.0005)


def test_spot_sells_what_it_holds_and_buys_what_its_cash_pays() -> None:
    rows = Rows(perp=False, cash=100.0)
    o, h, low, _, _ = BAR
    assert market_step(rows.a, rows.q, rows.m, -10.0, o, h, low, 1e6, 0.0, rows.out) == 0.0
    assert market_step(rows.a, rows.q, rows.m, 1_000.0, o, h, low, 1e6, 0.0, rows.out) == 49.0
    assert 0.0 <= rows.a[at.CASH] < 2.1
    assert market_step(rows.a, rows.q, rows.m, -1_000.0, o, h, low, 1e6, 0.0, rows.out) == -49.0
    assert rows.q[at.LOTS] == 0.0


def test_a_bar_without_volume_fills_no_order_but_lets_a_flatten_through() -> None:
    rows = Rows()
    assert market_step(rows.a, rows.q, rows.m, 10.0, 2_000.0, 2_000.0, 2_000.0, 0.0, 0.0, rows.out) == 0.0
    rows.hold(10.0, 2_000.0)
    assert flatten_step(rows.a, rows.q, rows.m, -10.0, 2_000.0, 2_000.0, 2_000.0, 0.0, 0.0, rows.out) == -10.0
    assert rows.out[ORDER + 1] == 199_980.0  # half a spread of 1 bp under 2,000.00


@given(held=st.integers(-9, 9), lots=st.integers(-9, 9))
def test_reducing_never_opens_and_never_flips(held: int, lots: int) -> None:
    after = held + reducing_lots(float(held), float(lots))
    assert abs(after) <= abs(held)
    assert after * held >= 0


bars = st.tuples(
    st.floats(-0.01, 0.01), st.floats(0.0, 0.02), st.floats(0.0, 0.02), st.floats(0.0, 50.0), st.integers(-300, 300)
)


def play(rows: Rows, path: list[tuple[float, float, float, float, int]], funding_rate: float = 0.0) -> float:
    """Trade fixed orders along a path; the equity at its end."""
    price, time_ms = 2_000.0, 0.0
    for move, up, down, volume, lots in path:
        close = price * (1.0 + move)
        o, h, low = price, max(price, close) * (1.0 + up), min(price, close) * (1.0 - down)
        fill_step(
            rows.a, rows.q, rows.m, float(lots), 0.0, 0.0, funding_rate,
            time_ms, time_ms + HOUR_MS, o, h, low, volume, rows.out,
        )  # fmt: skip
        time_ms += HOUR_MS
        mark_step(rows.q, time_ms, HOUR_MS, o, h, low, close, volume)
        account_mark(rows.a, [rows.q], [rows.m], rows.p, 1, time_ms)
        price = close
    return rows.a[at.EQUITY]


@given(path=st.lists(bars, min_size=1, max_size=25), fee=st.floats(0.0, 0.01), more=st.floats(0.0, 0.01))
def test_raising_costs_never_raises_the_result_of_the_same_actions(
    path: list[tuple[float, float, float, float, int]], fee: float, more: float
) -> None:
    rich = 1e7  # so that the same orders fill in both
    cheap = play(Rows(cash=rich, taker=fee), path)
    dear = play(Rows(cash=rich, taker=fee + more), path)
    wide = Rows(cash=rich, taker=fee)
    wide.m[at.HALF_SPREAD] += more
    assert dear <= cheap + 1e-6
    assert play(wide, path) <= cheap + 1e-6


@given(path=st.lists(bars, max_size=25), rate=st.floats(-0.01, 0.01))
def test_who_never_trades_keeps_every_cent(path: list[tuple[float, float, float, float, int]], rate: float) -> None:
    idle = [(move, up, down, volume, 0) for move, up, down, volume, _ in path]
    assert play(Rows(), idle, rate) == 10_000.0


@given(path=st.lists(bars, min_size=1, max_size=40), rate=st.floats(-0.01, 0.01))
def test_equity_is_conserved_through_orders_funding_and_liquidation(
    path: list[tuple[float, float, float, float, int]], rate: float
) -> None:
    rows = Rows(cash=300.0)
    equity = play(rows, path, rate)
    unrealised = rows.q[at.LOTS] * 0.001 * (rows.q[at.MARK] - rows.q[at.ENTRY])
    booked = rows.a[at.REALISED] + unrealised - rows.a[at.FEES] + rows.a[at.FUNDING]
    assert equity - 300.0 == pytest.approx(booked, abs=1e-8)


@given(after=st.integers(0, 10**6), length=st.integers(0, 10**6), every=st.integers(1, 10**5))
def test_fundings_due_counts_the_multiples_in_the_interval(after: int, length: int, every: int) -> None:
    expected = sum(1 for _ in range(-(-after // every) * every, after + length, every))
    assert fundings_due(float(every), float(after), float(after + length)) == expected


def test_funding_is_settled_on_the_position_before_the_order_and_once_over_a_gap() -> None:
    rows = Rows()
    rows.hold(1_000.0, 2_000.0)
    rows.q[at.BAR_CLOSE] = 7.0 * HOUR_MS  # two fundings fell into the gap: at 8 h and, at this bar's open, at 16 h
    o, h, low, _, v = BAR
    opens = 16.0 * HOUR_MS
    fill_step(rows.a, rows.q, rows.m, -1_000.0, 0.0, 0.0, 0.001, opens, opens + 60_000.0, o, h, low, v, rows.out)
    assert rows.q[at.LOTS] == 0.0
    assert rows.out[FUNDED] == rows.a[at.FUNDING] == pytest.approx(-2 * 1.0 * 2_000.0 * 0.001)
    short = Rows()
    short.hold(-1_000.0, 2_000.0)
    fill_step(short.a, short.q, short.m, 0.0, 0.0, 0.0, 0.001, opens, opens + 60_000.0, o, h, low, v, short.out)
    assert short.out[FUNDED] == pytest.approx(2.0)  # shorts receive a positive rate


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_bar_that_reaches_both_liquidates_before_it_stops(side: float) -> None:
    rows = Rows(cash=100.0)
    rows.hold(side * 1_000.0, 2_000.0)
    limit = rows.q[at.LIQUIDATION]
    assert 0.0 < side * (2_000.0 - limit) < 120.0
    o, stop, v = 2_000.0, 2_000.0 - side * 20.0, 100.0
    h, low = (2_001.0, limit - 1.0) if side > 0 else (limit + 1.0, 1_999.0)
    fill_step(
        rows.a, rows.q, rows.m, 0.0, -side * 1_000.0, stop, 0.0, HOUR_MS, HOUR_MS + 60_000.0, o, h, low, v, rows.out
    )
    assert rows.out[LIQUIDATED] == -side * 1_000.0
    assert rows.out[STOPPED] == 0.0
    assert rows.q[at.LOTS] == 0.0
    assert side * (limit - rows.out[LIQUIDATED + 1] * 0.01) >= 0.0


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_stop_that_is_reached_alone_fills_behind_its_price_or_behind_a_worse_open(side: float) -> None:
    stop = 2_000.0 - side * 10.0
    for o, reference in ((2_000.0, stop), (2_000.0 - side * 30.0, 2_000.0 - side * 30.0)):
        rows = Rows()
        rows.hold(side * 1_000.0, 2_000.0)
        h, low = max(o, stop) + 1.0, min(o, stop) - 1.0
        filled = stop_step(
            rows.a, rows.q, rows.m, -side * 1_000.0, stop, o, h, low, 0.5, 59_999.0, rows.out
        )  # in full, though the bar traded half of it
        assert filled == -side * 1_000.0
        assert side * (reference - rows.out[STOPPED + 1] * 0.01) > 0.0
        assert rows.q[at.LOTS] == 0.0


@given(
    lots=st.integers(-2_000, 2_000).filter(lambda lots: abs(lots) > 50),
    gap=st.floats(-0.3, 0.3),
    reach=st.floats(0.0, 0.3),
    volume=st.floats(0.0, 100.0),
)
def test_liquidation_leaves_no_debt_and_happens_just_when_the_extreme_gets_there(
    lots: int, gap: float, reach: float, volume: float
) -> None:
    rows = Rows(cash=200.0)
    rows.hold(float(lots), 2_000.0)
    trigger = rows.q[at.LIQUIDATION]
    o = 2_000.0 * (1.0 + gap)
    h, low = o * (1.0 + reach), o * (1.0 - reach)
    due = trigger > 0.0 and (low <= trigger if lots > 0 else h >= trigger)
    closed = liquidation_step(rows.a, rows.q, rows.m, o, h, low, volume, 0.0, rows.out)
    assert closed == (-lots if due else 0.0)
    assert (rows.q[at.LOTS] == 0.0) == due
    if due:
        assert rows.a[at.CASH] >= -1e-9
        assert rows.a[at.EQUITY] == pytest.approx(rows.a[at.CASH])


def test_both_builds_fill_alike_by_the_byte() -> None:
    """A rough account through 3,000 bars with orders, stops, fundings, gaps and liquidations; also bounds-checked."""
    plain, events = run_rough(jit.interpreted(), array=False)
    assert events.all(), "the path has to meet orders, liquidations, stops and fundings"
    for build in (jit.compiled(), jit.compiled(boundscheck=True)):
        assert run_rough(build, array=True)[0] == plain


def run_rough(build: jit.Kernels, *, array: bool) -> tuple[list[bytes], np.ndarray]:
    rows = Rows(cash=3_000.0)
    a, q, m, p, out = [block.array if array else block.row for block in rows.blocks]
    rng = np.random.Generator(np.random.Philox(11))
    price, time_ms, image, seen = 2_000.0, 0.0, [], np.zeros(4, dtype=bool)
    for i in range(3_000):
        o, c = price * math.exp(rng.normal(0.0, 0.001)), price * math.exp(rng.normal(0.0, 0.01))
        h, low = max(o, c) * math.exp(abs(rng.normal(0.0, 0.004))), min(o, c) * math.exp(-abs(rng.normal(0.0, 0.004)))
        v, lots = float(rng.exponential(200.0)), float(rng.integers(-20_000, 20_000)) if i % 4 == 0 else 0.0
        stop = o * math.exp(rng.normal(0.0, 0.01))
        build.fills.fill_step(
            a[0], q[0], m[0], lots, float(rng.integers(-900, 900)), stop, 0.0003,
            time_ms, time_ms + 60_000.0, o, h, low, v, out[0],
        )  # fmt: skip
        seen |= np.array([out[0][k] != 0.0 for k in (ORDER, LIQUIDATED, STOPPED, FUNDED)])
        time_ms += 60_000.0
        build.account.mark_step(q[0], time_ms, 60_000.0, o, h, low, c, v)
        build.account.account_mark(a[0], q, m, p[0], 1, time_ms)
        if a[0][at.EQUITY] < 100.0:
            a[0][at.CASH] += 3_000.0
        price = c
        image.append(b"".join(block.dump() for block in rows.blocks))
        time_ms += 7_200_000.0 if i % 50 == 49 else 0.0
    return image, seen


def test_spread_widens_with_the_volatility_of_the_bar() -> None:
    m = Rows().m
    m[at.SPREAD_SIGMA] = 0.1
    calm, storm = (kernel.half_spread_now(m, 2_000.0, sigma) for sigma in (0.0, 0.01))
    assert (calm, storm) == pytest.approx((0.0001, 0.0011))
    m[at.HALF_SPREAD] = m[at.SPREAD_SIGMA] = 0.0
    assert kernel.half_spread_now(m, 2_000.0, 0.01) * 2_000.0 == pytest.approx(0.005)  # never under half a tick
