"""Bars of any length from the bars that come in, and what indicators read of a bar.

    1m bars ─▶ frame_step ─▶ a 5m, 15m, 1h ... bar, shown only once it has closed

A block holds the last closed bar of one timeframe. The plan's own timeframe has its block at 0, so that S[BARS] and
S[CLOSED] mean the same in every plan. On the first bar, values before it are its own open: no change, and a true range
of high - low.
"""

from collections.abc import Sequence

from klined.kernels.rows import Row

COUNT = 0  # closed bars of this timeframe
CLOSE = 1
OPEN = 2
HIGH = 3
LOW = 4
VOLUME = 5
HIGH_BEFORE = 6
LOW_BEFORE = 7
CLOSE_BEFORE = 8
TYPICAL_BEFORE = 9
CHANGE = 10
TRUE_RANGE = 11
TYPICAL = 12  # (high + low + close) / 3
MEDIAN = 13  # (high + low) / 2
TIME = 14  # close time, ms
BLOCK = 15

BUCKET = 15  # number of the bar being built, in bars of this length since 1970; what follows is of that bar
BEGUN = 16  # 1 once it has a part, 0 before; -1: it was joined in the middle and will not be shown
PART_OPEN = 17
PART_HIGH = 18
PART_LOW = 19
PART_CLOSE = 20
PART_VOLUME = 21
FRAME = 22


def bar_step(S: Row, at: int, time: float, opened: float, high: float, low: float, close: float, volume: float) -> None:
    """Count one closed bar that closed at `time`."""
    count = S[at]
    if count > 0.0:
        S[at + 6] = S[at + 3]
        S[at + 7] = S[at + 4]
        before = S[at + 1]
        S[at + 9] = S[at + 12]
    else:
        S[at + 6] = opened
        S[at + 7] = opened
        before = opened
        S[at + 9] = opened
    S[at] = count + 1.0
    S[at + 1] = close
    S[at + 2] = opened
    S[at + 3] = high
    S[at + 4] = low
    S[at + 5] = volume
    S[at + 8] = before
    S[at + 10] = close - before
    top = high if high > before else before  # the true range, without a call
    bottom = low if low < before else before
    S[at + 11] = top - bottom if count > 0.0 else high - low
    S[at + 12] = (high + low + close) / 3.0
    S[at + 13] = 0.5 * (high + low)
    S[at + 14] = time


def frame_step(S: Row, at: int, width: float, interval: float, bar: Sequence[float]) -> bool:
    """Whether a bar of `width` ms closed with `bar`, which lasts `interval` ms; then it stands in the block.

    A bar whose last part is missing closes when the next part after it comes, and no two close with one part. The
    first one is left out unless it was seen from its beginning.
    """
    time = bar[0]
    bucket = float(int(time / width))
    closed = False
    if S[at + 16] != 0.0 and S[at + 15] != bucket:
        closed = _close(S, at, (S[at + 15] + 1.0) * width)
    if S[at + 16] == 0.0:
        joined = S[at] == 0.0 and S[at + 15] == 0.0 and time > bucket * width
        S[at + 16] = -1.0 if joined else 1.0
        S[at + 15] = bucket
        S[at + 17] = bar[1]
        S[at + 18] = bar[2]
        S[at + 19] = bar[3]
        S[at + 21] = bar[5]
    else:
        S[at + 18] = max(S[at + 18], bar[2])
        S[at + 19] = min(S[at + 19], bar[3])
        S[at + 21] += bar[5]
    S[at + 20] = bar[4]
    if not closed and time + interval >= (bucket + 1.0) * width:
        return _close(S, at, (bucket + 1.0) * width)
    return closed


def _close(S: Row, at: int, time: float) -> bool:
    """Show the bar being built, unless it was joined in the middle."""
    whole = S[at + 16] > 0.0
    S[at + 16] = 0.0
    if whole:
        bar_step(S, at, time, S[at + 17], S[at + 18], S[at + 19], S[at + 20], S[at + 21])
    return whole
