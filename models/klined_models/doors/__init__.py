"""Doors: the names that older trading environments had, onto klined's own environments, kernels and orders.

    from klined_models.doors import create_crypto_env, CryptoTradingConfig

    configs ─ translation ─▶ envs.Settings ─▶ environment (is a TradingEnv)      rewards, logger, indicators beside it

Code that was written for those names runs with only its import changed. What differs is told in docs/environments.md:
sentiment is masked instead of random, fees are counted once, an action is always a target.
"""

from klined_models.doors.configs import (
    ActionConfig,
    ActionMode,
    BaseTradingConfig,
    CryptoTradingConfig,
    ObservationConfig,
)
from klined_models.doors.environment import (
    BaseTradingEnvironment,
    CryptoTradingEnvironment,
    MarketInfo,
    create_crypto_env,
    create_sentiment_crypto_env,
)
from klined_models.doors.indicators import indicator_plan
from klined_models.doors.logger import EnvironmentLogger, TradingEvent, create_environment_logger
from klined_models.doors.rewards import (
    RewardFunction,
    create_risk_adjusted_profit_reward,
    create_sharpe_reward,
    create_simple_profit_reward,
    create_sortino_reward,
)

__all__ = [
    "ActionConfig",
    "ActionMode",
    "BaseTradingConfig",
    "BaseTradingEnvironment",
    "CryptoTradingConfig",
    "CryptoTradingEnvironment",
    "EnvironmentLogger",
    "MarketInfo",
    "ObservationConfig",
    "RewardFunction",
    "TradingEvent",
    "create_crypto_env",
    "create_environment_logger",
    "create_risk_adjusted_profit_reward",
    "create_sentiment_crypto_env",
    "create_sharpe_reward",
    "create_simple_profit_reward",
    "create_sortino_reward",
    "indicator_plan",
]
