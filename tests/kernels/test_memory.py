"""What the gate remembers: budgets that begin on time, never twice, and the same in both builds."""

import math

import numpy as np
import pytest

from kernels.gate_world import CLOSE_MS, World
from klined.domain import Reason
from klined.kernels import jit, memory
from klined.kernels import layout as at


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
