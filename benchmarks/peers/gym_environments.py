"""Other trading environments on our bars, one at a time: random actions, warm, the median of five runs.

    python gym_environments.py BARS.npy trading-env|anytrading     prints one JSON object

gym-trading-env has the same fifteen features, made before as columns, and fees; gym-anytrading its StocksEnv, with a
window of ten bars of two features. Neither has a gate, impact, lots or stops.
"""

import json
import statistics
import sys
import time
import warnings
from importlib.metadata import version

import numpy as np
import pandas as pd

RUNS = 5
STEPS = 20_000
FEATURES = 15


def frame_of(rows: np.ndarray) -> pd.DataFrame:
    index = pd.to_datetime(rows[:, 0].astype("int64"), unit="ms")
    return pd.DataFrame(rows[:, 1:6], columns=["open", "high", "low", "close", "volume"], index=index)


def trading_env(rows: np.ndarray) -> object:
    import gym_trading_env.environments as their

    frame = frame_of(rows)
    for k in range(FEATURES):
        frame[f"feature_{k}"] = frame["close"].pct_change(k + 1).fillna(0.0)
    return their.TradingEnv(
        df=frame, positions=[0, 0.5, 1], trading_fees=0.001, max_episode_duration=1000, verbose=0, name="bench"
    )


def anytrading(rows: np.ndarray) -> object:
    from gym_anytrading.envs import StocksEnv

    frame = frame_of(rows).rename(columns=str.capitalize)
    return StocksEnv(df=frame, window_size=10, frame_bound=(10, len(frame)))


def once(env: object, actions: list[int]) -> float:
    """Steps per second."""
    env.reset()
    begun = time.perf_counter()
    for action in actions:
        _, _, over, cut, _ = env.step(action)
        if over or cut:
            env.reset()
    return len(actions) / (time.perf_counter() - begun)


def main() -> None:
    warnings.simplefilter("ignore")
    rows, which = np.load(sys.argv[1])[:50_000], sys.argv[2]
    env = (trading_env if which == "trading-env" else anytrading)(rows)
    actions = np.random.default_rng(0).integers(0, env.action_space.n, STEPS).tolist()
    once(env, actions)
    rate = statistics.median(once(env, actions) for _ in range(RUNS))
    print(json.dumps({"rate": rate, "version": version(f"gym-{which}")}))


if __name__ == "__main__":
    main()
