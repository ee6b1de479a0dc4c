"""Which way, and how decidedly: Wilder's directional movement, parabolic stops, supertrend, vortex.

Inputs that look back one bar (`before` in their name, and the true range) begin with the second bar. `at` is where the
kernel's state begins in the S row; a state of zeros is a fresh start. All are O(1) but for the rings of vortex.
"""

from klined.kernels.averages import WILDER_SIZE, wilder_step
from klined.kernels.rows import Row
from klined.kernels.windows import lag_size, lag_step, pair_size, pair_step, sum_size, sum_step

NAN = float("nan")
DMI_SIZE = 7
SAR_SIZE = 6
SUPERTREND_SIZE = WILDER_SIZE + 4


def dmi_step(
    S: Row, at: int, n: int, high: float, low: float, high_before: float, low_before: float, true: float
) -> tuple[float, float, float, float]:
    """Wilder's +DI, -DI, DX and ADX (1978), all in [0, 100].

    The first three come with the n-th move, ADX n - 1 later. Sums begin with n - 1 moves, as in TA-Lib; a bar without
    direction repeats DX and leaves ADX. State: moves, sums of +DM, -DM and true range, DX, directions, ADX.
    """
    up = high - high_before
    down = low_before - low
    plus = up if up > down and up > 0.0 else 0.0
    minus = down if down > up and down > 0.0 else 0.0
    moves = S[at]
    if moves < n - 1.0:
        S[at] = moves + 1.0
        S[at + 1] += plus
        S[at + 2] += minus
        S[at + 3] += true
        return NAN, NAN, NAN, NAN
    share = 1.0 / n
    rising = S[at + 1]
    rising = rising - rising * share + plus
    falling = S[at + 2]
    falling = falling - falling * share + minus
    ranges = S[at + 3]
    ranges = ranges - ranges * share + true
    S[at + 1] = rising
    S[at + 2] = falling
    S[at + 3] = ranges
    dx = S[at + 4]
    adx = S[at + 6]
    seen = S[at + 5]
    total = rising + falling
    directed = total > 0.0 and ranges > 0.0
    if directed:
        dx = 100.0 * (abs(rising - falling) / total)
        S[at + 4] = dx
    if seen < n:
        if directed:
            adx += dx
        seen += 1.0
        S[at + 5] = seen
        if seen == n:
            adx /= n
    elif directed:
        adx += (dx - adx) * share
    S[at + 6] = adx
    strength = adx if seen >= n else NAN
    if ranges <= 0.0:
        return 0.0, 0.0, dx, strength
    return 100.0 * (rising / ranges), 100.0 * (falling / ranges), dx, strength


def adxr_size(n: int) -> int:
    return DMI_SIZE + lag_size(n - 1)


def adxr_step(
    S: Row, at: int, n: int, high: float, low: float, high_before: float, low_before: float, true: float
) -> float:
    """Mean of ADX now and n - 1 bars ago (TA-Lib's lag, one less than Wilder's)."""
    _, _, _, adx = dmi_step(S, at, n, high, low, high_before, low_before, true)
    if S[at + 5] < n:
        return NAN
    return 0.5 * (adx + lag_step(S, at + DMI_SIZE, n - 1, adx))


def vortex_size(n: int) -> int:
    return pair_size(n) + sum_size(n)


def vortex_step(
    S: Row, at: int, n: int, high: float, low: float, high_before: float, low_before: float, true: float
) -> tuple[float, float]:
    """Vortex VI+ and VI- (Botes, Siepman 2010): rising and falling reach over the true range; 0 in a dead market."""
    rising, falling = pair_step(S, at, n, abs(high - low_before), abs(low - high_before))
    ranges = sum_step(S, at + pair_size(n), n, true)
    if S[at] < n:
        return NAN, NAN
    return (rising / ranges, falling / ranges) if ranges > 0.0 else (0.0, 0.0)


def sar_step(
    S: Row, at: int, step: float, most: float, high: float, low: float, high_before: float, low_before: float
) -> float:
    """Wilder's parabolic stop (1978), first value with the second bar; the first direction is that of the first move.

    State: begun, 1 while long, extreme, acceleration, next stop, spare.
    """
    if S[at] == 0.0:
        fall = low_before - low
        rise = high - high_before
        long = not (fall > 0.0 and rise < fall)
        S[at] = 1.0
        S[at + 2] = high if long else low
        S[at + 3] = step
        S[at + 4] = low_before if long else high_before
        high_before = high  # TA-Lib's first step knows no bar before itself
        low_before = low
    else:
        long = S[at + 1] == 1.0
    extreme = S[at + 2]
    pace = S[at + 3]
    stop = S[at + 4]
    if long:
        if low <= stop:  # turned short
            shown = max(extreme, high_before, high)
            S[at + 1] = 0.0
            S[at + 2] = low
            S[at + 3] = step
            S[at + 4] = max(shown + step * (low - shown), high_before, high)
            return shown
        if high > extreme:
            extreme = high
            pace = min(pace + step, most)
        following = min(stop + pace * (extreme - stop), low_before, low)
    else:
        if high >= stop:  # turned long
            shown = min(extreme, low_before, low)
            S[at + 1] = 1.0
            S[at + 2] = high
            S[at + 3] = step
            S[at + 4] = min(shown + step * (high - shown), low_before, low)
            return shown
        if low < extreme:
            extreme = low
            pace = min(pace + step, most)
        following = max(stop + pace * (extreme - stop), high_before, high)
    S[at + 1] = 1.0 if long else 0.0
    S[at + 2] = extreme
    S[at + 3] = pace
    S[at + 4] = following
    return stop


def supertrend_step(
    S: Row, at: int, n: int, width: float, high: float, low: float, close: float, true: float
) -> tuple[float, float]:
    """Supertrend (Seban): the trailing band of `width` ATR(n) that the close has not crossed, and 1 up or -1 down.

    It begins upwards with the n-th true range. State: ATR, upper and lower band, direction, last close.
    """
    atr = wilder_step(S, at, n, true)
    before = S[at + 5]
    S[at + 5] = close
    if S[at] < n:
        return NAN, NAN
    middle = 0.5 * (high + low)
    upper = middle + width * atr
    lower = middle - width * atr
    way = S[at + 4]
    if way == 0.0:
        way = 1.0
    else:
        ceiling = S[at + 2]
        floor = S[at + 3]
        if upper > ceiling and before <= ceiling:
            upper = ceiling
        if lower < floor and before >= floor:
            lower = floor
        if close > ceiling:
            way = 1.0
        elif close < floor:
            way = -1.0
    S[at + 2] = upper
    S[at + 3] = lower
    S[at + 4] = way
    return (lower if way > 0.0 else upper), way
