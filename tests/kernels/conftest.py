"""Markets to run kernels on: (T, 6) arrays of open_time, open, high, low, close, volume."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

Bars = NDArray[np.float64]
LENGTH = 900
MADE = ("walk", "flat", "dying", "gappy", "cheap", "dear", "volume_outlier", "price_outlier", "trend", "two_prices")
REAL = ("crash", "calm", "perp")


def bars_of(close: NDArray[np.float64], volume: NDArray[np.float64], rng: np.random.Generator, wick: float) -> Bars:
    opened = np.concatenate((close[:1], close[:-1]))
    high = np.maximum(opened, close) * (1.0 + wick * np.abs(rng.normal(size=close.size)))
    low = np.minimum(opened, close) / (1.0 + wick * np.abs(rng.normal(size=close.size)))
    return np.column_stack((np.arange(close.size) * 60_000.0, opened, high, low, close, volume))


def made(name: str) -> Bars:
    rng = np.random.default_rng(MADE.index(name))
    walk: NDArray[np.float64] = np.exp(np.cumsum(rng.standard_t(4, size=LENGTH) * np.float64(6e-4)))
    close: NDArray[np.float64] = np.round(2500.0 * walk, 2)
    volume: NDArray[np.float64] = np.exp(rng.normal(5.0, 1.0, size=LENGTH)).round(4)
    wick = 3e-4
    if name == "flat":
        close, wick = np.full(LENGTH, 0.1 + 0.2, dtype=np.float64), 0.0
    elif name == "dying":  # trades, then nothing at all for 500 bars, then trades again
        close[200:700], volume[200:700] = close[199], 0.0
        wick = 0.0
    elif name == "gappy":
        close *= np.where(np.arange(LENGTH) // 150 % 2, 1.6, 1.0)
        volume[rng.random(LENGTH) < 0.4] = 0.0
    elif name == "cheap":
        close, wick = np.round(1e-7 * walk, 10), 0.0
    elif name == "dear":
        close = 3e12 * walk
    elif name == "volume_outlier":
        volume[300] = 1e15
    elif name == "price_outlier":
        close[300] = 1e15
    elif name == "trend":
        close = 100.0 * np.power(1.01, np.arange(LENGTH, dtype=np.float64))
    elif name == "two_prices":
        close, wick = np.where(rng.random(LENGTH) < 0.5, 1.0, 1.0001), 0.0
    return bars_of(close, volume, rng, wick)


def read(path: Path) -> Bars:
    with gzip.open(path) as file:
        return np.loadtxt(file, delimiter=",", skiprows=1)


@pytest.fixture(scope="session", params=MADE + REAL)
def bars(request: pytest.FixtureRequest) -> Bars:
    """Each market in turn; the real ones are stretches of recorded minutes."""
    name: str = request.param
    if name in MADE:
        return made(name)
    small: Path = request.getfixturevalue("shared_data") / "small"
    if name == "crash":
        recorded = read(small / "ETHUSDT-1m_spot_2021-05.csv.gz")
        worst = int(np.argmin(recorded[1:, 4] / recorded[:-1, 4]))
        return np.ascontiguousarray(recorded[max(worst - 1500, 0) : worst + 1500])
    file = "ETHUSDT-1m_spot_2025-05_08.csv.gz" if name == "calm" else "BTCUSDT-1m_um_2025-05.csv.gz"
    return np.ascontiguousarray(read(small / file)[:3000])


@pytest.fixture(scope="session")
def walk() -> Bars:
    return made("walk")


@pytest.fixture(scope="session")
def outliers() -> dict[str, Bars]:
    return {name: made(name) for name in ("volume_outlier", "price_outlier")}


@pytest.fixture(scope="session")
def recorded(shared_data: Path) -> Bars:
    """130,708 minutes of ETHUSDT."""
    return read(shared_data / "small" / "ETHUSDT-1m_spot_2025-05_08.csv.gz")
