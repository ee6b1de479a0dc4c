"""The gate: which check refuses first, what may pass at all, and that both builds agree to the byte."""

import math
from collections.abc import Callable
from decimal import Decimal
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from klined.domain import Instrument, MarketKind, Reason, Tier
from klined.kernels import gate, jit, memory
from klined.kernels import layout as at
from klined.kernels.rows import Block, Row, write_market
from klined.trader.limits import Limits

CLOSE_MS = 1_747_008_060_000.0
NOW_MS = CLOSE_MS + 250.0
MINUTE = float(int(NOW_MS / 60_000))
LIMITS = Limits(deadband=0.05, max_exposure=1.0, long_only=False)


def instrument(kind: MarketKind = MarketKind.PERP) -> Instrument:
    return Instrument(
        symbol="ETH/USDT",
        venue_symbol="ETHUSDT",
        kind=kind,
        base="ETH",
        quote="USDT",
        tick=Decimal("0.01"),
        lot=Decimal("0.001"),
        quantity_min=Decimal("0.002"),
        quantity_max=Decimal(1000),
        notional_min=Decimal(10),
        percent_price_up=Decimal("1.05"),
        percent_price_down=Decimal("0.95"),
        tiers=(Tier(0.0, 0.005, 0.0, 75.0), Tier(50_000.0, 0.01, 250.0, 50.0)),
    )


class World:
    """One account over `n` symbols in good health: flat, warm, fresh bars, nothing in the way of a trade."""

    def __init__(self, n: int = 1, kind: MarketKind = MarketKind.PERP, limits: Limits = LIMITS) -> None:
        self.n, self.kind = n, kind
        self.A, self.P, self.out = Block(1, at.NA), Block(1, at.NP), Block(1, at.N_OUT)
        self.Q, self.M, self.C = Block(n, at.NQ), Block(n, at.NM), Block(n, n)
        self.a, self.p = self.A.row[0], self.P.row[0]
        for slot in (at.CASH, at.EQUITY, at.PEAK, at.DAY_EQUITY, at.WEEK_EQUITY):
            self.a[slot] = 10_000.0
        limits.write(self.p)
        self.p[at.MODEL_OK] = 1.0
        for q, m in zip(self.Q.row, self.M.row, strict=True):
            write_market(m, instrument(kind), half_spread=5e-5, impact=1.0, participation=0.1)
            memory.forget_book(q)
            q[at.MARK], q[at.SIGMA], q[at.ATR] = 2500.0, 6e-4, 2.0
            q[at.VOLUME] = q[at.VOLUME_MEAN] = 500.0
            q[at.BARS], q[at.BAR_CLOSE], q[at.OBS_OK] = 1000.0, CLOSE_MS, 1.0
        for i in range(n):
            self.C.row[i][i] = 1.0

    @property
    def q(self) -> Row:
        return self.Q.row[0]

    @property
    def m(self) -> Row:
        return self.M.row[0]

    def hold(self, lots: float, i: int = 0) -> "World":
        """Stand in a position of `lots` that was opened at the mark."""
        q = self.Q.row[i]
        q[at.LOTS], q[at.ENTRY], q[at.ENTRY_TIME] = lots, q[at.MARK], CLOSE_MS - 60_000
        return self

    def judge(self, target: float, i: int = 0, now_ms: float = NOW_MS, build: ModuleType = gate) -> Reason:
        if build is gate:
            rows: tuple[Any, ...] = self.a, self.Q.row, self.M.row, self.p, self.C.row
            out: Any = self.out.row[0]
        else:
            rows = self.A.array[0], self.Q.array, self.M.array, self.P.array[0], self.C.array
            out = self.out.array[0]
        return Reason(int(build.gate_step(*rows, self.n, i, target, now_ms, out)))

    def told(self, slot: int) -> float:
        return self.out.row[0][slot]

    @property
    def lots(self) -> float:
        return self.told(at.OUT_LOTS)

    def settle(self) -> None:
        """All working orders fill, and a minute passes."""
        for q in self.Q.row:
            q[at.LOTS] += q[at.WORKING]
            q[at.WORKING] = 0.0
            q[at.BAR_CLOSE] += 60_000.0

    def dump(self) -> tuple[bytes, ...]:
        return tuple(block.dump() for block in (self.A, self.Q, self.C, self.out))


Change = Callable[[World], object]


def put(block: str, slot: int, value: float) -> Change:
    def change(world: World) -> None:
        getattr(world, block)[slot] = value

    return change


def both(*changes: Change) -> Change:
    def change(world: World) -> None:
        for one in changes:
            one(world)

    return change


FIRST_TO_REFUSE: dict[Reason, Change] = {
    Reason.KILL_FILE: put("a", at.KILL, 1.0),
    Reason.HALTED: put("a", at.HALT, 11.0),
    Reason.PAUSED: put("a", at.PAUSE, 1.0),
    Reason.STALE_BAR: put("q", at.BAR_CLOSE, NOW_MS - 5_001.0),
    Reason.CLOCK_SKEW: put("q", at.BAR_CLOSE, NOW_MS + 1_001.0),
    Reason.GAP: put("q", at.GAPPED, 1.0),
    Reason.WARMUP: put("q", at.BARS, 299.0),
    Reason.OBSERVATION: put("q", at.OBS_OK, 0.0),
    Reason.MODEL: put("p", at.MODEL_OK, 0.0),
    Reason.OUT_OF_RANGE: put("q", at.OOD, 1.5),
    Reason.DESYNC: put("a", at.DESYNCED, 1.0),
    Reason.ORDER_UNKNOWN: put("q", at.UNKNOWN, 1.0),
    Reason.DAY_LOSS: put("a", at.DAY_EQUITY, 10_205.0),
    Reason.WEEK_LOSS: put("a", at.WEEK_EQUITY, 10_600.0),
    Reason.DRAWDOWN: put("a", at.PEAK, 10_450.0),
    Reason.LOSSES_IN_ROW: both(put("a", at.LOSSES, 5.0), put("a", at.COOLDOWN_UNTIL, NOW_MS + 1.0)),
    Reason.COOLDOWN: put("q", at.COOLING_UNTIL, NOW_MS + 1.0),
    Reason.TRADES_HOUR: put("a", at.TRADES_HOUR, 6.0),
    Reason.TRADES_DAY: put("a", at.TRADES_DAY, 60.0),
    Reason.TURNOVER: put("a", at.TURNOVER_DAY, 195_001.0),
    Reason.FEE_BUDGET: put("a", at.FEES_DAY, 98.5),
    Reason.LEVERAGE: put("p", at.LEVERAGE_MAX, 0.49),
    Reason.GROSS: put("p", at.GROSS_MAX, 0.49),
    Reason.NET: put("p", at.NET_MAX, 0.49),
    Reason.SYMBOL_CAP: put("p", at.SYMBOL_MAX, 0.49),
    Reason.CLUSTER: put("p", at.CLUSTER_MAX, 0.49),
    Reason.LIQUIDATION: both(
        *(put("p", slot, 5.0) for slot in (at.MAX_EXPOSURE, at.LEVERAGE_MAX, at.GROSS_MAX, at.NET_MAX, at.SYMBOL_MAX)),
        put("p", at.CLUSTER_MAX, 5.0),
        put("p", at.LIQUIDATION_FRACTION_MIN, 0.5),
    ),
    Reason.NOTIONAL_MAX: put("p", at.NOTIONAL_ORDER_MAX, 4_999.0),
    Reason.PARTICIPATION: put("q", at.VOLUME, 19.9),
    Reason.COLLAR: put("q", at.RETURN, -0.005),
    Reason.SPREAD: put("q", at.SPREAD, 0.0021),
    Reason.DEPTH: put("q", at.DEPTH, 9.9),
    Reason.LOT: put("m", at.LOTS_MIN, 2_100.0),
    Reason.NOTIONAL_MIN: put("m", at.NOTIONAL_MIN, 5_001.0),
    Reason.PERCENT_PRICE: put("m", at.PERCENT_UP, 1.00001),
    Reason.ORDERS_MAX: put("q", at.ORDERS_OPEN, 200.0),
    Reason.EXIT_PLAN: both(put("m", at.PERP, 0.0), put("m", at.NOTIONAL_MIN, 4_999.0)),
    Reason.NOT_TRADING: put("m", at.TRADING, 0.0),
    Reason.DUPLICATE: put("q", at.ORDERED, CLOSE_MS),
    Reason.SELF_CROSS: put("q", at.WORKING, -100.0),
    Reason.RATE_BUDGET: both(put("a", at.MINUTE, MINUTE), put("a", at.ORDERS_MINUTE, 30.0)),
    Reason.FUNDING_WINDOW: both(put("q", at.FUNDING_RATE, 0.001), put("q", at.FUNDING_NEXT, NOW_MS + 59_000.0)),
}


def test_healthy_world_trades_what_the_target_stands_for() -> None:
    world = World()
    assert world.judge(0.5) is Reason.OK
    assert world.lots == 2_000
    assert world.q[at.WORKING] == 2_000


@pytest.mark.parametrize("reason", FIRST_TO_REFUSE, ids=lambda reason: reason.name)
def test_each_check_is_the_first_to_refuse_an_entry(reason: Reason) -> None:
    world = World()
    FIRST_TO_REFUSE[reason](world)
    assert world.judge(0.5) is reason
    assert world.lots == 0
    assert world.q[at.LAST_TARGET] == 0.0


def test_target_that_is_no_number_is_refused_as_action() -> None:
    for target in (math.nan, math.inf, -math.inf):
        assert World().hold(500).judge(target) is Reason.ACTION


def test_drawdown_beyond_its_second_limit_halts_for_good() -> None:
    world = World()
    world.a[at.PEAK] = 10_600.0
    assert world.judge(0.5) is Reason.DRAWDOWN_HALT
    assert world.a[at.HALT] == Reason.DRAWDOWN_HALT
    world.a[at.EQUITY] = 10_600.0
    assert world.judge(0.5) is Reason.HALTED


def test_drawdown_halt_takes_the_position_down_against_the_policy() -> None:
    world = World().hold(2_000)
    world.a[at.PEAK] = 10_600.0
    assert world.judge(1.0) is Reason.OK
    assert world.lots == -2_000
    assert world.told(at.OUT_REDUCE) == 1.0
    assert world.told(at.OUT_CAUSE) == 7.0


def test_every_reason_of_the_gate_has_a_row_in_this_table() -> None:
    elsewhere = {Reason.ACTION, Reason.DRAWDOWN_HALT}
    assert {r for r in Reason if r.check} == set(FIRST_TO_REFUSE) | elsewhere
    assert {r.check for r in FIRST_TO_REFUSE} == set(range(1, 15))


REDUCING_PASSES = (5, 6, 7, 8, 9, 10, 11, 14)


@pytest.mark.parametrize("reason", FIRST_TO_REFUSE, ids=lambda reason: reason.name)
def test_reducing_passes_budgets_and_markets_but_never_filters_and_switches(reason: Reason) -> None:
    world = World().hold(3_000)
    FIRST_TO_REFUSE[reason](world)
    if reason is Reason.LOT:
        world.m[at.LOTS_MIN] = 3_001.0
    passing = {Reason.HALTED, Reason.PAUSED, Reason.ORDER_UNKNOWN, Reason.OUT_OF_RANGE}
    passing |= {Reason.NOTIONAL_MIN, Reason.EXIT_PLAN, Reason.SELF_CROSS, Reason.PERCENT_PRICE}  # see below
    verdict = world.judge(0.0)
    if reason.check in REDUCING_PASSES or reason in passing:
        assert verdict is Reason.OK
        assert world.told(at.OUT_REDUCE) == 1.0
        assert -3_000 <= world.lots < 0
    else:
        assert verdict is reason
        assert world.lots == 0


def test_spot_reduction_below_the_minimum_notional_is_refused() -> None:
    world = World(kind=MarketKind.SPOT).hold(3)
    assert world.judge(0.0) is Reason.NOTIONAL_MIN


def test_reduction_against_an_open_purchase_is_refused() -> None:
    world = World().hold(3_000)
    world.q[at.WORKING] = 100.0
    assert world.judge(0.0) is Reason.SELF_CROSS


def test_reduction_counts_what_working_orders_already_sell() -> None:
    world = World().hold(3_000)
    world.q[at.WORKING] = -2_000.0
    assert world.judge(0.0) is Reason.OK
    assert world.lots == -1_000


def test_reduction_above_the_largest_order_goes_in_parts() -> None:
    world = World().hold(3_000)
    world.p[at.NOTIONAL_ORDER_MAX] = 2_500.0
    assert world.judge(0.0) is Reason.OK
    assert world.lots == -1_000


def test_rest_that_could_not_be_sold_later_goes_with_the_reduction() -> None:
    world = World(kind=MarketKind.SPOT).hold(100)
    world.p[at.DEADBAND] = 0.0
    assert world.judge(0.0005) is Reason.OK
    assert world.lots == -100


def test_flip_passes_its_closing_part_when_the_opening_part_is_refused() -> None:
    world = World().hold(2_000)
    world.a[at.TRADES_HOUR] = 6.0
    assert world.judge(-0.5) is Reason.OK
    assert (world.lots, world.told(at.OUT_REDUCE)) == (-2_000, 1.0)
    assert Reason(int(world.told(at.OUT_NOTE))) is Reason.TRADES_HOUR


def test_flip_that_passes_is_one_order_through_zero() -> None:
    world = World().hold(2_000)
    assert world.judge(-0.5) is Reason.OK
    assert (world.lots, world.told(at.OUT_REDUCE)) == (-4_000, 0.0)


@pytest.mark.parametrize("reason", [Reason.GAP, Reason.WARMUP, Reason.OBSERVATION, Reason.MODEL, Reason.OUT_OF_RANGE])
def test_protective_exit_asks_neither_model_nor_observation(reason: Reason) -> None:
    world = World().hold(2_000)
    FIRST_TO_REFUSE[reason](world)
    world.q[at.EXIT] = 2.0
    assert world.judge(math.nan) is Reason.EXIT
    assert world.lots == -2_000
    assert world.told(at.OUT_CAUSE) == 2.0
    assert world.q[at.COOLING_UNTIL] == NOW_MS + 15 * 60_000


@pytest.mark.parametrize("reason", [Reason.KILL_FILE, Reason.STALE_BAR, Reason.DESYNC, Reason.NOT_TRADING])
def test_protective_exit_waits_for_switch_data_books_and_venue(reason: Reason) -> None:
    world = World().hold(2_000)
    FIRST_TO_REFUSE[reason](world)
    world.q[at.EXIT] = 2.0
    assert world.judge(1.0) is reason
    assert world.q[at.EXIT] == 2.0


@pytest.mark.parametrize(
    "reason", [Reason.KILL_FILE, Reason.HALTED, Reason.PAUSED, Reason.STALE_BAR, Reason.WARMUP, Reason.DESYNC]
)
def test_state_of_the_account_is_told_even_when_nothing_would_trade(reason: Reason) -> None:
    world = World()
    FIRST_TO_REFUSE[reason](world)
    assert world.judge(0.0) is reason


def test_holds_name_target_deadband_and_clipped_shorts() -> None:
    assert World().judge(0.0) is Reason.HOLD_TARGET
    assert World().hold(2_000).judge(0.53) is Reason.HOLD_DEADBAND
    assert World(kind=MarketKind.SPOT).judge(-0.5) is Reason.CLIPPED
    assert World(limits=Limits(long_only=True)).judge(-0.5) is Reason.CLIPPED


def test_long_position_is_sold_when_the_policy_wants_a_short_on_spot() -> None:
    world = World(kind=MarketKind.SPOT).hold(2_000)
    assert world.judge(-0.5) is Reason.OK
    assert world.lots == -2_000
    assert Reason(int(world.told(at.OUT_NOTE))) is Reason.CLIPPED


def test_small_position_is_closed_although_the_change_is_under_the_deadband() -> None:
    world = World().hold(100)
    assert world.judge(0.0) is Reason.OK
    assert world.lots == -100


def test_change_per_bar_is_limited_in_steps() -> None:
    world = World(limits=Limits(deadband=0.05, max_change=0.2))
    steps = []
    for bar in range(5):
        assert world.judge(0.5, now_ms=NOW_MS + bar * 60_000) in {Reason.OK, Reason.HOLD_DEADBAND, Reason.HOLD_TARGET}
        steps.append(world.lots)
        world.settle()
    assert steps == [800, 800, 400, 0, 0]


def test_drift_waits_for_its_period_unless_the_band_is_left() -> None:
    world = World(limits=Limits(deadband=0.01, rebalance_minutes=60, rebalance_band=0.2, max_volume_fraction=1))
    assert world.judge(0.5) is Reason.OK
    world.settle()
    world.q[at.MARK] = 2_700.0
    assert world.judge(0.5, now_ms=NOW_MS + 60_000) is Reason.HOLD_TARGET
    world.q[at.BAR_CLOSE] = CLOSE_MS + 60 * 60_000
    assert world.judge(0.5, now_ms=NOW_MS + 60 * 60_000) is Reason.OK
    assert world.told(at.OUT_CAUSE) == 6.0
    world.settle()
    world.q[at.MARK] = 4_000.0
    assert world.judge(0.5, now_ms=NOW_MS + 61 * 60_000) is Reason.OK


def test_remainder_of_a_partial_fill_is_no_drift() -> None:
    world = World(limits=Limits(deadband=0.01, rebalance_minutes=60))
    assert world.judge(0.5) is Reason.OK
    world.q[at.WORKING] = 500.0  # the rest expired
    world.settle()
    assert world.judge(0.5, now_ms=NOW_MS + 60_000) is Reason.OK
    assert world.lots == 1_500


def test_spot_purchase_leaves_cash_for_fee_spread_and_a_rise() -> None:
    world = World(kind=MarketKind.SPOT)
    assert world.judge(1.0) is Reason.OK
    price = 2_500.0 * (1 + 0.0004 + 5e-5 + 3 * 6e-4)
    assert world.lots == int(10_000 / (price * 0.001))


def test_spot_purchase_without_cash_is_refused_as_leverage() -> None:
    world = World(kind=MarketKind.SPOT)
    world.a[at.CASH] = 2.0
    assert world.judge(0.5) is Reason.LEVERAGE


def test_entry_too_small_to_leave_is_raised_or_refused() -> None:
    """Half of it must still sell for the minimum notional after a fall of ten sigma, the fee taken in base."""
    world = World(kind=MarketKind.SPOT, limits=Limits(deadband=0.0))
    assert world.judge(0.002) is Reason.OK  # 8 lots would do for the entry, 10 are needed to get out by half
    assert world.lots == 11
    assert World(kind=MarketKind.SPOT, limits=Limits(deadband=0.0)).judge(0.0012) is Reason.EXIT_PLAN


def test_second_symbol_is_judged_with_the_first_ones_order_counted() -> None:
    world = World(n=2, limits=Limits(max_gross=0.8))
    assert world.judge(0.5, 0) is Reason.OK
    assert world.judge(0.5, 1) is Reason.GROSS
    assert world.told(at.OUT_VALUE) == pytest.approx(1.0)


def test_cluster_counts_only_what_moves_together() -> None:
    together, apart = World(n=2, limits=Limits(max_cluster=0.8)), World(n=2, limits=Limits(max_cluster=0.8))
    together.C.row[0][1] = together.C.row[1][0] = 0.9
    apart.C.row[0][1] = apart.C.row[1][0] = 0.3
    for world, second in ((together, Reason.CLUSTER), (apart, Reason.OK)):
        assert world.judge(0.5, 0) is Reason.OK
        assert world.judge(0.5, 1) is second


def test_hedge_passes_a_net_limit_that_is_already_broken() -> None:
    world = World(n=2, limits=Limits(max_net=0.5, max_gross=5, max_cluster=5)).hold(3_600, 0)
    assert world.judge(0.2, 1) is Reason.NET
    assert world.judge(-0.2, 1) is Reason.OK


def test_funding_that_we_receive_does_not_stop_an_entry() -> None:
    world = World()
    FIRST_TO_REFUSE[Reason.FUNDING_WINDOW](world)
    assert world.judge(-0.5) is Reason.OK


def test_unknown_funding_time_follows_the_grid_of_the_interval() -> None:
    world = World()
    world.q[at.FUNDING_RATE] = 0.001
    grid = (int(NOW_MS / 28_800_000) + 1) * 28_800_000.0
    world.q[at.BAR_CLOSE] = grid - 30_000
    assert world.judge(0.5, now_ms=grid - 29_000) is Reason.FUNDING_WINDOW


def test_correlation_of_twins_is_one_and_of_opposites_minus_one() -> None:
    world = World(n=3)
    rng = np.random.default_rng(1)
    for step in rng.normal(0, 6e-4, 500):
        for q, sign in zip(world.Q.row, (1, 1, -1), strict=True):
            q[at.RETURN] = sign * step
        memory.correlate_step(world.C.row, world.Q.row, 3, 0.98)
    c = world.C.array
    assert c[0, 1] / math.sqrt(c[0, 0] * c[1, 1]) == pytest.approx(1.0, abs=1e-3)
    assert c[0, 2] / math.sqrt(c[0, 0] * c[2, 2]) == pytest.approx(-1.0, abs=1e-3)
    assert np.array_equal(c, c.T)


def test_day_and_week_begin_at_utc_midnight_and_monday() -> None:
    world = World()
    monday = 1_747_008_000_000.0  # 2025-05-12T00:00Z
    memory.roll_day(world.a, monday - 1)
    world.a[at.EQUITY], world.a[at.TRADES_HOUR], world.a[at.TRADES_DAY] = 9_000.0, 3.0, 4.0
    memory.roll_day(world.a, monday - 1)
    assert (world.a[at.DAY_EQUITY], world.a[at.TRADES_DAY]) == (10_000.0, 4.0)
    memory.roll_day(world.a, monday)
    assert (world.a[at.DAY_EQUITY], world.a[at.WEEK_EQUITY]) == (9_000.0, 9_000.0)
    assert (world.a[at.TRADES_HOUR], world.a[at.TRADES_DAY]) == (0.0, 0.0)
    world.a[at.EQUITY] = 8_000.0
    memory.roll_day(world.a, monday + 86_400_000)
    assert (world.a[at.DAY_EQUITY], world.a[at.WEEK_EQUITY]) == (8_000.0, 9_000.0)


def test_clock_that_steps_back_gives_no_budget_twice() -> None:
    world = World()
    memory.roll_day(world.a, CLOSE_MS)
    world.a[at.TRADES_DAY] = world.a[at.TRADES_HOUR] = 5.0
    memory.roll_day(world.a, CLOSE_MS - 3 * 86_400_000)
    memory.roll_day(world.a, CLOSE_MS)
    assert (world.a[at.TRADES_HOUR], world.a[at.TRADES_DAY]) == (5.0, 5.0)


def test_losses_in_a_row_start_the_cooldown_and_a_gain_ends_the_row() -> None:
    world = World()
    for _ in range(4):
        memory.book_trip(world.a, world.p, CLOSE_MS, -1.0)
    assert world.a[at.COOLDOWN_UNTIL] == 0.0
    memory.book_trip(world.a, world.p, CLOSE_MS, 2.0)
    for _ in range(5):
        memory.book_trip(world.a, world.p, CLOSE_MS, -1.0)
    assert world.a[at.COOLDOWN_UNTIL] == CLOSE_MS + 3_600_000
    assert world.judge(0.5) is Reason.LOSSES_IN_ROW


def test_trade_is_counted_in_trades_turnover_and_fees() -> None:
    world = World()
    memory.roll_day(world.a, CLOSE_MS)
    memory.book_trade(world.a, CLOSE_MS, 5_000.0, 2.0)
    memory.book_cost(world.a, 1_000.0, 0.5)
    assert [world.a[s] for s in (at.TRADES_HOUR, at.TRADES_DAY, at.TURNOVER_DAY, at.FEES_DAY)] == [1, 1, 6_000, 2.5]


# --- properties -----------------------------------------------------------------------------------------------------

TIGHTER_IS_SMALLER = (
    at.DAY_LOSS_MAX,
    at.WEEK_LOSS_MAX,
    at.LOSSES_MAX,
    at.TRADES_HOUR_MAX,
    at.TRADES_DAY_MAX,
    at.TURNOVER_DAY_MAX,
    at.FEES_DAY_MAX,
    at.LEVERAGE_MAX,
    at.GROSS_MAX,
    at.NET_MAX,
    at.SYMBOL_MAX,
    at.CLUSTER_MAX,
    at.NOTIONAL_ORDER_MAX,
    at.VOLUME_FRACTION_MAX,
    at.COLLAR_SIGMA,
    at.SPREAD_MAX,
    at.DEPTH_FRACTION_MAX,
    at.BAR_AGE_MAX_MS,
    at.CLOCK_SKEW_MAX_MS,
    at.OOD_MAX,
    at.ORDERS_MINUTE_MAX,
    at.MAX_EXPOSURE,
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Accounts in every state, healthy ones among them."""
    n = draw(st.integers(1, 3))
    kind = draw(st.sampled_from([MarketKind.PERP, MarketKind.SPOT]))
    world = World(n=n, kind=kind)
    some, rarely = st.floats(0.0, 2.0), st.sampled_from([0.0, 0.0, 0.0, 0.0, 1.0])
    a, p = world.a, world.p
    for slot in (at.EQUITY, at.CASH):
        a[slot] = 10_000 * draw(some)
    for slot in (at.PEAK, at.DAY_EQUITY, at.WEEK_EQUITY):
        a[slot] = max(a[at.EQUITY] * draw(st.floats(0.97, 1.07)), 1.0)
    for slot in (at.KILL, at.PAUSE, at.DESYNCED):
        a[slot] = draw(rarely)
    a[at.HALT] = 11.0 * draw(rarely)
    a[at.TRADES_HOUR] = draw(st.integers(0, 6))
    a[at.TURNOVER_DAY] = draw(st.floats(0.0, 2e5))
    for slot in (at.LEVERAGE_MAX, at.GROSS_MAX, at.NET_MAX, at.SYMBOL_MAX, at.CLUSTER_MAX):
        p[slot] = draw(st.floats(0.1, 3.0))
    p[at.MAX_EXPOSURE] = draw(st.floats(0.1, 4.0))
    p[at.DEADBAND] = draw(st.floats(0.0, 0.2))
    p[at.VOLUME_FRACTION_MAX] = 1.0
    for i, q in enumerate(world.Q.row):
        lots = draw(st.integers(0 if kind is MarketKind.SPOT else -8_000, 8_000))
        world.hold(float(draw(st.sampled_from([0, lots]))), i)
        q[at.WORKING] = float(draw(st.sampled_from([0, 0, 0, 500, -500, -3])))
        q[at.MARK] = draw(st.floats(50.0, 5_000.0))
        q[at.UNKNOWN], q[at.GAPPED], q[at.OOD] = draw(rarely), draw(rarely), draw(rarely) * 1.5
        q[at.EXIT] = draw(st.sampled_from([0.0, 0.0, 0.0, 2.0])) if q[at.LOTS] else 0.0
        for j in range(i):
            world.C.row[i][j] = world.C.row[j][i] = draw(st.floats(-1.0, 1.0))
    return world


TARGETS = st.one_of(st.floats(-1.2, 1.2), st.sampled_from([0.0, 1.0, -1.0, math.nan, math.inf]))


def opened(held: float, lots: float) -> float:
    """The part of `lots` that makes the position larger, on whichever side."""
    after = held + lots
    return abs(after) if held * after < 0 else max(abs(after) - abs(held), 0.0)


@given(world=worlds(), target=TARGETS)
@settings(deadline=None, max_examples=300)
def test_no_verdict_takes_exposure_beyond_a_limit(world: World, target: float) -> None:
    held, working = world.q[at.LOTS], world.q[at.WORKING]
    verdict = world.judge(target)
    if verdict not in {Reason.OK, Reason.EXIT}:
        assert world.lots == 0.0
        assert world.q[at.WORKING] == working
        return
    assert world.lots == int(world.lots) != 0
    if not opened(held, world.lots):
        return
    equity, unit = world.a[at.EQUITY], world.q[at.MARK] * world.m[at.LOT]
    after = abs(held + world.lots + (working if working * world.lots > 0 else 0.0)) * unit
    gross = after
    for j in range(1, world.n):
        other = world.Q.row[j]
        lots = max(abs(other[at.LOTS]), abs(other[at.LOTS] + other[at.WORKING]))
        gross += lots * other[at.MARK] * world.M.row[j][at.LOT]
    limits = world.p
    assert after <= min(limits[at.SYMBOL_MAX], limits[at.CLUSTER_MAX]) * equity * (1 + 1e-8)
    assert gross <= min(limits[at.GROSS_MAX], limits[at.LEVERAGE_MAX]) * equity * (1 + 1e-8)
    assert after <= limits[at.MAX_EXPOSURE] * equity * (1 + 1e-8)


@given(world=worlds(), target=TARGETS, flag=st.sampled_from([at.HALT, at.PAUSE, at.KILL, at.DESYNCED, at.REDUCING]))
@settings(deadline=None, max_examples=200)
def test_halted_paused_or_desynced_never_opens_or_increases(world: World, target: float, flag: int) -> None:
    world.a[flag] = 11.0
    if flag == at.REDUCING:
        world.a[at.PEAK] = world.a[at.EQUITY] * 1.05
        assume(world.a[at.EQUITY] > 0 and not world.a[at.DESYNCED])
    held, working = world.q[at.LOTS], world.q[at.WORKING]
    world.judge(target)
    assert opened(held, world.lots) == 0.0
    assert opened(held, world.lots + working) <= opened(held, working)


@given(world=worlds(), target=TARGETS)
@settings(deadline=None, max_examples=200)
def test_reduce_only_never_flips_whatever_fills(world: World, target: float) -> None:
    held, working = world.q[at.LOTS], world.q[at.WORKING]
    world.judge(target)
    if world.told(at.OUT_REDUCE):
        for filled in (world.lots, world.lots + min(working, 0.0), world.lots + max(working, 0.0)):
            assert (held + filled) * held >= 0.0 or abs(working) > abs(held)
        assert abs(held + world.lots) < abs(held)


@given(world=worlds(), target=TARGETS, slot=st.sampled_from(TIGHTER_IS_SMALLER), share=st.floats(0.05, 1.0))
@settings(deadline=None, max_examples=300)
def test_tighter_limits_never_open_more(world: World, target: float, slot: int, share: float) -> None:
    held, before = world.q[at.LOTS], world.dump()
    world.judge(target)
    loose = opened(held, world.lots)
    for block, raw in zip((world.A, world.Q, world.C, world.out), before, strict=True):
        block.load(raw)
    world.p[slot] *= share
    world.judge(target)
    assert opened(held, world.lots) <= loose


@given(world=worlds(), targets=st.lists(TARGETS, min_size=2, max_size=6), cut=st.integers(0, 5))
@settings(deadline=None, max_examples=100)
def test_restart_between_bars_changes_no_verdict(world: World, targets: list[float], cut: int) -> None:
    twin = World(n=world.n, kind=world.kind)
    for bar, target in enumerate(targets):
        if bar == min(cut, len(targets) - 1):
            twin.P.load(world.P.dump())
            for mine, theirs in ((twin.A, world.A), (twin.Q, world.Q), (twin.C, world.C), (twin.out, world.out)):
                mine.load(theirs.dump())
        now_ms = NOW_MS + bar * 60_000
        verdict = world.judge(target, now_ms=now_ms)
        if bar >= cut:
            assert twin.judge(target, now_ms=now_ms) is verdict
            assert twin.dump() == world.dump()
            twin.settle()
        world.settle()


# --- both builds ----------------------------------------------------------------------------------------------------


def fuzzed(seed: int) -> tuple[World, float]:
    """A world with a few slots of every block set to something, sensible or not."""
    rng = np.random.default_rng(seed)
    world = World(n=int(rng.integers(1, 4)), kind=MarketKind.SPOT if rng.random() < 0.5 else MarketKind.PERP)
    for block, share in ((world.A, 0.15), (world.Q, 0.15), (world.P, 0.05), (world.M, 0.03)):
        array = block.array
        chosen = rng.random(array.shape) < share * rng.random()
        values = array * rng.choice([0.0, 0.5, 0.97, 1.02, 1.5, 2.0, -1.0], array.shape)
        values += rng.choice([0.0, 0.0, 1.0, -1.0, 500.0, NOW_MS], array.shape) * (rng.random(array.shape) < 0.3)
        array[chosen] = values[chosen]
    if rng.random() < 0.5:
        world.hold(float(rng.integers(-5_000, 5_000)))
    world.M.array[:, at.TIERS] = 2.0
    world.M.array[:, at.LOT] = 0.001
    np.maximum(world.M.array[:, at.TAKER], 0.0, out=world.M.array[:, at.TAKER])
    return world, float(rng.choice([rng.uniform(-1.1, 1.1), 0.0, 1.0, math.nan]))


def test_compiled_gate_equals_the_interpreted_one_byte_for_byte() -> None:
    compiled = jit.compiled(boundscheck=True)
    seen: set[Reason] = set()
    for seed in range(2_500):
        (plain, target), (fast, _) = fuzzed(seed), fuzzed(seed)
        verdict = plain.judge(target)
        assert fast.judge(target, build=compiled.gate) is verdict, seed
        assert fast.dump() == plain.dump(), seed
        seen.add(verdict)
    assert len(seen) > 25


def test_compiled_memory_equals_the_interpreted_one_byte_for_byte() -> None:
    compiled = jit.compiled(boundscheck=True).memory
    plain, fast = World(n=3), World(n=3)
    rng = np.random.default_rng(7)
    for bar in range(500):
        now_ms, realised, returns = CLOSE_MS + bar * 600_000.0, float(rng.normal()), rng.normal(0, 1e-3, 3)
        for world, build, a, rows, c, p in (
            (plain, memory, plain.a, plain.Q.row, plain.C.row, plain.p),
            (fast, compiled, fast.A.array[0], fast.Q.array, fast.C.array, fast.P.array[0]),
        ):
            world.Q.array[:, at.RETURN] = returns
            world.a[at.EQUITY] += realised
            build.book_trade(a, now_ms, abs(realised) * 1_000, 0.4)
            build.book_trip(a, p, now_ms, realised)
            build.book_transfer(a, realised)
            build.roll_day(a, now_ms)
            build.correlate_step(c, rows, 3, 0.98)
        assert fast.dump() == plain.dump()
