"""The observation of any plan: market features, the account's slots and sentiment in the plan's order, as float32.

    slots   k >= 0: market feature k      -1 .. -6: an account feature      SENTIMENT

As in `observe`, rounding happens where a value is stored in the float32 row, by the same C conversion in both builds.
"""

import math
from collections.abc import Sequence

from klined.kernels import layout as at
from klined.kernels.observe import FLOAT32_MAX
from klined.kernels.oscillators import clip, squash
from klined.kernels.rows import Row

POSITION = -1
POSITION_CHANGE = -2
OPEN_PROFIT = -3
HELD = -4
RETREAT = -5
LAST_TARGET = -6
SENTIMENT = -7
HOUR_MS = 3_600_000.0
UNIT_MIN = 1e-9  # of the price, as in features


def account_slot(slot: int, Q: Row) -> float:
    """One account feature in [-1, 1] from the position's row; all but the last are 0 while flat."""
    if slot == POSITION:
        return clip(Q[at.EXPOSURE], 1.0)
    if slot == POSITION_CHANGE:
        return clip(Q[at.CHANGE] * 0.5, 1.0)
    if slot == LAST_TARGET:
        return 0.0 if math.isnan(Q[at.LAST_TARGET]) else clip(Q[at.LAST_TARGET], 1.0)
    lots = Q[at.LOTS]
    if lots == 0.0:
        return 0.0
    if slot == HELD:
        return squash(max(0.0, Q[at.BAR_CLOSE] - Q[at.ENTRY_TIME]) / HOUR_MS)
    unit = max(Q[at.ATR], UNIT_MIN * Q[at.MARK])
    if not unit > 0.0:
        return 0.0
    reach = Q[at.MARK] - (Q[at.ENTRY] if slot == OPEN_PROFIT else Q[at.EXTREME])
    return squash((reach if lots > 0.0 else -reach) / unit)


def assemble(slots: Sequence[int], features: Row, Q: Row, sentiment: float, out: Row) -> float:
    """Fill the float32 row `out`; 1.0 when every value is finite as float32, else 0.0 (for Q[OBS_OK])."""
    size = 0.0
    for i in range(len(slots)):
        slot = slots[i]
        if slot >= 0:
            value = features[slot]
        elif slot == SENTIMENT:
            value = sentiment
        else:
            value = account_slot(slot, Q)
        out[i] = value
        size += abs(value)
    return 1.0 if size <= FLOAT32_MAX else 0.0
