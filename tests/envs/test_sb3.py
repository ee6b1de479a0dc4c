"""stable-baselines3 learns on lanes, and finds no fault with them. Runs where it is installed: `klined[train]`."""

from typing import Any

import numpy as np
import pytest

from envs.making import digest, perp_scene, spot_scene

REASON = "stable-baselines3 is not installed: pip install torch==2.13.0, then klined[train]"
checker: Any = pytest.importorskip("stable_baselines3.common.env_checker", reason=REASON)

from stable_baselines3 import PPO  # noqa: E402 - only where it is installed

from klined.errors import ConfigError  # noqa: E402
from klined_models.envs import Continuous, TradingEnv, TradingVectorEnv  # noqa: E402
from klined_models.envs.sb3 import LaneVecEnv  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.mark.parametrize("options", [{}, {"actions": Continuous()}])
def test_checker_of_stable_baselines_finds_no_fault(options: dict[str, Any]) -> None:
    checker.check_env(TradingEnv(spot_scene(**options)))


def test_lanes_are_seen_without_copies_and_as_the_vector_has_them() -> None:
    scene = perp_scene(episode_bars=15)
    lanes = LaneVecEnv.of(4, scene)
    vector = TradingVectorEnv(4, scene, autoreset_mode="same_step")
    lanes.seed(20)
    first = lanes.reset()
    assert np.shares_memory(first, lanes.vector.lanes.observations)
    assert digest(first) == digest(vector.reset(seed=20)[0])
    rng = np.random.default_rng(0)
    ends = 0
    for _ in range(40):
        actions = rng.integers(0, 5, 4)
        seen, rewards, dones, infos = lanes.step(actions)
        expected = vector.step(actions)
        assert np.shares_memory(seen, lanes.vector.lanes.observations)
        assert digest(seen) == digest(expected[0])
        assert (rewards == expected[1].astype(np.float32)).all()
        assert (dones == (expected[2] | expected[3])).all()
        for k in np.flatnonzero(dones):
            ends += 1
            assert digest(infos[k]["terminal_observation"]) == digest(expected[4]["final_obs"][k])
            assert infos[k]["TimeLimit.truncated"] == bool(expected[3][k])
    assert ends >= 8


def test_other_reset_modes_are_refused() -> None:
    with pytest.raises(ConfigError, match="same_step"):
        LaneVecEnv(TradingVectorEnv(1, spot_scene()))


def test_ppo_learns_on_lanes() -> None:
    lanes = LaneVecEnv.of(8, spot_scene(episode_bars=32))
    model = PPO("MlpPolicy", lanes, n_steps=16, batch_size=64, n_epochs=1, seed=1, device="cpu")
    model.learn(256)
    assert model.num_timesteps == 256
    assert model.predict(lanes.reset())[0].shape == (8,)


def test_maskable_ppo_asks_for_masks_and_gets_them() -> None:
    contrib: Any = pytest.importorskip("sb3_contrib", reason=REASON)
    lanes = LaneVecEnv.of(4, spot_scene(episode_bars=32))
    model = contrib.MaskablePPO("MlpPolicy", lanes, n_steps=8, batch_size=32, n_epochs=1, seed=1, device="cpu")
    model.learn(64)
    assert model.num_timesteps == 64
