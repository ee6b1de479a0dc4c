"""What trading costs by moving the price, and how to spread a large order over time so that it costs least.

    square root   impact = Y sigma sqrt(Q / V)                      of one order against the volume around it
    Almgren, Chriss   permanent gamma v, temporary epsilon + eta v  of a schedule v(t); cost against risk

The square root law is what bars are filled by (`kernels.fills`); the linear one is what a simulated book does
(`world.book`) and what schedules are optimised under.
"""

from math import acosh, cosh, sinh, sqrt

import numpy as np
from msgspec import Struct

from klined.errors import ConfigError
from klined.world.dice import Floats


def square_root(quantity: float, volume: float, sigma: float, y: float = 1.0) -> float:
    """Impact of |quantity| on a price, a fraction of it (Donier and Bonart, arXiv 1412.4503); all of one period."""
    if volume <= 0.0 or sigma < 0.0:
        raise ConfigError(f"impact against a volume of {volume} and a sigma of {sigma} cannot be told")
    return y * sigma * sqrt(abs(quantity) / volume)


class Impact(Struct, frozen=True, kw_only=True):
    """Linear impact, prices in quote per unit of base (Almgren and Chriss, 2000, eqs. 6 to 8)."""

    permanent: float  # gamma: shift of the price for good, per unit traded
    temporary: float  # eta: worse price, per unit traded in a period
    spread: float = 0.0  # epsilon: half the spread, per unit
    sigma: float = 0.0  # standard deviation of the price over a period

    def __post_init__(self) -> None:
        if min(self.permanent, self.spread, self.sigma) < 0.0 or self.temporary <= 0.5 * self.permanent:
            raise ConfigError(
                f"impact: temporary {self.temporary} has to exceed half of permanent {self.permanent}, none negative"
            )

    def cost(self, trades: Floats) -> float:
        """Expected shortfall in quote of selling, or buying, `trades` (n,), one a period (eq. 8)."""
        total, absolute = float(trades.sum()), float(np.abs(trades).sum())
        curved = (self.temporary - 0.5 * self.permanent) * float((trades * trades).sum())
        return 0.5 * self.permanent * total * total + self.spread * absolute + curved

    def variance(self, trades: Floats) -> float:
        """Of that shortfall (eq. 9): what is not traded yet is at risk over each period."""
        left = float(trades.sum()) - np.cumsum(trades)
        return self.sigma**2 * float((left * left).sum())

    def schedule(self, quantity: float, periods: int, aversion: float = 0.0) -> Floats:
        """Trades (periods,) that minimise cost + aversion x variance (eq. 18); without aversion all are alike.

        Raises:
            ConfigError: no period to trade in, or a negative aversion.
        """
        if periods < 1 or aversion < 0.0:
            raise ConfigError(f"a schedule of {periods} periods with an aversion of {aversion} cannot be made")
        curvature = aversion * self.sigma**2 / (self.temporary - 0.5 * self.permanent)
        urgency = acosh(1.0 + 0.5 * curvature)  # kappa, per period
        if urgency * periods < 1e-6:
            return np.full(periods, quantity / periods)
        urgency = min(urgency, 700.0 / periods)
        middles = periods - 0.5 - np.arange(periods)
        scale = 2.0 * sinh(0.5 * urgency) / sinh(urgency * periods) * quantity
        return np.array([scale * cosh(urgency * middle) for middle in middles.tolist()])
