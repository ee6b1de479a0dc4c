"""`eth15` over bars that are all there already, in plain Python: the same bytes as `kernels.features.eth15_step`.

    bars ─▶ windows ─▶ averages, each in a loop of its own over plain floats ─▶ features, all bars in one numpy call

A step mixes what must wait for the bar before with what need not; here memory stays in local variables, and what
remembers nothing is computed for all bars at once. Only operations that IEEE 754 defines exactly are left to numpy, so
its vectors give what its scalars and Python's floats give. What the formulas mean stands in `kernels.features`, and a
test holds both to the same bytes.
"""

from collections.abc import Sequence
from math import log
from struct import pack_into

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
from klined.kernels.oscillators import true_range
from klined.kernels.rows import Row
from klined.kernels.windows import FLOW_HEAD, MOMENTS_HEAD, OUTWEIGHED

Column = list[float]
Array = NDArray[np.float64]


def seeded(S: Row) -> bool:  # noqa: N803 - as in the kernels
    """Whether every window and average of the row is full, as `eth15_bars` needs it."""
    return S[BARS] >= ETH15_FIRST


def eth15_bars(S: Row, bars: Sequence[Bar], out: Array) -> None:  # noqa: N803 - as in the kernels
    """Market features of `bars`, oldest first, into `out` of shape (len(bars), MARKET)."""
    closes = [bar.close for bar in bars]
    before = [S[CLOSE], *closes[:-1]]
    moves = [log(close / previous) for close, previous in zip(closes, before, strict=True)]
    means, variances = _moments(S, ETH15_MEAN, 20, closes)
    spreads = [close - mean for close, mean in zip(closes, means, strict=True)]
    centres, scatters = _moments(S, ETH15_SPREAD, 60, spreads)
    changes = [close - previous for close, previous in zip(closes, before, strict=True)]
    S[BARS] += float(len(bars))
    S[CLOSE] = closes[-1]
    columns = np.array(
        [
            closes,
            moves,
            spreads,
            variances,
            centres,
            scatters,
            *_flow(S, changes, [bar.volume for bar in bars]),
            *_macd(S, closes),
            *_strengths(S, changes),
            _ranges(S, bars, before),
            _variances(S, moves),
        ]
    )
    with np.errstate(divide="ignore", invalid="ignore"):  # of lanes that `where` does not take
        _shape(S, columns, out)


def _moments(S: Row, at: int, n: int, xs: Column) -> tuple[Column, Column]:  # noqa: N803
    """`moments_step` over `xs`: means and variances."""
    first = at + MOMENTS_HEAD
    ring = list(S[first : first + n])
    anchor, total, squares = S[at + 1], S[at + 2], S[at + 3]
    place, share = int(S[at]) - n, 1.0 / n
    means: Column = []
    variances: Column = []
    for x in xs:
        old = ring[place] - anchor
        new = x - anchor
        ring[place] = x
        total += new - old
        squares += new * new - old * old
        place += 1
        if place == n or squares < OUTWEIGHED * (old * old):
            place %= n
            anchor = x
            total = squares = 0.0
            for value in ring:
                off = value - anchor
                total += off
                squares += off * off
        mean = total * share
        variance = squares * share - mean * mean
        means.append(anchor + mean)
        variances.append(variance if variance > 0.0 else 0.0)  # noqa: FURB136 - a call of max costs as much as the rest
    S[at], S[at + 1], S[at + 2], S[at + 3] = float(n + place), anchor, total, squares
    pack_into(f"{n}d", S, 8 * first, *ring)
    return means, variances


def _flow(S: Row, changes: Column, volumes: Column) -> tuple[Column, Column]:  # noqa: N803
    """`flow_step`: net and gross volume of the last 20 bars."""
    at, n = ETH15_FLOW, 20
    first = at + FLOW_HEAD
    signs = list(S[first : first + n])
    ring = list(S[first + n : first + n + n])
    net, gross = S[at + 1], S[at + 2]
    place = int(S[at]) - n
    nets: Column = []
    grosses: Column = []
    for change, volume in zip(changes, volumes, strict=True):
        signed = volume * ((change > 0.0) - (change < 0.0))
        old = ring[place]
        net += signed - signs[place]
        gross += volume - old
        signs[place] = signed
        ring[place] = volume
        place += 1
        if place == n or gross < OUTWEIGHED * old:
            place %= n
            net = gross = 0.0
            for value, size in zip(signs, ring, strict=True):
                net += value
                gross += size
        nets.append(net)
        grosses.append(gross)
    S[at], S[at + 1], S[at + 2] = float(n + place), net, gross
    pack_into(f"{2 * n}d", S, 8 * first, *signs, *ring)
    return nets, grosses


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


def _ranges(S: Row, bars: Sequence[Bar], before: Column) -> Column:  # noqa: N803
    """`wilder_step` of the true range."""
    reach = S[ETH15_ATR + 1]
    ranges: Column = []
    for bar, previous in zip(bars, before, strict=True):
        reach += (true_range(bar.high, bar.low, previous) - reach) * (1.0 / 14.0)
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


def _shape(S: Row, columns: Array, out: Array) -> None:  # noqa: N803
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
