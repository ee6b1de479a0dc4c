"""The gate: which check refuses first, and what passes although something refuses."""

import math

import pytest

from kernels.gate_world import CLOSE_MS, MINUTE, NOW_MS, Change, World, both, put
from klined.domain import MarketKind, Reason
from klined.kernels import layout as at
from klined.trader.limits import Limits

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
