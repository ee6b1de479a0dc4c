"""Sizing in Decimal: the same lots as the kernel, and a way out of every position before it is entered."""

from decimal import Decimal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kernels.gate_world import World, instrument
from klined.domain import MarketKind, Reason
from klined.kernels import layout as at
from klined.kernels.lots import PLAN_SIGMA, lots_up, whole_lots
from klined.kernels.rows import write_market
from klined.trader.limits import Limits
from klined.trader.sizing import exit_plan, exits_of, fault_of, is_dust, lots_wanted, quantity_of
from klined.trader.sizing import whole_lots as decimal_lots

PERP, SPOT = instrument(), instrument(MarketKind.SPOT)
PRICES = st.integers(1, 10_000_000).map(lambda ticks: ticks * Decimal("0.01"))
LOTS = st.sampled_from([Decimal(1), Decimal("0.1"), Decimal("0.001"), Decimal("0.00001")])


def test_three_tenths_are_three_lots_of_a_tenth_in_both_arithmetics() -> None:
    assert whole_lots(0.3 / 0.1) == 3.0
    assert decimal_lots(Decimal("0.3") / Decimal("0.1")) == 3
    assert lots_up(0.3 / 0.1) == lots_up(3.0000000000001) == 3.0
    assert lots_up(3.001) == 4.0


@given(
    target=st.integers(-100, 100).map(lambda n: n / 100),
    equity=st.integers(1, 10**9).map(lambda cents: cents / 100),
    price=PRICES,
    lot=LOTS,
)
@settings(max_examples=500, deadline=None)
def test_decimal_lots_equal_the_kernels(target: float, equity: float, price: Decimal, lot: Decimal) -> None:
    world = World(limits=Limits(deadband=0.0, max_change=2.0, max_order_notional=1e12))
    thing = replace(PERP, lot=lot, quantity_min=lot, quantity_max=Decimal(10**12), notional_min=Decimal(0))
    write_market(world.m, thing, half_spread=0.0, impact=0.0, participation=1.0)
    world.q[at.MARK], world.q[at.VOLUME] = float(price), 1e15
    world.p[at.LIQUIDATION_ATR_MIN] = world.p[at.LIQUIDATION_FRACTION_MIN] = 0.0
    for slot in (at.CASH, at.EQUITY, at.PEAK, at.DAY_EQUITY, at.WEEK_EQUITY):
        world.a[slot] = equity
    exact = lots_wanted(Decimal(str(target)), Decimal(str(equity)), price, thing)
    assume(abs(exact) < 10**11)  # beyond it the kernel's tolerance of 1e-12 comes near one lot
    assume(abs(exact) != 1)  # one lot cannot be left by half: the plan refuses or doubles it
    verdict = world.judge(target)
    assert world.lots == exact
    assert (verdict is Reason.OK) is (exact != 0)
    assert quantity_of(exact, thing) == exact * lot


@given(
    lots=st.integers(1, 400_000),
    price=PRICES,
    notional_min=st.integers(0, 100),
    sigma=st.floats(0.0, 0.05),
    stop=st.floats(0.0, 0.3),
    kind=st.sampled_from(MarketKind),
)
@settings(max_examples=500, deadline=None)
def test_whatever_the_gate_lets_in_can_be_left_in_full_by_half_and_by_stop(
    lots: int, price: Decimal, notional_min: int, sigma: float, stop: float, kind: MarketKind
) -> None:
    thing = replace(instrument(kind), notional_min=Decimal(notional_min), taker_fee=Decimal("0.001"))
    world = World(kind=kind, limits=Limits(deadband=0.0, stop_fixed=stop, max_order_notional=1e12))
    write_market(world.m, thing, half_spread=0.0, impact=0.0, participation=1.0)
    equity = float(lots * price * thing.lot) * 4
    for slot in (at.CASH, at.EQUITY, at.PEAK, at.DAY_EQUITY, at.WEEK_EQUITY):
        world.a[slot] = equity
    world.q[at.MARK], world.q[at.VOLUME], world.q[at.SIGMA] = float(price), 1e15, sigma
    if world.judge(0.25) is Reason.OK:
        fall = Decimal(repr(min(max(stop, PLAN_SIGMA * sigma), 0.9)))
        assert exit_plan(int(world.lots), price, fall, thing) is None


def test_plan_names_the_exit_that_the_venue_would_refuse() -> None:
    price, fall = Decimal(2500), Decimal("0.05")
    assert exit_plan(11, price, fall, SPOT) is None
    missing = exit_plan(8, price, fall, SPOT)  # half of it, 3 lots after the fee, sells for 7.125
    assert missing is not None
    assert (missing.name, missing.lots, missing.fault) == ("half", -3, Reason.NOTIONAL_MIN)
    assert exit_plan(8, price, fall, PERP) is None


def test_short_is_left_by_buying_at_the_risen_price() -> None:
    full, half, stop = exits_of(-100, Decimal(2500), Decimal("0.1"), PERP)
    assert (full.lots, half.lots, stop.lots) == (100, 50, 100)
    assert (full.price, stop.price) == (Decimal(2500), Decimal(2750))


FILTERS = {
    "no whole lot": (Decimal("0.0105"), {}, Reason.LOT),
    "too few": (Decimal("0.001"), {}, Reason.LOT),
    "too many": (Decimal(1001), {}, Reason.LOT),
    "nothing": (Decimal(0), {}, Reason.LOT),
    "too little": (Decimal("0.003"), {}, Reason.NOTIONAL_MIN),
    "off the tick": (Decimal(1), {"price": Decimal("2500.005"), "reference": Decimal(2500)}, Reason.PERCENT_PRICE),
    "too high": (Decimal(1), {"price": Decimal(2626), "reference": Decimal(2500)}, Reason.PERCENT_PRICE),
    "too low": (Decimal(1), {"price": Decimal(2374), "reference": Decimal(2500)}, Reason.PERCENT_PRICE),
}


@pytest.mark.parametrize("name", FILTERS)
def test_each_filter_refuses_what_the_venue_would(name: str) -> None:
    quantity, prices, reason = FILTERS[name]
    price, reference = prices.get("price", Decimal(2500)), prices.get("reference")
    assert fault_of(quantity, price, SPOT, reference=reference) is reason
    assert fault_of(-quantity, price, SPOT, reference=reference) is reason
    assert fault_of(Decimal(1), Decimal(2500), SPOT, reference=Decimal(2500)) is None


def test_symbol_that_does_not_trade_takes_no_order() -> None:
    assert fault_of(Decimal(1), Decimal(2500), replace(SPOT, trading=False)) is Reason.NOT_TRADING


def test_reduce_only_perpetual_has_no_minimum_notional() -> None:
    little = Decimal("-0.002")
    assert fault_of(little, Decimal(2500), PERP, reduce_only=True) is None
    assert fault_of(little, Decimal(2500), SPOT, reduce_only=True) is Reason.NOTIONAL_MIN


def test_dust_is_what_no_order_can_close() -> None:
    assert is_dust(Decimal("0.0039"), Decimal(2500), SPOT)
    assert not is_dust(Decimal("0.004"), Decimal(2500), SPOT)
    assert is_dust(Decimal("-0.0019"), Decimal(2500), PERP)
    assert not is_dust(Decimal("-0.002"), Decimal(2500), PERP)
