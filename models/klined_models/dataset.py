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
from klined.world.markets import CRYPTO, Climate, Market

Bars = NDArray[np.float64]
Array = NDArray[np.float64]

SYMBOL = "ETH/USDT"
INTERVAL_MS = 60_000
FIRST_OPEN_MS = 1_735_689_600_000  # 2025-01-01 UTC
DIM = 15
POSITION, CHANGE, SENTIMENT = 0, 5, 14
MARKET_SLOTS = (1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13)
BAND_HIGH, BAND_LOW = 11, 12  # swap places when prices are mirrored


def read_bars(path: Path) -> Bars:
    """Rows of an `open_time,open,high,low,close,volume` CSV (gzip), shape (n, 6)."""
    with gzip.open(path, "rt") as lines:
        return np.loadtxt(lines, delimiter=",", skiprows=1, ndmin=2)


def generated(count: int, seed: int, climate: Climate = CRYPTO) -> Bars:
    """One-minute bars of a made-up ETH/USDT market from 2025-01-01 on, shape (count, 6)."""
    return Market(seed, [SYMBOL], INTERVAL_MS, FIRST_OPEN_MS, climate=climate).arrays(count)[SYMBOL]


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
