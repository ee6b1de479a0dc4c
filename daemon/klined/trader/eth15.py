"""`eth15` over bars that are all there already: the same bytes as `kernels.features.eth15_step`, far cheaper a bar.

    bars ─▶ windows, in numpy ─▶ averages, each in a loop of its own over plain floats ─▶ features, in numpy

A step mixes what must wait for the bar before with what need not; here what remembers nothing is computed for all bars
at once, and so is what a window remembers, for that is a running sum. Only operations that IEEE 754 defines exactly are
left to numpy, in the order of the steps, so its vectors give what its scalars and Python's floats give. What the
formulas mean stands in `kernels.features`, and a test holds both to the same bytes.
"""

from collections.abc import Sequence
from math import log

import numpy as np
from numpy.typing import NDArray

from klined.domain import Bar
from klined.kernels.features import (
    BARS,
    CLOSE,
    ETH15_ATR,
    ETH15_FIRST,
    ETH15_FLOW,
    ETH15_MACD,
    ETH15_MEAN,
    ETH15_RSI,
    ETH15_SPREAD,
    ETH15_VARIANCE,
    ETH15_Z,
    SPREAD_MIN,
    UNIT_MIN,
    WEIGHT,
)
from klined.kernels.rows import Row
from klined.kernels.windows import FLOW_HEAD, MOMENTS_HEAD, OUTWEIGHED

Column = list[float]
Array = NDArray[np.float64]


class OutweighedError(ArithmeticError):
    """A value so large left a window that its sums have to be counted anew, out of turn."""


def seeded(S: Row) -> bool:  # noqa: N803 - as in the kernels
    """Whether every window and average of the row is full, as `eth15_bars` needs it."""
    return S[BARS] >= ETH15_FIRST


def eth15_bars(S: Row, bars: Sequence[Bar], out: Array) -> None:  # noqa: N803 - as in the kernels
    """Market features of `bars`, oldest first, into `out` of shape (len(bars), MARKET).

    Raises:
        OutweighedError: these bars have to be stepped one by one; nothing was changed.
    """
    closes = [bar.close for bar in bars]
    close, previous = np.array(closes), np.array([S[CLOSE], *closes[:-1]])
    change = close - previous
    state = np.array(S)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # as plain floats do, and lanes not taken
        mean, variance = _moments(state, ETH15_MEAN, 20, close)
        spread = close - mean
        windows = (variance, *_moments(state, ETH15_SPREAD, 60, spread))
        flows = _flow(state, change, np.array([bar.volume for bar in bars]))
        S[:] = state.data
        S[BARS] += float(len(bars))
        S[CLOSE] = closes[-1]
        moves = list(map(log, (close / previous).tolist()))
        averages = (
            *_macd(S, closes),
            *_strengths(S, change.tolist()),
            _ranges(S, bars, previous),
            _variances(S, moves),
        )
        _shape(S, (close, np.array(moves), spread, *windows, *flows, *map(np.array, averages)), out)


def _moments(state: Array, at: int, n: int, xs: Array) -> tuple[Array, Array]:
    """`moments_step` over `xs`: means and variances."""
    ring = state[at + MOMENTS_HEAD : at + MOMENTS_HEAD + n]
    place, anchor, *starts = state[at : at + 4].tolist()
    turn, past, whole = _turns(ring, int(place) - n, xs)
    off = whole - whole[:, -1:]
    anchors = np.concatenate((np.full(turn, anchor), np.repeat(whole[:, -1], n)))[: len(xs)]
    new, old = xs - anchors, past[: len(xs)] - anchors
    steps = np.array((new - old, new * new - old * old))
    totals, squares = _running(steps, starts, turn, np.array((off, off * off)))
    _check(squares, old * old, turn, n)
    place = _keep(ring, turn, past)
    state[at : at + 4] = n + place, anchors[-1], totals[-1], squares[-1]
    means = totals * (1.0 / n)
    variances = squares * (1.0 / n) - means * means
    return anchors + means, np.where(variances > 0.0, variances, 0.0)


def _flow(state: Array, changes: Array, volumes: Array) -> tuple[Array, Array]:
    """`flow_step`: net and gross volume of the last 20 bars."""
    at, n = ETH15_FLOW, 20
    first = at + FLOW_HEAD
    signs, sizes = state[first : first + n], state[first + n : first + n + n]
    place, *starts = state[at : at + 3].tolist()
    signed = volumes * ((changes > 0.0) * 1.0 - (changes < 0.0))
    turn, past, whole = _turns(signs, int(place) - n, signed)
    _, past_sizes, whole_sizes = _turns(sizes, int(place) - n, volumes)
    steps = np.array((signed - past[: len(signed)], volumes - past_sizes[: len(signed)]))
    nets, grosses = _running(steps, starts, turn, np.array((whole, whole_sizes)))
    _check(grosses, past_sizes[: len(signed)], turn, n)
    place = _keep(signs, turn, past)
    _keep(sizes, turn, past_sizes)
    state[at : at + 3] = n + place, nets[-1], grosses[-1]
    return nets, grosses


def _turns(ring: Array, place: int, xs: Array) -> tuple[int, Array, Array]:
    """When the ring, next written at `place`, is first full to its end, and what it holds.

    The index in `xs` of that turn; all values oldest first, those of the ring and then `xs`; the ring after that turn
    and every n-th one from there, shape (turns, n).
    """
    n = len(ring)
    turn = n - 1 - place
    past = np.concatenate((ring[place:], ring[:place], xs))
    turns = len(range(turn, len(xs), n))
    return turn, past, past[turn + 1 : turn + 1 + turns * n].reshape(turns, n)


def _running(steps: Array, starts: Sequence[float], turn: int, whole: Array) -> Array:
    """Sums over `steps` (2, bars) from `starts`, counted anew over each of `whole` (2, turns, n) when it is its turn.

    One sum a row: the first row ends before the first turn, each other begins with one.
    """
    n, count = whole.shape[2], steps.shape[1]
    steps[:, turn::n] = np.add.accumulate(whole, axis=2)[..., -1] + 0.0  # counted from 0.0, so never -0.0
    lead = n - turn
    table = np.zeros((2, (lead + count + n - 1) // n * n))
    table[:, lead - 1] = starts
    table[:, lead : lead + count] = steps
    sums: Array = np.add.accumulate(table.reshape(2, -1, n), axis=2).reshape(2, -1)
    return sums[:, lead : lead + count]


def _check(sums: Array, left: Array, turn: int, n: int) -> None:
    """Raises: OutweighedError when next to what left a window its sum is nothing, but for where it is counted anew."""
    outweighed = sums < OUTWEIGHED * left
    outweighed[turn::n] = False
    if outweighed.any():
        raise OutweighedError


def _keep(ring: Array, turn: int, past: Array) -> int:
    """Leave the newest values in the ring, each in its place; the place that is written next."""
    n = len(ring)
    place = (len(past) - n + n - 1 - turn) % n
    ring[place:] = past[-n : len(past) - place]
    ring[:place] = past[len(past) - place :]
    return place


def _macd(S: Row, closes: Column) -> tuple[Column, Column]:  # noqa: N803
    """`macd_step`: line and signal."""
    fast, slow, signal = S[ETH15_MACD + 1], S[ETH15_MACD + 2], S[ETH15_MACD + 3]
    lines: Column = []
    signals: Column = []
    for close in closes:
        fast += (close - fast) * (2.0 / 13.0)
        slow += (close - slow) * (2.0 / 27.0)
        line = fast - slow
        signal += (line - signal) * (2.0 / 10.0)
        lines.append(line)
        signals.append(signal)
    S[ETH15_MACD + 1], S[ETH15_MACD + 2], S[ETH15_MACD + 3] = fast, slow, signal
    return lines, signals


def _strengths(S: Row, changes: Column) -> tuple[Column, Column]:  # noqa: N803
    """`rsi_step`: average gain and loss."""
    up, down = S[ETH15_RSI + 1], S[ETH15_RSI + 2]
    ups: Column = []
    downs: Column = []
    for change in changes:
        gain = change if change > 0.0 else 0.0  # noqa: FURB136 - as above
        up += (gain - up) * (1.0 / 14.0)
        down += (gain - change - down) * (1.0 / 14.0)
        ups.append(up)
        downs.append(down)
    S[ETH15_RSI + 1], S[ETH15_RSI + 2] = up, down
    return ups, downs


def _ranges(S: Row, bars: Sequence[Bar], previous: Array) -> Column:  # noqa: N803
    """`wilder_step` of the true range."""
    highs, lows = np.array([bar.high for bar in bars]), np.array([bar.low for bar in bars])
    spans = np.maximum(highs, previous) - np.minimum(lows, previous)
    reach = S[ETH15_ATR + 1]
    ranges: Column = []
    for span in spans.tolist():
        reach += (span - reach) * (1.0 / 14.0)
        ranges.append(reach)
    S[ETH15_ATR + 1] = reach
    return ranges


def _variances(S: Row, moves: Column) -> Column:  # noqa: N803
    """`variance_step`: each as known before its move."""
    value = S[ETH15_VARIANCE + 1]
    expected: Column = []
    for move in moves:
        expected.append(value)
        value += (move * move - value) * WEIGHT
    S[ETH15_VARIANCE + 1] = value
    return expected


def _shape(S: Row, columns: Sequence[Array], out: Array) -> None:  # noqa: N803
    """`eth15_z` and `eth15_shape`: features of indicators."""
    close, move, spread, variance, centre, scatter, net, gross, line, signal, up, down, reach, expected = columns
    deviation = np.sqrt(scatter)
    z = np.where(deviation > SPREAD_MIN * close, (spread - centre) / deviation, 0.0)
    turn = z - np.concatenate(((S[ETH15_Z],), z[:-1]))
    S[ETH15_Z] = float(z[-1])
    unit = 1.0 / np.maximum(UNIT_MIN * close, reach)
    band = 2.0 * np.sqrt(variance)
    span = up + down
    out[:, 0] = _clip(z, 5.0) * 0.2
    out[:, 1] = 0.5 * ((z > 1.5) * 1 + (z > 0.5) - (z < -0.5) * 1 - (z < -1.5))
    out[:, 2] = _clip(move / np.maximum(np.sqrt(expected), UNIT_MIN), 5.0) * 0.2
    out[:, 3] = _clip(turn, 2.0) * 0.5
    out[:, 4:7] = _squash(np.array((line * unit, signal * unit, (line - signal) * unit * 3.0))).T
    out[:, 7] = np.where(span > 0.0, 100.0 * (up / span), 50.0) * 0.02 - 1.0
    out[:, 8:11] = _squash(np.array((spread * unit, (band - spread) * unit, (spread + band) * unit))).T
    out[:, 11] = np.where(gross > 0.0, _clip(net / gross, 1.0), 0.0)


def _clip(x: Array, bound: float) -> Array:
    return np.minimum(np.maximum(x, -bound), bound)


def _squash(x: Array) -> Array:
    return x / (1.0 + np.abs(x))
