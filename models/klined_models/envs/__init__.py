"""Environments for training: thousands of lanes through recorded or made-up markets, by the daemon's own kernels.

    bars ─▶ Scene: features and gauges of every bar, once ─┬─▶ Lanes ─▶ TradingEnv         gymnasium.make(...)
    Settings: actions, reward, sizing, limits, costs ──────┘        ├─▶ TradingVectorEnv   make_vec(n, ...)
                                                                    └─▶ LaneVecEnv         stable-baselines3

Importing this registers "klined/Trading-v0" with gymnasium.
"""

from klined_models.envs.scene import Scene
from klined_models.envs.settings import (
    Continuous,
    Levels,
    Observation,
    Orders,
    Rewards,
    Settings,
    Sizing,
    Steps,
    Weights,
)
from klined_models.envs.single import TradingEnv
from klined_models.envs.vector import TradingVectorEnv, make_vec
from klined_models.registration import register

register()

__all__ = [
    "Continuous",
    "Levels",
    "Observation",
    "Orders",
    "Rewards",
    "Scene",
    "Settings",
    "Sizing",
    "Steps",
    "TradingEnv",
    "TradingVectorEnv",
    "Weights",
    "make_vec",
]
