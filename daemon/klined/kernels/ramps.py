"""Windows whose values weigh by age: weighted and regression averages, volume-weighted means, correlation.

    ramp     sums of values and of values x age over a ring, about an anchor   ─▶ WMA, LINEARREG and its slope, HMA
    VWMA     sums of volume and price x volume                     CORREL      five sums of two series

Sums are counted anew from the ring whenever the cursor wraps, or when the value that leaves outweighs by far all that
stays, as in `windows`. `at` is where the kernel's state begins in the S row; a state of zeros is a fresh start.
"""

import math

from klined.kernels.rows import Row
from klined.kernels.windows import OUTWEIGHED, mean_step, sum_size

NAN = float("nan")


def ramp_size(n: int) -> int:
    return 4 + n


def ramp_step(S: Row, at: int, n: int, x: float) -> None:
    """Take in `x`; afterwards S[at + 1] + S[at + 2] / n is the mean and S[at + 3] the sum of i (x_i - S[at + 1]).

    i runs from 0, the oldest, to n - 1; both are valid once S[at] >= n. State: cursor, anchor, sum, tilted sum, ring.
    """
    cursor = int(S[at])
    if cursor < n:
        S[at + 4 + cursor] = x
        S[at] = cursor + 1.0
        if cursor + 1 == n:
            ramp_recount(S, at, n, 0, x)
        return
    slot = cursor - n
    anchor = S[at + 1]
    old = S[at + 4 + slot] - anchor
    new = x - anchor
    S[at + 4 + slot] = x
    stays = S[at + 2] - old
    tilted = S[at + 3] - stays + (n - 1.0) * new
    total = stays + new
    if cursor == n + n - 1:
        S[at] = float(n)
        ramp_recount(S, at, n, 0, x)
        return
    S[at] = cursor + 1.0
    if abs(total) < OUTWEIGHED * abs(old):
        ramp_recount(S, at, n, slot + 1, x)
        return
    S[at + 2] = total
    S[at + 3] = tilted


def ramp_recount(S: Row, at: int, n: int, oldest: int, anchor: float) -> None:
    """Count both sums anew about `anchor`, the ring's first value being at slot `oldest`. O(n)."""
    total = 0.0
    tilted = 0.0
    slot = at + 4 + oldest
    for age in range(n):
        if slot == at + 4 + n:
            slot = at + 4
        value = S[slot] - anchor
        total += value
        tilted += age * value
        slot += 1
    S[at + 1] = anchor
    S[at + 2] = total
    S[at + 3] = tilted


def wma_step(S: Row, at: int, n: int, x: float) -> float:
    """Linearly weighted average, the newest n times; first value with the n-th `x`. State of `ramp_step`."""
    ramp_step(S, at, n, x)
    if S[at] < n:
        return NAN
    return S[at + 1] + (S[at + 3] + S[at + 2]) / (0.5 * n * (n + 1.0))


def regression_step(S: Row, at: int, n: int, x: float) -> tuple[float, float]:
    """Least squares over the last n values: the line's end and its slope per bar; first value with the n-th `x`."""
    ramp_step(S, at, n, x)
    if S[at] < n:
        return NAN, NAN
    half = 0.5 * (n - 1.0)
    mean = S[at + 2] / n
    slope = (S[at + 3] - half * S[at + 2]) / (n * (n * n - 1.0) / 12.0)
    return S[at + 1] + (mean + slope * half), slope


def hma_size(n: int) -> int:
    return ramp_size(int(n / 2)) + ramp_size(n) + ramp_size(int(math.sqrt(n)))


def hma_step(S: Row, at: int, n: int, x: float) -> float:
    """Hull's average (2005): WMA(sqrt n) of 2 WMA(n / 2) - WMA(n); first value with the (n + sqrt n - 1)-th `x`."""
    half = int(n / 2)
    quick = wma_step(S, at, half, x)
    whole = at + ramp_size(half)
    slow = wma_step(S, whole, n, x)
    if S[whole] < n:
        return NAN
    return wma_step(S, whole + ramp_size(n), int(math.sqrt(n)), 2.0 * quick - slow)


def trima_size(n: int) -> int:
    return sum_size(int((n + 1) / 2)) + sum_size(int(n / 2) + 1)


def trima_step(S: Row, at: int, n: int, x: float) -> float:
    """Triangular average: the mean of means over each half; first value with the n-th `x`."""
    half = int((n + 1) / 2)
    mean = mean_step(S, at, half, x)
    if S[at] < half:
        return NAN
    return mean_step(S, at + sum_size(half), int(n / 2) + 1, mean)


def vwma_size(n: int) -> int:
    return 4 + n + n


def vwma_step(S: Row, at: int, n: int, x: float, volume: float) -> float:
    """Volume-weighted mean of the last n values, `x` itself where none was traded; first value with the n-th `x`.

    State: cursor, anchor, sum of (x - anchor) v, sum of v, ring of x, ring of v.
    """
    cursor = int(S[at])
    if cursor < n:
        S[at + 4 + cursor] = x
        S[at + 4 + n + cursor] = volume
        S[at] = cursor + 1.0
        return vwma_recount(S, at, n, x) if cursor + 1 == n else NAN
    slot = at + 4 + cursor - n
    anchor = S[at + 1]
    heavy = S[slot + n]
    old = (S[slot] - anchor) * heavy
    S[slot] = x
    S[slot + n] = volume
    money = S[at + 2] + ((x - anchor) * volume - old)
    total = S[at + 3] + (volume - heavy)
    if cursor == n + n - 1:
        S[at] = float(n)
        return vwma_recount(S, at, n, x)
    S[at] = cursor + 1.0
    if total < OUTWEIGHED * heavy or abs(money) < OUTWEIGHED * abs(old):
        return vwma_recount(S, at, n, x)
    S[at + 2] = money
    S[at + 3] = total
    return anchor + money / total if total > 0.0 else x


def vwma_recount(S: Row, at: int, n: int, anchor: float) -> float:
    """Count both sums anew about `anchor`. O(n)."""
    money = 0.0
    total = 0.0
    for slot in range(at + 4, at + 4 + n):
        money += (S[slot] - anchor) * S[slot + n]
        total += S[slot + n]
    S[at + 1] = anchor
    S[at + 2] = money
    S[at + 3] = total
    return anchor + money / total if total > 0.0 else anchor


def correl_size(n: int) -> int:
    return 8 + n + n


def correl_step(S: Row, at: int, n: int, x: float, y: float) -> float:
    """Pearson's correlation of the last n pairs in [-1, 1], 0 where one stood still; first value with the n-th pair.

    State: cursor, both anchors, sums of x, y, xx, yy, xy about them, ring of x, ring of y.
    """
    cursor = int(S[at])
    if cursor < n:
        S[at + 8 + cursor] = x
        S[at + 8 + n + cursor] = y
        S[at] = cursor + 1.0
        if cursor + 1 < n:
            return NAN
        correl_recount(S, at, n, x, y)
        return correl_value(S, at, n)
    slot = at + 8 + cursor - n
    old = S[slot] - S[at + 1]
    stale = S[slot + n] - S[at + 2]
    a = x - S[at + 1]
    b = y - S[at + 2]
    S[slot] = x
    S[slot + n] = y
    S[at + 3] += a - old
    S[at + 4] += b - stale
    S[at + 5] += a * a - old * old
    S[at + 6] += b * b - stale * stale
    S[at + 7] += a * b - old * stale
    if cursor == n + n - 1:
        S[at] = float(n)
        correl_recount(S, at, n, x, y)
    else:
        S[at] = cursor + 1.0
        if S[at + 5] < OUTWEIGHED * (old * old) or S[at + 6] < OUTWEIGHED * (stale * stale):
            correl_recount(S, at, n, x, y)
    return correl_value(S, at, n)


def correl_recount(S: Row, at: int, n: int, x: float, y: float) -> None:
    """Count all five sums anew about `x` and `y`. O(n)."""
    S[at + 1] = x
    S[at + 2] = y
    for k in range(at + 3, at + 8):
        S[k] = 0.0
    for slot in range(at + 8, at + 8 + n):
        a = S[slot] - x
        b = S[slot + n] - y
        S[at + 3] += a
        S[at + 4] += b
        S[at + 5] += a * a
        S[at + 6] += b * b
        S[at + 7] += a * b


def correl_value(S: Row, at: int, n: int) -> float:
    """The coefficient from the five sums."""
    share = 1.0 / n
    across = S[at + 5] - S[at + 3] * S[at + 3] * share
    along = S[at + 6] - S[at + 4] * S[at + 4] * share
    if across <= 1e-12 * S[at + 5] or along <= 1e-12 * S[at + 6]:
        return 0.0
    value = (S[at + 7] - S[at + 3] * S[at + 4] * share) / (math.sqrt(across) * math.sqrt(along))
    return max(-1.0, min(1.0, value))
