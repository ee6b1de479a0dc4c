"""What kind of market this is: rank of volatility, trend, hidden states; all from closed bars, none looking back again.

    rank      where a value lies among those of the last whole day (or hour ...), by five P2 markers
    hmm       forward filter of a Gaussian hidden Markov model whose parameters were fitted beforehand
    calendar  smooth waves over the week, time to the next funding

`at` is where the kernel's state begins in the S row; a state of zeros is a fresh start.
"""

import math

from klined.kernels.rows import Row

RANK_SIZE = 24
STATES_MAX = 4
SERIES_MAX = 3
HMM_SIZE = 1 + 2 * STATES_MAX  # begun, probabilities, room for the next ones
MINUTE_MS = 60_000.0
DAY_MS = 86_400_000.0
WEEK_MS = 604_800_000.0
THURSDAY_MS = 259_200_000.0  # time since Monday at the start of 1970


def rank_step(S: Row, at: int, minutes: int, x: float, time: float) -> float:
    """Share of the values in the last whole block of `minutes` that lie below `x`, in [0, 1]; 0.5 while none is known.

    Blocks are cut by the clock, so that a start is forgotten after two of them. Five markers of the P2 algorithm (Jain,
    Chlamtac 1985, for the median) stand for a block's values; between them the rank is interpolated. O(1).
    State: block, count, heights and positions of the markers being moved, 1 when the following are set, heights of the
    last whole block, its share of values per marker.
    """
    block = float(int((time - 1.0) / (minutes * MINUTE_MS)))
    if S[at] != block or S[at + 1] == 0.0:
        if S[at + 1] >= 5.0:
            S[at + 12] = S[at + 13]  # the first block may have been joined in its middle: shown from the second on
            for k in range(5):
                S[at + 14 + k] = S[at + 2 + k]
                S[at + 19 + k] = (S[at + 7 + k] - 1.0) / (S[at + 1] - 1.0)
        if S[at + 1] > 0.0:
            S[at + 13] = 1.0
        S[at] = block
        S[at + 1] = 0.0
    rank = rank_among(S, at + 14, x) if S[at + 12] > 0.0 else 0.5
    markers_step(S, at + 1, x)
    return rank


def rank_among(S: Row, at: int, x: float) -> float:
    """Rank of `x` among five heights at S[at] with their shares at S[at + 5]."""
    if x <= S[at]:
        return 0.0 if x < S[at] or S[at + 4] > x else 0.5
    upper = at + 1
    while S[upper] <= x:
        if upper == at + 4:
            return 1.0
        upper += 1
    below = S[upper - 1]
    span = S[upper] - below
    part = (x - below) / span if span > 0.0 else 0.0
    share = S[upper + 4]
    return share + (S[upper + 5] - share) * part


def markers_step(S: Row, at: int, x: float) -> None:
    """Move five P2 markers by `x`. State: count, heights, positions (1-based)."""
    count = int(S[at])
    S[at] = count + 1.0
    if count < 5:
        slot = at + 1 + count
        while slot > at + 1 and S[slot - 1] > x:
            S[slot] = S[slot - 1]
            slot -= 1
        S[slot] = x
        S[at + 6 + count] = count + 1.0
        return
    second = S[at + 7]
    third = S[at + 8]
    fourth = S[at + 9]
    if x < S[at + 4]:
        fourth += 1.0
        S[at + 9] = fourth
        if x < S[at + 3]:
            third += 1.0
            S[at + 8] = third
            if x < S[at + 2]:
                second += 1.0
                S[at + 7] = second
                if x < S[at + 1]:
                    S[at + 1] = x
    elif x > S[at + 5]:
        S[at + 5] = x
    S[at + 10] += 1.0
    share = 0.25 * count
    gap = 1.0 + share - second
    if gap >= 1.0 or gap <= -1.0:
        marker_nudge(S, at + 2, gap)
    gap = 1.0 + 2.0 * share - third
    if gap >= 1.0 or gap <= -1.0:
        marker_nudge(S, at + 3, gap)
    gap = 1.0 + 3.0 * share - fourth
    if gap >= 1.0 or gap <= -1.0:
        marker_nudge(S, at + 4, gap)


def marker_nudge(S: Row, at: int, gap: float) -> None:
    """Move one marker towards its wanted position, where there is room."""
    if gap > 0.0:
        if S[at + 6] - S[at + 5] > 1.0:
            marker_move(S, at, 1.0)
    elif S[at + 4] - S[at + 5] < -1.0:
        marker_move(S, at, -1.0)


def marker_move(S: Row, at: int, way: float) -> None:
    """Shift one marker by one position: on a parabola through its neighbours, else on a line. Positions lie 5 on."""
    height = S[at]
    lower = S[at - 1]
    upper = S[at + 1]
    place = S[at + 5]
    left = place - S[at + 4]
    right = S[at + 6] - place
    curve = (left + way) * (upper - height) / right + (right - way) * (height - lower) / left
    moved = height + way / (left + right) * curve
    if not lower < moved < upper:
        if way > 0.0:
            moved = height + (upper - height) / right
        else:
            moved = height - (height - lower) / left
    S[at] = moved
    S[at + 5] = place + way


def hmm_size() -> int:
    return HMM_SIZE


def hmm_step(S: Row, at: int, states: int, series: int, C: Row, c: int, x: float, y: float, z: float) -> None:
    """Probability of each hidden state given all bars so far, into S[at + 1 ...]; O(states^2).

    The forward recursion (Rabiner 1989, eq. 20) with normalised probabilities and independent Gaussian series.
    Constants from C[c] on: start (states), transitions by row (states^2), means by state (states x series), variances
    likewise; variances are positive. Series beyond the first are read only when `series` says so.
    """
    begun = S[at] == 1.0
    S[at] = 1.0
    means = c + states + states * states
    spreads = means + states * series
    best = 0.0
    fresh = at + 1 + STATES_MAX
    for state in range(states):
        weight = 0.0
        for k in range(series):
            value = x if k == 0 else (y if k == 1 else z)
            spread = C[spreads + state * series + k]
            off = value - C[means + state * series + k]
            weight -= 0.5 * (off * off / spread + math.log(spread))
        S[fresh + state] = weight
        if state == 0 or weight > best:
            best = weight
    for state in range(states):
        prior = 0.0
        if begun:
            for k in range(states):
                prior += S[at + 1 + k] * C[c + states + k * states + state]
        else:
            prior = C[c + state]
        gap = S[fresh + state] - best
        S[fresh + state] = prior * math.exp(gap) if gap > -700.0 else 0.0
    total = 0.0
    for state in range(states):
        total += S[fresh + state]
    for state in range(states):
        S[at + 1 + state] = S[fresh + state] / total if total > 0.0 else C[c + state]


def wave(phase: float) -> float:
    """Like sin(2 pi phase) for phase in [0, 1): parabolas by Bhaskara I, exact in IEEE arithmetic, off by 0.0017."""
    half = phase if phase < 0.5 else phase - 0.5
    hump = 2.0 * half * (1.0 - 2.0 * half)
    value = 16.0 * hump / (5.0 - 4.0 * hump)
    return value if phase < 0.5 else -value


def week_sin(time: float) -> float:
    """Wave over the UTC week from Monday on, at close time `time`."""
    weeks = (time + THURSDAY_MS) / WEEK_MS
    return wave(weeks - int(weeks))


def week_cos(time: float) -> float:
    weeks = (time + THURSDAY_MS) / WEEK_MS + 0.25
    return wave(weeks - int(weeks))


def day_sin(time: float) -> float:
    """Wave over the UTC day from midnight on, at close time `time`."""
    days = time / DAY_MS
    return wave(days - int(days))


def day_cos(time: float) -> float:
    days = time / DAY_MS + 0.25
    return wave(days - int(days))


def until(hours: int, time: float) -> float:
    """Time from `time` to the next multiple of `hours` of the UTC day, as a fraction of it, in (0, 1]."""
    parts = time / (hours * 60.0 * MINUTE_MS)
    return 1.0 - (parts - int(parts))
