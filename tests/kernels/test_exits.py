"""Protective exits on closed bars: which level was reached first, and that nothing loosens."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from klined.kernels import exits, jit
from klined.kernels import layout as at
from klined.kernels.rows import Block

OPENED_MS = 1_747_008_000_000.0
FIXED, TRAIL, BREAK_EVEN, TIME, VOLATILITY = 1.0, 2.0, 3.0, 4.0, 5.0


class Held:
    """One perpetual position, opened at 100, with ATR 1 and sigma 0.001; `stops` are P slots."""

    def __init__(self, side: float = 1.0, stops: dict[int, float] | None = None) -> None:
        self.Q, self.M, self.P = Block(1, at.NQ), Block(1, at.NM), Block(1, at.NP)
        self.q, self.m, self.p, self.side = self.Q.row[0], self.M.row[0], self.P.row[0], side
        for slot, value in (stops or {}).items():
            self.p[slot] = value
        self.m[at.PERP], self.m[at.LOT], self.m[at.LOTS_MIN], self.m[at.TAKER] = 1.0, 0.001, 1.0, 0.0005
        q = self.q
        q[at.LOTS], q[at.ENTRY], q[at.EXTREME] = 1_000.0 * side, 100.0, 100.0
        q[at.ENTRY_TIME], q[at.MARK], q[at.ATR], q[at.SIGMA] = OPENED_MS, 100.0, 1.0, 0.001

    def bar(self, best: float, worst: float, minutes: float = 1.0) -> float:
        """Show a bar by how far it went for and against the position; the code of the exit."""
        self.q[at.BAR_CLOSE] = OPENED_MS + minutes * 60_000
        ahead, behind = 100.0 + self.side * best, 100.0 - self.side * worst
        return exits.exit_step(self.Q.row, self.p, self.M.row, 0, max(ahead, behind), min(ahead, behind))


SIDES = pytest.mark.parametrize("side", [1.0, -1.0], ids=["long", "short"])


@SIDES
@pytest.mark.parametrize(
    ("slot", "value", "code", "worst"),
    [(at.STOP_FIXED, 0.02, FIXED, 2.0), (at.STOP_SIGMA, 10.0, VOLATILITY, 1.0), (at.STOP_TRAIL_ATR, 3.0, TRAIL, 3.0)],
)
def test_stop_is_reached_at_its_level_and_not_before(
    side: float, slot: int, value: float, code: float, worst: float
) -> None:
    held = Held(side, {slot: value})
    assert held.bar(0.0, worst - 0.01) == 0.0
    assert held.bar(0.0, worst + 1e-9) == code


@SIDES
def test_everything_is_off_at_zero(side: float) -> None:
    assert Held(side).bar(50.0, 60.0, minutes=1e6) == 0.0


@SIDES
def test_bar_that_makes_a_new_best_price_is_held_against_the_old_level_first(side: float) -> None:
    """High 110 and low 98 in one bar: had the high come first, the stop at 107 would have been reached."""
    held = Held(side, {at.STOP_TRAIL_ATR: 3.0})
    assert held.bar(best=10.0, worst=2.0) == 0.0
    assert held.bar(best=8.0, worst=-7.0 + 1e-9) == TRAIL


@SIDES
def test_break_even_needs_a_gain_first_and_covers_both_fees(side: float) -> None:
    held = Held(side, {at.STOP_BREAK_EVEN_ATR: 2.0})
    assert held.bar(best=1.9, worst=1.0) == 0.0
    assert held.bar(best=2.0, worst=-0.5) == 0.0
    assert held.bar(best=2.0, worst=-0.11) == 0.0
    assert held.bar(best=1.0, worst=-0.1 + 1e-9) == BREAK_EVEN


@SIDES
def test_time_ends_a_position_that_reached_no_level(side: float) -> None:
    held = Held(side, {at.STOP_TIME_MS: 600_000.0, at.STOP_FIXED: 0.5})
    assert held.bar(0.0, 0.0, minutes=9) == 0.0
    assert held.bar(0.0, 0.0, minutes=10) == TIME


@SIDES
def test_of_several_levels_reached_the_nearest_is_named(side: float) -> None:
    held = Held(side, {at.STOP_FIXED: 0.05, at.STOP_SIGMA: 20.0, at.STOP_TRAIL_ATR: 3.0})
    assert held.bar(0.0, 30.0) == VOLATILITY


def test_volatility_stop_keeps_the_sigma_of_the_entry() -> None:
    held = Held(1.0, {at.STOP_SIGMA: 10.0})
    held.bar(0.0, 0.0)
    held.q[at.SIGMA] = 0.1
    assert held.bar(0.0, 1.1) == VOLATILITY


def test_exit_stays_under_way_until_flat_and_then_forgets() -> None:
    held = Held(1.0, {at.STOP_FIXED: 0.02})
    assert held.bar(0.0, 3.0) == FIXED
    held.q[at.LOTS] = 400.0
    assert held.bar(5.0, -4.0) == FIXED
    held.q[at.LOTS] = 0.0
    assert held.bar(0.0, 3.0) == 0.0


def test_new_position_inherits_no_level() -> None:
    held = Held(1.0, {at.STOP_TRAIL_ATR: 3.0})
    held.bar(best=20.0, worst=0.0)
    held.q[at.LOTS], held.q[at.ENTRY_TIME], held.q[at.EXTREME] = -1_000.0, OPENED_MS + 60_000, 100.0
    held.side = -1.0
    assert held.bar(0.0, 2.9) == 0.0


def test_trail_switched_on_while_holding_starts_from_the_best_price() -> None:
    held = Held(1.0)
    held.bar(best=5.0, worst=0.0)
    held.p[at.STOP_TRAIL_ATR] = 3.0
    assert held.bar(best=4.0, worst=-3.0) == 0.0
    assert held.bar(best=4.0, worst=-1.9) == TRAIL


def test_rest_too_small_to_sell_is_left_to_itself() -> None:
    held = Held(1.0, {at.STOP_FIXED: 0.02})
    held.m[at.PERP], held.m[at.NOTIONAL_MIN] = 0.0, 10.0
    held.q[at.LOTS] = 90.0
    assert held.bar(0.0, 30.0) == 0.0


@given(
    side=st.sampled_from([1.0, -1.0]),
    bars=st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5), st.floats(0.1, 5)), min_size=2, max_size=20),
)
@settings(deadline=None)
def test_trailing_level_only_moves_towards_the_market(side: float, bars: list[tuple[float, float, float]]) -> None:
    held = Held(side, {at.STOP_TRAIL_ATR: 3.0})
    levels = []
    for best, worst, atr in bars:
        held.q[at.ATR] = atr
        held.bar(max(best, -worst), max(worst, -best))
        levels.append(held.q[at.STOP_TRAIL_AT] * side)
    assert all(before <= after for before, after in pairwise(levels))


def test_compiled_exits_equal_the_interpreted_ones_byte_for_byte() -> None:
    compiled = jit.compiled(boundscheck=True).exits
    rng = np.random.default_rng(3)
    slots = (at.STOP_FIXED, at.STOP_SIGMA, at.STOP_TRAIL_ATR, at.STOP_BREAK_EVEN_ATR)
    seen = set()
    for _ in range(300):
        side = float(rng.choice([1.0, -1.0]))
        stops = dict(zip(slots, rng.choice([0.0, 1.0], 4) * (0.02, 15.0, 3.0, 1.5), strict=True))
        plain, fast = Held(side, stops), Held(side, stops)
        for bar in range(20):
            high, low = 100.0 + abs(rng.normal(0, 2)), 100.0 - abs(rng.normal(0, 1))
            lots = side * float(rng.choice([1_000, 1_000, 400, 0]))
            for held in (plain, fast):
                held.p[at.STOP_TIME_MS] = 900_000.0
                held.q[at.LOTS], held.q[at.BAR_CLOSE] = lots, OPENED_MS + bar * 60_000
            code = exits.exit_step(plain.Q.row, plain.p, plain.M.row, 0, high, low)
            assert compiled.exit_step(fast.Q.array, fast.P.array[0], fast.M.array, 0, high, low) == code
            assert fast.Q.dump() == plain.Q.dump()
            seen.add(code)
    assert seen == {0.0, FIXED, TRAIL, BREAK_EVEN, TIME, VOLATILITY}
