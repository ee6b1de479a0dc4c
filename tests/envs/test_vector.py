"""gymnasium's contracts: spaces, resets, ends, seeds, and its own checker."""

import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

import klined_models
from envs.making import digest, duo_scene, perp_scene, settings, spot_bars, spot_scene
from klined_models.envs import Continuous, Observation, Orders, Scene, TradingEnv, TradingVectorEnv, Weights

BLOCKS = ("indicators", "sentiment", "microstructure", "regime", "window", "portfolio")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"actions": Continuous()},
        {"actions": Weights()},
        {"actions": Weights(normalise=True)},
        {"actions": Orders()},
        {"observation": Observation(BLOCKS, window=16)},
        {"observation": Observation(BLOCKS, window=16, as_dict=True)},
    ],
    ids=str,
)
def test_gymnasium_finds_no_fault(options: dict[str, Any]) -> None:
    check_env(TradingEnv(spot_scene(**options)), skip_render_check=True)


def test_environment_over_two_symbols_passes_the_checker() -> None:
    check_env(TradingEnv(duo_scene(observation=Observation(BLOCKS, window=4, as_dict=True))), skip_render_check=True)


def test_make_finds_the_environment_by_name() -> None:
    env = gymnasium.make("klined/Trading-v0", data=spot_bars(), episode_bars=50, limits=settings().limits)
    first = env.reset(seed=4)[0]
    again = klined_models.make_vec(1, spot_bars(), episode_bars=50, limits=settings().limits).reset(seed=4)[0]
    assert digest(first) == digest(again)
    many = gymnasium.make_vec("klined/Trading-v0", 3, data=spot_bars(), episode_bars=50)
    assert isinstance(many, TradingVectorEnv)
    assert many.reset(seed=4)[0].shape == (3, 15)


def synchronous(scene: Scene, count: int, mode: AutoresetMode) -> SyncVectorEnv:
    """Gymnasium's own vector over single environments: what ours has to be like."""
    return SyncVectorEnv([lambda: TradingEnv(scene) for _ in range(count)], autoreset_mode=mode)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_lanes_reset_as_gymnasium_s_own_vector_does(mode: AutoresetMode) -> None:
    scene = perp_scene(episode_bars=20)
    ours, theirs = TradingVectorEnv(4, scene, autoreset_mode=mode), synchronous(scene, 4, mode)
    assert ours.metadata["autoreset_mode"] is mode
    rng = np.random.default_rng(0)
    assert digest(ours.reset(seed=6)[0]) == digest(theirs.reset(seed=6)[0])
    ends = 0
    for _ in range(70):
        actions = rng.integers(0, 5, 4)
        mine, other = ours.step(actions), theirs.step(actions)
        assert digest(*mine[:4]) == digest(*other[:4])
        done = mine[2] | mine[3]
        ends += int(done.sum())
        if mode is AutoresetMode.SAME_STEP and done.any():
            assert (mine[4]["_final_obs"] == other[4]["_final_obs"]).all()
            for k in np.flatnonzero(done):
                assert digest(mine[4]["final_obs"][k]) == digest(other[4]["final_obs"][k])
                assert mine[4]["final_info"]["equity"][k] == other[4]["final_info"]["equity"][k]
    assert ends >= 8
    theirs.close()


def test_reset_mask_begins_those_lanes_and_no_other() -> None:
    vector = TradingVectorEnv(3, spot_scene(episode_bars=10), autoreset_mode="disabled")
    vector.reset(seed=1)
    for _ in range(10):
        observations, _, terminated, truncated, _ = vector.step(np.zeros(3, int))
    assert truncated.all()
    assert not terminated.any()
    with pytest.raises(Exception, match="has ended and autoreset is off"):
        vector.step(np.zeros(3, int))
    mask = np.array([True, False, True])
    fresh, _ = vector.reset(options={"reset_mask": mask})
    assert digest(fresh[1]) == digest(observations[1])
    assert digest(fresh[mask]) != digest(observations[mask])
    vector.reset(options={"reset_mask": ~mask})
    vector.step(np.zeros(3, int))


def test_buffers_outlive_one_more_step() -> None:
    vector = TradingVectorEnv(4, spot_scene(), copy=False)
    first, _ = vector.reset(seed=2)
    kept = first.copy()
    second = vector.step(np.ones(4, int))[0]
    assert digest(first) == digest(kept)
    third = vector.step(np.ones(4, int))[0]
    assert np.shares_memory(first, third)
    assert not np.shares_memory(second, third)


def test_episodes_start_all_over_the_bars_of_every_series() -> None:
    bars = spot_bars()
    scene = Scene(settings(episode_bars=50), [bars[:, :500], bars[:, 500:]])
    vector = TradingVectorEnv(400, scene)
    vector.reset(seed=0)
    starts = vector.bar_index
    assert set(np.searchsorted([500], starts, "right")) == {0, 1}
    assert starts.min() >= 299
    assert starts[starts >= 500].min() >= 799
    assert starts[starts < 500].max() <= 449
    assert len(set(starts)) > 100


def test_environment_of_gymnasium_s_processes_plays() -> None:
    options: dict[str, Any] = {"episode_bars": 50, "limits": settings().limits}

    def make() -> TradingEnv:
        return TradingEnv(spot_bars(), **options)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads, in gymnasium
        processes = AsyncVectorEnv([make, make])
    try:
        told = processes.reset(seed=3)[0], *processes.step(np.array([2, 1]))[:2]
    finally:
        processes.close()
    lanes = TradingVectorEnv(2, spot_bars(), **options)
    assert digest(*told) == digest(lanes.reset(seed=3)[0], *lanes.step(np.array([2, 1]))[:2])
