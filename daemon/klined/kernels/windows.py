"""Moments and sums over the last n values: a ring, running sums, and an exact recount whenever the ring wraps.

    S[at]      cursor: 0 .. n-1 while the ring fills, n .. 2n-1 from then on
    ...        running sums, those of the moments taken about an anchor that was a recent value
    ring       the last n values

Running sums drift, and one outlier leaves its rounding error in them for good (1e15 among volumes of 100: 1e-5 for
ever). So the sums are counted anew from the ring whenever the cursor wraps, that is every n values, and also as soon
as the value that leaves outweighs by far all that stays. Both are decided by the state alone, hence a restored row
continues bit for bit. Amortised O(1).

`at` is where the kernel's state begins in the S row; a state of zeros is a fresh start.
"""

import math

from klined.kernels.rows import Row

NAN = float("nan")
MOMENTS_HEAD = 4
FLOW_HEAD = 3
SUM_HEAD = 2
OUTWEIGHED = 1e-6  # of the leaving value's square (or volume): less than this stays, and the sums are counted anew


def moments_size(n: int) -> int:
    return MOMENTS_HEAD + n


def flow_size(n: int) -> int:
    return FLOW_HEAD + 2 * n


def moments_step(S: Row, at: int, n: int, x: float) -> tuple[float, float]:
    """Mean and population variance (ddof 0) of the last n values, or of all while there are fewer.

    State: cursor, anchor, sum and sum of squares about the anchor, ring. The window is full when S[at] >= n.
    """
    count = S[at]
    cursor = int(count)
    if cursor < n:
        S[at + 4 + cursor] = x
        S[at] = count + 1.0
        return moments_recount(S, at, cursor + 1, x)
    slot = at + 4 + cursor - n
    anchor = S[at + 1]
    old = S[slot] - anchor
    new = x - anchor
    S[slot] = x
    total = S[at + 2] + (new - old)
    squares = S[at + 3] + (new * new - old * old)
    if cursor == n + n - 1:
        S[at] = float(n)
        return moments_recount(S, at, n, x)
    S[at] = count + 1.0
    if squares < OUTWEIGHED * (old * old):
        return moments_recount(S, at, n, x)
    S[at + 2] = total
    S[at + 3] = squares
    share = 1.0 / n
    mean = total * share
    variance = squares * share - mean * mean
    return anchor + mean, variance if variance > 0.0 else 0.0


def moments_recount(S: Row, at: int, n: int, anchor: float) -> tuple[float, float]:
    """Count the sums of the first n ring values anew about `anchor`. O(n)."""
    total = 0.0
    squares = 0.0
    for slot in range(at + 4, at + 4 + n):
        value = S[slot] - anchor
        total += value
        squares += value * value
    S[at + 1] = anchor
    S[at + 2] = total
    S[at + 3] = squares
    share = 1.0 / n
    mean = total * share
    variance = squares * share - mean * mean
    return anchor + mean, variance if variance > 0.0 else 0.0


def sma_step(S: Row, at: int, n: int, x: float) -> float:
    """Simple moving average; first value with the n-th `x`. State of `moments_step`."""
    mean, _ = moments_step(S, at, n, x)
    return mean if S[at] >= n else NAN


def bands_step(S: Row, at: int, n: int, width: float, x: float) -> tuple[float, float, float]:
    """Bollinger bands (upper, middle, lower), `width` population deviations apart; first value with the n-th `x`."""
    mean, variance = moments_step(S, at, n, x)
    if S[at] < n:
        return NAN, NAN, NAN
    reach = width * math.sqrt(variance)
    return mean + reach, mean, mean - reach


def flow_step(S: Row, at: int, n: int, change: float, volume: float) -> tuple[float, float]:
    """Net and gross volume of the last n bars: on-balance volume with a horizon.

    Net counts `volume` up or down with the sign of `change`; an unchanged close counts in gross only. NaN until the
    n-th bar. State: cursor, net, gross, ring of signed volumes, ring of volumes.
    """
    signed = volume * ((change > 0.0) - (change < 0.0))  # without a branch, which no CPU could foresee
    count = S[at]
    cursor = int(count)
    if cursor < n:
        S[at + 3 + cursor] = signed
        S[at + 3 + n + cursor] = volume
        S[at] = count + 1.0
        return flow_recount(S, at, n) if cursor + 1 == n else (NAN, NAN)
    slot = at + 3 + cursor
    old = S[slot]
    net = S[at + 1] + (signed - S[slot - n])
    gross = S[at + 2] + (volume - old)
    S[slot - n] = signed
    S[slot] = volume
    if cursor == n + n - 1:
        S[at] = float(n)
        return flow_recount(S, at, n)
    S[at] = count + 1.0
    if gross < OUTWEIGHED * old:
        return flow_recount(S, at, n)
    S[at + 1] = net
    S[at + 2] = gross
    return net, gross


def flow_recount(S: Row, at: int, n: int) -> tuple[float, float]:
    """Count both sums anew from full rings. O(n)."""
    net = 0.0
    gross = 0.0
    for slot in range(at + 3, at + 3 + n):
        net += S[slot]
        gross += S[slot + n]
    S[at + 1] = net
    S[at + 2] = gross
    return net, gross


def sum_size(n: int) -> int:
    return SUM_HEAD + n


def lag_size(n: int) -> int:
    return 1 + n


def sum_step(S: Row, at: int, n: int, x: float) -> float:
    """Sum of the last n values; first value with the n-th `x`. State: cursor, sum, ring."""
    cursor = int(S[at])
    if cursor < n:
        S[at + 2 + cursor] = x
        S[at] = cursor + 1.0
        return sum_recount(S, at, n) if cursor + 1 == n else NAN
    slot = at + 2 + cursor - n
    old = S[slot]
    S[slot] = x
    total = S[at + 1] + (x - old)
    if cursor == n + n - 1:
        S[at] = float(n)
        return sum_recount(S, at, n)
    S[at] = cursor + 1.0
    if abs(total) < OUTWEIGHED * abs(old):
        return sum_recount(S, at, n)
    S[at + 1] = total
    return total


def mean_step(S: Row, at: int, n: int, x: float) -> float:
    """Mean of the last n values; first value with the n-th `x`. State of `sum_step`: half the work of `sma_step`."""
    cursor = int(S[at])
    if n <= cursor < n + n - 1:  # as in `sum_step`, whose call would cost as much
        slot = at + 2 + cursor - n
        old = S[slot]
        S[slot] = x
        total = S[at + 1] + (x - old)
        S[at] = cursor + 1.0
        if abs(total) < OUTWEIGHED * abs(old):
            return sum_recount(S, at, n) / n
        S[at + 1] = total
        return total / n
    return sum_step(S, at, n, x) / n


def pair_size(n: int) -> int:
    return FLOW_HEAD + 2 * n


def pair_step(S: Row, at: int, n: int, x: float, y: float) -> tuple[float, float]:
    """Sums of the last n of two series; NaN until the n-th. State of `flow_step`."""
    cursor = int(S[at])
    if cursor < n:
        S[at + 3 + cursor] = x
        S[at + 3 + n + cursor] = y
        S[at] = cursor + 1.0
        return flow_recount(S, at, n) if cursor + 1 == n else (NAN, NAN)
    slot = at + 3 + cursor
    old = S[slot - n]
    stale = S[slot]
    first = S[at + 1] + (x - old)
    second = S[at + 2] + (y - stale)
    S[slot - n] = x
    S[slot] = y
    if cursor == n + n - 1:
        S[at] = float(n)
        return flow_recount(S, at, n)
    S[at] = cursor + 1.0
    if abs(first) < OUTWEIGHED * abs(old) or abs(second) < OUTWEIGHED * abs(stale):
        return flow_recount(S, at, n)
    S[at + 1] = first
    S[at + 2] = second
    return first, second


def sum_recount(S: Row, at: int, n: int) -> float:
    """Count the sum of a full ring anew. O(n)."""
    total = 0.0
    for slot in range(at + 2, at + 2 + n):
        total += S[slot]
    S[at + 1] = total
    return total


def lag_step(S: Row, at: int, n: int, x: float) -> float:
    """The value n before `x`; first value with the (n + 1)-th `x`. State: cursor, ring. O(1)."""
    cursor = int(S[at])
    if cursor < n:
        S[at + 1 + cursor] = x
        S[at] = cursor + 1.0
        return NAN
    slot = at + 1 + cursor - n
    old = S[slot]
    S[slot] = x
    S[at] = float(n) if cursor == n + n - 1 else cursor + 1.0
    return old
