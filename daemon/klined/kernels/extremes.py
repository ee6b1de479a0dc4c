"""Where a value stands between the highest and the lowest of the last n: stochastics, channels, Aroon.

    crest   a ring of candidates, falling from the highest: what is neither newer nor higher can never be the answer

Each value enters and leaves the candidates once: amortised O(1), whatever n. The lowest of x is minus the highest of
-x, exactly. `flat` is the answer where highest and lowest are the same: TA-Lib says 0, which reads as an extreme.
`at` is where the kernel's state begins in the S row; a state of zeros is a fresh start.
"""

from klined.kernels.averages import WILDER_SIZE, wilder_step
from klined.kernels.oscillators import RSI_SIZE, rsi_step
from klined.kernels.rows import Row
from klined.kernels.windows import mean_step, sum_size

NAN = float("nan")
STILL = 1e-12  # of the highest: a smaller span, as of an RSI that stood still, is rounding


def crest_size(n: int) -> int:
    return 3 + n + n


def crest_step(S: Row, at: int, n: int, x: float) -> float:
    """Highest of the last n values, or of all while there are fewer. S[at] counts the values seen.

    State: count, slot of the highest, number of candidates, ring of their values, ring of the counts they came at.
    Of equal values the latest is kept, hence S[at] - 1 - `crest_count` is the bars since.
    """
    now = S[at]
    head = int(S[at + 1])
    size = int(S[at + 2])
    first = at + 3
    S[at] = now + 1.0
    if size > 0 and S[first + n + head] <= now - n:
        head = head + 1 if head + 1 < n else 0
        S[at + 1] = head
        size -= 1
    top = S[first + head]
    if size == 0 or top <= x:
        S[at + 1] = 0.0
        S[at + 2] = 1.0
        S[first] = x
        S[first + n] = now
        return x
    tail = head + size - 1
    if tail >= n:
        tail -= n
    slot = first + tail
    while S[slot] <= x:  # ends at the highest, which is higher than x
        size -= 1
        slot = slot - 1 if slot > first else first + n - 1
    slot = slot + 1 if slot + 1 < first + n else first
    S[slot] = x
    S[slot + n] = now
    S[at + 2] = size + 1.0
    return top


def crest_age(S: Row, at: int, n: int) -> float:
    """Values seen since the highest, 0 when it is the newest."""
    return S[at] - 1.0 - S[at + 3 + n + int(S[at + 1])]


def highest_step(S: Row, at: int, n: int, x: float) -> float:
    """Highest of the last n; first value with the n-th `x`."""
    value = crest_step(S, at, n, x)
    return value if S[at] >= n else NAN


def lowest_step(S: Row, at: int, n: int, x: float) -> float:
    """Lowest of the last n; first value with the n-th `x`."""
    value = -crest_step(S, at, n, -x)
    return value if S[at] >= n else NAN


def channel_size(n: int) -> int:
    return 2 * crest_size(n)


def donchian_step(S: Row, at: int, n: int, high: float, low: float) -> tuple[float, float, float]:
    """Highest high, middle and lowest low of the last n bars; first value with the n-th bar."""
    top = crest_step(S, at, n, high)
    bottom = -crest_step(S, at + crest_size(n), n, -low)
    if S[at] < n:
        return NAN, NAN, NAN
    return top, 0.5 * (top + bottom), bottom


def willr_step(S: Row, at: int, n: int, flat: float, high: float, low: float, close: float) -> float:
    """Williams' %R (1973) in [-100, 0]; first value with the n-th bar."""
    top = crest_step(S, at, n, high)
    bottom = -crest_step(S, at + crest_size(n), n, -low)
    if S[at] < n:
        return NAN
    return -100.0 * ((top - close) / (top - bottom)) if top > bottom else flat


def aroon_step(S: Row, at: int, n: int, high: float, low: float) -> tuple[float, float, float]:
    """Aroon (Chande 1995) down, up in [0, 100] and up - down: how fresh the extremes of n + 1 bars are."""
    crest_step(S, at, n + 1, high)
    crest_step(S, at + crest_size(n + 1), n + 1, -low)
    if S[at] < n + 1.0:
        return NAN, NAN, NAN
    up = 100.0 * ((n - crest_age(S, at, n + 1)) / n)
    down = 100.0 * ((n - crest_age(S, at + crest_size(n + 1), n + 1)) / n)
    return down, up, up - down


def fast_step(S: Row, at: int, n: int, flat: float, high: float, low: float, close: float) -> float:
    """Raw stochastic %K (Lane) in [0, 100]; first value with the n-th bar. State of a channel."""
    top = crest_step(S, at, n, high)
    bottom = -crest_step(S, at + crest_size(n), n, -low)
    if S[at] < n:
        return NAN
    span = top - bottom
    return 100.0 * ((close - bottom) / span) if span > STILL * abs(top) else flat


def stochf_size(n: int, smooth: int) -> int:
    return channel_size(n) + sum_size(smooth)


def stochf_step(
    S: Row, at: int, n: int, smooth: int, flat: float, high: float, low: float, close: float
) -> tuple[float, float]:
    """Fast stochastic %K and %D = SMA(smooth) of it, both from the first %D on."""
    k = fast_step(S, at, n, flat, high, low, close)
    if S[at] < n:
        return NAN, NAN
    averaged = at + channel_size(n)
    d = mean_step(S, averaged, smooth, k)
    return (k, d) if S[averaged] >= smooth else (NAN, NAN)


def stoch_size(n: int, slow: int, smooth: int) -> int:
    return channel_size(n) + sum_size(slow) + sum_size(smooth)


def stoch_step(
    S: Row, at: int, n: int, slow: int, smooth: int, flat: float, high: float, low: float, close: float
) -> tuple[float, float]:
    """Slow stochastic %K = SMA(slow) of the raw one and %D = SMA(smooth) of that, both from the first %D on."""
    raw = fast_step(S, at, n, flat, high, low, close)
    if S[at] < n:
        return NAN, NAN
    averaged = at + channel_size(n)
    k = mean_step(S, averaged, slow, raw)
    if S[averaged] < slow:
        return NAN, NAN
    again = averaged + sum_size(slow)
    d = mean_step(S, again, smooth, k)
    return (k, d) if S[again] >= smooth else (NAN, NAN)


def kdj_size(n: int) -> int:
    return channel_size(n) + 2 * WILDER_SIZE


def kdj_step(
    S: Row, at: int, n: int, slow: int, smooth: int, flat: float, high: float, low: float, close: float
) -> tuple[float, float, float]:
    """K and D as Wilder averages of the raw stochastic, J = 3 K - 2 D, all from the first D on."""
    raw = fast_step(S, at, n, flat, high, low, close)
    if S[at] < n:
        return NAN, NAN, NAN
    averaged = at + channel_size(n)
    k = wilder_step(S, averaged, slow, raw)
    if S[averaged] < slow:
        return NAN, NAN, NAN
    d = wilder_step(S, averaged + 2, smooth, k)
    return (k, d, 3.0 * k - 2.0 * d) if S[averaged + 2] >= smooth else (NAN, NAN, NAN)


def stochrsi_size(_n: int, span: int, smooth: int) -> int:
    return RSI_SIZE + stochf_size(span, smooth)


def stochrsi_step(S: Row, at: int, n: int, span: int, smooth: int, flat: float, change: float) -> tuple[float, float]:
    """Fast stochastic of RSI(n) over `span` (Chande, Kroll 1994); `change` begins with the second bar."""
    rsi = rsi_step(S, at, n, flat, change)
    if S[at] < n:
        return NAN, NAN
    return stochf_step(S, at + RSI_SIZE, span, smooth, flat, rsi, rsi, rsi)


def percentrank_size(n: int) -> int:
    return 1 + n


def percentrank_step(S: Row, at: int, n: int, x: float) -> float:
    """Share of the n values before `x` that are lower, in percent; first value with the (n + 1)-th `x`. O(n).

    State: cursor, ring.
    """
    cursor = int(S[at])
    if cursor < n:
        S[at + 1 + cursor] = x
        S[at] = cursor + 1.0
        return NAN
    lower = 0.0
    for slot in range(at + 1, at + 1 + n):
        if S[slot] < x:
            lower += 1.0
    S[at + 1 + cursor - n] = x
    S[at] = float(n) if cursor == n + n - 1 else cursor + 1.0
    return 100.0 * (lower / n)
