"""Rewards by the seeds' names rise with what they rate, and forget an episode when it is over."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klined.errors import ConfigError
from klined_models.doors import (
    CryptoTradingConfig,
    RewardFunction,
    create_crypto_env,
    create_risk_adjusted_profit_reward,
    create_sharpe_reward,
    create_simple_profit_reward,
    create_sortino_reward,
)

MAKERS: tuple[Any, ...] = (
    create_simple_profit_reward,
    create_risk_adjusted_profit_reward,
    create_sharpe_reward,
    create_sortino_reward,
)
GAINS = (0.01, -0.004, 0.0, 0.006, -0.012, 0.003) * 4


def rated(reward: Any, gains: Any) -> list[float]:
    value, told = 100.0, []
    for gain in gains:
        before, value = value, value * (1.0 + gain)
        told.append(reward.calculate_reward(value, before, {}))
    return told


@pytest.mark.parametrize("make", MAKERS)
def test_reset_forgets_the_last_episode(make: Any) -> None:
    reward: Any = make()
    assert isinstance(make(), RewardFunction)
    first = rated(reward, GAINS)
    assert rated(reward, GAINS) != first
    reward.reset()
    assert rated(reward, GAINS) == first


@pytest.mark.parametrize("make", MAKERS)
@given(low=st.floats(-0.02, 0.0), more=st.floats(1e-6, 0.001))
def test_a_better_return_after_the_same_past_is_worth_more(make: Any, low: float, more: float) -> None:
    """Where returns lie under their mean, a better one also lowers the deviation."""
    assert rated(make(), (*GAINS, low + more))[-1] >= rated(make(), (*GAINS, low))[-1]


def test_profit_is_the_return_scaled_less_what_risk_costs() -> None:
    plain = create_simple_profit_reward(profit_scale=50.0, enable_risk_penalty=False)
    assert rated(plain, (0.02, -0.01)) == pytest.approx([1.0, -0.5])
    careful = create_simple_profit_reward(profit_scale=50.0)
    assert rated(careful, (0.02, -0.01)) == pytest.approx([1.0, -0.5 - 2.0 * 0.01])
    steady = create_simple_profit_reward()
    assert rated(steady, (0.001,) * 20) == pytest.approx([0.1] * 20), "no fall, no deviation"


def test_costs_are_not_taken_off_twice() -> None:
    reward = create_simple_profit_reward(enable_risk_penalty=False)
    assert reward.calculate_reward(99.0, 100.0, {"total_fees": 1.0}) == pytest.approx(-1.0)


def test_ratios_are_of_the_window_and_targets_of_a_year() -> None:
    gains = GAINS[:12]
    last = gains[-10:]
    mean = sum(last) / 10
    deviation = math.sqrt(sum((g - mean) ** 2 for g in last) / 10)
    sharpe = create_sharpe_reward(lookback_window=10, target_sharpe=2.0, bars_per_year=400.0)
    told = rated(sharpe, gains)
    assert told[:9] == [0.0] * 9, "no ratio of fewer than ten returns"
    assert told[-1] == pytest.approx(10.0 * (mean / deviation - 2.0 / 20.0))
    below = math.sqrt(sum(min(0.0, g) ** 2 for g in last) / 10)
    assert rated(create_sortino_reward(lookback_window=10), gains)[-1] == pytest.approx(10.0 * mean / below)


def test_a_good_record_enlarges_gains_and_softens_losses() -> None:
    good = (0.01, 0.009) * 10
    plain, adjusted = create_simple_profit_reward(), create_risk_adjusted_profit_reward()
    for more in (0.01, -0.01):
        assert rated(adjusted, (*good, more))[-1] > rated(plain, (*good, more))[-1]
        adjusted.reset()
        plain.reset()


def test_flat_account_is_worth_nothing() -> None:
    for make in MAKERS[:2]:
        assert rated(make(), (0.0,) * 30)[-1] == 0.0
    assert rated(create_sharpe_reward(target_sharpe=0.0), (0.0,) * 30)[-1] == 0.0


def test_environment_forgets_with_its_reward_and_takes_terms_by_name() -> None:
    config = CryptoTradingConfig(assets=["ETH"], max_steps=30, reward=create_sharpe_reward(lookback_window=10))
    env = create_crypto_env(config)
    runs = []
    for _ in range(2):
        env.reset(seed=5)
        runs.append([env.step([1.0])[1] for _ in range(20)])
    assert runs[0] == runs[1]
    assert any(runs[0])
    named = create_crypto_env(assets=["ETH"], max_steps=30, reward={"original": 1.0})
    named.reset(seed=5)
    assert named.step([0.0])[1] == pytest.approx(-0.005 * 1.1), "the original pays for trades: idleness costs"


def test_what_cannot_be_a_reward_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'log_return'"):
        CryptoTradingConfig(reward="log_returns")
    with pytest.raises(ConfigError, match="has no calculate_reward"):
        create_crypto_env(CryptoTradingConfig(assets=["ETH"]), reward=object())
    with pytest.raises(ConfigError, match="lookback_window = 3 must be 10"):
        create_sharpe_reward(lookback_window=3)
    with pytest.raises(ConfigError, match="profit_scale = 0"):
        create_simple_profit_reward(0.0)
