"""The seeds' own snippets, run as they stand with only the import changed. The texts lie beside the repository."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from klined_models.doors import (
    CryptoTradingConfig,
    CryptoTradingEnvironment,
    EnvironmentLogger,
    ObservationConfig,
    create_crypto_env,
)
from klined_models.envs import Orders

BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
OLD, NEW = "from ml_gym_environments import", "from klined_models.doors import"
Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def snippets() -> list[str]:
    """Python blocks of the seed on gymnasium environments, in order."""
    found = sorted((Path(__file__).parents[3] / "shared" / "seeds").glob("001_*.txt"))
    if not found:
        pytest.skip("the seeds' texts are not beside the repository (../shared/seeds)")
    return BLOCK.findall(found[0].read_text())


@pytest.fixture
def run(snippets: list[str]) -> Run:
    """Runs the snippet that has `words`, its import changed; `also` are replacements a test has to own up to."""

    def of(words: str, *also: tuple[str, str]) -> dict[str, Any]:
        (source,) = [each for each in snippets if words in each]
        assert OLD in source
        source = source.replace(OLD, NEW)
        for old, new in also:
            assert old in source, old
            source = source.replace(old, new)
        scope: dict[str, Any] = {"__name__": "snippet"}
        exec(compile(source, "seed", "exec"), scope)  # noqa: S102 - what this test is for
        return scope

    return of


def test_basic_environment_plays_a_hundred_steps(run: Run) -> None:
    scope = run("# Create basic crypto environment")
    assert scope["step"] == 99
    assert scope["env"].assets == ("BTC", "ETH", "BNB")
    assert scope["info"]["portfolio_value"] > 0.0
    assert scope["env"].observation_space.contains(scope["obs"])


def test_sentiment_environment_tells_its_shape_and_market(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    scope = run("# Create environment with sentiment analysis")
    told = capsys.readouterr().out
    assert f"Observation shape: {scope['observation'].shape}" in told
    assert "'sentiment_scores': {'BTC': None, 'ETH': None}" in told, "nothing is made up where no source tells"
    part = scope["env"].scene.parts["sentiment"]
    assert not scope["observation"][part.begin : part.end].any(), "and the mask says so"


def test_advanced_configuration_means_what_it_says(run: Run) -> None:
    env = run("# Comprehensive configuration")["env"]
    settings = env.scene.settings
    assert settings.symbols == ("BTC/USDT:USDT", "ETH/USDT:USDT", "BNB/USDT:USDT", "ADA/USDT:USDT")
    assert settings.features.names == ("sma_20", "rsi_14", "macd", "bb_upper")
    assert {"sentiment", "microstructure"} <= set(settings.observation.blocks)
    assert settings.sizing.kelly > 0.0
    assert isinstance(settings.action_kind, Orders), "limit orders are enabled"
    assert settings.limits.max_exposure == 0.3


def test_rewards_rate_an_account(run: Run) -> None:
    scope = run("# Profit-based reward")
    assert scope["profit_reward"].calculate_reward(101.0, 100.0, {}) == pytest.approx(1.0)
    value, rated = 100.0, 0.0
    for gain in np.tile((0.02, -0.01), 25).tolist():
        before, value = value, value * (1.0 + gain)
        rated = scope["sharpe_reward"].calculate_reward(value, before, {})
    assert rated == pytest.approx(10.0 * (0.005 / 0.015 - 1.5 / np.sqrt(525_600)))


def test_logger_exports_what_it_was_told(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    logger = run("# Automatic trade logging")["logger"]
    assert isinstance(logger, EnvironmentLogger)
    told = (tmp_path / "trading_events.json").read_text()
    assert '"trade_value": 4500.0' in told
    assert '"metric_name": "sharpe_ratio"' in told


def test_custom_reward_is_integrated_as_an_object(run: Run) -> None:
    reward = run("class CustomReward")["reward_fn"]
    env = create_crypto_env(CryptoTradingConfig(assets=["ETH"], max_steps=50), reward=reward)
    _, info = env.reset(seed=1)
    for action in (0.0, 1.0, 1.0):
        before, fees = info["portfolio_value"], info["total_fees"]
        _, rated, _, _, info = env.step([action])
        assert rated == pytest.approx(info["portfolio_value"] - before - 0.5 * (info["total_fees"] - fees))
    assert info["total_fees"] > 0.0


def test_asynchronous_vector_of_four_environments_steps(run: Run) -> None:
    """The snippet uses CryptoTradingConfig without importing it, so its import gains that name."""
    scope = run(
        "# Train with vectorized", (f"{NEW} create_crypto_env", f"{NEW} create_crypto_env, CryptoTradingConfig")
    )
    envs = scope["envs"]
    try:
        observations, _ = envs.reset(seed=3)
        assert observations.shape[0] == 4
        lone = CryptoTradingEnvironment(CryptoTradingConfig(assets=["BTC", "ETH"]))
        alone, _ = lone.reset(seed=5)
        assert (observations[2] == alone).all(), "lane 2 is seeded 3 + 2"
        actions = np.full((4, 2), 0.5, np.float32)
        observations, rewards, _, _, infos = envs.step(actions)
        seen, reward, *_ = lone.step(actions[2])
        assert (observations[2] == seen).all()
        assert rewards[2] == reward
        assert infos["portfolio_value"].shape == (4,)
    finally:
        envs.close()


TRAINED = "model.learn(total_timesteps=100000)"


def test_training_loop_learns_and_evaluates_when_shortened(run: Run) -> None:
    """The same as the whole loop below, but for fewer steps of learning."""
    pytest.importorskip("stable_baselines3", reason="stable-baselines3 is not installed: klined[train]")
    scope = run("model.learn", (TRAINED, "model.learn(total_timesteps=256)"), ("verbose=1", "verbose=0, n_steps=128"))
    assert scope["env"].observation_space.contains(scope["obs"])
    assert "portfolio_value" in scope["info"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_training_loop_learns_and_evaluates_as_it_stands(run: Run) -> None:
    pytest.importorskip("stable_baselines3", reason="stable-baselines3 is not installed: klined[train]")
    assert run("model.learn")["model"].num_timesteps >= 100_000


def test_update_frequency_holds_the_market_but_not_the_account() -> None:
    seen = ObservationConfig(update_frequency=5, include_prices=False, include_regime=False)
    config = CryptoTradingConfig(assets=["ETH"], max_steps=40, observation_config=seen)
    env, plain = create_crypto_env(config), create_crypto_env(assets=["ETH"], max_steps=40)
    held, _ = env.reset(seed=2)
    market = env.scene.parts["indicators"]
    portfolio = env.scene.parts["portfolio"]
    plain.reset(seed=2)
    renewed, moved = [], []
    for k in range(1, 21):
        now, *_ = env.step([1.0])
        renewed.append((now[: market.end] != held[: market.end]).any())
        moved.append((now[portfolio.begin :] != held[portfolio.begin :]).any())
        assert renewed[-1] == (k % 5 == 0)
        held = now
    assert sum(renewed) == 4
    assert sum(moved) > 10
