"""Whole lots: rounding them, paying for them, and leaving enough of them to sell again.

Lots are rounded towards zero; a count within 1e-12 (relative) of a whole number is that number, so that 0.3 / 0.1 is
three lots here and in Decimal.
"""

from klined.kernels.layout import (
    CASH,
    EQUITY,
    HALF_SPREAD,
    LOT,
    LOTS,
    LOTS_MIN,
    MARK,
    MAX_EXPOSURE,
    NOTIONAL_MIN,
    PERP,
    SIGMA,
    STOP_FIXED,
    STOP_SIGMA,
    TAKER,
    WORKING,
)
from klined.kernels.rows import Row

LOTS_HUGE = 1e15  # beyond it float64 no longer counts lots one by one
NEARLY = 1e-12  # relative
CASH_SIGMA = 3.0  # a spot purchase leaves cash for a rise of this many sigma until it fills
PLAN_SIGMA = 10.0  # exits are proved for a fall of at least this many sigma
PLAN_FALL_MAX = 0.9  # and for no more than this fraction of the price


def whole_lots(x: float) -> float:
    """`x` rounded towards zero; in [-1e15, 1e15]."""
    x += x * NEARLY
    if x > LOTS_HUGE:
        return LOTS_HUGE
    if x < -LOTS_HUGE:
        return -LOTS_HUGE
    return float(int(x))


def lots_up(x: float) -> float:
    """`x` >= 0 rounded up to whole lots."""
    x -= x * NEARLY
    if x > LOTS_HUGE:
        return LOTS_HUGE
    whole = float(int(x))
    return whole if whole >= x else whole + 1.0


def closing_lots(held: float, working: float, lots: float) -> float:
    """The signed part of `lots` that only makes the position smaller, even when all working orders fill."""
    if held * lots >= 0.0:
        return 0.0
    room = abs(held)
    if working * held < 0.0:
        room -= abs(working)
    if room < 0.0:
        room = 0.0
    size = abs(lots)
    if size > room:
        size = room
    size = whole_lots(size)
    return size if lots > 0.0 else -size


def affordable_lots(A: Row, Q: list[Row], M: list[Row], n: int, i: int) -> float:
    """Whole lots that the free spot cash buys with fee, spread and a rise of three sigma; pending purchases first."""
    cash = A[CASH]
    for j in range(n):
        working = Q[j][WORKING]
        if working > 0.0 and M[j][PERP] == 0.0:
            cash -= working * _cost(Q[j], M[j])
    if not cash > 0.0:
        return 0.0
    return whole_lots(cash / _cost(Q[i], M[i]))


def _cost(q: Row, m: Row) -> float:
    """Quote set aside for buying one lot."""
    return q[MARK] * m[LOT] * (1.0 + m[TAKER] + m[HALF_SPREAD] + CASH_SIGMA * q[SIGMA])


def sale_min(q: Row, m: Row, P: Row) -> float:
    """Fewest lots that one exit order may have after the worst fall: the larger of stop and k sigma from here.

    Reduce-only orders of perpetuals are exempt from the minimum notional.
    """
    lots = lots_up(m[LOTS_MIN])
    if lots < 1.0:
        lots = 1.0
    if m[PERP] != 0.0:
        return lots
    k = P[STOP_SIGMA] if P[STOP_SIGMA] > PLAN_SIGMA else PLAN_SIGMA
    fall = k * q[SIGMA]
    if fall < P[STOP_FIXED]:
        fall = P[STOP_FIXED]
    if not fall < PLAN_FALL_MAX:
        fall = PLAN_FALL_MAX
    least = lots_up(m[NOTIONAL_MIN] / (q[MARK] * m[LOT] * (1.0 - fall)))
    return least if least > lots else lots


def entry_min(m: Row, sale: float) -> float:
    """Fewest lots of a position whose whole and whose half both sell in orders of `sale` lots, fee paid in base."""
    if m[PERP] != 0.0:
        return 2.0 * sale
    kept = 1.0 - m[TAKER]
    return lots_up(2.0 * sale / kept) if kept > 0.0 else LOTS_HUGE


def is_ample(m: Row, size: float, unit: float) -> bool:
    """Whether `size` lots, worth `unit` quote each, are so many that an exit plan needs no proof: most orders.

    As nothing here divides, nothing waits. With a fee of at most a half, `entry_min` is at most four times `sale_min`
    and one lot, and that at most LOTS_MIN + NOTIONAL_MIN / (unit (1 - PLAN_FALL_MAX)) and two lots; the rest is room
    for rounding.
    """
    return m[TAKER] <= 0.5 and size * unit >= 41.0 * m[NOTIONAL_MIN] + (4.0 * m[LOTS_MIN] + 10.0) * unit


def planned_lots(A: Row, q: Row, m: Row, P: Row, lots: float) -> float:
    """`lots`, or a little more, so that the position can be left again in full and by half; 0 where it cannot.

    Only a wish for at least half of what is needed is rounded up, and never beyond a target of 1.
    """
    after = abs(q[LOTS] + q[WORKING] + lots)
    if is_ample(m, after, m[LOT] * q[MARK]):
        return lots
    need = entry_min(m, sale_min(q, m, P))
    if after >= need:
        return lots
    most = whole_lots(P[MAX_EXPOSURE] * A[EQUITY] / (m[LOT] * q[MARK]))
    if 2.0 * after < need or need > most:
        return 0.0
    more = need - after
    return lots + more if lots > 0.0 else lots - more
