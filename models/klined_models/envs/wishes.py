"""An agent's action as targets, outside of the lanes: which space it comes from, and what in it each value asks for."""

from typing import Any

import numpy as np
from gymnasium import spaces

from klined.domain import MarketKind
from klined.errors import ConfigError
from klined_models.envs.settings import ACTIONS, Actions, Continuous, Levels


class Wishes:
    """Levels or targets of `n` symbols, as `space`.

    Raises:
        ConfigError: actions that need lanes, or unknown ones.
    """

    def __init__(self, actions: Actions | str, kind: MarketKind, n: int) -> None:
        chosen = ACTIONS.get(actions) if isinstance(actions, str) else actions
        if not isinstance(chosen, Continuous | Levels):
            raise ConfigError(f"actions {actions!r} are not for live trading; 'continuous' or 'levels' are")
        self._n = n
        self._levels = chosen.of(kind) if isinstance(chosen, Levels) else ()
        self.space: spaces.Space[Any] = spaces.Box(-1.0, 1.0, (n,), np.float32)
        if self._levels:
            count = len(self._levels)
            self.space = spaces.Discrete(count) if n == 1 else spaces.MultiDiscrete([count] * n)

    def targets(self, action: Any) -> list[float]:
        """Targets by symbol.

        Raises:
            ConfigError: an action outside its space.
        """
        try:
            values = np.asarray(action, np.float64).reshape(self._n)
        except (TypeError, ValueError):
            raise ConfigError(f"action {action!r} does not fit {self.space}") from None
        if self._levels:
            if not all(value in range(len(self._levels)) for value in values):
                raise ConfigError(f"action {action!r} is outside {self.space}")
            return [self._levels[int(value)] for value in values]
        if not np.all(np.abs(values) <= 1.0):  # false for NaN too
            raise ConfigError(f"action {action!r} is outside [-1, 1]; it is a target, a part of the allowed exposure")
        return [float(value) for value in values]
