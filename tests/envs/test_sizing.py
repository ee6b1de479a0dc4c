"""Sizing: Kelly is its closed form on a process that is known, and nothing without an edge that is proven."""

import numpy as np
import pytest
from numpy.typing import NDArray

from backtest.markets import spot
from envs.making import perp_scene, settings, spot_bars, spot_scene
from klined.kernels import game, scaling, tapes
from klined.kernels import layout as at
from klined_models.envs import Continuous, Scene, Sizing, TradingEnv

MU, SIGMA = 0.0004, 0.004


def walk(mu: float, seed: int, count: int = 20_000) -> NDArray[np.float64]:
    """Bars of a walk whose simple returns are normal with this mean and SIGMA."""
    rng = np.random.default_rng(seed)
    close = 100.0 * np.cumprod(1.0 + rng.normal(mu, SIGMA, count))
    opened = np.concatenate(([100.0], close[:-1]))
    high, low = np.maximum(opened, close), np.minimum(opened, close)
    return np.column_stack((60_000.0 * np.arange(1, count + 1), opened, high, low, close, np.full(count, 1e9)))


def shaped(env: TradingEnv) -> float:
    return float(env.decisions[0, tapes.SHAPED])


def leverage(mu: float, *, fraction: float, shrink: float) -> float:
    """What Kelly asks for after an episode of constant long wishes."""
    instruments = spot("ETH/USDT")
    options = {"actions": Continuous(), "sizing": Sizing(kelly=fraction, shrink=shrink), "start": "first"}
    env = TradingEnv(Scene(settings(episode_bars=0, instruments=instruments, **options), walk(mu, 1)))
    env.reset(seed=0)
    over = False
    while not over:
        *_, terminated, truncated, _ = env.step([1.0])
        over = terminated or truncated
    seen, mean, squares, _ = env.lanes.B[0, 0].tolist()
    return scaling.kelly_leverage(seen, mean, squares, fraction, shrink)


def test_kelly_of_a_known_process_is_the_closed_form() -> None:
    assert leverage(MU, fraction=0.5, shrink=0.0) == pytest.approx(0.5 * MU / SIGMA**2, rel=0.12)


def test_kelly_takes_off_what_is_not_proven() -> None:
    seen, mean, squares = 400.0, 0.01, 400.0 * 0.04
    variance = squares / (seen - 1.0)
    assert scaling.kelly_leverage(seen, mean, squares, 1.0, 0.5) == pytest.approx(
        (mean - 0.5 * np.sqrt(variance / seen)) / variance
    )
    assert scaling.kelly_leverage(seen, mean, squares, 1.0, 1.645) == 0.0
    assert leverage(0.0, fraction=0.5, shrink=3.0) == 0.0


def test_without_a_proven_edge_nothing_is_traded() -> None:
    env = TradingEnv(spot_scene(actions=Continuous(), sizing=Sizing(kelly=0.5, shrink=8.0)))
    env.reset(seed=1)
    for _ in range(100):
        env.step([1.0])
    assert not len(env.fills)
    assert env.lanes.B[0, 0, scaling.SEEN] == 99.0  # and yet what was not held is learned from


def test_volatility_target_scales_by_sigma() -> None:
    env = TradingEnv(perp_scene(actions=Continuous(), sizing=Sizing(volatility=2e-4)))
    env.reset(seed=1)
    for _ in range(50):
        sigma = float(env.lanes.Q[0, 0, at.SIGMA])
        env.step([1.0])
        exposure = min(0.5, 2e-4 / sigma)
        assert env.lanes.B[0, 0, scaling.WISH] == 1.0
        z, b = env.lanes.Z.data.cast("B").cast("d"), memoryview(np.zeros(4)).cast("B").cast("d")
        a, p = (memoryview(row.copy()).cast("B").cast("d") for row in (env.lanes.A[0], env.lanes.P[0]))
        q = memoryview(env.lanes.Q[0, 0].copy()).cast("B").cast("d")
        q[at.SIGMA] = sigma
        assert scaling.scale_step(a, q, p, z, game.SCALING, b, 1.0) == pytest.approx(exposure / 0.5)


def test_fixed_size_is_a_factor_and_drawdown_takes_the_rest() -> None:
    rows = TradingEnv(perp_scene(actions=Continuous(), sizing=Sizing(fixed=0.5, drawdown=0.2))).lanes
    z, b = rows.Z.data.cast("B").cast("d"), memoryview(np.zeros(4)).cast("B").cast("d")
    a, q, p = (memoryview(np.zeros(64)).cast("B").cast("d") for _ in range(3))
    a[at.PEAK] = 100.0
    for equity, expected in ((100.0, 0.4), (90.0, 0.2), (80.0, 0.0), (50.0, 0.0)):
        a[at.EQUITY] = equity
        assert scaling.scale_step(a, q, p, z, game.SCALING, b, 0.8) == pytest.approx(expected)


def test_default_sizing_leaves_targets_alone() -> None:
    assert not Sizing().is_on
    env = TradingEnv(Scene(settings(actions=Continuous()), spot_bars()))
    env.reset(seed=0)
    env.step([0.7])
    assert shaped(env) == 0.7
