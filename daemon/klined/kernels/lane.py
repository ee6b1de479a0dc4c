"""One lane: a whole account through a whole market, bar by bar, by the same kernels as the daemon and in its order.

    order of bar t-1 ─▶ market_bar ─▶ show_bar ─▶ observe_bar ─▶ target ─▶ gate_step ─▶ order of bar t
                        fills, funding  marks, equity   (n, DIM)             verdicts
                        liquidation     stops, features

`lane_run` goes through all bars with targets that are given or a rule, `solo_run` does the same for one symbol; who
asks a policy bar by bar calls `open_step` and `close_step` instead. Rows are those of the layout, with S the state and
F the market features of the plan, O the float32 observations and W a scratch row. Bars have shape (n, T, 6); a bar that
did not come is a row of NaN. Observations are those of `eth15` and `original`, unless `slots` tell what stands where
(see `assembly`): then the features were computed before, by whatever plan. The tapes E, D, V and X: see `tapes`.
"""

from collections.abc import Sequence
from typing import TypeAlias

from klined.domain import Reason
from klined.kernels.account import account_mark, gauge_step, mark_step
from klined.kernels.assembly import assemble
from klined.kernels.blocks import BLOCK, MOVE, SIZE, eth15_block, show_block
from klined.kernels.exits import exit_step
from klined.kernels.features import BARS as STEPPED
from klined.kernels.features import ETH15_FIRST, eth15_step
from klined.kernels.fills import LIQUIDATED, ORDER, funding_step, liquidation_step, market_step
from klined.kernels.gate import gate_step
from klined.kernels.layout import (
    BARS,
    EQUITY,
    HALT,
    LAST_SETTLED,
    LOT,
    LOTS,
    OBS_OK,
    OOD,
    PERP,
    STOP_BREAK_EVEN_ATR,
    STOP_FIXED,
    STOP_OF,
    STOP_SIGMA,
    STOP_TIME_MS,
    STOP_TRAIL_ATR,
    TICK,
    WARMUP_BARS,
    WORKING,
)
from klined.kernels.memory import DECAY, book_trade, book_trip, correlate_step, roll_day
from klined.kernels.observe import observe, observe_account, outside
from klined.kernels.rows import Row
from klined.kernels.tapes import tell_decision, tell_fill

NAN = float("nan")
WHY_LIQUIDATION = float(Reason.LIQUIDATION)
MACD = 6  # slot that the EMA cross reads
GIVEN = 0.0  # rules of `lane_run`: targets are given,
EMA_CROSS = 1.0  # or follow from the MACD

Bars = Sequence[Sequence[Sequence[float]]]
Slots: TypeAlias = "Sequence[int] | None"


def lane_run(
    A: Row,
    Q: list[Row],
    M: list[Row],
    P: Row,
    C: list[Row],
    S: list[Row],
    F: list[Row],
    O: list[Row],
    W: Row,
    bars: Bars,
    rates: Bars,
    features: Sequence[Sequence[Row]],
    box: list[Row],
    targets: Sequence[Sequence[float]],
    rule: float,
    long: float,
    short: float,
    interval_ms: float,
    n: int,
    begin: int,
    end: int,
    E: Row,
    D: Sequence[Sequence[Row]],
    V: Sequence[Sequence[Row]],
    X: Sequence[Row],
    slots: Slots = None,
) -> None:
    """Take the lane through bars `begin` to `end` of `n` symbols.

    `rates` (n, T, 2) are the funding rates due at a bar's open and within it, `features` (n, T, MARKET) the plan's
    features where they were computed before, `targets` (n, T) what the policy wants under rule GIVEN; `long` and
    `short` are the targets of the EMA cross. All but bars may be of length 0 in T.
    """
    for t in range(begin, end):
        close_ms = market_bar(A, Q, M, P, W, bars, rates, interval_ms, n, t, X)
        show_bar(A, Q, M, P, C, S, F, bars, features, close_ms, interval_ms, n, t)
        if t < len(E):
            E[t] = A[EQUITY]
        warm = 1.0
        for i in range(n):
            seen = V[i][t] if t < len(V[i]) else O[i]
            observe_bar(Q[i], features[i][t] if t < len(features[i]) else F[i], box, seen, slots)
            if not Q[i][BARS] >= P[WARMUP_BARS]:
                warm = 0.0
        for i in range(n):
            if bars[i][t][4] > 0.0:
                target = NAN
                if warm != 0.0:
                    if rule == EMA_CROSS:
                        seen = V[i][t] if t < len(V[i]) else O[i]
                        target = ema_cross(seen[MACD], long, short)
                    else:
                        target = targets[i][t]
                why = gate_step(A, Q, M, P, C, n, i, target, close_ms, W, 1.0 if t < len(D[i]) else 0.0)
                if t < len(D[i]):
                    tell_decision(D[i][t], target, why, W)


def solo_run(
    A: Row,
    Q: list[Row],
    M: list[Row],
    P: Row,
    C: list[Row],
    s: Row,
    f: Row,
    O: list[Row],
    B: Row,
    W: Row,
    bars: Sequence[Sequence[float]],
    rates: Sequence[Sequence[float]],
    features: Sequence[Row],
    box: list[Row],
    targets: Sequence[float],
    rule: float,
    long: float,
    short: float,
    interval_ms: float,
    begin: int,
    end: int,
    E: Row,
    D: Sequence[Row],
    V: Sequence[Row],
    X: Sequence[Row],
    slots: Slots = None,
) -> None:
    """`lane_run` for one symbol whose bars all came: its rows are taken once, its features in blocks of bars.

    O has BLOCK rows here, and B is the scratch of `blocks`.
    """
    q = Q[0]
    m = M[0]
    perp = m[PERP] > 0.0
    boxed = len(box) > 0
    stops = any_stop(P)
    asked = 1.0 if len(D) > 0 else 0.0
    kept = len(V) > 0
    rows = V if kept else O
    j = BLOCK  # place in the block of features, if there is one
    for t in range(begin, end):
        bar = bars[t]
        close_ms = bar[0] + interval_ms
        lots = q[WORKING]
        if lots != 0.0 or (perp and q[LOTS] != 0.0):
            q[WORKING] = 0.0
            trade_bar(A, q, m, P, W, bar, rates, lots, close_ms, 0, t, X)
        if t < len(features):
            f = features[t]
            mark_step(q, close_ms, interval_ms, bar[1], bar[2], bar[3], bar[4], bar[5])
        else:
            if j == BLOCK and t + BLOCK <= end and s[STEPPED] >= ETH15_FIRST:
                eth15_block(s, bars, t, B)
                show_block(B, rows, t if kept else 0)
                j = 0
            move = B[MOVE + j] if j < BLOCK else eth15_step(s, bar, f)
            gauge_step(q, close_ms, interval_ms, bar[2], bar[3], bar[4], bar[5], move)
        account_mark(A, Q, M, P, 1, close_ms)
        roll_day(A, close_ms)
        if stops and (q[LOTS] != 0.0 or q[STOP_OF] != 0.0):
            exit_step(Q, P, M, 0, bar[2], bar[3])
        if t < len(E):
            E[t] = A[EQUITY]
        if j < BLOCK:
            seen = rows[t if kept else j]
            q[OBS_OK] = observe_account(q, 0.0, B[SIZE + j], seen)
            j += 1
        else:
            seen = rows[t if kept else 0]
            if slots is None:
                q[OBS_OK] = observe(f, q, 0.0, seen)
            else:
                q[OBS_OK] = assemble(slots, f, q, 0.0, seen)
        if boxed:
            q[OOD] = outside(box[0], box[1], seen, len(seen))
        target = NAN
        if q[BARS] >= P[WARMUP_BARS]:
            target = ema_cross(seen[MACD], long, short) if rule == EMA_CROSS else targets[t]
        why = gate_step(A, Q, M, P, C, 1, 0, target, close_ms, W, asked)
        if asked != 0.0:
            tell_decision(D[t], target, why, W)


def open_step(
    A: Row,
    Q: list[Row],
    M: list[Row],
    P: Row,
    C: list[Row],
    S: list[Row],
    F: list[Row],
    O: list[Row],
    W: Row,
    bars: Bars,
    rates: Bars,
    features: Sequence[Sequence[Row]],
    box: list[Row],
    interval_ms: float,
    n: int,
    t: int,
    E: Row,
    X: Sequence[Row],
    slots: Slots = None,
) -> float:
    """Bar `t` up to the observations in O; 1.0 once every symbol is warm, that is when the policy may be asked."""
    close_ms = market_bar(A, Q, M, P, W, bars, rates, interval_ms, n, t, X)
    show_bar(A, Q, M, P, C, S, F, bars, features, close_ms, interval_ms, n, t)
    if t < len(E):
        E[t] = A[EQUITY]
    warm = 1.0
    for i in range(n):
        observe_bar(Q[i], features[i][t] if t < len(features[i]) else F[i], box, O[i], slots)
        if not Q[i][BARS] >= P[WARMUP_BARS]:
            warm = 0.0
    return warm


def close_step(
    A: Row,
    Q: list[Row],
    M: list[Row],
    P: Row,
    C: list[Row],
    W: Row,
    bars: Bars,
    wanted: Row,
    interval_ms: float,
    n: int,
    t: int,
    D: Sequence[Sequence[Row]],
) -> None:
    """Bar `t` from the targets `wanted` (n) to the orders of the next bar."""
    for i in range(n):
        bar = bars[i][t]
        if bar[4] > 0.0:
            why = gate_step(A, Q, M, P, C, n, i, wanted[i], bar[0] + interval_ms, W)
            if t < len(D[i]):
                tell_decision(D[i][t], wanted[i], why, W)


def market_bar(
    A: Row,
    Q: list[Row],
    M: list[Row],
    P: Row,
    W: Row,
    bars: Bars,
    rates: Bars,
    interval_ms: float,
    n: int,
    t: int,
    X: Sequence[Row],
) -> float:
    """What bar `t` did to orders and positions; the bar's close time. Orders of a symbol without a bar expire."""
    close_ms = 0.0
    for i in range(n):
        q = Q[i]
        bar = bars[i][t]
        lots = q[WORKING]
        q[WORKING] = 0.0
        if bar[4] > 0.0:
            close_ms = bar[0] + interval_ms
            if lots != 0.0 or (q[LOTS] != 0.0 and M[i][PERP] > 0.0):
                trade_bar(A, q, M[i], P, W, bar, rates[i], lots, close_ms, i, t, X)
    return close_ms


def trade_bar(
    A: Row,
    q: Row,
    m: Row,
    P: Row,
    W: Row,
    bar: Sequence[float],
    rates: Sequence[Sequence[float]],
    lots: float,
    close_ms: float,
    i: int,
    t: int,
    X: Sequence[Row],
) -> None:
    """One symbol with an order of `lots` or a perpetual position through its bar, in the order of `fills.fill_step`."""
    o = bar[1]
    funded = t < len(rates)
    if funded and rates[t][0] != 0.0:
        funding_step(A, q, m, rates[t][0], o, W)
    held = q[LOTS]
    if lots != 0.0 and market_step(A, q, m, lots, o, bar[2], bar[3], bar[5], bar[0], W) != 0.0:
        book_fill(A, q, m, P, W, held, ORDER, bar[0], i, t, X)
    if funded and rates[t][1] != 0.0:
        funding_step(A, q, m, rates[t][1], o, W)
    held = q[LOTS]
    if held != 0.0 and liquidation_step(A, q, m, o, bar[2], bar[3], bar[5], close_ms - 1.0, W) != 0.0:
        book_fill(A, q, m, P, W, held, LIQUIDATED, close_ms - 1.0, i, t, X)
        if A[HALT] <= 0.0:
            A[HALT] = WHY_LIQUIDATION


def book_fill(
    A: Row,
    q: Row,
    m: Row,
    P: Row,
    W: Row,
    held: float,
    at: int,
    time_ms: float,
    i: int,
    t: int,
    X: Sequence[Row],
) -> None:
    """Count the execution that stands at W[at] in the gate's memory, and write it down; `held` were the lots before."""
    lots = W[at]
    fee = W[at + 2]
    book_trade(A, time_ms, abs(lots) * m[LOT] * (W[at + 1] * m[TICK]), fee)
    settled = NAN
    if held != 0.0 and held * q[LOTS] <= 0.0:
        settled = A[LAST_SETTLED]
        book_trip(A, P, time_ms, settled)
    tell_fill(W, at, 1.0 if at == LIQUIDATED else 0.0, settled, time_ms, i, t, X)


def show_bar(
    A: Row,
    Q: list[Row],
    M: list[Row],
    P: Row,
    C: list[Row],
    S: list[Row],
    F: list[Row],
    bars: Bars,
    features: Sequence[Sequence[Row]],
    close_ms: float,
    interval_ms: float,
    n: int,
    t: int,
) -> None:
    """Features and gauges of every symbol, then the account at the new marks, then the stops."""
    for i in range(n):
        bar = bars[i][t]
        if bar[4] > 0.0:
            if t < len(features[i]):
                mark_step(Q[i], close_ms, interval_ms, bar[1], bar[2], bar[3], bar[4], bar[5])
            else:
                move = eth15_step(S[i], bar, F[i])
                gauge_step(Q[i], close_ms, interval_ms, bar[2], bar[3], bar[4], bar[5], move)
    account_mark(A, Q, M, P, n, close_ms)
    roll_day(A, close_ms)
    correlate_step(C, Q, n, DECAY)
    for i in range(n if any_stop(P) else 0):
        q = Q[i]
        if q[LOTS] != 0.0 or q[STOP_OF] != 0.0:
            bar = bars[i][t]
            if bar[4] > 0.0:
                exit_step(Q, P, M, i, bar[2], bar[3])


def any_stop(P: Row) -> bool:
    """Whether a protective exit is on; limits do not change within a lane, so its memory can be left alone."""
    return P[STOP_FIXED] + P[STOP_TRAIL_ATR] + P[STOP_BREAK_EVEN_ATR] + P[STOP_SIGMA] + P[STOP_TIME_MS] > 0.0


def observe_bar(q: Row, features: Row, box: list[Row], seen: Row, slots: Slots = None) -> None:
    """What the policy sees of one symbol, and how far that lies outside `box` (2, dim), if there is one."""
    if slots is None:
        q[OBS_OK] = observe(features, q, 0.0, seen)
    else:
        q[OBS_OK] = assemble(slots, features, q, 0.0, seen)
    if len(box) > 0:
        q[OOD] = outside(box[0], box[1], seen, len(seen))


def ema_cross(macd: float, long: float, short: float) -> float:
    """The target of the rule of that name; NaN where there is no MACD yet."""
    if macd > 0.0:
        return long
    if macd < 0.0:
        return short
    return 0.0 if macd == 0.0 else NAN
