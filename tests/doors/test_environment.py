"""What a configuration says is what is played, whatever it cannot say is refused, and gymnasium's wrappers fit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import wrappers
from gymnasium.utils.env_checker import check_env

from klined.errors import ConfigError
from klined_models import doors
from klined_models.doors import (
    ActionConfig,
    ActionMode,
    BaseTradingEnvironment,
    CryptoTradingConfig,
    CryptoTradingEnvironment,
    ObservationConfig,
    create_crypto_env,
    create_sentiment_crypto_env,
)


def small(**options: Any) -> CryptoTradingConfig:
    return CryptoTradingConfig(**{"assets": ["ETH"], "max_steps": 50, **options})


def test_half_is_a_target_not_an_increment() -> None:
    env = create_crypto_env(small())
    env.reset(seed=1)
    held = [env.step([0.5])[4]["position"][0] for _ in range(10)]
    assert held[0] == pytest.approx(0.5, abs=0.01)
    assert held[-1] == pytest.approx(0.5, abs=0.05), "ten times half is half"


@pytest.mark.parametrize("mode", list(ActionMode))
def test_every_mode_of_action_passes_the_checker(mode: ActionMode) -> None:
    env = create_crypto_env(small(action_config=ActionConfig(action_mode=mode, max_position_size=0.5)))
    check_env(env, skip_render_check=True)
    _, info = env.reset(seed=2)
    for _ in range(20):
        *_, info = env.step(env.action_space.sample())
    assert abs(info["position"][0]) <= 0.5 + 0.05


def test_info_tells_the_account_as_the_lane_has_it() -> None:
    env = create_crypto_env(small(enable_futures_trading=True))
    _, info = env.reset(seed=1)
    assert info["portfolio_value"] == info["balance"] == 10_000.0
    for k in range(30):
        *_, info = env.step([1.0 if k % 10 < 5 else -1.0])
    assert info["portfolio_value"] == info["equity"]
    assert info["total_return"] == pytest.approx(info["equity"] / 10_000.0 - 1.0)
    assert info["trades"] == len(env.fills) > 2
    assert info["positions"]["ETH"] < 0.0
    assert info["max_drawdown"] > 0.0


def test_market_info_is_the_bar_that_was_seen() -> None:
    seen = ObservationConfig(technical_indicators=("sma_20",), normalization="none")
    env = create_crypto_env(small(observation_config=seen))
    with pytest.raises(ConfigError, match="before reset"):
        env.get_market_info()
    env.reset(seed=1)
    env.step([0.0])
    told, closes = env.get_market_info(), env.scene.bars[0, : env.bar_index + 1, 4]
    assert told["current_prices"] == {"ETH": closes[-1]}
    assert told["price_changes"]["ETH"] == pytest.approx(closes[-1] / closes[-2] - 1.0)
    assert told["technical_indicators"]["ETH"]["sma_20"] == pytest.approx(closes[-20:].mean())
    assert told["market_regime"] in {"bull", "bear", "sideways", "volatile"}
    assert told["data_source"] == "synthetic"


@pytest.mark.parametrize(
    ("closes", "regime"),
    [
        (np.linspace(100, 120, 300), "bull"),
        (np.linspace(120, 100, 300), "bear"),
        (100 + np.arange(300) % 2, "sideways"),
        (100 + np.where(np.arange(300) < 245, 0.1, 3.0) * (np.arange(300) % 2), "volatile"),
    ],
)
def test_regimes_have_their_names(closes: Any, regime: str) -> None:
    assert doors.environment.regime_of(closes) == regime


def test_recorded_bars_and_fear_and_greed_are_read_from_files(shared_data: Path) -> None:
    files = [shared_data / "small" / f"{name}USDT-1m_spot_2021-05.csv.gz" for name in ("BTC", "ETH")]
    index = shared_data / "small" / "fear_greed_2018-02_2023-12.csv.gz"
    env = create_sentiment_crypto_env(
        assets=["BTC", "ETH"],
        sentiment_sources=["fear_greed_index"],
        sentiment_signals={"fear_greed_index": index},
        sentiment_weight=0.5,
        data_source="historical",
        historical_data_path=files,
        max_steps=20,
    )
    seen, _ = env.reset(seed=1)
    scores = env.get_market_info()["sentiment_scores"]
    score = scores["BTC"]
    assert score is not None
    assert -0.5 <= score <= 0.5, "weighed by one half"
    part = env.scene.parts["sentiment"]
    assert seen[part.begin : part.end] == pytest.approx([score, 1.0, score, 1.0])


def test_scenario_is_laid_over_the_bars() -> None:
    calm, crash = (create_crypto_env(small(scenarios=each)) for each in ((), ("flash_crash:start=900,depth=0.3",)))
    before, after = calm.scene.bars[0, :, 4], crash.scene.bars[0, :, 4]
    assert (before[:900] == after[:900]).all()
    assert (after[900:960] / before[900:960]).min() < 0.75
    with pytest.raises(ConfigError, match="flash_crash"):
        create_crypto_env(small(scenarios=("flash_crush",)))


def test_seed_of_the_config_counts_once() -> None:
    env = create_crypto_env(small(random_seed=11))
    first, _ = env.reset()
    second, _ = env.reset()
    again, _ = create_crypto_env(small(random_seed=11)).reset()
    assert (first == again).all()
    assert (first != second).any()


def test_wrappers_of_gymnasium_fit() -> None:
    env: Any = create_crypto_env(small(observation_config=ObservationConfig(include_prices=False)))
    wrapped: Any = wrappers.RecordEpisodeStatistics(
        wrappers.NormalizeReward(wrappers.FrameStackObservation(wrappers.NormalizeObservation(env), 3))
    )
    seen, _ = wrapped.reset(seed=1)
    assert seen.shape == (3, *env.observation_space.shape)
    over, info = False, {}
    while not over:
        _, _, ended, cut, info = wrapped.step(wrapped.action_space.sample())
        over = ended or cut
    assert info["episode"]["l"] == 50


def test_base_environment_takes_settings_without_a_config() -> None:
    env = BaseTradingEnvironment(episode_bars=10, actions="continuous")
    _, info = env.reset(seed=0)
    assert info["portfolio_value"] == 10_000.0
    assert env.assets == ("ETH",)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: small(data_source="histrical"), "did you mean 'historical'"),
        (lambda: small(data_source="historical"), "set historical_data_path"),
        (lambda: small(data_source="historical", historical_data_path="no.csv"), "no file no.csv"),
        (lambda: small(historical_data_path="no.csv"), "not read by data source 'synthetic'"),
        (lambda: small(tick_frequency="1min"), "did you mean '1m"),
        (lambda: small(assets=[]), "at least one"),
        (lambda: small(assets=["ETH", "ETH"]), "none of them twice"),
        (lambda: small(sentiment_sources=["twiter"]), "did you mean 'twitter'"),
        (lambda: small(max_steps=0), "max_steps = 0"),
        (lambda: small(max_drawdown=1.0), "max_drawdown = 1.0 must lie"),
        (lambda: ActionConfig(action_mode="continous"), "did you mean 'continuous'"),
        (lambda: ActionConfig(position_sizing_method="kely"), "did you mean 'kelly'"),
        (lambda: ActionConfig(max_position_size=1.5), "max_position_size = 1.5"),
        (lambda: ObservationConfig(technical_indicators=["sma20x"]), "did you mean"),
        (lambda: ObservationConfig(normalization="minmax"), "normalisation 'minmax' is not known"),  # type: ignore[arg-type]
        (lambda: ObservationConfig(update_frequency=0), "update_frequency = 0"),
        (lambda: create_crypto_env(assetts=["ETH"]), "did you mean 'assets'"),
        (lambda: create_crypto_env(small(), assets=["BTC"]), "belong into the config"),
        (lambda: CryptoTradingEnvironment(small(data_source="live")), "LiveCryptoEnvironment"),
        (lambda: create_crypto_env(small(data_source="binance")).reset(), "names no bars"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(make: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()
