"""Doors: the names that older trading environments had, onto klined's own environments, kernels and orders.

    from klined_models.doors import create_crypto_env, CryptoTradingConfig

    configs ─ translation ─▶ envs.Settings ─▶ environment (is a TradingEnv)      rewards, logger, indicators beside it

Code that was written for those names runs with only its import changed. What differs is told in docs/environments.md:
sentiment is masked instead of random, fees are counted once, an action is always a target.
"""

from importlib import import_module
from typing import Any

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

LIVE_NAMES = {
    "LiveTradingEnvironment": "klined_models.doors.live",
    "LiveCryptoEnvironment": "klined_models.doors.live",
    "WebSocketLoader": "klined_models.doors.live",
    "LiveTradingEnv": "klined_models.envs.live",
    "SyncLiveTradingEnv": "klined_models.envs.blocking",
    "Order": "klined_models.envs.orders",
    "OrderStatus": "klined_models.envs.orders",
}
"""Names of live trading and their modules, which bring a daemon with them and are only loaded when asked for."""


def __getattr__(name: str) -> Any:
    if name not in LIVE_NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(LIVE_NAMES[name]), name)
