"""A market maker: two orders rest around the last close, and lean against what is held.

Avellaneda and Stoikov (2008), "High-frequency trading in a limit order book", eq. 29 and 30, for a horizon of one bar
and prices in standard deviations of one bar's return (sigma), which makes both formulas free of units:

    centre      r  = -gamma q                                    the further long, the lower both orders
    half width  d  = gamma / 2 + ln(1 + gamma / k) / gamma       wide for the risk averse, narrow where orders are many
    bid, ask       = d - r, d + r below and above the last close, at least `width_min`

`q` is the position as a fraction of the allowed exposure, over `size`: how many orders' worth is held. Beyond
`inventory` nothing is added. Every bar the gate decides on both orders anew, each as if it alone were filled.

It shows how orders rest. It claims no profit: bars do not tell the queue, whoever takes a quote knows more on average,
and fees of makers alone decide more than gamma and k.
"""

from math import isfinite, log, nan

import numpy as np
from numpy.typing import NDArray

from klined.domain import Quote
from klined.errors import ConfigError
from klined.policies.rules import PLAN, POSITION
from klined.ports import Choice


class MarketMaker:
    """Implements `ports.Policy` and `ports.Quoter`.

    `size` in (0, 1] is one order and `inventory` in [size, 1] the most that is held, fractions of the allowed exposure;
    `gamma` > 0 the aversion to risk, `k` > 0 how fast fills get rarer with distance, `width_min` >= 0 in sigma.
    """

    name = "market_maker"
    plan = PLAN

    def __init__(
        self,
        *,
        size: float = 0.1,
        inventory: float = 0.5,
        gamma: float = 0.5,
        k: float = 1.5,
        width_min: float = 0.2,
    ) -> None:
        if not 0.0 < size <= inventory <= 1.0:
            raise ConfigError(
                f"policy.size = {size} and policy.inventory = {inventory} must obey 0 < size <= inventory <= 1"
            )
        if not (gamma > 0.0 and k > 0.0 and width_min >= 0.0):
            raise ConfigError(f"policy.gamma = {gamma} and policy.k = {k} must be above 0, policy.width_min at least 0")
        self._size, self._inventory, self._gamma, self._width_min = size, inventory, gamma, width_min
        self._half = gamma / 2.0 + log(1.0 + gamma / k) / gamma

    def decide(self, observations: NDArray[np.float32]) -> list[Choice]:
        """The target is what is held: nothing is bought to hold it. Outputs: bid, ask, buy, sell as in `Quote`."""
        return [self._choose(position) for position in observations[:, POSITION].tolist()]

    def quote(self, choice: Choice) -> Quote | None:
        """None before the first decision, and when the position is not known."""
        return Quote(*choice[1]) if len(choice[1]) == 4 else None

    def state(self) -> bytes:
        return b""

    def restore(self, state: bytes) -> None:
        """It remembers nothing: what is held is in the observation."""

    def _choose(self, position: float) -> Choice:
        if not isfinite(position):
            return nan, (position,)
        lean = self._gamma * position / self._size
        bid, ask = max(self._half + lean, self._width_min), max(self._half - lean, self._width_min)
        buy = min(self._size, max(0.0, self._inventory - position))
        sell = min(self._size, max(0.0, self._inventory + position))
        return position, (bid, ask, buy, sell)
