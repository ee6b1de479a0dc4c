"""Many lanes at once, each an episode of its own: actions in; observations, rewards and ends out, in one call.

    action ─▶ target ─▶ scaled ─▶ gate_step ─▶ order ─▶ next bar: trade_bar, marks, stops ─▶ reward ─▶ observation

Everything that decides is the daemon's: the gate, fills, account, stops and day counters are the kernels of `lane`, in
its order. Only what no lane can change is looked up instead of stepped: the gauges G and the market part V of the
observation stand there for every bar, made by the same kernels from the beginning of the series. So an episode is a
lane that has run since then, and held nothing until its start. Where S has lanes, features and gauges are stepped.

    A (K, NA) Q (K, n, NQ) N (K, NN) U (K, NU) B (K, n, NB) Y (K, n, NY)     one lane: account, episode, reward, sizing
    M (L, n, NM) P (L, NP)                                              terms; lane k trades under those of N[k][TERMS]
    bars (n, T, 6) rates (n, T, 2) G (n, T, NG) V (T, width) C (T, n, n)     the market, shared by all lanes
    Z                                                                   parameters of the game, the same for all lanes
"""

from collections.abc import Sequence

from klined.kernels.account import account_mark, gauge_step
from klined.kernels.exits import exit_step
from klined.kernels.features import eth15_step
from klined.kernels.game import (
    BALANCE,
    INTERVAL,
    MODE,
    NEXT_STEP,
    OFFSET_MAX,
    ORDERS,
    RESET,
    RUIN,
    SAME_STEP,
    SCALED,
    SCALING,
    STOP_MAX,
    TOUCHED,
    WIDTH,
    fits,
    target_of,
)
from klined.kernels.gate import gate_step
from klined.kernels.gauges import G_OBS_OK, recall_step
from klined.kernels.lane import any_stop, trade_bar
from klined.kernels.layout import (
    BANKRUPT,
    BAR_CLOSE,
    CAPACITY,
    CASH,
    DAY_EQUITY,
    EQUITY,
    GROSS_NOTIONAL,
    HALT,
    LOTS,
    MARK,
    MAX_EXPOSURE,
    NET_NOTIONAL,
    OBS_OK,
    PEAK,
    PERP,
    STOP_OF,
    TURNOVER_DAY,
    WEEK_EQUITY,
    WORKING,
)
from klined.kernels.memory import forget_book, roll_day
from klined.kernels.observe import FLOAT32_MAX
from klined.kernels.outlook import SLOT_AT, SLOT_CODE, SLOT_SYMBOL, STRIDE, observe_lane
from klined.kernels.resting import BASE, place_orders, rest_bar
from klined.kernels.rewards import EQUITY0, EQUITY1, HOLD, HOLD0, HOLD1, NU_MEMORY, PEAK1, POSITION1, TRADED, rate_step
from klined.kernels.rows import Row
from klined.kernels.scaling import learn_step, scale_step
from klined.kernels.tapes import tell_decision

# N: one lane's episode.
BEGIN = 0  # 1: the next call starts an episode; 2: it has ended and waits for a reset
BAR = 1  # index of the bar last shown
END = 2  # index of the last bar of the episode
START = 3
STEPS = 4
NEXT_START = 5  # where the next episode starts and ends, drawn before
NEXT_END = 6
EPISODE = 7  # how many were begun
TERMS = 8
TOTAL = 9  # sum of rewards
REASON = 10  # of the gate's last decision
TOTAL_STEP = 11  # the last reward
NN = 12

AHEAD = 32  # lanes whose next bars are read together


Bars = Sequence[Sequence[Sequence[float]]]


def play_lanes(
    A: Sequence[Row],
    Q: Sequence[list[Row]],
    M: Sequence[list[Row]],
    P: Sequence[Row],
    C: Sequence[list[Row]],
    W: Sequence[Row],
    N: Sequence[Row],
    U: Sequence[Row],
    RING: Sequence[Row],
    B: Sequence[Sequence[Row]],
    Y: Sequence[Sequence[Row]],
    Z: Row,
    levels: Row,
    bars: Bars,
    rates: Bars,
    G: Sequence[Sequence[Row]],
    V: Sequence[Row],
    slots: Sequence[Sequence[int]],
    S: Sequence[Sequence[Row]],
    F: Sequence[Sequence[Row]],
    H: Sequence[Sequence[Row]],
    actions: Sequence[Row],
    O: Sequence[Row],
    LAST: Sequence[Row],
    R: Row,
    terminated: Row,
    truncated: Row,
    D: Sequence[Sequence[Row]],
    X: Sequence[Sequence[Row]],
    only: float,
) -> int:
    """Step every lane once; how many episodes ended, or -(k + 1) when the action of lane k cannot be: nothing moved.

    With `only` 1 no lane steps, but those whose N[BEGIN] is set begin. An episode that ends leaves its observation in
    O and, where the next one begins at once (SAME_STEP), in LAST.
    """
    lanes = len(A)
    n = len(bars)
    mode = Z[MODE]
    if only == 0.0:
        for k in range(lanes):
            if N[k][BEGIN] == 0.0 and not fits(Z, levels, actions[k], n):
                return -(k + 1)
    ended = 0
    width = int(Z[WIDTH])
    touched = 0.0
    ahead = 0
    for k in range(lanes):
        if k == ahead:
            ahead = min(k + AHEAD, lanes)
            for j in range(k, ahead):
                touched += touch(bars, G, V, n, int(N[j][BAR]) + 1)
        e = N[k]
        if only != 0.0 and e[BEGIN] == 0.0:
            continue
        a = A[k]
        qs = Q[k]
        w = W[k]
        u = U[k]
        terms = int(e[TERMS])
        ms = M[terms]
        p = P[terms]
        R[k] = 0.0
        terminated[k] = 0
        truncated[k] = 0
        begins = e[BEGIN] != 0.0
        while True:
            if begins:
                begin_lane(a, qs, w, e, u, RING[k], B[k], Y[k], Z, p, n)
                t = int(e[BAR])
            else:
                t = int(e[BAR])
                close_ms = qs[0][BAR_CLOSE]
                common = C[t if n > 1 else 0]
                if Z[SCALED] != 0.0:
                    for i in range(n):
                        learn_step(B[k][i], bars[i][t][4] / bars[i][t - 1][4] - 1.0)
                for i in range(n):
                    target = target_of(Z, levels, p, actions[k], n, i)
                    if Z[SCALED] != 0.0:
                        target = scale_step(a, qs[i], p, Z, SCALING, B[k][i], target)
                    asked = 1.0 if len(D[k]) > 0 else 0.0
                    why = gate_step(a, qs, ms, p, common, n, i, target, close_ms, w, asked)
                    e[REASON] = why
                    if asked != 0.0:
                        tell_decision(D[k][i], target, why, w)
                    if mode == ORDERS:
                        place_orders(qs[i], ms[i], Y[k][i], w, actions[k], i, Z[OFFSET_MAX], Z[STOP_MAX])
                t += 1
                e[BAR] = t
                u[EQUITY0] = a[EQUITY]
                before = a[TURNOVER_DAY]
                for i in range(n):
                    q = qs[i]
                    bar = bars[i][t]
                    lots = q[WORKING]
                    q[WORKING] = 0.0
                    if mode == ORDERS:
                        rest_bar(a, q, ms[i], p, w, Y[k][i], bar, rates[i], lots, bar[0] + Z[INTERVAL], i, t, X[k])
                    elif lots != 0.0 or (q[LOTS] != 0.0 and ms[i][PERP] > 0.0):
                        trade_bar(a, q, ms[i], p, w, bar, rates[i], lots, bar[0] + Z[INTERVAL], i, t, X[k])
                u[TRADED] = a[TURNOVER_DAY] - before
            close_ms = bars[0][t][0] + Z[INTERVAL]
            if begins:
                for i in range(n):
                    Y[k][i][BASE] = bars[i][t][4]
            seen = O[k]
            market = V[t]
            for j in range(width):
                seen[j] = market[j]
            for i in range(n):
                if len(S) > 0:
                    step_market(S[k][i], F[k][i], H[i], qs[i], bars[i], G[i], t, begins, Z[INTERVAL], i, slots, seen)
                else:
                    recall_step(qs[i], bars[i][t], G[i][t], close_ms)
                    qs[i][OBS_OK] = G[i][t][G_OBS_OK]
            account_mark(a, qs, ms, p, n, close_ms)
            roll_day(a, close_ms)
            if not begins and any_stop(p):
                for i in range(n):
                    if qs[i][LOTS] != 0.0 or qs[i][STOP_OF] != 0.0:
                        exit_step(qs, p, ms, i, bars[i][t][2], bars[i][t][3])
            done = 0.0
            if not begins:
                done = judge_step(a, qs, Y[k], e, u, RING[k], Z, n, t)
                R[k] = e[TOTAL_STEP]
                if done != 0.0:
                    ended += 1
                    if done > 1.0:
                        truncated[k] = 1
                    else:
                        terminated[k] = 1
            observe_lane(a, qs, Z, bars, slots, n, t, width, seen)
            if begins or done == 0.0:
                e[BEGIN] = 0.0
                break
            if Z[RESET] != SAME_STEP:
                e[BEGIN] = 1.0 if Z[RESET] == NEXT_STEP else 2.0
                break
            last = LAST[k]
            for j in range(len(seen)):
                last[j] = seen[j]
            begins = True
    Z[TOUCHED] = touched
    return ended


def touch(bars: Bars, G: Sequence[Sequence[Row]], V: Sequence[Row], n: int, t: int) -> float:
    """Read of bar `t` what a step will need, for many lanes at once: memory is slow to answer, but answers many."""
    total = 0.0
    if t < len(V):
        total += V[t][0]
        for i in range(n):
            total += bars[i][t][4] + G[i][t][0]
    return total


def begin_lane(
    A: Row, Q: list[Row], W: Row, e: Row, u: Row, ring: Row, B: Sequence[Row], Y: Sequence[Row], Z: Row, P: Row, n: int
) -> None:
    """A fresh account that owns nothing but its balance, at the bar that was drawn for it."""
    for j in range(len(A)):
        A[j] = 0.0
    for j in range(len(W)):
        W[j] = 0.0
    for j in range(NU_MEMORY):
        u[j] = 0.0
    for j in range(len(ring)):
        ring[j] = 0.0
    for i in range(n):
        q = Q[i]
        for j in range(len(q)):
            q[j] = 0.0
        forget_book(q)
        for j in range(len(B[i])):
            B[i][j] = 0.0
        Y[i][0] = 0.0
        Y[i][1] = 0.0
    balance = Z[BALANCE]
    A[CASH] = balance
    A[EQUITY] = balance
    A[PEAK] = balance
    A[DAY_EQUITY] = balance
    A[WEEK_EQUITY] = balance
    A[CAPACITY] = P[MAX_EXPOSURE] * balance
    u[HOLD] = 1.0
    e[START] = e[NEXT_START]
    e[BAR] = e[NEXT_START]
    e[END] = e[NEXT_END]
    e[STEPS] = 0.0
    e[TOTAL] = 0.0
    e[EPISODE] += 1.0


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
    hold = 0.0
    for i in range(n):
        hold += Q[i][MARK] / Y[i][BASE]
    hold = hold / float(n)
    u[EQUITY1] = equity
    u[HOLD0] = u[HOLD]
    u[HOLD1] = hold
    u[HOLD] = hold
    u[PEAK1] = A[PEAK]
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
