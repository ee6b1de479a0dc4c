"""The features of `eth15` for 64 bars at once: the same bytes as 64 steps, in half the time when compiled.

    bars ─▶ returns ─▶ logarithms ─▶ windows and averages, bar by bar ─▶ z ─▶ features, many bars in one instruction

A step mixes what must wait for the bar before with what need not. Here each kind has a loop of its own over columns of
B, one after the other, and a compiler makes vectors of the last two. What the formulas are stands in `features`; of the
averages only what is left of them once they are seeded is repeated here, so that their memory stays in registers.
"""

import math
from collections.abc import Sequence

from klined.kernels.features import (
    BARS,
    CLOSE,
    ETH15_ATR,
    ETH15_FLOW,
    ETH15_MACD,
    ETH15_MEAN,
    ETH15_RSI,
    ETH15_SPREAD,
    ETH15_VARIANCE,
    ETH15_Z,
    MARKET,
    WEIGHT,
    eth15_shape,
    eth15_z,
)
from klined.kernels.oscillators import true_range
from klined.kernels.rows import Row
from klined.kernels.windows import flow_step, moments_step

BLOCK = 64
WIDE = 72  # columns of B apart; at 64 eight of them would share a place in the CPU's cache

# Columns of B, BLOCK values in each; Z has one more, that of the bar before.
LAST = 0
MOVE = LAST + WIDE
SPREAD = MOVE + WIDE
CENTRE = SPREAD + WIDE
SCATTER = CENTRE + WIDE
VARIANCE = SCATTER + WIDE
EXPECTED = VARIANCE + WIDE
LINE = EXPECTED + WIDE
SIGNAL = LINE + WIDE
RANGE = SIGNAL + WIDE
GAIN = RANGE + WIDE
LOSS = GAIN + WIDE
NET = LOSS + WIDE
GROSS = NET + WIDE
Z = GROSS + WIDE
OUT = Z + WIDE
SIZE = OUT + MARKET * WIDE
NB = SIZE + WIDE


def eth15_block(S: Row, bars: Sequence[Sequence[float]], t: int, B: Row) -> None:
    """Bars `t` to `t + BLOCK`, none missing, after at least 80 others: returns at MOVE, features at OUT.

    Feature `slot` of bar `j` of the block is `B[OUT + slot * WIDE + j]`; the state is that after BLOCK steps.
    """
    previous = S[CLOSE]
    for j in range(BLOCK):
        close = bars[t + j][4]
        B[LAST + j] = close
        B[MOVE + j] = close / previous
        previous = close
    for j in range(BLOCK):
        B[MOVE + j] = math.log(B[MOVE + j])
    follow(S, bars, t, B)
    S[CLOSE] = previous
    S[BARS] += float(BLOCK)
    B[Z] = S[ETH15_Z]
    for j in range(BLOCK):
        B[Z + 1 + j] = eth15_z(B[LAST + j], B[SPREAD + j], B[CENTRE + j], B[SCATTER + j])
    S[ETH15_Z] = B[Z + BLOCK]
    shape(B)


def follow(S: Row, bars: Sequence[Sequence[float]], t: int, B: Row) -> None:
    """What remembers: windows and averages, as `averages` and `oscillators` have them after their seeds."""
    previous = S[CLOSE]
    fast = S[ETH15_MACD + 1]
    slow = S[ETH15_MACD + 2]
    signal = S[ETH15_MACD + 3]
    up = S[ETH15_RSI + 1]
    down = S[ETH15_RSI + 2]
    reach = S[ETH15_ATR + 1]
    expected = S[ETH15_VARIANCE + 1]
    for j in range(BLOCK):
        bar = bars[t + j]
        close = bar[4]
        mean, variance = moments_step(S, ETH15_MEAN, 20, close)
        spread = close - mean
        centre, scatter = moments_step(S, ETH15_SPREAD, 60, spread)
        change = close - previous
        net, gross = flow_step(S, ETH15_FLOW, 20, change, bar[5])
        fast += (close - fast) * (2.0 / 13.0)
        slow += (close - slow) * (2.0 / 27.0)
        line = fast - slow
        signal += (line - signal) * (2.0 / 10.0)
        gain = change if change > 0.0 else 0.0
        loss = gain - change
        up += (gain - up) * (1.0 / 14.0)
        down += (loss - down) * (1.0 / 14.0)
        reach += (true_range(bar[2], bar[3], previous) - reach) * (1.0 / 14.0)
        move = B[MOVE + j]
        B[EXPECTED + j] = expected
        expected += (move * move - expected) * WEIGHT
        B[SPREAD + j] = spread
        B[CENTRE + j] = centre
        B[SCATTER + j] = scatter
        B[VARIANCE + j] = variance
        B[LINE + j] = line
        B[SIGNAL + j] = signal
        B[NET + j] = net
        B[GROSS + j] = gross
        B[RANGE + j] = reach
        B[GAIN + j] = up
        B[LOSS + j] = down
        previous = close
    S[ETH15_MACD + 1] = fast
    S[ETH15_MACD + 2] = slow
    S[ETH15_MACD + 3] = signal
    S[ETH15_RSI + 1] = up
    S[ETH15_RSI + 2] = down
    S[ETH15_ATR + 1] = reach
    S[ETH15_VARIANCE + 1] = expected


def shape(B: Row) -> None:
    """What remembers nothing: features out of indicators."""
    for j in range(BLOCK):
        (
            B[OUT + j],
            B[OUT + WIDE + j],
            B[OUT + 2 * WIDE + j],
            B[OUT + 3 * WIDE + j],
            B[OUT + 4 * WIDE + j],
            B[OUT + 5 * WIDE + j],
            B[OUT + 6 * WIDE + j],
            B[OUT + 7 * WIDE + j],
            B[OUT + 8 * WIDE + j],
            B[OUT + 9 * WIDE + j],
            B[OUT + 10 * WIDE + j],
            B[OUT + 11 * WIDE + j],
        ) = eth15_shape(
            B[LAST + j],
            B[Z + 1 + j],
            B[Z + j],
            B[MOVE + j],
            B[EXPECTED + j],
            B[VARIANCE + j],
            B[SPREAD + j],
            B[RANGE + j],
            B[LINE + j],
            B[SIGNAL + j],
            strength(B[GAIN + j], B[LOSS + j]),
            B[NET + j],
            B[GROSS + j],
        )


def strength(up: float, down: float) -> float:
    """RSI of the average gain and loss; 50 where nothing moved."""
    span = up + down
    return 100.0 * (up / span) if span > 0.0 else 50.0


def show_block(B: Row, seen: Sequence[Row], first: int) -> None:
    """The market slots of BLOCK observations, in the rows from `first` on, and the sum of their |values| at SIZE."""
    for j in range(BLOCK):
        B[SIZE + j] = (
            abs(B[OUT + j])
            + abs(B[OUT + WIDE + j])
            + abs(B[OUT + 2 * WIDE + j])
            + abs(B[OUT + 3 * WIDE + j])
            + abs(B[OUT + 4 * WIDE + j])
            + abs(B[OUT + 5 * WIDE + j])
            + abs(B[OUT + 6 * WIDE + j])
            + abs(B[OUT + 7 * WIDE + j])
            + abs(B[OUT + 8 * WIDE + j])
            + abs(B[OUT + 9 * WIDE + j])
            + abs(B[OUT + 10 * WIDE + j])
            + abs(B[OUT + 11 * WIDE + j])
        )
    for j in range(BLOCK):
        row = seen[first + j]
        row[1] = B[OUT + j]
        row[2] = B[OUT + WIDE + j]
        row[3] = B[OUT + 2 * WIDE + j]
        row[4] = B[OUT + 3 * WIDE + j]
        row[6] = B[OUT + 4 * WIDE + j]
        row[7] = B[OUT + 5 * WIDE + j]
        row[8] = B[OUT + 6 * WIDE + j]
        row[9] = B[OUT + 7 * WIDE + j]
        row[10] = B[OUT + 8 * WIDE + j]
        row[11] = B[OUT + 9 * WIDE + j]
        row[12] = B[OUT + 10 * WIDE + j]
        row[13] = B[OUT + 11 * WIDE + j]
