"""How fast, compared with what: differences over n bars, and oscillators over windows of different length.

`at` is where the kernel's state begins in the S row; a state of zeros is a fresh start. `change`, `before` and the true
range begin with the second bar.
"""

from klined.kernels.oscillators import rsi_step
from klined.kernels.rows import Row
from klined.kernels.windows import OUTWEIGHED, lag_step, mean_step, sum_size

NAN = float("nan")
ROUNDING = 1e-15  # of the price: smaller mean deviations are the rounding of the mean


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
    return sum_size(n)


def cci_step(S: Row, at: int, n: int, typical: float) -> float:
    """Lambert's commodity channel index (1980): distance from the mean over 0.015 mean deviations. O(n).

    0 where deviations are below the rounding of the price. First value with the n-th bar. State of `sum_step`.
    """
    mean = mean_step(S, at, n, typical)
    if S[at] < n:
        return NAN
    deviation = 0.0
    for value in S[at + 2 : at + 2 + n]:
        deviation += abs(value - mean)
    if deviation <= ROUNDING * n * abs(mean):
        return 0.0
    return (typical - mean) / (0.015 * (deviation / n))


def ultosc_size(a: int, b: int, c: int) -> int:
    """Room for windows of up to the longest."""
    return 7 + 2 * max(a, b, c)


def ultosc_step(
    S: Row, at: int, a: int, b: int, c: int, flat: float, low: float, close: float, before: float, true: float
) -> float:
    """Williams' ultimate oscillator (1976) in [0, 100]: buying pressure over true range, weights 4, 2, 1.

    a <= b <= c bars, first value with the c-th true range; `flat` where nothing moved over all of c. State: cursor,
    three sums of each, both rings of c. Sums are counted anew when the ring wraps or an outlier leaves the longest.
    """
    pressure = close - (low if low < before else before)
    cursor = int(S[at])
    full = cursor >= c
    slot = at + 7 + (cursor - c if full else cursor)
    end = at + 7 + c
    stale = S[slot + c]
    for k in range(3):
        n = a if k == 0 else (b if k == 1 else c)
        gone = slot - n if slot - n >= at + 7 else slot - n + c
        if full or cursor >= n:
            S[at + 1 + k] += pressure - S[gone]
            S[at + 4 + k] += true - S[gone + c]
        else:
            S[at + 1 + k] += pressure
            S[at + 4 + k] += true
    S[slot] = pressure
    S[slot + c] = true
    S[at] = float(c) if cursor == c + c - 1 else cursor + 1.0
    if S[at] < c:
        return NAN
    if slot + 1 == end or S[at + 6] < OUTWEIGHED * stale:
        ultosc_recount(S, at, a, b, c, slot)
    ranges = S[at + 6]
    if not ranges > 0.0:
        return flat
    total = S[at + 3] / ranges
    if S[at + 4] > 0.0:
        total += 4.0 * (S[at + 1] / S[at + 4])
    if S[at + 5] > 0.0:
        total += 2.0 * (S[at + 2] / S[at + 5])
    return max(0.0, min(100.0, 100.0 * (total / 7.0)))


def ultosc_recount(S: Row, at: int, a: int, b: int, c: int, newest: int) -> None:
    """Count all six sums anew from full rings, the newest values being at slot `newest`. O(c)."""
    for k in range(at + 1, at + 7):
        S[k] = 0.0
    slot = newest
    for age in range(c):
        pressure = S[slot]
        true = S[slot + c]
        if age < a:
            S[at + 1] += pressure
            S[at + 4] += true
        if age < b:
            S[at + 2] += pressure
            S[at + 5] += true
        S[at + 3] += pressure
        S[at + 6] += true
        slot = slot - 1 if slot > at + 7 else at + 6 + c


def ao_size(fast: int, slow: int) -> int:
    return sum_size(fast) + sum_size(slow)


def ao_step(S: Row, at: int, fast: int, slow: int, median: float) -> float:
    """Williams' awesome oscillator: fast less slow mean of the bars' middles; first value with the `slow`-th bar."""
    return mean_step(S, at, fast, median) - mean_step(S, at + sum_size(fast), slow, median)
