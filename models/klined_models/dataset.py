"""Bars for training: generated ones that everybody can make again, real ones where they lie on disk.

    bars (n, 6) open_time_ms, open, high, low, close, volume ─▶ engine kernels ─▶ features (n, 12) ─▶ eth15 (n, 15)

The features come from the very kernel that the daemon runs; the golden vectors of the exported file prove it.
"""

import gzip
import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from klined.kernels.features import ETH15_FIRST, ETH15_SIZE, MARKET, eth15_history
from klined.kernels.rows import Block

Bars = NDArray[np.float64]
Array = NDArray[np.float64]

DIM = 15
POSITION, CHANGE, SENTIMENT = 0, 5, 14
MARKET_SLOTS = (1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13)
BAND_HIGH, BAND_LOW = 11, 12  # swap places when prices are mirrored


def read_bars(path: Path) -> Bars:
    """Rows of an `open_time,open,high,low,close,volume` CSV (gzip), shape (n, 6)."""
    with gzip.open(path, "rt") as lines:
        return np.loadtxt(lines, delimiter=",", skiprows=1, ndmin=2)


def plant_reversion(bars: Bars, strength: float, half_life_bars: float, seed: int) -> Bars:
    """The same bars with a pull back to the mean planted in them: an edge that really is there, to be learnt.

    Adds a stationary AR(1) to the log price whose shocks are `strength` times the bars' own volatility. Kept apart
    from the generator, whose markets are meant to have no edge.
    """
    random = np.random.Generator(np.random.Philox(seed))
    volatility = np.abs(np.diff(np.log(bars[:, 4]), prepend=np.log(bars[0, 1])))
    volatility = np.convolve(volatility, np.full(30, 1.0 / 30.0), mode="full")[: len(bars)]
    shocks = strength * volatility * random.normal(size=len(bars))
    keep = 0.5 ** (1.0 / half_life_bars)
    pull, level = np.empty(len(bars)), 0.0
    for t, shock in enumerate(shocks.tolist()):
        level = keep * level + shock
        pull[t] = level
    opened = np.concatenate([[0.0], pull[:-1]])
    planted = bars.copy()
    planted[:, 1] = bars[:, 1] * np.exp(opened)
    planted[:, 4] = bars[:, 4] * np.exp(pull)
    planted[:, 2] = np.maximum(bars[:, 2] * np.exp(np.maximum(opened, pull)), planted[:, [1, 4]].max(axis=1))
    planted[:, 3] = np.minimum(bars[:, 3] * np.exp(np.minimum(opened, pull)), planted[:, [1, 4]].min(axis=1))
    planted[:, 1:5] = np.round(planted[:, 1:5], 2)
    return planted


def market_features(bars: Bars) -> Array:
    """Market features of every bar, shape (n, 12); the first `ETH15_FIRST` rows are NaN."""
    state, features = Block(1, ETH15_SIZE), Block(len(bars), MARKET)
    eth15_history(state.row[0], bars.tolist(), features.row)
    return features.array


def observations(features: Array, position: Array, change: Array) -> NDArray[np.float32]:
    """eth15 rows, shape (n, 15): `position` is the exposure held, `change` half its last executed change."""
    rows = np.zeros((len(features), DIM), np.float32)
    rows[:, MARKET_SLOTS] = features
    rows[:, POSITION] = position
    rows[:, CHANGE] = change
    return rows


def mirrored(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """What would have been seen had every rise been a fall: signs flip, the two band distances swap places."""
    flipped = -rows
    flipped[:, BAND_HIGH] = rows[:, BAND_LOW]
    flipped[:, BAND_LOW] = rows[:, BAND_HIGH]
    return flipped


def warm(bars: Bars, features: Array, warmup_bars: int) -> tuple[Bars, Array]:
    """Both without the rows in which indicators still remember their start."""
    first = max(warmup_bars, ETH15_FIRST)
    return bars[first:], features[first:]


def bars_sha256(parts: list[Bars]) -> str:
    """Digest of all bars, in order, as little-endian float64 rows."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(np.ascontiguousarray(part, dtype="<f8").tobytes())
    return digest.hexdigest()
