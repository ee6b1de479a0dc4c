"""Environments: thousands of lanes in one thread, beside other trading environments on the same bars, all warm.

Every lane has the whole gate, lots, spread, impact, participation, fees and the 15-value observation; actions are
random levels, and episodes end and begin on the way.
"""

import time
from collections.abc import Iterator
from statistics import median
from typing import Any

import numpy as np

from benchmarks import bars
from benchmarks.process import Absent, peer
from benchmarks.table import Row, row
from klined_models.envs import Scene, Settings, TradingEnv, TradingVectorEnv

LANES = 4096
STEPS = 250
SINGLE_STEPS = 20_000
TURNS = 3  # of each, one after the other, so that a busy machine slows all
EPISODE = 1000
BARS = 50_000
PEERS = (("trading-env", 130.0), ("anytrading", 25.0))


def scene(engine: str) -> Scene:
    options: dict[str, Any] = {"episode_bars": EPISODE, "engine": engine}
    return Scene(Settings(**options), np.load(bars.stored())[:BARS])


def lane_rate(env: TradingVectorEnv) -> float:
    """Lane-steps per second."""
    rng = np.random.default_rng(1)
    actions = [rng.integers(0, 3, env.num_envs) for _ in range(8)]
    begun = time.perf_counter()
    for k in range(STEPS):
        env.step(actions[k % 8])
    return STEPS * env.num_envs / (time.perf_counter() - begun)


def single_rate(env: TradingEnv) -> float:
    """Steps per second, resets included."""
    env.reset(seed=0)
    actions = np.random.default_rng(0).integers(0, 3, SINGLE_STEPS).tolist()
    begun = time.perf_counter()
    for action in actions:
        _, _, over, cut, _ = env.step(action)
        if over or cut:
            env.reset()
    return SINGLE_STEPS / (time.perf_counter() - begun)


def bytes_of(env: TradingVectorEnv) -> float:
    """Memory per lane: every array that grows with their number."""
    arrays = [each for each in vars(env.lanes).values() if isinstance(each, np.ndarray) and len(each)]
    return sum(each.nbytes for each in arrays if env.num_envs in each.shape) / env.num_envs


def rows() -> Iterator[Row]:
    looked, stepped = scene("lookup"), scene("loop")
    envs = {name: TradingVectorEnv(LANES, each, copy=False) for name, each in (("lookup", looked), ("loop", stepped))}
    single = TradingEnv(looked)
    for env in envs.values():
        env.reset(seed=0)
        lane_rate(env)
    single_rate(single)
    ours: dict[str, list[float]] = {"lookup": [], "loop": [], "single": []}
    theirs: dict[str, list[float]] = {name: [] for name, _ in PEERS}
    versions, excuse = dict.fromkeys(theirs, ""), ""
    for _ in range(TURNS):
        for name, env in envs.items():
            ours[name].append(lane_rate(env))
        ours["single"].append(single_rate(single))
        for name, rates in theirs.items():
            try:
                told = peer("gyms", "gym_environments.py", name)
            except Absent as why:
                excuse = str(why)
            else:
                rates.append(float(told["rate"]))
                versions[name] = f"gym-{name} {told['version']}"
    lanes = median(ours["lookup"])
    for name, times in PEERS:
        yield row(
            f"envs.lanes/{name}",
            lanes,
            "steps/s",
            at_least=10_000_000,
            baseline=versions[name] or f"gym-{name}",
            baseline_value=median(theirs[name]) if theirs[name] else None,
            ratio_min=times,
            note=excuse or f"{LANES} lanes, one thread",
        )
    yield row("envs.lanes_engine", median(ours["loop"]), "steps/s", at_least=4_000_000, note="features in every lane")
    yield row("envs.single", median(ours["single"]), "steps/s", at_least=100_000)
    yield row("envs.lane_memory", bytes_of(envs["lookup"]), "B", at_most=4096, note="features looked up")
    yield row("envs.lane_memory_engine", bytes_of(envs["loop"]), "B", at_most=8192, note="engine in the lane")
