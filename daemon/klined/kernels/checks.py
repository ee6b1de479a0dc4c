"""The gate's checks, each a question to the rows; 0.0 passes, else the Reason's code, with value and limit in `out`.

    standing  1 switch, 2 data, 3 model, 4 books        asked of every order, fewer questions for one that reduces
    budget    5 loss, 6 drawdown, 7 losses in a row, 8 trades and costs       asked of what opens or increases
    exposures 9 leverage, gross, net, symbol, cluster                         asked of what opens or increases
    market    10 liquidation distance, 11 size against volume, price and book asked of what opens or increases
    filters   12 what the venue would refuse                                  asked of every order
    flow      13 duplicate, self-cross, rate; 14 funding window               13 of every order, 14 of what opens

Comparisons are written so that NaN refuses. The one exception is stated where it is made: spread and depth.
"""

import math

from klined.domain import Reason
from klined.kernels.account import liquidation_price, maintenance_margin
from klined.kernels.layout import (
    ATR,
    BAR_AGE_MAX_MS,
    BAR_CLOSE,
    BARS,
    CLOCK_OFFSET,
    CLOCK_SKEW_MAX_MS,
    CLUSTER_MAX,
    CLUSTER_RHO,
    COLLAR_SIGMA,
    COOLDOWN_UNTIL,
    COOLING_UNTIL,
    DAY_EQUITY,
    DAY_LOSS_MAX,
    DEPTH,
    DEPTH_FRACTION_MAX,
    DESYNCED,
    DRAWDOWN_HALT_MAX,
    DRAWDOWN_MAX,
    EQUITY,
    FEES_DAY,
    FEES_DAY_MAX,
    FUNDING_GUARD_MS,
    FUNDING_INTERVAL,
    FUNDING_NEXT,
    FUNDING_RATE,
    FUNDING_RATE_MAX,
    GAPPED,
    GROSS_MAX,
    HALF_SPREAD,
    IMPACT,
    KILL,
    LEVERAGE_MAX,
    LIQUIDATION_ATR_MIN,
    LIQUIDATION_FRACTION_MIN,
    LOSSES,
    LOSSES_MAX,
    LOT,
    LOTS,
    LOTS_MAX,
    LOTS_MIN,
    MAINTENANCE,
    MARK,
    MINUTE,
    MODEL_OK,
    NET_MAX,
    NOTIONAL_MIN,
    NOTIONAL_ORDER_MAX,
    OBS_OK,
    OOD,
    OOD_MAX,
    ORDERED,
    ORDERS_LIMIT,
    ORDERS_MINUTE,
    ORDERS_MINUTE_MAX,
    ORDERS_OPEN,
    OUT_LIMIT,
    OUT_VALUE,
    PAUSE,
    PEAK,
    PERCENT_DOWN,
    PERCENT_UP,
    PERP,
    REDUCING,
    RETURN,
    SIGMA,
    SPREAD,
    SPREAD_MAX,
    SYMBOL_MAX,
    TAKER,
    TRADES_DAY,
    TRADES_DAY_MAX,
    TRADES_HOUR,
    TRADES_HOUR_MAX,
    TRADING,
    TURNOVER_DAY,
    TURNOVER_DAY_MAX,
    UNKNOWN,
    VOLUME,
    VOLUME_FRACTION_MAX,
    VOLUME_MEAN,
    WARMUP_BARS,
    WEEK_EQUITY,
    WEEK_LOSS_MAX,
    WORKING,
)
from klined.kernels.rows import Row

WHY_KILL_FILE = float(Reason.KILL_FILE)
WHY_HALTED = float(Reason.HALTED)
WHY_PAUSED = float(Reason.PAUSED)
WHY_STALE_BAR = float(Reason.STALE_BAR)
WHY_CLOCK_SKEW = float(Reason.CLOCK_SKEW)
WHY_GAP = float(Reason.GAP)
WHY_WARMUP = float(Reason.WARMUP)
WHY_OBSERVATION = float(Reason.OBSERVATION)
WHY_MODEL = float(Reason.MODEL)
WHY_OUT_OF_RANGE = float(Reason.OUT_OF_RANGE)
WHY_ACTION = float(Reason.ACTION)
WHY_DESYNC = float(Reason.DESYNC)
WHY_ORDER_UNKNOWN = float(Reason.ORDER_UNKNOWN)
WHY_DAY_LOSS = float(Reason.DAY_LOSS)
WHY_WEEK_LOSS = float(Reason.WEEK_LOSS)
WHY_DRAWDOWN = float(Reason.DRAWDOWN)
WHY_DRAWDOWN_HALT = float(Reason.DRAWDOWN_HALT)
WHY_LOSSES_IN_ROW = float(Reason.LOSSES_IN_ROW)
WHY_COOLDOWN = float(Reason.COOLDOWN)
WHY_TRADES_HOUR = float(Reason.TRADES_HOUR)
WHY_TRADES_DAY = float(Reason.TRADES_DAY)
WHY_TURNOVER = float(Reason.TURNOVER)
WHY_FEE_BUDGET = float(Reason.FEE_BUDGET)
WHY_LEVERAGE = float(Reason.LEVERAGE)
WHY_GROSS = float(Reason.GROSS)
WHY_NET = float(Reason.NET)
WHY_SYMBOL_CAP = float(Reason.SYMBOL_CAP)
WHY_CLUSTER = float(Reason.CLUSTER)
WHY_LIQUIDATION = float(Reason.LIQUIDATION)
WHY_NOTIONAL_MAX = float(Reason.NOTIONAL_MAX)
WHY_PARTICIPATION = float(Reason.PARTICIPATION)
WHY_COLLAR = float(Reason.COLLAR)
WHY_SPREAD = float(Reason.SPREAD)
WHY_DEPTH = float(Reason.DEPTH)
WHY_LOT = float(Reason.LOT)
WHY_NOTIONAL_MIN = float(Reason.NOTIONAL_MIN)
WHY_PERCENT_PRICE = float(Reason.PERCENT_PRICE)
WHY_ORDERS_MAX = float(Reason.ORDERS_MAX)
WHY_NOT_TRADING = float(Reason.NOT_TRADING)
WHY_DUPLICATE = float(Reason.DUPLICATE)
WHY_SELF_CROSS = float(Reason.SELF_CROSS)
WHY_RATE_BUDGET = float(Reason.RATE_BUDGET)
WHY_FUNDING_WINDOW = float(Reason.FUNDING_WINDOW)

HUGE = 1e100  # beyond it a number counts as infinite: -HUGE < x < HUGE is false for NaN too

EXITING = 0.0  # kinds of order: a protective exit or a take-down,
REDUCES = 1.0  # the policy makes the position smaller,
OPENS = 2.0  # the policy opens or increases (or nothing is traded)

ROUNDING = 1.0 + 1e-9  # an exposure sized to exactly its limit may come out an ulp above it
MINUTE_MS = 60_000.0


def standing(A: Row, q: Row, P: Row, halt: float, target: float, now_ms: float, kind: float, out: Row) -> float:
    """Checks 1 to 4. `halt` is A[HALT] before this call, so that the check that halts is named by its own reason.

    Flags are compared by order, not by equality: compiled, that is one jump instead of two, and NaN still refuses.
    """
    if not A[KILL] <= 0.0:
        return WHY_KILL_FILE
    if kind == OPENS:
        if not halt <= 0.0:
            out[OUT_VALUE] = halt
            return WHY_HALTED
        if not A[PAUSE] <= 0.0:
            return WHY_PAUSED
    age = now_ms - q[BAR_CLOSE]
    if not (age <= P[BAR_AGE_MAX_MS] and 0.0 < q[MARK] < HUGE):
        out[OUT_VALUE] = age
        out[OUT_LIMIT] = P[BAR_AGE_MAX_MS]
        return WHY_STALE_BAR
    skew = P[CLOCK_SKEW_MAX_MS]
    if not (-age <= skew and -skew <= A[CLOCK_OFFSET] <= skew):
        out[OUT_VALUE] = -age if -age > skew else A[CLOCK_OFFSET]
        out[OUT_LIMIT] = skew
        return WHY_CLOCK_SKEW
    if kind != EXITING:
        if not q[GAPPED] <= 0.0:
            return WHY_GAP
        if not q[BARS] >= P[WARMUP_BARS]:
            out[OUT_VALUE] = q[BARS]
            out[OUT_LIMIT] = P[WARMUP_BARS]
            return WHY_WARMUP
        if not q[OBS_OK] > 0.0:
            return WHY_OBSERVATION
        if not P[MODEL_OK] > 0.0:
            return WHY_MODEL
        if kind == OPENS and not q[OOD] <= P[OOD_MAX]:
            out[OUT_VALUE] = q[OOD]
            out[OUT_LIMIT] = P[OOD_MAX]
            return WHY_OUT_OF_RANGE
        if not -HUGE < target < HUGE:
            out[OUT_VALUE] = target
            return WHY_ACTION
    if not A[DESYNCED] <= 0.0 or not -HUGE < A[EQUITY] < HUGE:
        return WHY_DESYNC
    if kind == OPENS and not q[UNKNOWN] <= 0.0:
        return WHY_ORDER_UNKNOWN
    return 0.0


def share(part: float, whole: float) -> float:
    """`part` as a fraction of `whole`; 0 where there is no whole."""
    return part / whole if whole > 0.0 else 0.0


def refuse(out: Row, why: float, value: float, limit: float) -> float:
    """`why`, with the number that was refused and its limit told in `out`."""
    out[OUT_VALUE] = value
    out[OUT_LIMIT] = limit
    return why


def budget(A: Row, Q: list[Row], P: Row, n: int, i: int, latched: float, now_ms: float, out: Row) -> float:
    """Checks 5 to 7, and of 8 the number of trades: whatever the order's size. Orders not yet settled are trades."""
    equity = A[EQUITY]
    start = A[DAY_EQUITY]
    if not start - equity <= P[DAY_LOSS_MAX] * start:
        return refuse(out, WHY_DAY_LOSS, share(start - equity, start), P[DAY_LOSS_MAX])
    week = A[WEEK_EQUITY]
    if not week - equity <= P[WEEK_LOSS_MAX] * week:
        return refuse(out, WHY_WEEK_LOSS, share(week - equity, week), P[WEEK_LOSS_MAX])
    if latched != 0.0:
        return refuse(out, WHY_DRAWDOWN_HALT, share(A[PEAK] - equity, A[PEAK]), P[DRAWDOWN_HALT_MAX])
    if A[REDUCING] != 0.0:
        return refuse(out, WHY_DRAWDOWN, share(A[PEAK] - equity, A[PEAK]), P[DRAWDOWN_MAX])
    if now_ms < A[COOLDOWN_UNTIL]:
        if A[LOSSES] >= P[LOSSES_MAX]:
            return refuse(out, WHY_LOSSES_IN_ROW, A[LOSSES], P[LOSSES_MAX])
        return refuse(out, WHY_COOLDOWN, A[COOLDOWN_UNTIL] - now_ms, 0.0)
    if now_ms < Q[i][COOLING_UNTIL]:
        return refuse(out, WHY_COOLDOWN, Q[i][COOLING_UNTIL] - now_ms, 0.0)
    trades = 1.0
    for j in range(n):
        if Q[j][WORKING] != 0.0:
            trades += 1.0
    if not A[TRADES_HOUR] + trades <= P[TRADES_HOUR_MAX]:
        return refuse(out, WHY_TRADES_HOUR, A[TRADES_HOUR] + trades, P[TRADES_HOUR_MAX])
    if not A[TRADES_DAY] + trades <= P[TRADES_DAY_MAX]:
        return refuse(out, WHY_TRADES_DAY, A[TRADES_DAY] + trades, P[TRADES_DAY_MAX])
    return 0.0


def costs(A: Row, Q: list[Row], M: list[Row], P: Row, n: int, i: int, notional: float, out: Row) -> float:
    """The rest of check 8: turnover and fees of the day, with those of orders approved and not yet settled."""
    start = A[DAY_EQUITY]
    turnover = notional
    fees = notional * M[i][TAKER]
    for j in range(n):
        working = abs(Q[j][WORKING])
        if working != 0.0:
            amount = working * M[j][LOT] * Q[j][MARK]
            turnover += amount
            fees += amount * M[j][TAKER]
    if not A[TURNOVER_DAY] + turnover <= P[TURNOVER_DAY_MAX] * start:
        return refuse(out, WHY_TURNOVER, share(A[TURNOVER_DAY] + turnover, start), P[TURNOVER_DAY_MAX])
    if not A[FEES_DAY] + fees <= P[FEES_DAY_MAX] * start:
        return refuse(out, WHY_FEE_BUDGET, share(A[FEES_DAY] + fees, start), P[FEES_DAY_MAX])
    return 0.0


def exposures(
    A: Row, Q: list[Row], M: list[Row], P: Row, C: list[Row], n: int, i: int, after: float, broke: float, out: Row
) -> float:
    """Check 9, with the position of symbol `i` at `after` lots and all working orders filled where that is worse.

    A hedge that brings the net exposure nearer to zero passes the net limit, whatever it is. The cluster of a symbol
    is every symbol whose returns correlate with its own by more than CLUSTER_RHO; its |exposures| add up.
    """
    equity = A[EQUITY]
    own = abs(after) * M[i][LOT] * Q[i][MARK]
    gross = own
    net = after * M[i][LOT] * Q[i][MARK]
    net_before = (Q[i][LOTS] + Q[i][WORKING]) * M[i][LOT] * Q[i][MARK]
    cluster = own
    for j in range(n):
        if j != i:
            lots = Q[j][LOTS]
            both = lots + Q[j][WORKING]
            if lots != 0.0 or both != 0.0:
                unit = M[j][LOT] * Q[j][MARK]
                worst = (abs(lots) if abs(lots) > abs(both) else abs(both)) * unit
                gross += worst
                net += both * unit
                net_before += both * unit
                shared = C[i][j]
                if not (shared <= 0.0 or shared * shared <= P[CLUSTER_RHO] * P[CLUSTER_RHO] * C[i][i] * C[j][j]):
                    cluster += worst
    if broke != 0.0:
        return refuse(out, WHY_LEVERAGE, share(own, equity), 1.0)
    scale = equity * ROUNDING
    if not gross <= P[LEVERAGE_MAX] * scale:
        return refuse(out, WHY_LEVERAGE, share(gross, equity), P[LEVERAGE_MAX])
    if not gross <= P[GROSS_MAX] * scale:
        return refuse(out, WHY_GROSS, gross / equity, P[GROSS_MAX])
    if not (abs(net) <= P[NET_MAX] * scale or abs(net) < abs(net_before)):
        return refuse(out, WHY_NET, net / equity, P[NET_MAX])
    if not own <= P[SYMBOL_MAX] * scale:
        return refuse(out, WHY_SYMBOL_CAP, own / equity, P[SYMBOL_MAX])
    if not cluster <= P[CLUSTER_MAX] * scale:
        return refuse(out, WHY_CLUSTER, cluster / equity, P[CLUSTER_MAX])
    return 0.0


def margin(A: Row, q: Row, m: Row, P: Row, after: float, out: Row) -> float:
    """Check 10: how far the mark is from the liquidation price of a perpetual position of `after` lots."""
    if m[PERP] == 0.0:
        return 0.0
    mark = q[MARK]
    # As if entered at the mark: what the position has won or lost so far is in the equity.
    now = maintenance_margin(m, abs(q[LOTS]) * m[LOT] * mark)
    price = liquidation_price(m, after, mark, A[EQUITY] - (A[MAINTENANCE] - now))
    if price <= 0.0:
        return 0.0
    distance = mark - price if after > 0.0 else price - mark
    least = P[LIQUIDATION_ATR_MIN] * q[ATR]
    if P[LIQUIDATION_FRACTION_MIN] * mark > least:
        least = P[LIQUIDATION_FRACTION_MIN] * mark
    if not distance >= least:
        return refuse(out, WHY_LIQUIDATION, distance / mark, least / mark)
    return 0.0


def market(q: Row, P: Row, quantity: float, notional: float, out: Row) -> float:
    """Check 11. Spread and depth are NaN where no source tells them, and then pass: no other check may lack data."""
    if not notional <= P[NOTIONAL_ORDER_MAX]:
        return refuse(out, WHY_NOTIONAL_MAX, notional, P[NOTIONAL_ORDER_MAX])
    if not quantity <= P[VOLUME_FRACTION_MAX] * q[VOLUME]:
        return refuse(out, WHY_PARTICIPATION, quantity, P[VOLUME_FRACTION_MAX] * q[VOLUME])
    if not abs(q[RETURN]) <= P[COLLAR_SIGMA] * q[SIGMA]:
        return refuse(out, WHY_COLLAR, abs(q[RETURN]), P[COLLAR_SIGMA] * q[SIGMA])
    if q[SPREAD] > P[SPREAD_MAX]:
        return refuse(out, WHY_SPREAD, q[SPREAD], P[SPREAD_MAX])
    if quantity > P[DEPTH_FRACTION_MAX] * q[DEPTH]:
        return refuse(out, WHY_DEPTH, quantity, P[DEPTH_FRACTION_MAX] * q[DEPTH])
    return 0.0


def filters(q: Row, m: Row, lots: float, notional: float, reduce: float, out: Row) -> float:
    """Check 12, but for the exit plan: what the venue would refuse. Reduce-only perpetuals have no minimum notional."""
    size = abs(lots)
    if m[TRADING] == 0.0:
        return WHY_NOT_TRADING
    if not m[LOTS_MIN] <= size <= m[LOTS_MAX]:
        return refuse(out, WHY_LOT, size, m[LOTS_MIN] if size < m[LOTS_MIN] else m[LOTS_MAX])
    if not (notional >= m[NOTIONAL_MIN] or (reduce != 0.0 and m[PERP] != 0.0)):
        return refuse(out, WHY_NOTIONAL_MIN, notional, m[NOTIONAL_MIN])
    cost = m[HALF_SPREAD]
    if q[VOLUME_MEAN] > 0.0:
        cost += m[IMPACT] * q[SIGMA] * math.sqrt(size * m[LOT] / q[VOLUME_MEAN])
    expected = 1.0 + cost if lots > 0.0 else 1.0 - cost
    if not m[PERCENT_DOWN] <= expected <= m[PERCENT_UP]:
        return refuse(out, WHY_PERCENT_PRICE, expected, m[PERCENT_UP] if lots > 0.0 else m[PERCENT_DOWN])
    if not q[ORDERS_OPEN] < m[ORDERS_LIMIT]:
        return refuse(out, WHY_ORDERS_MAX, q[ORDERS_OPEN] + 1.0, m[ORDERS_LIMIT])
    return 0.0


def flow(A: Row, q: Row, P: Row, lots: float, now_ms: float, out: Row) -> float:
    """Check 13: one order a bar and symbol, none against our own, so many a minute."""
    if q[ORDERED] == q[BAR_CLOSE]:
        return refuse(out, WHY_DUPLICATE, q[BAR_CLOSE], 0.0)
    if q[WORKING] * lots < 0.0:
        return refuse(out, WHY_SELF_CROSS, lots, q[WORKING])
    sent = A[ORDERS_MINUTE] + 1.0 if A[MINUTE] == float(int(now_ms / MINUTE_MS)) else 1.0
    if not sent <= P[ORDERS_MINUTE_MAX]:
        return refuse(out, WHY_RATE_BUDGET, sent, P[ORDERS_MINUTE_MAX])
    return 0.0


def funding_window(q: Row, m: Row, P: Row, lots: float, now_ms: float, out: Row) -> float:
    """Check 14: no entry just before a dear funding that this side pays. Unknown times follow the venue's grid."""
    if m[PERP] == 0.0 or not q[FUNDING_RATE] * lots > 0.0:
        return 0.0
    due = q[FUNDING_NEXT]
    interval = m[FUNDING_INTERVAL]
    if due < now_ms and interval > 0.0:
        due = (float(int(now_ms / interval)) + 1.0) * interval
    if due - now_ms <= P[FUNDING_GUARD_MS] and abs(q[FUNDING_RATE]) > P[FUNDING_RATE_MAX]:
        return refuse(out, WHY_FUNDING_WINDOW, abs(q[FUNDING_RATE]), P[FUNDING_RATE_MAX])
    return 0.0
