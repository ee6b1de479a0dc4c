"""Bars as a table, float64 (n, 6): what generators make, scenarios change, lanes train on.

log prices, sigmas, volumes ─▶ shaped ─▶ open time | open | high | low | close | volume, prices on ticks
"""

import numpy as np
from numpy.typing import NDArray

from klined.errors import ConfigError
from klined.world.dice import Dice, Floats

COLUMNS = ("open_time_ms", "open", "high", "low", "close", "volume")
OPEN, HIGH, LOW, CLOSE, VOLUME = 1, 2, 3, 4, 5
VOLUME_DIGITS = 3


def on_tick(price: Floats, tick: float) -> Floats:
    """Nearest tick, at least one. Division by a whole number, so that 0.01 steps print as such."""
    per_unit = round(1.0 / tick) if tick < 1.0 else 0
    ticks = np.maximum(np.round(price / tick), 1.0)
    return ticks / per_unit if per_unit else ticks * tick


def shaped(
    opens_ms: NDArray[np.int64],
    before: float,
    prices: Floats,
    sigma: Floats,
    volume: Floats,
    tick: float,
    draw: Dice,
    first: int = 0,
) -> Floats:
    """Bars that close at `prices` (n,), the first of them after a close at `before`; volume in base.

    A bar opens within a tick of the last close, and its extremes are those of a Brownian bridge of `sigma` from open to
    close. Takes streams 10 to 12 of `draw`, from index `first`.
    """
    close = on_tick(prices, tick)
    last = np.concatenate(([before], close[:-1]))
    jitter = np.floor(draw.uniform(10, first) * 3.0) - 1.0  # most markets reopen within a tick
    open_ = np.maximum(on_tick(last + jitter * tick, tick), tick)
    move = np.log(close / open_)
    span = -2.0 * sigma * sigma
    top = 0.5 * (move + np.sqrt(move * move + span * np.log(draw.uniform(11, first))))
    bottom = 0.5 * (move - np.sqrt(move * move + span * np.log(draw.uniform(12, first))))
    high = np.maximum(on_tick(open_ * np.exp(top), tick), np.maximum(open_, close))
    low = np.minimum(on_tick(open_ * np.exp(bottom), tick), np.minimum(open_, close))
    columns = (opens_ms.astype(np.float64), open_, high, np.maximum(low, tick), close, np.round(volume, VOLUME_DIGITS))
    return np.stack(columns, axis=1)


def sound(table: Floats) -> NDArray[np.bool_]:
    """Which rows are bars: finite, prices positive, high and low enclose open and close, volume not negative; (n,)."""
    prices = table[:, OPEN : CLOSE + 1]
    with np.errstate(invalid="ignore"):
        return np.asarray(
            np.isfinite(table).all(axis=1)
            & (prices > 0.0).all(axis=1)
            & (table[:, HIGH] >= prices.max(axis=1))
            & (table[:, LOW] <= prices.min(axis=1))
            & (table[:, VOLUME] >= 0.0)
        )


def checked(table: Floats, least: int = 1) -> Floats:
    """`table` as float64 when it is one of bars.

    Raises:
        ConfigError: another shape, fewer than `least` bars, a row that is no bar, or times that do not increase.
    """
    table = np.asarray(table, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != len(COLUMNS):
        raise ConfigError(f"bars are a table of shape (n, {len(COLUMNS)}): {', '.join(COLUMNS)}; this is {table.shape}")
    if len(table) < least:
        raise ConfigError(f"{len(table)} bars are too few; give {least:,} or more")
    bad = np.flatnonzero(~sound(table))
    if len(bad):
        raise ConfigError(f"row {bad[0]} is no bar: {table[bad[0]].tolist()}; {len(bad)} such rows, leave them out")
    late = np.flatnonzero(np.diff(table[:, 0]) <= 0.0)
    if len(late):
        raise ConfigError(f"row {late[0] + 1} is not later than the one before it; sort the bars, each time once")
    return table
