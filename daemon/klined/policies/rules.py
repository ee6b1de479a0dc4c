"""Policies made of one rule each: baselines to beat, and what runs before anything is trained.

All read the `eth15` observation, remember nothing (what is held is in slot `position`), and take the same two
parameters: `size`, the fraction of the allowed exposure of a full position in (0, 1], and `long_only`, which turns
every short target into flat. `flat` takes none.
"""

from math import isfinite, nan

import numpy as np
from numpy.typing import NDArray

from klined.errors import ConfigError
from klined.ports import Choice

PLAN = "eth15"
POSITION, Z_SCORE, MOMENTUM, MACD = 0, 1, 3, 6  # slots of eth15
HELD_MIN = 0.05  # exposure below this is dust: nothing is held
Z_PER_UNIT = 5.0  # slots z_score and price_momentum are divided by 5, their clip


class Rule:
    """What the rules share: one number of the observation decides a direction."""

    name = "rule"
    plan = PLAN

    def __init__(self, *, size: float = 1.0, long_only: bool = False) -> None:
        if not 0.0 < size <= 1.0:
            raise ConfigError(f"policy.size = {size} must lie in (0, 1]: it is a fraction of the allowed exposure")
        self.long = size
        self.short = 0.0 if long_only else -size

    def decide(self, observations: NDArray[np.float32]) -> list[Choice]:
        return [self._choose(row) for row in observations.tolist()]

    def state(self) -> bytes:
        return b""

    def restore(self, state: bytes) -> None:
        """Rules remember nothing, so there is nothing to restore."""

    def _direction(self, row: list[float]) -> tuple[float, float]:
        """+1, 0 or -1, and the number it came from."""
        raise NotImplementedError

    def _choose(self, row: list[float]) -> Choice:
        direction, why = self._direction(row)
        if not isfinite(why):
            return nan, (why,)
        if direction > 0.0:
            return self.long, (why,)
        return (self.short if direction < 0.0 else 0.0), (why,)


class Flat:
    """Wants no position, ever: the zero of every comparison."""

    name = "flat"
    plan = PLAN

    def decide(self, observations: NDArray[np.float32]) -> list[Choice]:
        return [(0.0, ())] * len(observations)

    def state(self) -> bytes:
        return b""

    def restore(self, state: bytes) -> None:
        """Nothing to restore."""


class EmaCross(Rule):
    """Long while EMA12 of the close is above EMA26, short below: the sign of slot `macd_norm`."""

    name = "ema_cross"

    def decide(self, observations: NDArray[np.float32]) -> list[Choice]:
        return [self._follow(observations.item(i, MACD)) for i in range(len(observations))]

    def _follow(self, macd: float) -> Choice:
        if not isfinite(macd):
            return nan, (macd,)
        return (self.long if macd > 0.0 else self.short if macd < 0.0 else 0.0), (macd,)


class Momentum(Rule):
    """Goes with a bar whose return exceeds `enter` standard deviations, and stays until one goes the other way.

    `enter` is in EWMA(60) standard deviations of one bar's log return, in (0, 5).
    """

    name = "momentum"

    def __init__(self, *, enter: float = 2.0, size: float = 1.0, long_only: bool = False) -> None:
        super().__init__(size=size, long_only=long_only)
        if not 0.0 < enter < Z_PER_UNIT:
            raise ConfigError(f"policy.enter = {enter} must lie in (0, 5): it counts standard deviations")
        self._enter = enter / Z_PER_UNIT

    def _direction(self, row: list[float]) -> tuple[float, float]:
        push = row[MOMENTUM]
        if push >= self._enter:
            return 1.0, push
        if push <= -self._enter:
            return -1.0, push
        return _held(row), push


class MeanReversion(Rule):
    """Buys `enter` standard deviations below the mean, sells above it, and leaves within `leave` of it.

    Both count standard deviations (window 60) of the close's distance from its SMA20; 0 <= leave < enter < 5.
    """

    name = "mean_reversion"

    def __init__(self, *, enter: float = 2.0, leave: float = 0.5, size: float = 1.0, long_only: bool = False) -> None:
        super().__init__(size=size, long_only=long_only)
        if not 0.0 <= leave < enter < Z_PER_UNIT:
            raise ConfigError(f"policy.enter = {enter} and policy.leave = {leave} must obey 0 <= leave < enter < 5")
        self._enter = enter / Z_PER_UNIT
        self._leave = leave / Z_PER_UNIT

    def _direction(self, row: list[float]) -> tuple[float, float]:
        z = row[Z_SCORE]
        if abs(z) >= self._enter:
            return (-1.0 if z > 0.0 else 1.0), z
        held = _held(row)
        if abs(z) <= self._leave or held * z > 0.0:  # back at the mean, or beyond it on the side it was bet on
            return 0.0, z
        return held, z


def _held(row: list[float]) -> float:
    """Direction of the position in the observation."""
    position = row[POSITION]
    return 1.0 if position > HELD_MIN else -1.0 if position < -HELD_MIN else 0.0
