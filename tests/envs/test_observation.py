"""Observations: blocks say what they promise, and what is absent is masked, never invented."""

import numpy as np
import pytest

from envs.making import digest, duo_scene, perp_scene, settings, spot_bars, spot_scene
from klined.errors import ConfigError
from klined_models.envs import Observation, Scene, TradingEnv, TradingVectorEnv
from klined_models.envs.scene import MICROSTRUCTURE
from klined_models.envs.sentiment import DAY_MS, RecordedSignal, fear_and_greed
from klined_models.envs.settings import BLOCKS

EVERYTHING = Observation(BLOCKS, window=8, as_dict=True)


def test_dict_and_flat_show_the_same_numbers() -> None:
    flat = TradingVectorEnv(3, spot_scene(observation=Observation(BLOCKS, window=8)))
    blocks = TradingVectorEnv(3, spot_scene(observation=EVERYTHING))
    row, parts = flat.reset(seed=1)[0], blocks.reset(seed=1)[0]
    for _ in range(20):
        row, parts = flat.step([2, 1, 0])[0], blocks.step([2, 1, 0])[0]
    assert digest(row) == digest(np.concatenate([parts[name].reshape(3, -1) for name in BLOCKS], axis=1))
    assert blocks.observation_space.contains(parts)


def test_window_is_the_last_bars_in_units_of_their_range() -> None:
    env = TradingEnv(spot_scene(observation=EVERYTHING))
    env.reset(seed=2)
    seen = env.step(1)[0]["window"]
    bars = env.scene.bars[0, env.bar_index - 7 : env.bar_index + 1]
    assert seen.shape == (8, 5)
    assert seen[-1, 3] == 0.0
    unit = (bars[0, 4] - bars[-1, 4]) / seen[0, 3]
    np.testing.assert_allclose(seen[:, :4], np.clip((bars[:, 1:5] - bars[-1, 4]) / unit, -1, 1), atol=1e-5)
    assert np.abs(seen).max() <= 1.0


def test_no_bar_of_the_future_is_shown() -> None:
    """Bars after the one shown may be anything: the observation is the same bytes."""
    told = []
    for poison in (1.0, 50.0):
        bars = spot_bars().copy()
        bars[0, 850:, 1:] *= poison
        scene = Scene(settings(observation=Observation(BLOCKS, window=8), start="first", episode_bars=350), bars)
        env = TradingEnv(scene)
        seen = [env.reset(seed=0)[0]]
        while env.bar_index < 849:
            seen.append(env.step(2)[0])
        told.append(digest(*seen))
    assert told[0] == told[1]


def test_sentiment_is_masked_until_it_was_available_and_once_it_is_stale() -> None:
    times = spot_bars()[0, :, 0].astype(int) + 60_000
    signal = RecordedSignal([int(times[500]), int(times[700])], [0.5, -0.25], stale_ms=300 * 60_000)
    scene = spot_scene(observation=EVERYTHING, signals=signal)
    part = scene.parts["sentiment"]
    shown = scene.market[:, part.begin : part.end]
    assert (shown[:500] == 0.0).all()
    assert (shown[500:700] == [0.5, 1.0]).all()
    assert (shown[700:1000] == [-0.25, 1.0]).all()
    assert (shown[1000:] == 0.0).all()
    slot = scene.plan.names.index("sentiment_score")
    assert (scene.market[:, slot] == shown[:, 0]).all()
    assert (spot_scene(observation=EVERYTHING).market[:, part.begin : part.end] == 0.0).all()


def test_recorded_fear_and_greed_counts_from_the_end_of_its_day(shared_data: object) -> None:
    signal = fear_and_greed(f"{shared_data}/small/fear_greed_2018-02_2023-12.csv.gz")
    first = 1_517_443_200_000  # 2018-02-01, value 30
    assert signal.score("BTC/USDT", first + DAY_MS - 1) is None
    assert signal.score("BTC/USDT", first + DAY_MS) == pytest.approx(-0.4)
    assert signal.score("BTC/USDT", first + 2 * DAY_MS) == pytest.approx(-0.7)
    assert signal.score("BTC/USDT", 1_800_000_000_000) is None


def test_faulty_scores_and_files_are_refused(tmp_path: object) -> None:
    with pytest.raises(ConfigError, match="in order"):
        RecordedSignal([2, 1], [0.0, 0.0])
    with pytest.raises(ConfigError, match="must lie in"):
        RecordedSignal([1], [2.0])
    with pytest.raises(ConfigError, match="no Fear & Greed file"):
        fear_and_greed(f"{tmp_path}/absent.csv")


def test_microstructure_is_masked_where_there_is_none() -> None:
    given = np.random.default_rng(0).uniform(-1, 1, (1, 1200, 2))
    given[0, ::3, 1] = np.nan
    scene = spot_scene(observation=EVERYTHING, microstructure=given)
    part = scene.parts["microstructure"]
    shown = scene.market[:, part.begin : part.end]
    assert (shown[::3] == 0.0).all()
    assert (shown[1::3, 2] == 1.0).all()
    np.testing.assert_allclose(shown[1::3, :2], given[0, 1::3], atol=1e-7)
    absent = spot_scene(observation=EVERYTHING)
    assert absent.parts["microstructure"].shape == (len(MICROSTRUCTURE) + 1,)


def test_account_is_shown_as_it_stands() -> None:
    env = TradingEnv(perp_scene(observation=EVERYTHING))
    seen = env.reset(seed=3)[0]
    assert (seen["portfolio"] == [0, 0, 0, 0, 0, 0, 0, 0, 1, 0]).all()
    for _ in range(30):
        seen, *_, info = env.step(4)
    assert seen["portfolio"][0] == pytest.approx(np.clip(info["position"][0], -1, 1))
    assert seen["portfolio"][7] == pytest.approx(info["equity"] / 10_000.0 - 1.0, abs=1e-6)
    assert seen["portfolio"][0] == seen["indicators"][0]


def test_blocks_of_several_symbols_stand_side_by_side() -> None:
    env = TradingEnv(duo_scene(observation=EVERYTHING))
    seen = env.reset(seed=0)[0]
    assert {name: seen[name].shape for name in seen} == {
        "indicators": (2, 15),
        "sentiment": (2, 2),
        "microstructure": (2, 4),
        "regime": (2, 4),
        "window": (2, 8, 5),
        "portfolio": (16,),
    }
