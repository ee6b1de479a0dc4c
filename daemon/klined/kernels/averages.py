"""Exponential averages: each forgets slowly, holds two or four numbers, and costs the same on every bar.

    S[at] values counted so far, up to the seed's length, then constant
    S[at + 1] the sum of the seed while it grows, the average ever after

Averages are seeded as TA-Lib seeds them (the plain mean of the first n values) and are NaN before. `at` is where the
kernel's state begins in the S row; a state of zeros is a fresh start.
"""

from klined.kernels.rows import Row

NAN = float("nan")
EMA_SIZE = 2
WILDER_SIZE = 2
MACD_SIZE = 4
VARIANCE_SIZE = 2


def ema_step(S: Row, at: int, n: int, x: float) -> float:
    """EMA with weight 2 / (n + 1); first value with the n-th `x`. O(1)."""
    count = S[at]
    value = S[at + 1]
    if count < n:
        value += x
        S[at] = count + 1.0
        if count + 1.0 < n:
            S[at + 1] = value
            return NAN
        value /= n
    else:
        value += (x - value) * (2.0 / (n + 1.0))
    S[at + 1] = value
    return value


def wilder_step(S: Row, at: int, n: int, x: float) -> float:
    """Wilder's average (1978), weight 1 / n; first value with the n-th `x`. Of true ranges it is the ATR. O(1)."""
    count = S[at]
    value = S[at + 1]
    if count < n:
        value += x
        S[at] = count + 1.0
        if count + 1.0 < n:
            S[at + 1] = value
            return NAN
        value /= n
    else:
        value += (x - value) * (1.0 / n)
    S[at + 1] = value
    return value


def variance_step(S: Row, at: int, n: int, weight: float, x: float) -> float:
    """EWMA of squares (RiskMetrics 1996, section 5.2, mean taken as zero) as known *before* `x`. O(1).

    The first n squares give the seed, so the first value comes with the `x` after them. Leaving `x` out of its own
    yardstick keeps a jump visible: counted in, no return could exceed sqrt(1 / weight) of its sigma.
    """
    count = S[at]
    value = S[at + 1]
    if count < n:
        S[at] = count + 1.0
        value += x * x
        S[at + 1] = value / n if count + 1.0 == n else value
        return NAN
    S[at + 1] = value + (x * x - value) * weight
    return value


def macd_step(S: Row, at: int, fast: int, slow: int, smooth: int, x: float) -> tuple[float, float]:
    """MACD line and its signal; both first valid with value number slow + smooth - 1. O(1).

    As in TA-Lib both averages start together: the fast one is seeded with the *last* `fast` of the first `slow`
    values, which differs from an EMA of its own (and from TA-Lib's APO). State: count, fast, slow, signal.
    """
    count = S[at]
    quick = S[at + 1]
    long = S[at + 2]
    if count >= slow:
        quick += (x - quick) * (2.0 / (fast + 1.0))
        long += (x - long) * (2.0 / (slow + 1.0))
    else:
        long += x
        if count >= slow - fast:
            quick += x
        if count + 1.0 < slow:
            S[at] = count + 1.0
            S[at + 1] = quick
            S[at + 2] = long
            return NAN, NAN
        quick /= fast
        long /= slow
    S[at + 1] = quick
    S[at + 2] = long
    line = quick - long
    signal = S[at + 3]
    if count >= slow + smooth - 1:
        signal += (line - signal) * (2.0 / (smooth + 1.0))
        S[at + 3] = signal
        return line, signal
    signal += line
    S[at] = count + 1.0
    if count + 1.0 < slow + smooth - 1:
        S[at + 3] = signal
        return NAN, NAN
    signal /= smooth
    S[at + 3] = signal
    return line, signal
