"""Indicators by their definitions, in batch and without recurrences where there is a closed form.

Written apart from the kernels: windows are summed anew for every bar, averages of averages are arrays, nothing is
shared. Columns are o, h, l, c, v; NaN before the first value.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def windowed(x: Floats, n: int, of: Callable[[Floats], Floats]) -> Floats:
    """What `of` makes of the (T, n) windows, NaN until the first is full."""
    out = np.full(len(x), np.nan)
    start = int(np.argmax(~np.isnan(x)))
    out[start + n - 1 :] = of(sliding_window_view(x[start:], n))
    return out


def exact_sum(windows: Floats) -> Floats:
    return np.array([math.fsum(window) for window in windows])


def total(x: Floats, n: int) -> Floats:
    return windowed(x, n, exact_sum)


def mean(x: Floats, n: int) -> Floats:
    return total(x, n) / n


def weighted(x: Floats, n: int) -> Floats:
    weights = np.arange(1.0, n + 1.0)
    return windowed(x, n, lambda w: exact_sum(w * weights) / weights.sum())


def smoothed(x: Floats, n: int, share: float) -> Floats:
    """Exponential average whose first value is the plain mean of the first n."""
    out = np.full(len(x), np.nan)
    start = int(np.argmax(~np.isnan(x)))
    if np.isnan(x[start]) or len(x) - start < n:
        return out
    value = math.fsum(x[start : start + n]) / n
    out[start + n - 1] = value
    for t in range(start + n, len(x)):
        value = share * x[t] + (1.0 - share) * value
        out[t] = value
    return out


def ema(x: Floats, n: int) -> Floats:
    return smoothed(x, n, 2.0 / (n + 1.0))


def rma(x: Floats, n: int) -> Floats:
    return smoothed(x, n, 1.0 / n)


def before(x: Floats, n: int = 1) -> Floats:
    return np.concatenate((np.full(n, np.nan), x[:-n]))


def ratio(x: Floats, y: Floats, otherwise: float | Floats = 0.0) -> Floats:
    """The quotient, and `otherwise` where y is 0."""
    with np.errstate(all="ignore"):
        return np.where(y == 0.0, np.where(np.isnan(x), np.nan, otherwise), x / np.where(y == 0.0, 1.0, y))


def true_range(h: Floats, l: Floats, c: Floats) -> Floats:  # noqa: E741 - as everywhere
    past = before(c)
    spans = np.stack((h - l, np.abs(h - past), np.abs(l - past)))
    return np.asarray(spans.max(axis=0))  # NaN on the first bar, which has no close before it


def hma(x: Floats, n: int) -> Floats:
    return weighted(2.0 * weighted(x, n // 2) - weighted(x, n), math.isqrt(n))


def vwma(c: Floats, v: Floats, n: int) -> Floats:
    return ratio(total(c * v, n), total(v, n), c)


def kdj(h: Floats, l: Floats, c: Floats, n: int, slow: int, smooth: int) -> tuple[Floats, Floats, Floats]:  # noqa: E741
    top, bottom = windowed(h, n, lambda w: w.max(axis=1)), windowed(l, n, lambda w: w.min(axis=1))
    k = rma(100.0 * ratio(c - bottom, top - bottom), slow)
    d = rma(k, smooth)
    k = np.where(np.isnan(d), np.nan, k)
    return k, d, 3.0 * k - 2.0 * d


def tsi(c: Floats, long: int, short: int) -> Floats:
    change = c - before(c)
    return 100.0 * ratio(ema(ema(change, long), short), ema(ema(np.abs(change), long), short))


def vortex(h: Floats, l: Floats, c: Floats, n: int) -> tuple[Floats, Floats]:  # noqa: E741
    ranges = total(true_range(h, l, c), n)
    return ratio(total(np.abs(h - before(l)), n), ranges), ratio(total(np.abs(l - before(h)), n), ranges)


def supertrend(h: Floats, l: Floats, c: Floats, n: int, width: float) -> tuple[Floats, Floats]:  # noqa: E741
    atr = rma(true_range(h, l, c), n)
    value, way = np.full(len(c), np.nan), np.full(len(c), np.nan)
    top = bottom = 0.0
    for t in range(n, len(c)):
        upper, lower = (h[t] + l[t]) / 2.0 + width * atr[t], (h[t] + l[t]) / 2.0 - width * atr[t]
        if t == n:
            way[t] = 1.0
        else:
            way[t] = 1.0 if c[t] > top else -1.0 if c[t] < bottom else way[t - 1]
            upper = upper if upper < top or c[t - 1] > top else top
            lower = lower if lower > bottom or c[t - 1] < bottom else bottom
        top, bottom = upper, lower
        value[t] = bottom if way[t] > 0.0 else top
    return value, way


def keltner(h: Floats, l: Floats, c: Floats, n: int, span: int, width: float) -> tuple[Floats, Floats, Floats]:  # noqa: E741
    middle, reach = ema(c, n), width * rma(true_range(h, l, c), span)
    whole = np.where(np.isnan(reach), np.nan, middle)
    return whole + reach, whole, whole - reach


def accumulation(h: Floats, l: Floats, c: Floats, v: Floats) -> Floats:  # noqa: E741
    return ratio((c - l) - (h - c), h - l) * v


def cmf(h: Floats, l: Floats, c: Floats, v: Floats, n: int) -> Floats:  # noqa: E741
    return ratio(total(accumulation(h, l, c, v), n), total(v, n))


def efi(c: Floats, v: Floats, n: int) -> Floats:
    return ema((c - before(c)) * v, n)


def pvo(v: Floats, fast: int, slow: int) -> Floats:
    return 100.0 * ratio(ema(v, fast) - ema(v, slow), ema(v, slow))


def rvol(v: Floats, n: int) -> Floats:
    return ratio(v, before(mean(v, n)))


def percentrank(c: Floats, n: int) -> Floats:
    return windowed(c, n + 1, lambda w: 100.0 * (w[:, :-1] < w[:, -1:]).sum(axis=1) / n)


def er(c: Floats, n: int) -> Floats:
    return ratio(np.abs(c - before(c, n)), total(np.abs(c - before(c)), n))


def ao(h: Floats, l: Floats) -> Floats:  # noqa: E741
    middle = (h + l) / 2.0
    return mean(middle, 5) - mean(middle, 34)


def vwap(h: Floats, l: Floats, c: Floats, v: Floats) -> Floats:  # noqa: E741
    typical = (h + l + c) / 3.0
    money = np.array([math.fsum((typical * v)[: t + 1]) for t in range(len(c))])
    return ratio(money, np.array([math.fsum(v[: t + 1]) for t in range(len(c))]), typical)


def flow(c: Floats, v: Floats, n: int) -> tuple[Floats, Floats]:
    signed = np.sign(c - before(c)) * v
    return total(signed, n), total(np.where(np.isnan(signed), np.nan, v), n)


def sigma(c: Floats, n: int) -> Floats:
    return np.sqrt(ema(np.log(c / before(c)) ** 2, n))


def zscore(c: Floats, n: int) -> Floats:
    deviation = np.sqrt(windowed(c, n, lambda w: exact_sum((w - (exact_sum(w) / n)[:, None]) ** 2) / n))
    return ratio(c - mean(c, n), np.where(deviation > 1e-12 * np.abs(mean(c, n)), deviation, 0.0 * deviation))


def inside(c: Floats, n: int, width: float) -> Floats:
    return 0.5 + 0.5 * zscore(c, n) / width
