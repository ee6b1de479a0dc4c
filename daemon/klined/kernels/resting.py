"""Orders of one bar that a lane places beside its target: a limit instead of the market, and a stop that only reduces.

    gate's lots ─▶ place_orders: Y[LIMIT], Y[STOP] ─▶ next bar ─▶ rest_bar: limit, funding, liquidation, stop

A limit away from the last close by an offset fills as `limits` says, or not at all; what is left expires with the bar,
as all orders of a lane do. Orders that must go, protective exits and those of risk, go at the market.
"""

from collections.abc import Sequence

from klined.domain import Reason
from klined.kernels.fills import (
    LIQUIDATED,
    ORDER,
    STOPPED,
    funding_step,
    liquidation_step,
    market_step,
    round_adverse,
    stop_step,
)
from klined.kernels.lane import book_fill
from klined.kernels.layout import HALT, LOTS, MARK, OUT_CAUSE, OUT_LOTS, TICK
from klined.kernels.limits import limit_step
from klined.kernels.rows import Row

LIMIT = 0  # price of the working order, 0: at the market
STOP = 1  # price of the resting stop, 0: none
BASE = 2  # close at which the episode began
NY = 3
CAUSE_REBALANCE = 6.0
WHY_LIQUIDATION = float(Reason.LIQUIDATION)


def place_orders(q: Row, m: Row, y: Row, W: Row, action: Row, i: int, offset_max: float, stop_max: float) -> None:
    """Prices of limit and stop for the coming bar from an action (target, offset, stop) and the gate's verdict in W."""
    mark = q[MARK]
    lots = W[OUT_LOTS]
    offset = action[3 * i + 1] * offset_max
    forced = W[OUT_CAUSE] != 0.0 and W[OUT_CAUSE] != CAUSE_REBALANCE
    y[LIMIT] = 0.0
    y[STOP] = 0.0
    if lots != 0.0 and offset > 0.0 and not forced:
        side = 1.0 if lots > 0.0 else -1.0
        y[LIMIT] = round_adverse(mark * (1.0 - side * offset), m[TICK], -side) * m[TICK]
    held = q[LOTS] + lots
    distance = action[3 * i + 2] * stop_max
    if held != 0.0 and distance > 0.0:
        side = 1.0 if held > 0.0 else -1.0
        y[STOP] = round_adverse(mark * (1.0 - side * distance), m[TICK], -side) * m[TICK]


def rest_bar(
    A: Row,
    q: Row,
    m: Row,
    P: Row,
    W: Row,
    y: Row,
    bar: Sequence[float],
    rates: Sequence[Sequence[float]],
    lots: float,
    close_ms: float,
    i: int,
    t: int,
    X: Sequence[Row],
) -> None:
    """`lane.trade_bar` with a limit and a stop, in the order of `fills.fill_step`."""
    funded = t < len(rates)
    if funded and rates[t][0] != 0.0:
        funding_step(A, q, m, rates[t][0], bar[1], W)
    held = q[LOTS]
    if lots != 0.0:
        if y[LIMIT] > 0.0:
            limit_step(A, q, m, lots, y[LIMIT], 1.0, 0.0, bar[1], bar[2], bar[3], bar[5], bar[0], W)
        else:
            market_step(A, q, m, lots, bar[1], bar[2], bar[3], bar[5], bar[0], W)
        if W[ORDER] != 0.0:
            book_fill(A, q, m, P, W, held, ORDER, bar[0], i, t, X)
    if funded and rates[t][1] != 0.0:
        funding_step(A, q, m, rates[t][1], bar[1], W)
    held = q[LOTS]
    if held != 0.0 and liquidation_step(A, q, m, bar[1], bar[2], bar[3], bar[5], close_ms - 1.0, W) != 0.0:
        book_fill(A, q, m, P, W, held, LIQUIDATED, close_ms - 1.0, i, t, X)
        if A[HALT] <= 0.0:
            A[HALT] = WHY_LIQUIDATION
    held = q[LOTS]
    if held != 0.0 and y[STOP] > 0.0:
        stop_step(A, q, m, -held, y[STOP], bar[1], bar[2], bar[3], bar[5], close_ms - 1.0, W)
        if W[STOPPED] != 0.0:
            book_fill(A, q, m, P, W, held, STOPPED, close_ms - 1.0, i, t, X)
