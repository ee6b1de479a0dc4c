"""The market every row runs on: seeded one-minute bars, the same bytes for klined and for the baselines.

A geometric random walk on a tick grid with lognormal volume; nothing of it is meant to be predictable. The file is
plain .npy, since baselines run on interpreters of their own and share no code with us.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SEED = 20_240_607
COUNT = 500_000
MINUTE_MS = 60_000
START_MS = 1_577_836_800_000  # 2020-01-01
TICK = 0.01
SIGMA = 0.0008  # standard deviation of one bar's log return

FOLDER = Path("build/bench")


def generate(count: int = COUNT, seed: int = SEED) -> NDArray[np.float64]:
    """Shape (count, 6): open time in ms, open, high, low, close, volume in base asset."""
    rng = np.random.default_rng(seed)
    close = 3000.0 * np.exp(np.cumsum(rng.normal(0.0, SIGMA, count)))
    # A log price this long wanders far; pulled back, ticks and lots stay as fine as they are at a real price.
    close = 3000.0 * np.exp(np.sin(np.log(close / 3000.0)))
    open_ = np.concatenate(([3000.0], close[:-1]))
    wick = close * np.abs(rng.normal(0.0, SIGMA / 2, (2, count)))
    bars = np.empty((count, 6))
    bars[:, 0] = START_MS + np.arange(count) * MINUTE_MS
    bars[:, 1] = np.round(open_ / TICK) * TICK
    bars[:, 4] = np.round(close / TICK) * TICK
    bars[:, 2] = np.maximum(np.ceil((np.maximum(open_, close) + wick[0]) / TICK) * TICK, bars[:, [1, 4]].max(axis=1))
    bars[:, 3] = np.minimum(np.floor((np.minimum(open_, close) - wick[1]) / TICK) * TICK, bars[:, [1, 4]].min(axis=1))
    bars[:, 5] = np.round(rng.lognormal(6.0, 0.7, count), 3)
    bars[:, 1:] = np.round(bars[:, 1:], 3)  # the decimal that a feed would print
    return bars


def recorded(count: int = COUNT) -> Path:
    """The same bars as the CSV that `klined replay` reads, under the name that tells it the symbol and interval."""
    path = FOLDER / str(count) / "ETHUSDT-1m.csv"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as out:
            out.write("open_time,open,high,low,close,volume\n")
            for time, *numbers in np.load(stored(count)).tolist():
                out.write(f"{int(time)},{','.join(map(repr, numbers))}\n")
    return path


def stored(count: int = COUNT) -> Path:
    """Path of the bars on disk, made when missing."""
    path = FOLDER / f"bars-{SEED}-{count}.npy"
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        np.save(path, generate(count))
    return path
