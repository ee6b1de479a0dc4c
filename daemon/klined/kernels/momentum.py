"""How fast, compared with what: differences over n bars, and oscillators over windows of different length.

`at` is where the kernel's state begins in the S row; a state of zeros is a fresh start. `change`, `before` and the true
range begin with the second bar.
"""

from klined.kernels.oscillators import rsi_step
from klined.kernels.rows import Row
from klined.kernels.windows import lag_step, moments_size, moments_step, sma_step, sum_size, sum_step

NAN = float("nan")


def mom_step(S: Row, at: int, n: int, x: float) -> float:
    """Change over n bars. State of `lag_step`."""
    return x - lag_step(S, at, n, x)


def roc_step(S: Row, at: int, n: int, x: float) -> float:
    """Change over n bars in percent, 0 from 0. State of `lag_step`."""
    past = lag_step(S, at, n, x)
    return (x / past - 1.0) * 100.0 if past != 0.0 else 0.0


def cmo_step(S: Row, at: int, n: int, change: float) -> float:
    """Chande's momentum (1994) in [-100, 100], Wilder-smoothed as in TA-Lib; 0 in a dead market. State of RSI."""
    return 2.0 * rsi_step(S, at, n, 50.0, change) - 100.0


def bop(opened: float, high: float, low: float, close: float) -> float:
    """Balance of power in [-1, 1] (Livshin 2001): the bar's body over its span, 0 without one."""
    return (close - opened) / (high - low) if high > low else 0.0


def cci_size(n: int) -> int:
    return moments_size(n)


def cci_step(S: Row, at: int, n: int, typical: float) -> float:
    """Lambert's commodity channel index (1980): distance from the mean over 0.015 mean deviations. O(n).

    0 where deviations are below the rounding of the price. First value with the n-th bar. State of `moments_step`.
    """
    mean, _ = moments_step(S, at, n, typical)
    if S[at] < n:
        return NAN
    deviation = 0.0
    for slot in range(at + 4, at + 4 + n):
        deviation += abs(S[slot] - mean)
    if deviation <= 1e-15 * n * abs(mean):
        return 0.0
    return (typical - mean) / (0.015 * (deviation / n))


def ultosc_size(a: int, b: int, c: int) -> int:
    return 2 * (sum_size(a) + sum_size(b) + sum_size(c))


def ultosc_step(
    S: Row, at: int, a: int, b: int, c: int, flat: float, low: float, close: float, before: float, true: float
) -> float:
    """Williams' ultimate oscillator (1976) in [0, 100]: buying pressure over true range, weights 4, 2, 1.

    a < b < c bars, first value with the c-th true range; `flat` where nothing moved over all of c.
    """
    pressure = close - min(low, before)
    total = 0.0
    bought = 0.0
    ranges = 0.0
    weight = 4.0
    for k in range(3):
        n = a if k == 0 else (b if k == 1 else c)
        bought = sum_step(S, at, n, pressure)
        ranges = sum_step(S, at + sum_size(n), n, true)
        if ranges > 0.0:
            total += weight * (bought / ranges)
        weight *= 0.5
        at += 2 * sum_size(n)
    if S[at - 2 * sum_size(c)] < c:
        return NAN
    return 100.0 * (total / 7.0) if ranges > 0.0 else flat


def ao_size(fast: int, slow: int) -> int:
    return moments_size(fast) + moments_size(slow)


def ao_step(S: Row, at: int, fast: int, slow: int, median: float) -> float:
    """Williams' awesome oscillator: fast less slow mean of the bars' middles; first value with the `slow`-th bar."""
    return sma_step(S, at, fast, median) - sma_step(S, at + moments_size(fast), slow, median)
