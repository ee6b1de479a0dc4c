"""The oracle: equal to trying everything, and never better than free foresight."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from klined_models.oracle import held_returns, oracle_path, oracle_values, soft_labels

LEVELS = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])


def brute_force(returns: np.ndarray, held: int, action: int, cost: float, horizon: int, aversion: float) -> float:
    """Value of `action` at bar 0, then the best of all paths over the bars that are left, closed at the end."""
    bars = min(horizon, len(returns))
    best = -np.inf
    for rest in product(range(len(LEVELS)), repeat=bars - 1):
        value, before = 0.0, LEVELS[held]
        for r, a in zip(returns[:bars], (action, *rest), strict=True):
            level = LEVELS[a]
            value += np.log1p(level * r) - 0.5 * aversion * 1e-6 * level**2 - cost * abs(level - before)
            before = level
        best = max(best, value - cost * abs(before))
    return best


@settings(max_examples=25, deadline=None)
@given(
    returns=st.lists(st.floats(-0.02, 0.02), min_size=3, max_size=5),
    cost=st.floats(0.0, 0.005),
    horizon=st.integers(1, 4),
    aversion=st.sampled_from([0.0, 200.0]),
)
def test_oracle_equals_trying_every_path(returns: list[float], cost: float, horizon: int, aversion: float) -> None:
    series = np.array(returns)
    variance = np.full(len(series), 1e-6)
    values = oracle_values(series, LEVELS, cost, horizon, variance, aversion)
    for held, action in product(range(5), range(5)):
        expected = brute_force(series, held, action, cost, horizon, aversion)
        assert values[0, held, action] == pytest.approx(expected, abs=1e-12)


def test_oracle_with_another_cost_than_the_trader_pays_is_noticed() -> None:
    series = np.array([0.004, -0.003, 0.005])
    values = oracle_values(series, LEVELS, 0.001, 3, np.zeros(3), 0.0)
    assert values[0, 2, 4] != pytest.approx(brute_force(series, 2, 4, 0.002, 3, 0.0), abs=1e-6)


def test_position_decided_at_a_close_earns_from_the_next_open() -> None:
    opens = np.array([100.0, 110.0, 121.0, 60.5])
    assert held_returns(opens) == pytest.approx([0.1, -0.5, 0.0, 0.0])


def test_oracle_stands_still_when_no_move_pays_its_cost() -> None:
    returns = np.tile([0.001, -0.001], 50)
    values = oracle_values(returns, LEVELS, 0.01, 10, np.zeros(100), 0.0)
    assert set(oracle_path(values, start=2)) == {2}


def test_soft_labels_are_probabilities_and_prefer_the_best() -> None:
    values = oracle_values(np.array([0.01, -0.02, 0.0]), LEVELS, 0.0005, 2, np.zeros(3), 0.0)
    labels = soft_labels(values, 0.001)
    assert labels.sum(axis=-1) == pytest.approx(np.ones((3, 5)))
    assert (labels.argmax(axis=-1) == values.argmax(axis=-1)).all()


def test_aversion_to_variance_makes_half_positions_worthwhile() -> None:
    random = np.random.default_rng(1)
    returns = random.normal(0.0, 0.001, 2_000)
    bold = oracle_path(oracle_values(returns, LEVELS, 0.0005, 20, np.full(2_000, 1e-6), 0.0), 2)
    shy = oracle_path(oracle_values(returns, LEVELS, 0.0005, 20, np.full(2_000, 1e-6), 500.0), 2)
    halves = [np.isin(path, (1, 3)).mean() for path in (bold, shy)]
    assert halves[0] < halves[1]
