"""Protective exits: a closed bar that reached a stop overrides whatever the policy wants.

    entry ────────── fixed: a fraction below                      (all mirrored for a short)
          ────────── volatility: so many sigma below, sigma of the bar that opened the position
    best price ───── trail: so many ATR below, only ever moves towards the market
    entry + costs ── break-even: armed once the best price was so many ATR above
    time ─────────── held for so long

Adverse first: the bar's low is held against the levels that stood before the bar; its high moves them only afterwards.
Of several levels reached, the one nearest to the market was reached first and is named. An exit stays under way in
Q[EXIT] until the position is flat, however many bars its order needs; a rest too small to sell is left to itself.
"""

from klined.kernels.layout import (
    ATR,
    BAR_CLOSE,
    ENTRY,
    ENTRY_TIME,
    EXIT,
    EXTREME,
    LOT,
    LOTS,
    LOTS_MIN,
    MARK,
    NOTIONAL_MIN,
    PERP,
    SIGMA,
    STOP_ARMED,
    STOP_BREAK_EVEN_ATR,
    STOP_FIXED,
    STOP_OF,
    STOP_SIGMA,
    STOP_SIGMA_AT,
    STOP_TIME_MS,
    STOP_TRAIL_AT,
    STOP_TRAIL_ATR,
    TAKER,
)
from klined.kernels.rows import Row

NONE = 0.0
FIXED = 1.0
TRAIL = 2.0
BREAK_EVEN = 3.0
TIME = 4.0
VOLATILITY = 5.0


def exit_step(Q: list[Row], P: Row, M: list[Row], i: int, high: float, low: float) -> float:
    """Code of the protective exit of symbol `i` that the closed bar calls for, 0 for none; also left in Q[EXIT]. O(1).

    Call after `mark_step` and before `gate_step`. The compiled and the interpreted gate both read Q[EXIT].
    """
    q = Q[i]
    lots = q[LOTS]
    if lots == 0.0:
        q[EXIT] = NONE
        q[STOP_OF] = 0.0
        return NONE
    m = M[i]
    side = 1.0 if lots > 0.0 else -1.0
    size = lots * side
    if size < m[LOTS_MIN] or (m[PERP] == 0.0 and size * m[LOT] * q[MARK] < m[NOTIONAL_MIN]):
        q[EXIT] = NONE
        q[STOP_OF] = 0.0
        return NONE
    if q[STOP_OF] != (q[ENTRY_TIME] + 1.0) * side:
        begin(q, P, side)
    if q[EXIT] == NONE:
        q[EXIT] = reached(q, m, P, side, low if side > 0.0 else high)
    follow(q, P, side, high if side > 0.0 else low)
    return q[EXIT]


def begin(q: Row, P: Row, side: float) -> None:
    """Take over a new position: its levels stand from its entry."""
    q[EXIT] = NONE
    q[STOP_OF] = (q[ENTRY_TIME] + 1.0) * side
    q[STOP_SIGMA_AT] = q[SIGMA]
    q[STOP_TRAIL_AT] = q[ENTRY] - side * P[STOP_TRAIL_ATR] * q[ATR] if P[STOP_TRAIL_ATR] > 0.0 else 0.0
    q[STOP_ARMED] = 0.0


def reached(q: Row, m: Row, P: Row, side: float, worst: float) -> float:
    """The exit whose level the bar's adverse extreme `worst` reached first."""
    entry = q[ENTRY]
    code = NONE
    nearest = 0.0
    if P[STOP_FIXED] > 0.0:
        level = entry * (1.0 - side * P[STOP_FIXED])
        if (worst - level) * side <= 0.0:
            code = FIXED
            nearest = level
    if P[STOP_SIGMA] > 0.0 and q[STOP_SIGMA_AT] > 0.0:
        level = entry * (1.0 - side * P[STOP_SIGMA] * q[STOP_SIGMA_AT])
        if (worst - level) * side <= 0.0 and (code == NONE or (level - nearest) * side > 0.0):
            code = VOLATILITY
            nearest = level
    if P[STOP_TRAIL_ATR] > 0.0 and q[STOP_TRAIL_AT] > 0.0:
        level = q[STOP_TRAIL_AT]
        if (worst - level) * side <= 0.0 and (code == NONE or (level - nearest) * side > 0.0):
            code = TRAIL
            nearest = level
    if q[STOP_ARMED] != 0.0 and P[STOP_BREAK_EVEN_ATR] > 0.0:
        level = entry * (1.0 + side * 2.0 * m[TAKER])
        if (worst - level) * side <= 0.0 and (code == NONE or (level - nearest) * side > 0.0):
            code = BREAK_EVEN
    if code == NONE and P[STOP_TIME_MS] > 0.0 and q[BAR_CLOSE] - q[ENTRY_TIME] >= P[STOP_TIME_MS]:
        code = TIME
    return code


def follow(q: Row, P: Row, side: float, best: float) -> None:
    """Move the trailing level and arm break-even by the bar's favourable extreme `best`."""
    if (best - q[EXTREME]) * side > 0.0:
        q[EXTREME] = best
    if P[STOP_TRAIL_ATR] > 0.0:
        level = q[EXTREME] - side * P[STOP_TRAIL_ATR] * q[ATR]
        if q[STOP_TRAIL_AT] <= 0.0 or (level - q[STOP_TRAIL_AT]) * side > 0.0:
            q[STOP_TRAIL_AT] = level
    else:
        q[STOP_TRAIL_AT] = 0.0
    if P[STOP_BREAK_EVEN_ATR] > 0.0:
        if (q[EXTREME] - q[ENTRY]) * side >= P[STOP_BREAK_EVEN_ATR] * q[ATR]:
            q[STOP_ARMED] = 1.0
    else:
        q[STOP_ARMED] = 0.0
