"""How a lane's episode begins and ends, and what the lane does in one call.

BEGIN set ─▶ open_lanes: fresh account, BEGINS ─┐
else ─▶ STEPS_ON ─▶ phases ─▶ ENDS or not ──────┴─▶ close_lanes: the next one at once, at the next call, or on demand
"""

from collections.abc import Sequence

from klined.kernels.ahead import carry, whole
from klined.kernels.game import BALANCE, NEXT_STEP, RESET, SAME_STEP
from klined.kernels.layout import CAPACITY, CASH, DAY_EQUITY, EQUITY, MAX_EXPOSURE, PEAK, WEEK_EQUITY
from klined.kernels.memory import forget_book
from klined.kernels.rewards import HOLD, NU_MEMORY
from klined.kernels.rows import Row

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
STATE = 12  # what the lane does in this call
NN = 16

SKIPS = 0.0
STEPS_ON = 1.0
BEGINS = 2.0
ENDS = 3.0


def open_lanes(
    A: Sequence[Row],
    Q: Sequence[list[Row]],
    W: Sequence[Row],
    N: Sequence[Row],
    U: Sequence[Row],
    RING: Sequence[Row],
    B: Sequence[Sequence[Row]],
    Y: Sequence[Sequence[Row]],
    Z: Row,
    P: Sequence[Row],
    R: Row,
    terminated: Row,
    truncated: Row,
    n: int,
    only: float,
    begin: int,
    end: int,
) -> None:
    """What each lane does in this call, in N[STATE]; those that begin have a fresh account after this."""
    for k in range(begin, end):
        e = N[k]
        e[STATE] = SKIPS
        if e[BEGIN] != 0.0:
            e[STATE] = BEGINS
            begin_lane(A[k], Q[k], W[k], e, U[k], RING[k], B[k], Y[k], Z, P[whole(e[TERMS])], n)
        elif only == 0.0:
            e[STATE] = STEPS_ON
        if e[STATE] != SKIPS:
            R[k] = 0.0
            terminated[k] = 0
            truncated[k] = 0


def close_lanes(
    A: Sequence[Row],
    Q: Sequence[list[Row]],
    W: Sequence[Row],
    N: Sequence[Row],
    U: Sequence[Row],
    RING: Sequence[Row],
    B: Sequence[Sequence[Row]],
    Y: Sequence[Sequence[Row]],
    Z: Row,
    P: Sequence[Row],
    O: Sequence[Row],
    LAST: Sequence[Row],
    n: int,
    over: int,
    begin: int,
    end: int,
) -> int:
    """What comes after; how many lanes begin an episode at once and are to be shown again, all others skip that."""
    again = 0
    for k in range(begin, end):
        e = N[k]
        if e[STATE] == BEGINS:
            e[BEGIN] = 0.0
        elif e[STATE] == ENDS:
            e[BEGIN] = 1.0 if Z[RESET] == NEXT_STEP else 2.0
        if over == 0 or e[STATE] != ENDS or Z[RESET] != SAME_STEP:
            e[STATE] = SKIPS
        else:
            carry(O[k], LAST[k], len(LAST[k]))
            begin_lane(A[k], Q[k], W[k], e, U[k], RING[k], B[k], Y[k], Z, P[whole(e[TERMS])], n)
            e[STATE] = BEGINS
            again += 1
    return again


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
