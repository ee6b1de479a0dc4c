"""The observation: market features between the account's slots, sentiment last, rounded once to float32.

    0 position │ 1-4 market 0-3 │ 5 position_change │ 6-13 market 4-11 │ 14 sentiment

Rounding happens where a value is stored in the float32 row, by the same C conversion (to nearest, ties to even) in
both builds; everything before it is float64.
"""

from collections.abc import Sequence

from klined.kernels import layout as at
from klined.kernels.oscillators import clip
from klined.kernels.rows import Row

DIM = 15
MARKET_SLOTS = (slice(1, 5), slice(6, 14))
"""Where `observe` puts the market features, in order."""
FLOAT32_MAX = 3.4028234e38
INFINITE = float("inf")


def observe(features: Row, Q: Row, sentiment: float, out: Row) -> float:
    """Fill the float32 row `out` (DIM); 1.0 when every value is finite as float32, else 0.0 (for Q[OBS_OK]).

    `features` are the plan's market features, `Q` the position's row, `sentiment` lies in [-1, 1] and is 0 when
    there is none. Position and change are fractions of the allowed exposure, clipped to [-1, 1]: a position may have
    drifted beyond, and a change from -1 to 1 counts as 1.
    """
    size = 0.0
    for slot in range(4):
        value = features[slot]
        out[slot + 1] = value
        size += abs(value)
    for slot in range(4, 12):
        value = features[slot]
        out[slot + 2] = value
        size += abs(value)
    return observe_account(Q, sentiment, size, out)


def observe_account(Q: Row, sentiment: float, size: float, out: Row) -> float:
    """The other slots of an observation whose market features are there; `size` is the sum of their |values|."""
    position = clip(Q[at.EXPOSURE], 1.0)
    change = clip(Q[at.CHANGE] * 0.5, 1.0)
    out[0] = position
    out[5] = change
    out[14] = sentiment
    size += abs(position) + abs(change) + abs(sentiment)
    return 1.0 if size <= FLOAT32_MAX else 0.0


def outside(lows: Sequence[float], highs: Sequence[float], observation: Sequence[float], dim: int) -> float:
    """How far `observation` lies outside the training range: the worst slot's distance, 0 inside; O(dim).

    NaN counts as infinitely far. Slots of the default plans lie in [-1, 1], so distances compare between slots.
    """
    worst = 0.0
    for slot in range(dim):
        value = observation[slot]
        if value < lows[slot]:
            if lows[slot] - value > worst:
                worst = lows[slot] - value
        elif value > highs[slot]:
            if value - highs[slot] > worst:
                worst = value - highs[slot]
        elif not value <= highs[slot]:
            return INFINITE
    return worst
