"""An episode is a backtest: the same observations, decisions, fills and equity, byte for byte, in every build."""

from typing import Any

import numpy as np
import pytest

from backtest.markets import COSTS, STOPS, WIDE, bars_of, history, perps
from envs.making import digest, perp_scene, settings, spot_scene
from klined.backtest.lanes import EmaCross, Terms, run
from klined.kernels import jit
from klined.trader.limits import Limits
from klined.trader.plans import PLANS
from klined_models.envs import Continuous, Observation, Orders, Scene, Sizing, TradingEnv, TradingVectorEnv
from klined_models.envs.settings import TERMS

MACD = 6
ALL = Observation(("indicators", "sentiment", "microstructure", "regime", "window", "portfolio"), window=8)


@pytest.mark.parametrize("symbols", [("ETH/USDT:USDT",), ("BTC/USDT:USDT", "ETH/USDT:USDT")])
def test_episode_of_a_rule_is_the_same_bytes_as_its_lane(symbols: tuple[str, ...]) -> None:
    limits = Limits(**{**WIDE, **STOPS, "max_exposure": 0.5})  # type: ignore[arg-type]  # some are int
    listed = perps(*symbols)
    recorded = history(bars_of(symbols, 1200), listed)
    scene = Scene(
        settings(
            symbols=symbols,
            kind="perp",
            instruments=listed,
            limits=limits,
            actions=Continuous(),
            episode_bars=0,
            start="first",
        ),
        recorded,
    )
    (lane,) = run(recorded, listed, [Terms(limits, COSTS)], EmaCross(), record=True)
    env = TradingEnv(scene)
    seen, info = env.reset(seed=1)
    start, over = env.bar_index, False
    observations, equity, decisions = [seen], [info["equity"]], []
    while not over:
        rows = seen.reshape(len(symbols), -1)
        seen, _, terminated, truncated, info = env.step(np.sign(rows[:, MACD]))
        decisions.append(env.decisions.copy())
        observations.append(seen)
        equity.append(info["equity"])
        over = terminated or truncated
    steps = len(decisions)
    assert start == 299
    assert steps == len(recorded.times) - 300
    told = np.stack(observations).reshape(steps + 1, len(symbols), -1).transpose(1, 0, 2)
    assert digest(told) == digest(lane.observations[:, start:])
    assert digest(equity) == digest(lane.equity[start:])
    assert digest(np.stack(decisions, axis=1)) == digest(lane.decisions[:, start : start + steps])
    assert len(env.fills) > 20
    assert digest(env.fills) == digest(lane.fills)


def everything_played(kernels: jit.Kernels, **options: Any) -> bytes:
    """All that 130 steps of random actions leave, with every block, reward and sizing on."""
    scene = perp_scene(
        kernels=kernels,
        count=900,
        episode_bars=60,
        observation=ALL,
        reward=dict.fromkeys(TERMS, 1.0),
        sizing=Sizing(volatility=0.001, kelly=0.5, shrink=0.0, drawdown=0.2),
        **options,
    )
    vector = TradingVectorEnv(3, scene, autoreset_mode="same_step")
    rng = np.random.default_rng(5)
    low, high = vector.action_space.low, vector.action_space.high  # type: ignore[attr-defined]  # a Box
    parts = [vector.reset(seed=3)[0]]
    for _ in range(130):
        parts += vector.step(rng.uniform(low, high))[:4]
    assert vector.lanes.W[:, 12].sum() > 0  # there were fills to compare
    return digest(*parts, vector.lanes.A, vector.lanes.Q, vector.lanes.U)


@pytest.mark.parametrize("engine", ["lookup", "loop"])
@pytest.mark.parametrize("actions", [Continuous(), Orders()])
def test_interpreted_and_compiled_episodes_are_the_same_bytes(engine: str, actions: Continuous | Orders) -> None:
    compiled = everything_played(jit.compiled(), engine=engine, actions=actions)
    assert compiled == everything_played(jit.interpreted(), engine=engine, actions=actions)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["lookup", "loop"])
@pytest.mark.parametrize("actions", [Continuous(), Orders()])
def test_no_episode_reads_outside_its_rows(engine: str, actions: Continuous | Orders) -> None:
    checked = everything_played(jit.compiled(boundscheck=True), engine=engine, actions=actions)
    assert checked == everything_played(jit.compiled(), engine=engine, actions=actions)


def test_stepped_features_are_the_bytes_of_those_looked_up() -> None:
    told = set()
    for engine in ("lookup", "loop"):
        vector = TradingVectorEnv(8, spot_scene(engine=engine), autoreset_mode="next_step")
        rng = np.random.default_rng(1)
        parts = [vector.reset(seed=11)[0]]
        for _ in range(250):
            parts += vector.step(rng.integers(0, 3, 8))[:4]
        told.add(digest(*parts))
    assert len(told) == 1


def test_lane_of_a_vector_is_the_single_environment_of_its_seed() -> None:
    scene = spot_scene()
    vector = TradingVectorEnv(5, scene, autoreset_mode="same_step", copy=True)
    single = TradingEnv(scene)
    actions = np.random.default_rng(2).integers(0, 3, (230, 5))
    many = [vector.reset(seed=40)[0][3]]
    alone = [single.reset(seed=43)[0]]
    for row in actions:
        observations, rewards, terminated, truncated, _ = vector.step(row)
        many += [observations[3], rewards[3]]
        seen, reward, over, cut, _ = single.step(row[3])
        assert (over, cut) == (terminated[3], truncated[3])
        alone += [single.reset()[0] if over or cut else seen, np.float64(reward)]
    assert digest(*many) == digest(*alone)


def test_same_seed_gives_the_same_bytes_and_another_seed_another_start() -> None:
    scene = spot_scene()
    told = []
    for seed in (9, 9, 10_000):
        env = TradingVectorEnv(4, scene)
        told.append(digest(env.reset(seed=seed)[0], *env.step(np.ones(4, int))[:2]))
    assert told[0] == told[1] != told[2]


def test_declared_plan_of_forty_four_indicators_plays() -> None:
    scene = spot_scene(plan="eth44")
    env = TradingEnv(scene)
    seen, _ = env.reset(seed=0)
    assert seen.shape == (PLANS["eth44"].dim,)
    assert env.observation_space.contains(env.step(2)[0])
