"""Indicators that are ahead of the decisions show nothing that single steps would not have shown."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from klined.domain import Bar, Batch
from klined.kernels import layout as at
from klined.kernels.rows import Block
from klined.trader.engine import Engine
from klined.trader.plans import PLANS, Plan

SYMBOLS = ("ETH/USDT", "BTC/USDT")


each_plan = pytest.mark.parametrize("plan", PLANS.values(), ids=list(PLANS))


def market(seed: int, count: int, gaps: float = 0.0) -> list[Batch]:
    """Two symbols; some bars are missing, some do not move, some trade a million times the usual volume."""
    rng = np.random.default_rng(seed)
    moves = rng.normal(size=(2, count)) * 1e-3 * (rng.random((2, count)) > 0.2)
    closes = np.round(100.0 * np.exp(np.cumsum(moves, axis=1)), 2).tolist()
    volumes = np.round(rng.exponential(50.0, (2, count)) * 10.0 ** (6 * (rng.random((2, count)) < 0.03)), 3).tolist()
    missing = rng.random((2, count)) < gaps
    batches = []
    for t in range(count):
        bars: list[Bar | None] = []
        for i, symbol in enumerate(SYMBOLS):
            close, opened = closes[i][t], closes[i][max(t - 1, 0)]
            high, low = max(close, opened) + 0.01, min(close, opened) - 0.01
            bars.append(None if missing[i, t] else Bar(symbol, t * 60_000, opened, high, low, close, volumes[i][t]))
        batches.append(Batch((t + 1) * 60_000, tuple(bars)))
    return batches


def rows() -> Block:
    q = Block(2, at.NQ)
    q.array[:, at.EXPOSURE], q.array[:, at.CHANGE] = (0.25, -1.5), (-0.5, 0.5)
    return q


def assert_alike(one: Engine, other: Engine, q: Block) -> None:
    seen = []
    for engine in (one, other):
        for i in range(2):
            engine.observe(i, q.row[i], 0.5)
        seen.append((engine.observations.tobytes(), q.array[:, at.OBS_OK].tolist(), engine.features.dump()))
    assert seen[0] == seen[1]
    assert one.bars == other.bars


@each_plan
@given(st.integers(0, 1_000), st.lists(st.integers(1, 140), min_size=1, max_size=8), st.sampled_from((0.0, 0.1, 0.9)))
@settings(max_examples=12, deadline=None)
@example(seed=1, sizes=[100, 128, 20], gaps=0.0)
@example(seed=2, sizes=[100, 128, 20], gaps=0.1)
def test_blocks_of_any_length_leave_what_single_steps_leave(
    plan: Plan, seed: int, sizes: list[int], gaps: float
) -> None:
    batches, q = market(seed, sum(sizes), gaps), rows()
    ahead, single = Engine(plan, 2), Engine(plan, 2)
    for size in sizes:
        block, batches = batches[:size], batches[size:]
        ahead.look_ahead(block)
        for batch in block:
            ahead.show(batch)
            single.show(batch)
            assert_alike(ahead, single, q)
        assert ahead.dump() == single.dump()


@each_plan
@given(st.sets(st.integers(0, 199), max_size=12))
@settings(max_examples=8, deadline=None)
@example(shown={100, 101, 199})
def test_state_taken_within_a_block_knows_only_what_was_shown(plan: Plan, shown: set[int]) -> None:
    batches, q = market(3, 200, 0.1), rows()
    ahead, single = Engine(plan, 2), Engine(plan, 2)
    for start in (0, 100):
        ahead.look_ahead(batches[start : start + 100])
        for t in range(start, start + 100):
            ahead.show(batches[t])
            single.show(batches[t])
            if t in shown:
                assert ahead.dump() == single.dump()
                restored = Engine(plan, 2)
                restored.load(ahead.dump())
                assert_alike(restored, single, q)
            assert_alike(ahead, single, q)


@each_plan
def test_batch_that_comes_instead_of_the_one_expected_is_stepped(plan: Plan) -> None:
    batches, q = market(4, 200), rows()
    ahead, single = Engine(plan, 2), Engine(plan, 2)
    ahead.look_ahead(batches[:128])
    for batch in [*batches[:90], *batches[150:]]:
        ahead.show(batch)
        single.show(batch)
        assert_alike(ahead, single, q)
    assert ahead.dump() == single.dump()


@each_plan
def test_step_or_reset_within_a_block_begins_from_what_was_shown(plan: Plan) -> None:
    batches, q = market(5, 160), rows()
    ahead, single = Engine(plan, 2), Engine(plan, 2)
    ahead.look_ahead(batches[:128])
    for batch in batches[:100]:
        ahead.show(batch)
        single.show(batch)
    for engine in (ahead, single):
        engine.reset(0)
        bar = batches[100].bars[1]
        assert bar is not None
        engine.step(1, bar)
    assert_alike(ahead, single, q)
    assert ahead.dump() == single.dump()
