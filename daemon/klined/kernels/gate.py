"""The risk gate: what a target may become. One source for live, replay, lanes and training.

    target ─ shape ─▶ lots wanted ─┬─ none ────────────────▶ a hold, or why not even a hold is normal
                                   ├─ makes it smaller ────▶ checks 1 to 4, 12, 13
                                   └─ opens or increases ──▶ checks 1 to 14, in order; the first to refuse is told

A flip is a closing part and an opening part: where the opening part is refused, the closing part still goes, and
OUT_NOTE says why the rest does not. What makes a position smaller needs no budget, exposure, margin or market check
(5 to 11, 14) and passes pause and halt; a protective exit asks neither the model nor the observation. The kill switch,
stale bars, a desync and the venue's filters stop everything.

Whoever drives the gate keeps this order for each batch: book fills, `mark_step`, `account_mark`, `correlate_step`,
`exit_step`, then `gate_step` for each symbol in turn. An approval reserves: it adds the lots to Q[WORKING], so that the
next symbol of the batch is judged with them; whoever settles the order sets WORKING anew.
"""

from klined.domain import Reason
from klined.kernels.checks import (
    EXITING,
    HUGE,
    MINUTE_MS,
    OPENS,
    REDUCES,
    budget,
    costs,
    exposures,
    filters,
    flow,
    funding_window,
    margin,
    market,
    refuse,
    standing,
)
from klined.kernels.layout import (
    BAR_CLOSE,
    COOLING_UNTIL,
    DEADBAND,
    DESYNCED,
    DRAWDOWN_HALT_MAX,
    DRAWDOWN_MAX,
    EQUITY,
    EXIT,
    HALT,
    LAST_TARGET,
    LONG_ONLY,
    LOT,
    LOTS,
    LOTS_MAX,
    LOTS_MIN,
    MARK,
    MAX_CHANGE,
    MAX_EXPOSURE,
    MINUTE,
    NOTIONAL_MIN,
    NOTIONAL_ORDER_MAX,
    ORDERED,
    ORDERS_MINUTE,
    OUT_CAUSE,
    OUT_LIMIT,
    OUT_LOTS,
    OUT_NOTE,
    OUT_REDUCE,
    OUT_TARGET,
    OUT_VALUE,
    PEAK,
    PERP,
    REBALANCE_BAND,
    REBALANCE_MS,
    REBALANCED,
    REDUCING,
    STOP_COOLDOWN_MS,
    WANTED,
    WORKING,
)
from klined.kernels.lots import affordable_lots, closing_lots, entry_min, planned_lots, sale_min, whole_lots
from klined.kernels.rows import Row

WHY_OK = float(Reason.OK)
WHY_HOLD_TARGET = float(Reason.HOLD_TARGET)
WHY_HOLD_DEADBAND = float(Reason.HOLD_DEADBAND)
WHY_CLIPPED = float(Reason.CLIPPED)
WHY_EXIT = float(Reason.EXIT)
WHY_DRAWDOWN_HALT = float(Reason.DRAWDOWN_HALT)
WHY_EXIT_PLAN = float(Reason.EXIT_PLAN)
WHY_SELF_CROSS = float(Reason.SELF_CROSS)

CAUSE_REBALANCE = 6.0
CAUSE_RISK = 7.0


def gate_step(
    A: Row,
    Q: list[Row],
    M: list[Row],
    P: Row,
    C: list[Row],
    n: int,
    i: int,
    target: float,
    now_ms: float,
    out: Row,
    asked: float = 1.0,
) -> float:
    """Judge the target of symbol `i` of `n`; the Reason's code, and in `out` (N_OUT wide) what it means.

    Reason OK or EXIT comes with lots to trade in OUT_LOTS and is already reserved in the rows; every other reason
    trades nothing. `target` may be anything, NaN too. `C` is the (n, n) covariance of `correlate_step`. O(n). With
    `asked` 0 nobody wants to know why nothing is traded: a target that trades nothing anyway is a hold, unexamined.

    The drawdown latch: REDUCING while the fall from the peak is beyond its first limit, HALT once it is beyond the
    second, unless the books are in doubt, for a wrong equity must not halt. The shape of a target: clipped to [-1, 1]
    and where shorts cannot be to [0, 1]; drift of a target that was reached waits for its period or band; changes
    under the deadband wait, unless the target is flat; the rest moves by MAX_CHANGE at most. A protective exit and a
    drawdown halt want nothing but flat.

    One long function on purpose: compiled, each call with rows costs as much as ten comparisons, and most bars end
    here.
    """
    q = Q[i]
    m = M[i]
    out[OUT_LOTS] = 0.0
    out[OUT_VALUE] = 0.0
    out[OUT_LIMIT] = 0.0
    out[OUT_TARGET] = 0.0
    out[OUT_REDUCE] = 0.0
    out[OUT_NOTE] = 0.0
    out[OUT_CAUSE] = 0.0
    equity = A[EQUITY]
    halt = A[HALT]
    latched = 0.0
    if A[DESYNCED] == 0.0:
        peak = A[PEAK]
        fall = peak - equity
        A[REDUCING] = 1.0 if fall > P[DRAWDOWN_MAX] * peak else 0.0
        if fall > P[DRAWDOWN_HALT_MAX] * peak and halt == 0.0:
            A[HALT] = WHY_DRAWDOWN_HALT
            latched = 1.0
    current = q[LOTS] + q[WORKING]
    wanted = current
    hold = WHY_HOLD_TARGET
    mark = q[MARK]
    capacity = P[MAX_EXPOSURE] * equity
    if q[EXIT] != 0.0 or A[HALT] == WHY_DRAWDOWN_HALT:
        out[OUT_CAUSE] = q[EXIT] if q[EXIT] != 0.0 else CAUSE_RISK
        wanted = 0.0
    elif -HUGE < target < HUGE and 0.0 < mark < HUGE and -HUGE < capacity < HUGE:
        unit = mark * m[LOT]
        wish = target
        if wish > 1.0:
            wish = 1.0
        elif wish < 0.0:
            if m[PERP] == 0.0 or P[LONG_ONLY] != 0.0:
                wish = 0.0
                hold = WHY_CLIPPED
                out[OUT_NOTE] = WHY_CLIPPED
            elif wish < -1.0:
                wish = -1.0
        exposure = current * unit / capacity if current != 0.0 and capacity > 0.0 else 0.0
        change = wish - exposure
        distance = abs(change)
        patient = False
        if current != 0.0 and wish == q[LAST_TARGET] and current == q[WANTED]:
            out[OUT_CAUSE] = CAUSE_REBALANCE
            patient = now_ms - q[REBALANCED] < P[REBALANCE_MS] and not 0.0 < P[REBALANCE_BAND] <= distance
        if capacity <= 0.0:
            wish = 0.0
            wanted = 0.0
        elif patient:
            pass
        elif distance < P[DEADBAND] and (wish != 0.0 or current == 0.0):
            if distance != 0.0 and hold == WHY_HOLD_TARGET:
                hold = WHY_HOLD_DEADBAND
        else:
            if distance > P[MAX_CHANGE]:
                wish = exposure + (P[MAX_CHANGE] if change > 0.0 else -P[MAX_CHANGE])
            wanted = whole_lots(wish * capacity / unit)
        out[OUT_TARGET] = wish
    if wanted == current:
        if asked == 0.0:
            return hold
        why = standing(A, q, P, halt, target, now_ms, OPENS, out)
        if why != 0.0:
            return why
        return WHY_DRAWDOWN_HALT if latched != 0.0 else hold
    return judge_order(A, Q, M, P, C, n, i, wanted, halt, latched, target, now_ms, out)


def latch_drawdown(A: Row, P: Row) -> None:
    """The drawdown latch of `gate_step`, which is written out there, for orders that no target decides."""
    if A[DESYNCED] == 0.0:
        fall = A[PEAK] - A[EQUITY]
        A[REDUCING] = 1.0 if fall > P[DRAWDOWN_MAX] * A[PEAK] else 0.0
        if fall > P[DRAWDOWN_HALT_MAX] * A[PEAK] and A[HALT] == 0.0:
            A[HALT] = WHY_DRAWDOWN_HALT


def judge_order(
    A: Row,
    Q: list[Row],
    M: list[Row],
    P: Row,
    C: list[Row],
    n: int,
    i: int,
    wanted: float,
    halt: float,
    latched: float,
    target: float,
    now_ms: float,
    out: Row,
) -> float:
    """Judge the way from the present position to `wanted` lots: opening, closing, or a flip in two parts."""
    q = Q[i]
    m = M[i]
    held = q[LOTS]
    lots = wanted - held - q[WORKING]
    if lots > m[LOTS_MAX]:
        lots = m[LOTS_MAX]
    elif lots < -m[LOTS_MAX]:
        lots = -m[LOTS_MAX]
    closing = closing_lots(held, q[WORKING], lots)
    flips = held * wanted < 0.0 and lots != closing
    if (closing == 0.0 and held * lots >= 0.0) or flips:
        why = judge_opening(A, Q, M, P, C, n, i, lots, closing, halt, latched, target, now_ms, out)
        if why == 0.0:
            return approve(A, q, P, wanted, now_ms, out)
        if closing == 0.0:
            out[OUT_LOTS] = 0.0
            return why
        out[OUT_NOTE] = why
    rest = closing if flips else closing_lots(held, q[WORKING], -held)
    why = judge_reducing(A, q, m, P, closing, rest, halt, target, now_ms, out)
    if why == 0.0:
        return approve(A, q, P, wanted, now_ms, out)
    out[OUT_LOTS] = 0.0
    out[OUT_REDUCE] = 0.0
    return why


def judge_opening(
    A: Row,
    Q: list[Row],
    M: list[Row],
    P: Row,
    C: list[Row],
    n: int,
    i: int,
    lots: float,
    closing: float,
    halt: float,
    latched: float,
    target: float,
    now_ms: float,
    out: Row,
) -> float:
    """All checks in order for an order of `lots` that opens, increases or flips; leaves what may go in OUT_LOTS."""
    q = Q[i]
    m = M[i]
    why = standing(A, q, P, halt, target, now_ms, OPENS, out)
    if why != 0.0:
        return why
    if m[PERP] == 0.0 and lots < 0.0:
        return refuse(out, WHY_SELF_CROSS, lots, q[WORKING])  # sells what a purchase may still bring
    why = budget(A, Q, P, n, i, latched, now_ms, out)
    if why != 0.0:
        return why
    broke = 0.0
    if m[PERP] == 0.0:
        pays = affordable_lots(A, Q, M, n, i)
        if lots > pays:
            lots = pays
            broke = 1.0 if pays <= 0.0 else 0.0
    unproved = 0.0
    if broke == 0.0:
        planned = planned_lots(A, q, m, P, lots)
        if planned == 0.0:
            unproved = 1.0
        else:
            lots = planned
    unit = m[LOT] * q[MARK]
    opening = abs(lots - closing)
    notional = opening * unit
    after = q[LOTS] + lots
    if q[WORKING] * lots > 0.0:
        after += q[WORKING]
    why = costs(A, Q, M, P, n, i, abs(lots) * unit, out)
    if why == 0.0:
        why = exposures(A, Q, M, P, C, n, i, after, broke, out)
    if why == 0.0:
        why = margin(A, q, m, P, after, out)
    if why == 0.0:
        why = market(q, P, opening * m[LOT], notional, out)
    if why == 0.0:
        why = filters(q, m, lots, abs(lots) * unit, 0.0, out)
    if why == 0.0 and unproved != 0.0:
        sale = sale_min(q, m, P)
        why = refuse(out, WHY_EXIT_PLAN, abs(after), entry_min(m, sale))
    if why == 0.0:
        why = flow(A, q, P, lots, now_ms, out)
    if why == 0.0:
        why = funding_window(q, m, P, after, now_ms, out)
    out[OUT_LOTS] = lots
    return why


def judge_reducing(
    A: Row,
    q: Row,
    m: Row,
    P: Row,
    closing: float,
    whole: float,
    halt: float,
    target: float,
    now_ms: float,
    out: Row,
) -> float:
    """Checks 1 to 4, 12 and 13 for the `closing` part of an order; leaves what may go in OUT_LOTS.

    `whole` closes all there is. A rest that no order could sell later goes with it; what exceeds the largest notional
    waits for the next bar.
    """
    kind = EXITING if out[OUT_CAUSE] != 0.0 and out[OUT_CAUSE] != CAUSE_REBALANCE else REDUCES
    why = standing(A, q, P, halt, target, now_ms, kind, out)
    if why != 0.0:
        return why
    if closing == 0.0:
        return refuse(out, WHY_SELF_CROSS, -q[LOTS], q[WORKING])  # working orders close all of it already
    unit = m[LOT] * q[MARK]
    size = abs(closing)
    side = 1.0 if closing > 0.0 else -1.0
    if abs(whole) - size < sale_min(q, m, P):
        size = abs(whole)
    if size > m[LOTS_MAX]:
        size = m[LOTS_MAX]
    if size * unit > P[NOTIONAL_ORDER_MAX]:
        size = whole_lots(P[NOTIONAL_ORDER_MAX] / unit)
        if size < m[LOTS_MIN]:
            size = m[LOTS_MIN]
    lots = side * size
    why = filters(q, m, lots, size * unit, 1.0, out)
    if why == 0.0:
        why = flow(A, q, P, lots, now_ms, out)
    out[OUT_LOTS] = lots
    out[OUT_REDUCE] = 1.0
    return why


def approve(A: Row, q: Row, P: Row, wanted: float, now_ms: float, out: Row) -> float:
    """Reserve the order of OUT_LOTS in the rows; OK, or EXIT for a protective one."""
    q[WORKING] += out[OUT_LOTS]
    q[WANTED] = wanted
    q[LAST_TARGET] = out[OUT_TARGET]
    q[REBALANCED] = now_ms
    q[ORDERED] = q[BAR_CLOSE]
    count_order(A, now_ms)
    if q[EXIT] == 0.0:
        return WHY_OK
    q[COOLING_UNTIL] = now_ms + P[STOP_COOLDOWN_MS]
    return WHY_EXIT


def count_order(A: Row, now_ms: float) -> None:
    """One more order of this minute."""
    minute = float(int(now_ms / MINUTE_MS))
    if A[MINUTE] != minute:
        A[MINUTE] = minute
        A[ORDERS_MINUTE] = 0.0
    A[ORDERS_MINUTE] += 1.0


def flatten_lots(q: Row, m: Row) -> float:
    """Signed lots that close the position as far as one order can, whatever the gate's state; 0 when flat or dust."""
    whole = closing_lots(q[LOTS], q[WORKING], -q[LOTS])
    size = abs(whole)
    if size > m[LOTS_MAX]:
        size = m[LOTS_MAX]
    if size < m[LOTS_MIN] or (m[PERP] == 0.0 and size * m[LOT] * q[MARK] < m[NOTIONAL_MIN]):
        return 0.0
    return size if whole > 0.0 else -size
