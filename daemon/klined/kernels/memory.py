"""What the gate remembers of an account: budgets of the hour and day, losses in a row, marks that losses count from.

    fill ─▶ book_trade, book_cost     closed trip ─▶ book_trip      close of a batch ─▶ roll_day, correlate_step
                                                          deposit ─▶ book_transfer

The live ledger and the lanes call the same functions. All of it lies in A and C, so it is in every snapshot: a restart
gives no budget twice.
"""

import math

from klined.kernels.layout import (
    COOLDOWN_MS,
    COOLDOWN_UNTIL,
    DAY,
    DAY_EQUITY,
    DEPTH,
    EQUITY,
    FEES_DAY,
    HOUR,
    LOSSES,
    LOSSES_MAX,
    PEAK,
    RETURN,
    SIGMA,
    SPREAD,
    TRADES_DAY,
    TRADES_HOUR,
    TURNOVER_DAY,
    WEEK,
    WEEK_EQUITY,
)
from klined.kernels.rows import Row

HOUR_MS = 3_600_000.0
DAY_MS = 86_400_000.0
DECAY = 0.98  # of the covariance of returns: some fifty bars


def forget_book(q: Row) -> None:
    """No source tells spread and depth of this symbol: their checks pass, and only theirs may for want of data."""
    q[SPREAD] = math.nan
    q[DEPTH] = math.nan


def book_trade(A: Row, now_ms: float, notional: float, fee: float) -> None:
    """Count one executed order in the trades, turnover and fees of the day; `notional` and `fee` in quote, >= 0.

    An order that fills in several pieces within a bar is one trade: sum its pieces, or add the later ones by
    `book_cost`.
    """
    roll_hour(A, now_ms)
    A[TRADES_HOUR] += 1.0
    A[TRADES_DAY] += 1.0
    book_cost(A, notional, fee)


def book_cost(A: Row, notional: float, fee: float) -> None:
    """Add to turnover and fees of the day without counting a trade: the later pieces of an order."""
    A[TURNOVER_DAY] += abs(notional)
    A[FEES_DAY] += fee


def book_trip(A: Row, P: Row, now_ms: float, realised: float) -> None:
    """Count a closed round trip: a losing one starts the cool-down once there are LOSSES_MAX in a row."""
    if realised < 0.0:
        A[LOSSES] += 1.0
        if A[LOSSES] >= P[LOSSES_MAX]:
            A[COOLDOWN_UNTIL] = now_ms + P[COOLDOWN_MS]
    else:
        A[LOSSES] = 0.0


def book_transfer(A: Row, amount: float) -> None:
    """Move every mark that losses are measured from by a deposit (+) or withdrawal (-): it is no profit and no loss."""
    A[PEAK] += amount
    A[DAY_EQUITY] += amount
    A[WEEK_EQUITY] += amount


def roll_hour(A: Row, now_ms: float) -> None:
    """Begin a new UTC hour where `now_ms` lies in one."""
    hour = float(int(now_ms / HOUR_MS))
    if hour > A[HOUR]:
        A[HOUR] = hour
        A[TRADES_HOUR] = 0.0


def roll_day(A: Row, now_ms: float) -> None:
    """Begin a new UTC hour, day or week (Monday) where `now_ms` lies in one: its counters start from here.

    Time that steps back begins nothing: no restart and no clock gives a budget twice.
    """
    if now_ms < (A[HOUR] + 1.0) * HOUR_MS and now_ms < (A[DAY] + 1.0) * DAY_MS:
        return
    roll_hour(A, now_ms)
    day = float(int(now_ms / DAY_MS))
    if day > A[DAY]:
        A[DAY] = day
        A[DAY_EQUITY] = A[EQUITY]
        A[TRADES_DAY] = 0.0
        A[TURNOVER_DAY] = 0.0
        A[FEES_DAY] = 0.0
        week = float(int((day + 3.0) / 7.0))
        if week > A[WEEK]:
            A[WEEK] = week
            A[WEEK_EQUITY] = A[EQUITY]


def correlate_step(C: list[Row], Q: list[Row], n: int, decay: float) -> None:
    """Take the last returns into the exponential covariance C (n, n) of returns in units of their sigma. O(n²).

    `decay` in (0, 1) is the weight of the past, 0.98 for some fifty bars. Nothing to do for one symbol.
    """
    if n < 2:
        return
    weight = 1.0 - decay
    for i in range(n):
        sigma = Q[i][SIGMA]
        own = Q[i][RETURN] / sigma if sigma > 0.0 else 0.0
        for j in range(i + 1):
            sigma = Q[j][SIGMA]
            other = Q[j][RETURN] / sigma if sigma > 0.0 else 0.0
            shared = C[i][j] + weight * (own * other - C[i][j])
            C[i][j] = shared
            C[j][i] = shared
