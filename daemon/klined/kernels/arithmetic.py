"""What joins indicators into features: guarded quotients, bounds, z-scores, differences.

Nothing here divides by zero or overflows into an exception, so both builds give the same bytes on any finite input.
"""

import math

from klined.kernels.oscillators import clip, squash
from klined.kernels.rows import Row
from klined.kernels.windows import lag_step, moments_step

NAN = float("nan")
UNIT_MIN = 1e-9  # of the price: yardsticks are no shorter, lest a dead market magnify rounding
STILL = 1e-12  # of the values: a smaller deviation is rounding


def affine(scale: float, shift: float, x: float) -> float:
    return x * scale + shift


def bounded(bound: float, x: float) -> float:
    """`x` kept within [-bound, bound]."""
    return clip(x, bound)


def plus(x: float, y: float) -> float:
    return x + y


def minus(x: float, y: float) -> float:
    return x - y


def times(x: float, y: float) -> float:
    return x * y


def quotient(x: float, y: float) -> float:
    """X / y, and 0 where y is 0."""
    return x / y if y != 0.0 else 0.0


def inverse(number: float, x: float) -> float:
    """Number / x, and 0 where x is 0."""
    return number / x if x != 0.0 else 0.0


def size_of(x: float) -> float:
    return abs(x)


def logarithm(x: float) -> float:
    """Natural logarithm, 0 where there is none."""
    return math.log(x) if x > 0.0 else 0.0


def root(x: float) -> float:
    """Square root, 0 where there is none."""
    return math.sqrt(x) if x > 0.0 else 0.0


def per(x: float, yardstick: float, close: float) -> float:
    """`x` in units of a yardstick such as ATR, which counts as no shorter than UNIT_MIN of the close."""
    least = UNIT_MIN * close
    if yardstick > least:
        return x / yardstick
    return x / least if least > 0.0 else 0.0


def squash_per(gain: float, x: float, yardstick: float, close: float) -> float:
    """squash(gain * per(x, yardstick)), the commonest form of a feature, in one step."""
    return squash(gain * per(x, yardstick, close))


def zscore_step(S: Row, at: int, n: int, x: float) -> float:
    """Deviations of `x` from the mean of the last n (ddof 0), 0 where nothing moved. State of `moments_step`."""
    mean, variance = moments_step(S, at, n, x)
    if S[at] < n:
        return NAN
    deviation = math.sqrt(variance)
    return (x - mean) / deviation if deviation > STILL * abs(mean) and deviation > 0.0 else 0.0


def deviation_step(S: Row, at: int, n: int, x: float) -> tuple[float, float]:
    """Population standard deviation and variance of the last n; first value with the n-th `x`."""
    _, variance = moments_step(S, at, n, x)
    return (math.sqrt(variance), variance) if S[at] >= n else (NAN, NAN)


def bandwidth_step(S: Row, at: int, n: int, width: float, x: float) -> tuple[float, float, float, float]:
    """Bollinger bands upper, middle, lower, and where `x` lies between: 0 at the lower, 1 at the upper, 0.5 if flat."""
    mean, variance = moments_step(S, at, n, x)
    if S[at] < n:
        return NAN, NAN, NAN, NAN
    reach = width * math.sqrt(variance)
    inside = 0.5 + 0.5 * ((x - mean) / reach) if reach > STILL * abs(mean) else 0.5
    return mean + reach, mean, mean - reach, inside


def diff_step(S: Row, at: int, x: float) -> float:
    """Change from the value before; first value with the second `x`. State of `lag_step` with n = 1."""
    return x - lag_step(S, at, 1, x)


def sigma_step(S: Row, at: int, n: int, close: float, before: float) -> float:
    """EWMA standard deviation of log returns, weight 2 / (n + 1), the first n equal; from the n-th return on.

    State: returns, variance.
    """
    move = math.log(close / before)
    square = move * move
    count = S[at]
    value = S[at + 1]
    if count < n:
        value += square
        S[at] = count + 1.0
        if count + 1.0 < n:
            S[at + 1] = value
            return NAN
        value /= n
    else:
        value += (square - value) * (2.0 / (n + 1.0))
    S[at + 1] = value
    return math.sqrt(value)
