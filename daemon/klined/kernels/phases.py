"""The phases of a step, each for lanes `begin` to `end`: decide, trade, show, mark, judge, observe.

Lanes whose N[STATE] skips are left alone; those that begin are shown and marked, and judged by nobody.
"""

from collections.abc import Sequence

from klined.kernels.account import account_mark, gauge_step
from klined.kernels.ahead import carry, fetch, whole
from klined.kernels.exits import exit_step
from klined.kernels.features import eth15_step
from klined.kernels.game import (
    BALANCE,
    COMPARED,
    INTERVAL,
    MODE,
    OFFSET_MAX,
    ORDERS,
    RUIN,
    SCALED,
    SCALING,
    STOP_MAX,
    WIDTH,
    target_of,
)
from klined.kernels.gate import gate_step
from klined.kernels.gauges import G_OBS_OK, recall_step
from klined.kernels.lane import any_stop, trade_bar
from klined.kernels.layout import (
    BANKRUPT,
    BAR_CLOSE,
    EQUITY,
    GROSS_NOTIONAL,
    HALT,
    LOTS,
    MARK,
    NET_NOTIONAL,
    OBS_OK,
    PEAK,
    PERP,
    STOP_OF,
    TURNOVER_DAY,
    WORKING,
)
from klined.kernels.lives import BAR, BEGINS, END, ENDS, REASON, SKIPS, STATE, STEPS, STEPS_ON, TERMS, TOTAL, TOTAL_STEP
from klined.kernels.memory import roll_day
from klined.kernels.observe import FLOAT32_MAX
from klined.kernels.outlook import SLOT_AT, SLOT_CODE, SLOT_SYMBOL, STRIDE, observe_lane
from klined.kernels.resting import BASE, place_orders, rest_bar
from klined.kernels.rewards import EQUITY0, EQUITY1, HOLD, HOLD0, HOLD1, PEAK1, POSITION1, TRADED, rate_step
from klined.kernels.rows import Row
from klined.kernels.scaling import learn_step, scale_step
from klined.kernels.tapes import tell_decision

Bars = Sequence[Sequence[Sequence[float]]]


def decide_lanes(
    A: Sequence[Row],
    Q: Sequence[list[Row]],
    M: Sequence[list[Row]],
    P: Sequence[Row],
    C: Sequence[list[Row]],
    W: Sequence[Row],
    N: Sequence[Row],
    B: Sequence[Sequence[Row]],
    Y: Sequence[Sequence[Row]],
    Z: Row,
    levels: Row,
    bars: Bars,
    G: Sequence[Sequence[Row]],
    V: Sequence[Row],
    actions: Sequence[Row],
    D: Sequence[Sequence[Row]],
    n: int,
    begin: int,
    end: int,
) -> None:
    """From the action to the orders of the next bar, by way of sizing and gate."""
    for k in range(begin, end):
        e = N[k]
        if e[STATE] == STEPS_ON:
            t = whole(e[BAR])
            fetch_bar(bars, G, V, n, t + 1)
            terms = whole(e[TERMS])
            w = W[k]
            asked = 1.0 if len(D[k]) > 0 else 0.0
            if Z[SCALED] != 0.0:
                for i in range(n):
                    learn_step(B[k][i], bars[i][t][4] / bars[i][t - 1][4] - 1.0)
            close_ms = Q[k][0][BAR_CLOSE]
            for i in range(n):
                target = target_of(Z, levels, P[terms], actions[k], n, i)
                if Z[SCALED] != 0.0:
                    target = scale_step(A[k], Q[k][i], P[terms], Z, SCALING, B[k][i], target)
                common = C[t if n > 1 else 0]
                why = gate_step(A[k], Q[k], M[terms], P[terms], common, n, i, target, close_ms, w, asked)
                e[REASON] = why
                if asked != 0.0:
                    tell_decision(D[k][i], target, why, w)
                if Z[MODE] == ORDERS:
                    place_orders(Q[k][i], M[terms][i], Y[k][i], w, actions[k], i, Z[OFFSET_MAX], Z[STOP_MAX])


def fetch_bar(bars: Bars, G: Sequence[Sequence[Row]], V: Sequence[Row], n: int, t: int) -> None:
    """Ask for what the phases to come will read of bar `t`: it lies far from the bars of other lanes."""
    for i in range(n):
        fetch(bars[i][t])
        fetch(G[i][t])
    fetch(V[t])


def trade_lanes(
    A: Sequence[Row],
    Q: Sequence[list[Row]],
    M: Sequence[list[Row]],
    P: Sequence[Row],
    W: Sequence[Row],
    N: Sequence[Row],
    U: Sequence[Row],
    Y: Sequence[Sequence[Row]],
    Z: Row,
    bars: Bars,
    rates: Bars,
    X: Sequence[Sequence[Row]],
    n: int,
    begin: int,
    end: int,
) -> None:
    """What the next bar does to orders and positions."""
    for k in range(begin, end):
        e = N[k]
        if e[STATE] == STEPS_ON:
            a = A[k]
            terms = whole(e[TERMS])
            t = whole(e[BAR]) + 1
            e[BAR] = t
            u = U[k]
            u[EQUITY0] = a[EQUITY]
            before = a[TURNOVER_DAY]
            for i in range(n):
                q = Q[k][i]
                lots = q[WORKING]
                q[WORKING] = 0.0
                if Z[MODE] == ORDERS:
                    bar, m, p, end_ms = bars[i][t], M[terms][i], P[terms], bars[i][t][0] + Z[INTERVAL]
                    rest_bar(a, q, m, p, W[k], Y[k][i], bar, rates[i], lots, end_ms, i, t, X[k])
                elif lots != 0.0 or (q[LOTS] != 0.0 and M[terms][i][PERP] > 0.0):
                    bar, m, p, end_ms = bars[i][t], M[terms][i], P[terms], bars[i][t][0] + Z[INTERVAL]
                    trade_bar(a, q, m, p, W[k], bar, rates[i], lots, end_ms, i, t, X[k])
            u[TRADED] = a[TURNOVER_DAY] - before


def show_lanes(
    Q: Sequence[list[Row]],
    N: Sequence[Row],
    Y: Sequence[Sequence[Row]],
    Z: Row,
    bars: Bars,
    G: Sequence[Sequence[Row]],
    V: Sequence[Row],
    slots: Sequence[Sequence[int]],
    S: Sequence[Sequence[Row]],
    F: Sequence[Sequence[Row]],
    H: Sequence[Sequence[Row]],
    O: Sequence[Row],
    n: int,
    begin: int,
    end: int,
) -> None:
    """The bar's gauges and the market part of the observation."""
    width = int(Z[WIDTH])
    for k in range(begin, end):
        e = N[k]
        if e[STATE] != SKIPS:
            t = whole(e[BAR])
            begins = e[STATE] == BEGINS
            seen = O[k]
            carry(V[t], seen, width)
            for i in range(n):
                q = Q[k][i]
                if begins:
                    Y[k][i][BASE] = bars[i][t][4]
                if len(S) > 0:
                    step_market(S[k][i], F[k][i], H[i], q, bars[i], G[i], t, begins, Z[INTERVAL], i, slots, seen)
                else:
                    recall_step(q, bars[i][t], G[i][t], bars[i][t][0] + Z[INTERVAL])
                    q[OBS_OK] = G[i][t][G_OBS_OK]


def mark_lanes(
    A: Sequence[Row],
    Q: Sequence[list[Row]],
    M: Sequence[list[Row]],
    P: Sequence[Row],
    N: Sequence[Row],
    bars: Bars,
    n: int,
    begin: int,
    end: int,
) -> None:
    """The account at the new marks, the day's counters, the stops."""
    known = -1
    stops = False
    for k in range(begin, end):
        e = N[k]
        if e[STATE] != SKIPS:
            terms = whole(e[TERMS])
            p = P[terms]
            if terms != known:
                known = terms
                stops = any_stop(p)
            close_ms = Q[k][0][BAR_CLOSE]
            account_mark(A[k], Q[k], M[terms], p, n, close_ms)
            roll_day(A[k], close_ms)
            if stops:
                t = whole(e[BAR])
                for i in range(n):
                    if Q[k][i][LOTS] != 0.0 or Q[k][i][STOP_OF] != 0.0:
                        exit_step(Q[k], p, M[terms], i, bars[i][t][2], bars[i][t][3])


def judge_lanes(
    A: Sequence[Row],
    Q: Sequence[list[Row]],
    N: Sequence[Row],
    U: Sequence[Row],
    RING: Sequence[Row],
    Y: Sequence[Sequence[Row]],
    Z: Row,
    R: Row,
    terminated: Row,
    truncated: Row,
    n: int,
    begin: int,
    end: int,
) -> int:
    """Rewards and ends of the lanes that stepped; how many ended."""
    over = 0
    for k in range(begin, end):
        e = N[k]
        if e[STATE] == STEPS_ON:
            done = judge_step(A[k], Q[k], Y[k], e, U[k], RING[k], Z, n, whole(e[BAR]))
            R[k] = e[TOTAL_STEP]
            if done != 0.0:
                over += 1
                e[STATE] = ENDS
                if done > 1.0:
                    truncated[k] = 1
                else:
                    terminated[k] = 1
    return over


def observe_lanes(
    A: Sequence[Row],
    Q: Sequence[list[Row]],
    N: Sequence[Row],
    Z: Row,
    bars: Bars,
    slots: Sequence[Sequence[int]],
    O: Sequence[Row],
    n: int,
    begin: int,
    end: int,
) -> None:
    """What of the observation is the lane's own."""
    width = int(Z[WIDTH])
    for k in range(begin, end):
        if N[k][STATE] != SKIPS:
            observe_lane(A[k], Q[k], Z, bars, slots, n, whole(N[k][BAR]), width, O[k])


def step_market(
    s: Row,
    f: Row,
    H: Sequence[Row],
    q: Row,
    bars: Sequence[Sequence[float]],
    G: Sequence[Row],
    t: int,
    begins: bool,  # noqa: FBT001 - a kernel takes what it is given in order
    interval_ms: float,
    i: int,
    slots: Sequence[Sequence[int]],
    seen: Row,
) -> None:
    """The engine in the lane: features and gauges of bar `t` stepped, not looked up; the same bytes."""
    if begins:
        j = int(t / STRIDE)
        for c in range(len(s)):
            s[c] = H[j][c]
        for b in range(j * STRIDE + 1, t + 1):
            eth15_step(s, bars[b], f)
        recall_step(q, bars[t], G[t], bars[t][0] + interval_ms)
        q[OBS_OK] = G[t][G_OBS_OK]
        if j * STRIDE == t:
            return
    else:
        bar = bars[t]
        move = eth15_step(s, bar, f)
        gauge_step(q, bar[0] + interval_ms, interval_ms, bar[2], bar[3], bar[4], bar[5], move)
    size = 0.0
    for j in range(len(slots)):
        if slots[j][SLOT_SYMBOL] == i and slots[j][SLOT_CODE] >= 0:
            value = f[slots[j][SLOT_CODE]]
            seen[slots[j][SLOT_AT]] = value
            size += abs(value)
    q[OBS_OK] = 1.0 if size <= FLOAT32_MAX else 0.0


def judge_step(A: Row, Q: list[Row], Y: Sequence[Row], e: Row, u: Row, ring: Row, Z: Row, n: int, t: int) -> float:
    """Rate the step and say whether it was the last: 0 no, 1 the account is done, 2 the time is over."""
    equity = A[EQUITY]
    u[EQUITY1] = equity
    u[PEAK1] = A[PEAK]
    if Z[COMPARED] != 0.0:
        hold = 0.0
        for i in range(n):
            hold += Q[i][MARK] / Y[i][BASE]
        u[HOLD0] = u[HOLD]
        u[HOLD1] = hold / float(n)
        u[HOLD] = u[HOLD1]
        u[POSITION1] = A[NET_NOTIONAL] / equity if equity > 0.0 else 0.0
    reward = rate_step(Z, u, ring, Z[BALANCE])
    e[STEPS] += 1.0
    e[TOTAL] += reward
    e[TOTAL_STEP] = reward
    if A[BANKRUPT] != 0.0 or equity <= Z[RUIN] * Z[BALANCE]:
        return 1.0
    if A[HALT] != 0.0 and A[GROSS_NOTIONAL] == 0.0:
        return 1.0
    return 2.0 if t >= int(e[END]) else 0.0
