"""Averages of averages: each stage begins when the one before it gives its first value.

    x ─▶ EMA ─▶ EMA ─▶ EMA ...     DEMA, TEMA, T3, TRIX, TSI; and differences of two averages: APO, PPO, PVO, Keltner

Every stage is an `ema_step` with its own two numbers, seeded by the plain mean of its first n inputs, as TA-Lib seeds
them. `at` is where the kernel's state begins in the S row; a state of zeros is a fresh start. All are O(1).
"""

from klined.kernels.averages import EMA_SIZE, WILDER_SIZE, ema_step, macd_step, wilder_step
from klined.kernels.rows import Row
from klined.kernels.windows import OUTWEIGHED

NAN = float("nan")
DEMA_SIZE = 2 * EMA_SIZE
TEMA_SIZE = 3 * EMA_SIZE
T3_SIZE = 6 * EMA_SIZE
TRIX_SIZE = 3 * EMA_SIZE + 2
TSI_SIZE = 4 * EMA_SIZE
APO_SIZE = 2 * EMA_SIZE
KELTNER_SIZE = EMA_SIZE + WILDER_SIZE


def macd_lines(S: Row, at: int, fast: int, slow: int, smooth: int, x: float) -> tuple[float, float, float]:
    """MACD, signal and their difference. State of `macd_step`."""
    line, signal = macd_step(S, at, fast, slow, smooth, x)
    return line, signal, line - signal


def dema_step(S: Row, at: int, n: int, x: float) -> float:
    """Double EMA, 2 e1 - e2 (Mulloy 1994); first value with the (2n - 1)-th `x`."""
    one = ema_step(S, at, n, x)
    if S[at] < n:
        return NAN
    two = ema_step(S, at + 2, n, one)
    return 2.0 * one - two


def tema_step(S: Row, at: int, n: int, x: float) -> float:
    """Triple EMA, 3 e1 - 3 e2 + e3 (Mulloy 1994); first value with the (3n - 2)-th `x`."""
    one = ema_step(S, at, n, x)
    if S[at] < n:
        return NAN
    two = ema_step(S, at + 2, n, one)
    if S[at + 2] < n:
        return NAN
    three = ema_step(S, at + 4, n, two)
    return 3.0 * (one - two) + three


def t3_step(S: Row, at: int, n: int, factor: float, x: float) -> float:
    """Tillson's T3 (1998): a TEMA-like mix of the third to the sixth EMA; first value with the (6n - 5)-th `x`."""
    third = 0.0
    fourth = 0.0
    fifth = 0.0
    if S[at + 10] >= n:  # all seeded
        weight = 2.0 / (n + 1.0)
        x = S[at + 1] + (x - S[at + 1]) * weight
        S[at + 1] = x
        x = S[at + 3] + (x - S[at + 3]) * weight
        S[at + 3] = x
        third = S[at + 5] + (x - S[at + 5]) * weight
        S[at + 5] = third
        fourth = S[at + 7] + (third - S[at + 7]) * weight
        S[at + 7] = fourth
        fifth = S[at + 9] + (fourth - S[at + 9]) * weight
        S[at + 9] = fifth
        x = S[at + 11] + (fifth - S[at + 11]) * weight
        S[at + 11] = x
    else:
        for stage in range(6):
            x = ema_step(S, at + stage + stage, n, x)
            if S[at + stage + stage] < n:
                return NAN
            if stage == 2:
                third = x
            elif stage == 3:
                fourth = x
            elif stage == 4:
                fifth = x
    square = factor * factor
    cube = square * factor
    late = 3.0 * (square + cube)
    middle = -6.0 * square - 3.0 * (factor + cube)
    early = 1.0 + 3.0 * factor + cube + 3.0 * square
    return late * fifth - cube * x + middle * fourth + early * third


def trix_step(S: Row, at: int, n: int, x: float) -> float:
    """Change of the triple EMA in percent (Hutson 1983); first value with the (3n - 1)-th `x`."""
    if S[at + 4] >= n:  # all seeded: as `ema_step`, without its calls
        weight = 2.0 / (n + 1.0)
        three = S[at + 1]
        three += (x - three) * weight
        S[at + 1] = three
        two = S[at + 3]
        two += (three - two) * weight
        S[at + 3] = two
        three = S[at + 5]
        three += (two - three) * weight
        S[at + 5] = three
    else:
        three = ema_step(S, at, n, x)
        if S[at] < n:
            return NAN
        three = ema_step(S, at + 2, n, three)
        if S[at + 2] < n:
            return NAN
        three = ema_step(S, at + 4, n, three)
        if S[at + 4] < n:
            return NAN
    before = S[at + 6]
    seen = S[at + 7]
    S[at + 6] = three
    S[at + 7] = 1.0
    if seen == 0.0:
        return NAN
    return (three / before - 1.0) * 100.0 if before != 0.0 else 0.0


def tsi_step(S: Row, at: int, long: int, short: int, change: float) -> float:
    """True strength (Blau 1991) in [-100, 100]: smoothed change over smoothed |change|; 0 in a dead market."""
    one = ema_step(S, at, long, change)
    size = ema_step(S, at + 2, long, abs(change))
    if S[at] < long:
        return NAN
    two = ema_step(S, at + 4, short, one)
    size = ema_step(S, at + 6, short, size)
    if S[at + 4] < short:
        return NAN
    return 100.0 * (two / size) if size > 0.0 else 0.0


def apo_step(S: Row, at: int, fast: int, slow: int, x: float) -> float:
    """Fast EMA less slow EMA, each seeded with its own first values, unlike MACD's; first with the `slow`-th `x`."""
    return ema_step(S, at, fast, x) - ema_step(S, at + 2, slow, x)


def ppo_step(S: Row, at: int, fast: int, slow: int, x: float) -> float:
    """`apo_step` in percent of the slow EMA, 0 while that is 0; of volume it is the PVO."""
    quick = ema_step(S, at, fast, x)
    long = ema_step(S, at + 2, slow, x)
    return 100.0 * ((quick - long) / long) if long != 0.0 else 0.0


def keltner_step(S: Row, at: int, n: int, span: int, width: float, close: float, true: float) -> tuple[float, ...]:
    """Keltner channel (upper, middle, lower): EMA(n) of the close and `width` ATR(span) around it.

    The true range of the first bar knows no close before it and is left out, as in ATR itself.
    """
    first = S[at] == 0.0
    middle = ema_step(S, at, n, close)
    if first:
        return NAN, NAN, NAN
    reach = wilder_step(S, at + 2, span, true) * width
    return middle + reach, middle, middle - reach


def kama_size(n: int) -> int:
    return 5 + n


def efficiency_step(S: Row, at: int, n: int, x: float) -> tuple[float, float]:
    """Distance gone over the way travelled in n steps (Kaufman 1995): in [0, 1], and with the sign of the distance.

    0 where nothing moved; first value with the (n + 1)-th `x`. State: cursor, last value, room for `kama_step`, way,
    oldest value, ring of the n values since. The way is counted anew when the ring wraps or an outlier leaves.
    """
    cursor = int(S[at])
    last = S[at + 1]
    S[at + 1] = x
    if cursor <= n:
        if cursor == 0:
            S[at + 4] = x
        else:
            S[at + 4 + cursor] = x
            S[at + 3] += abs(x - last)
        S[at] = cursor + 1.0
        if cursor < n:
            return NAN, NAN
        past = S[at + 4]
    else:
        slot = at + 5 + cursor - n - 1
        past = S[slot]
        left = abs(past - S[at + 4])
        way = S[at + 3] + (abs(x - last) - left)
        S[at + 4] = past
        S[slot] = x
        S[at + 3] = way
        S[at] = n + 1.0 if cursor == n + n else cursor + 1.0
        if cursor == n + n or way < OUTWEIGHED * left:
            way_recount(S, at, n, slot)
    way = S[at + 3]
    gone = x - past
    if way <= 0.0:
        return 0.0, 0.0
    if abs(gone) >= way:
        return 1.0, 1.0 if gone > 0.0 else -1.0
    return abs(gone) / way, gone / way


def way_recount(S: Row, at: int, n: int, newest: int) -> None:
    """Count the way anew, from the oldest value through the ring to slot `newest`. O(n)."""
    before = S[at + 4]
    way = 0.0
    slot = newest
    for _ in range(n):
        slot = slot + 1 if slot < at + 4 + n else at + 5
        way += abs(S[slot] - before)
        before = S[slot]
    S[at + 3] = way


def kama_step(S: Row, at: int, n: int, x: float) -> float:
    """Kaufman's adaptive average (1995) between EMA(2) and EMA(30); first value with the (n + 1)-th `x`.

    It begins from the value before its first. In a market that did not move TA-Lib calls it efficient, and so do we.
    """
    last = S[at + 1]
    first = S[at] == n
    ratio, _ = efficiency_step(S, at, n, x)
    if S[at] <= n:
        return NAN
    value = last if first else S[at + 2]
    if S[at + 3] <= 0.0:
        ratio = 1.0
    share = ratio * (2.0 / 3.0 - 2.0 / 31.0) + 2.0 / 31.0
    value += (x - value) * (share * share)
    S[at + 2] = value
    return value
