"""The gate as the daemon asks it: typed verdicts, sentences, flatten, and a person's switches."""

import math
from dataclasses import fields
from decimal import Decimal

import pytest

from kernels.gate_world import CLOSE_MS, NOW_MS, World, instrument
from kernels.test_gate import FIRST_TO_REFUSE
from klined.domain import Approved, Bar, Batch, Cause, Held, MarketKind, Mode, Purpose, Reason, Refused
from klined.errors import ConfigError
from klined.kernels import layout as at
from klined.kernels.rows import Block
from klined.trader.ids import ClientIds
from klined.trader.refusals import PLAIN, SENTENCES, ordinal, sentence
from klined.trader.risk import Gate, Limits

BAR_MS, NOW = int(CLOSE_MS) - 60_000, int(NOW_MS)


def gate_of(world: World) -> Gate:
    things = [instrument(world.kind)] * world.n
    return Gate(things, world.a, world.Q.row, world.M.row, world.p, world.C.row, ClientIds("7f3a9c"))


def batch(low: float, purpose: Purpose = Purpose.TRADE) -> Batch:
    bar = Bar("ETH/USDT", BAR_MS, 2500.0, 2500.0, low, 2500.0, 10.0)
    return Batch(int(CLOSE_MS), (bar,), purpose)


def test_approved_order_is_whole_lots_with_a_name_of_ours() -> None:
    gate = gate_of(World())
    verdict = gate.judge(0, 0.5, BAR_MS, NOW)
    assert isinstance(verdict, Approved)
    intent = verdict.intent
    assert (intent.quantity, intent.cause, intent.reduce_only) == (Decimal(2), Cause.POLICY, False)
    assert (intent.bar_time_ms, intent.price, verdict.note) == (BAR_MS, None, "")
    assert gate.ids.ours(intent.client_id)


def test_holding_gives_the_same_object_again() -> None:
    gate = gate_of(World())
    first, second = (gate.judge(0, 0.0, BAR_MS, NOW) for _ in range(2))
    assert first is second
    assert first == Held("ETH/USDT", Reason.HOLD_TARGET)


def test_same_bar_judged_again_is_a_duplicate() -> None:
    gate = gate_of(World())
    gate.judge(0, 0.5, BAR_MS, NOW)
    again = gate.judge(0, -0.5, BAR_MS, NOW)
    assert isinstance(again, Refused)
    assert again.reason is Reason.DUPLICATE


@pytest.mark.parametrize("reason", FIRST_TO_REFUSE, ids=lambda reason: reason.name)
def test_every_refusal_is_typed_and_has_a_sentence(reason: Reason) -> None:
    world = World()
    FIRST_TO_REFUSE[reason](world)
    verdict = gate_of(world).judge(0, 0.5, BAR_MS, NOW)
    assert isinstance(verdict, Refused)
    assert verdict.reason is reason
    assert len(verdict.detail) > 8


def test_sentences_tell_the_number_and_its_limit() -> None:
    assert sentence(Reason.TRADES_HOUR, 7.0, 6.0) == "7th fill in 1 h (limit 6)"
    assert sentence(Reason.DAY_LOSS, 0.0213, 0.02) == "loss of the day 2.13 % (limit 2 %)"
    assert sentence(Reason.WARMUP, 12.0, 300.0) == "warming up: 12 of 300 bars"
    assert sentence(Reason.HALTED, 61.0) == "halted by drawdown_halt; `klined resume` after a look"
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 112)] == [
        "1st",
        "2nd",
        "3rd",
        "4th",
        "11th",
        "12th",
        "13th",
        "21st",
        "112th",
    ]


def test_every_reason_that_refuses_has_words_of_its_own() -> None:
    assert {reason for reason in Reason if reason.check} <= set(PLAIN) | set(SENTENCES)


def test_limit_in_a_persons_units_decides() -> None:
    world = World(limits=Limits(max_trades_hour=6))
    world.a[at.TRADES_HOUR] = 6.0
    verdict = gate_of(world).judge(0, 0.5, BAR_MS, NOW)
    assert verdict == Refused("ETH/USDT", Reason.TRADES_HOUR, "7th fill in 1 h (limit 6)")


def test_flip_that_may_only_close_says_what_was_left_out() -> None:
    world = World().hold(2_000)
    world.a[at.TRADES_HOUR] = 6.0
    verdict = gate_of(world).judge(0, -0.5, BAR_MS, NOW)
    assert isinstance(verdict, Approved)
    assert (verdict.intent.quantity, verdict.intent.reduce_only) == (Decimal(-2), True)
    assert verdict.note == "only the closing part: 7th fill in 1 h (limit 6)"


def test_short_on_spot_is_clipped_and_says_so() -> None:
    flat, long = World(kind=MarketKind.SPOT), World(kind=MarketKind.SPOT).hold(2_000)
    assert gate_of(flat).judge(0, -1.0, BAR_MS, NOW) == Held("ETH/USDT", Reason.CLIPPED)
    verdict = gate_of(long).judge(0, -1.0, BAR_MS, NOW)
    assert isinstance(verdict, Approved)
    assert "short" in verdict.note


def test_stop_reached_by_a_bar_overrides_the_policy() -> None:
    world = World(limits=Limits(stop_fixed=0.02)).hold(2_000)
    gate = gate_of(world)
    gate.begin(batch(low=2440.0))
    verdict = gate.judge(0, 1.0, BAR_MS, NOW)
    assert isinstance(verdict, Approved)
    assert (verdict.intent.cause, verdict.intent.quantity) == (Cause.STOP_FIXED, Decimal(-2))


def test_warm_up_bars_from_before_the_position_reach_no_stop() -> None:
    world = World(limits=Limits(stop_fixed=0.02)).hold(2_000)
    gate_of(world).begin(batch(low=2000.0, purpose=Purpose.WARMUP))
    assert world.q[at.EXIT] == 0.0


@pytest.mark.parametrize("reason", FIRST_TO_REFUSE, ids=lambda reason: reason.name)
def test_flatten_passes_whatever_the_gate_says(reason: Reason) -> None:
    world = World().hold(3_000)
    FIRST_TO_REFUSE[reason](world)
    working = world.q[at.WORKING]
    approved = gate_of(world).flatten(0, BAR_MS, NOW)
    assert approved is not None
    assert approved.intent.quantity == quantity(-3_000 - min(working, 0.0))
    assert (approved.intent.reduce_only, approved.intent.cause) == (True, Cause.FLATTEN)


def quantity(lots: float) -> Decimal:
    return int(lots) * Decimal("0.001")


def test_flatten_of_dust_reports_it_and_sends_nothing() -> None:
    world = World(kind=MarketKind.SPOT).hold(3)
    gate = gate_of(world)
    assert gate.flatten(0, BAR_MS, NOW) is None
    assert gate.dust == {"ETH/USDT": Decimal("0.003")}
    assert gate.is_dust(0, Decimal("0.003"))
    world.q[at.LOTS] = 0.0
    assert gate.flatten(0, BAR_MS, NOW) is None
    assert gate.dust == {}


def test_flatten_asked_twice_sells_once_and_under_another_name_later() -> None:
    world = World().hold(-3_000)
    gate = gate_of(world)
    first = gate.flatten(0, BAR_MS, NOW)
    assert first is not None
    assert first.intent.quantity == Decimal(3)
    assert gate.flatten(0, BAR_MS, NOW) is None
    world.q[at.WORKING] = 0.0  # it expired
    second = gate.flatten(0, BAR_MS, NOW + 1)
    assert second is not None
    assert second.intent.client_id != first.intent.client_id


def test_flatten_above_the_largest_order_goes_in_parts() -> None:
    world = World().hold(2_500_000)
    gate = gate_of(world)
    parts = [gate.flatten(0, BAR_MS, NOW + k) for k in range(4)]
    assert [part.intent.quantity for part in parts if part] == [Decimal(-1000), Decimal(-1000), Decimal(-500)]


def test_persons_switches_are_modes_and_lie_in_the_row() -> None:
    world = World()
    gate = gate_of(world)
    assert gate.mode is Mode.RUNNING
    gate.pause()
    assert (gate.mode, world.a[at.PAUSE]) == (Mode.SAFE, 1.0)
    gate.halt(Reason.LIQUIDATION)
    gate.halt()
    assert (gate.mode, world.a[at.HALT]) == (Mode.HALTED, Reason.LIQUIDATION)
    gate.resume()
    assert gate.mode is Mode.RUNNING
    gate.kill(present=True)
    assert gate.mode is Mode.HALTED
    gate.kill(present=False)
    gate.desync(present=True)
    assert gate.mode is Mode.SAFE


def test_resume_after_a_drawdown_measures_from_the_equity_of_now() -> None:
    world = World()
    world.a[at.PEAK] = 12_000.0
    gate = gate_of(world)
    gate.judge(0, 0.5, BAR_MS, NOW)
    assert gate.mode is Mode.HALTED
    gate.resume()
    assert isinstance(gate.judge(0, 0.5, BAR_MS, NOW), Approved)


@pytest.mark.parametrize(
    "slot", [at.HALT, at.PAUSE, at.LOSSES, at.COOLDOWN_UNTIL, at.PEAK, at.DAY_EQUITY, at.TRADES_DAY]
)
def test_restart_brings_back_what_the_gate_remembers(slot: int) -> None:
    world = World()
    world.a[slot] = 61.0
    restarted = Block(1, at.NA)
    restarted.load(world.A.dump())
    again = Gate([instrument()], restarted.row[0], world.Q.row, world.M.row, world.p, world.C.row, ClientIds("7f3a9c"))
    assert restarted.row[0][slot] == 61.0
    assert again.mode is gate_of(world).mode


def test_policy_that_was_not_verified_opens_nothing() -> None:
    world = World()
    gate = gate_of(world)
    gate.trust(verified=False)
    verdict = gate.judge(0, 0.5, BAR_MS, NOW)
    assert isinstance(verdict, Refused)
    assert verdict.reason is Reason.MODEL


def test_warnings_name_the_checks_without_a_source() -> None:
    world = World()
    gate = gate_of(world)
    assert [line.split()[0] for line in gate.warnings()] == ["risk.spread", "risk.depth"]
    world.q[at.SPREAD], world.q[at.DEPTH] = 0.0001, 50.0
    assert gate.warnings() == []


def test_fresh_rows_start_without_a_book_and_known_ones_keep_theirs() -> None:
    fresh, known = World(), World()
    for world, bars in ((fresh, 0.0), (known, 5.0)):
        world.q[at.BARS], world.q[at.SPREAD] = bars, 0.0001
        gate_of(world)
    assert math.isnan(fresh.q[at.SPREAD])
    assert known.q[at.SPREAD] == 0.0001


def test_limits_outside_their_range_are_all_told_at_once() -> None:
    with pytest.raises(ConfigError) as told:
        Limits(max_day_loss=-0.1, max_leverage=math.nan, reduce_drawdown=0.2)
    assert [line.split(" =")[0] for line in str(told.value).splitlines()] == [
        "max_day_loss",
        "max_leverage",
        "reduce_drawdown",
    ]


def test_every_limit_has_a_place_of_its_own_and_a_meaning() -> None:
    slots = [f.metadata["slot"] for f in fields(Limits)]
    assert len(set(slots)) == len(slots)
    assert set(slots) == set(range(at.STOP_COOLDOWN_MS + 1)) - {at.MODEL_OK}
    assert all(f.metadata["says"] for f in fields(Limits))


def test_writing_limits_leaves_the_policys_verification_alone() -> None:
    row = Block(1, at.NP).row[0]
    row[at.MODEL_OK] = 1.0
    Limits(cooldown_minutes=2.0, max_bar_age_s=3.0).write(row)
    assert (row[at.MODEL_OK], row[at.COOLDOWN_MS], row[at.BAR_AGE_MAX_MS]) == (1.0, 120_000.0, 3_000.0)
