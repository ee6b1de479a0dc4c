"""What cannot be is refused at once, with the value, the reason and the nearest that can."""

from typing import Any

import numpy as np
import pytest

from envs.making import duo_scene, settings, spot_bars, spot_scene
from klined.errors import ConfigError
from klined_models.envs import (
    Continuous,
    Levels,
    Observation,
    Orders,
    Rewards,
    Scene,
    Settings,
    TradingEnv,
    TradingVectorEnv,
    Weights,
)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"plan": "eth16"}, "did you mean 'eth15'"),
        ({"actions": "level"}, "did you mean 'levels'"),
        ({"reward": "log_returns"}, "did you mean 'log_return'"),
        ({"reward": {"turn_over": 1.0}}, "did you mean 'turnover'"),
        ({"episode_bar": 5}, "did you mean 'episode_bars'"),
        ({"interval": "1min"}, "did you mean '1m"),
        ({"balance": 0.0}, "balance = 0.0 must be positive"),
        ({"start": "last"}, "must be random or first"),
        ({"plan": "original", "engine": "loop"}, "engine 'loop' steps plan eth15"),
        ({"actions": Levels((0.0, 2.0))}, r"must lie in \[-1, 1\]"),
        ({"microstructure": np.zeros((1, 3, 2))}, "does not fit 1 symbols and 1200 bars"),
    ],
)
def test_unknown_or_impossible_setting_is_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        TradingEnv(spot_bars(), **{"episode_bars": 100, **options}).reset()


def test_unknown_block_and_mode_are_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'portfolio'"):
        Observation(("portfolios",))
    with pytest.raises(ConfigError, match="did you mean 'same_step'"):
        TradingVectorEnv(1, spot_scene(), autoreset_mode="samestep")
    with pytest.raises(ConfigError, match=r"eta = 2.0"):
        Rewards(eta=2.0)


def test_history_too_short_says_how_much_is_needed() -> None:
    with pytest.raises(ConfigError, match=r"350 bars is too short: warm-up takes 300 and an episode 100, so 400"):
        Scene(settings(), spot_bars()[:, :350])


def broken(change: str) -> Any:
    bars = spot_bars().copy()
    if change == "nan":
        bars[0, 700, 4] = np.nan
    elif change == "negative":
        bars[0, 700, 3] = -1.0
    elif change == "high":
        bars[0, 700, 2] = bars[0, 700, 4] * 0.5
    elif change == "time":
        bars[0, 700, 0] = bars[0, 699, 0]
    return bars


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("nan", "not finite, at .*row 700"),
        ("negative", "not positive.*row 700"),
        ("high", "open and close exceed at .*row 700"),
        ("time", "back in time.*row 700"),
    ],
)
def test_bars_that_cannot_be_are_named_by_row(change: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Scene(settings(), broken(change))


def test_misaligned_symbols_are_named_with_the_first_row_apart() -> None:
    names = ("BTC/USDT", "ETH/USDT")
    one = spot_bars()[0]
    with pytest.raises(ConfigError, match=r"not aligned: 1200 bars against|not aligned: 1199 bars against"):
        Scene(settings(symbols=names), {"BTC/USDT": one, "ETH/USDT": one[1:]})
    shifted = one.copy()
    shifted[600:, 0] += 60_000
    with pytest.raises(ConfigError, match="at row 600 the open times are"):
        Scene(settings(symbols=names), {"BTC/USDT": one, "ETH/USDT": shifted})
    with pytest.raises(ConfigError, match="no bars of ETH/USDT"):
        Scene(settings(symbols=names), {"BTC/USDT": one})


def test_environment_must_be_reset_before_and_after_an_episode() -> None:
    env = TradingEnv(spot_scene(episode_bars=2))
    with pytest.raises(ConfigError, match="step was called before reset"):
        env.step(0)
    env.reset(seed=0)
    env.step(0)
    assert env.step(0)[3]
    with pytest.raises(ConfigError, match="the episode has ended; call reset"):
        env.step(0)
    with pytest.raises(ConfigError, match="before reset"):
        TradingVectorEnv(2, spot_scene()).step([0, 0])


@pytest.mark.parametrize(
    ("actions", "bad", "words"),
    [
        (Levels(), 3, "whole numbers from 0 to 2"),
        (Levels(), -1, "whole numbers from 0 to 2"),
        (Levels(), 0.5, "whole numbers"),
        (Levels(), float("nan"), "whole numbers"),
        (Levels(), "long", "does not fit"),
        (Continuous(), [1.5], r"target in \[-1, 1\]"),
        (Continuous(), [np.nan], r"target in \[-1, 1\]"),
        (Continuous(), [np.inf], r"target in \[-1, 1\]"),
        (Continuous(), [0.1, 0.2], "does not fit"),
        (Weights(), [0.6, 0.6], "which sum to 1, not 1.2"),
        (Weights(), [-0.5, 1.5], "weights in"),
        (Weights(normalise=True), [np.nan, 0.5], "weights in"),
        (Orders(), [0.5, -0.5, 0.0], "offset in"),
    ],
)
def test_action_outside_its_space_moves_nothing(actions: Any, bad: Any, words: str) -> None:
    env = TradingEnv(spot_scene(actions=actions))
    env.reset(seed=0)
    before = env.lanes.A.tobytes() + env.lanes.Q.tobytes() + env.lanes.N.tobytes()
    with pytest.raises(ConfigError, match=words):
        env.step(bad)
    assert env.lanes.A.tobytes() + env.lanes.Q.tobytes() + env.lanes.N.tobytes() == before


def test_one_bad_lane_is_named_and_no_lane_moves() -> None:
    vector = TradingVectorEnv(4, spot_scene())
    vector.reset(seed=0)
    before = vector.bar_index
    with pytest.raises(ConfigError, match="lane 2 is"):
        vector.step([0, 1, 7, 2])
    with pytest.raises(ConfigError, match="do not fit 4 lanes"):
        vector.step([0, 1])
    assert (vector.bar_index == before).all()


def test_seeds_and_masks_that_do_not_fit_are_refused() -> None:
    vector = TradingVectorEnv(3, spot_scene())
    with pytest.raises(ConfigError, match="2 seeds for 3 lanes"):
        vector.reset(seed=[1, 2])
    with pytest.raises(ConfigError, match="must be 3 booleans"):
        vector.reset(seed=1, options={"reset_mask": np.zeros(3, bool)})
    with pytest.raises(ConfigError, match="no masks"):
        TradingVectorEnv(1, spot_scene(actions=Continuous())).action_masks()


def test_scene_of_other_settings_is_not_taken() -> None:
    with pytest.raises(ConfigError, match="prepared under other settings"):
        TradingEnv(spot_scene(), settings=Settings(episode_bars=7))
    assert duo_scene().n == 2
