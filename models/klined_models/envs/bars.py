"""Bars from whatever a user has: one or several series, each of all symbols side by side, checked.

nothing, arrays, files, History ─▶ checked: finite, in order, on the grid, every symbol at every time ─▶ [History]
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from klined.backtest.history import Floats, History, history_of
from klined.domain import Instrument
from klined.errors import ConfigError
from klined.feeds.columns import read_columns
from klined.feeds.generated import START_MS
from klined.world.markets import Market

GENERATED_BARS = 20_160  # two weeks of minutes
GENERATED_SEED = 7

Data = History | Floats | str | Path | Mapping[str, Floats] | Sequence[Any] | None
"""Nothing: a made-up market. A History, array (T, 6) or (n, T, 6), file or files, arrays by symbol; a list of them."""


def series_of(data: Data, instruments: Sequence[Instrument], interval_ms: int) -> list[History]:
    """Every series in `data`, checked.

    Raises:
        ConfigError: bars that cannot be, that do not fit together or that lack a symbol somewhere.
    """
    if isinstance(data, list | tuple) and not all(isinstance(each, str | Path) for each in data):
        series = [history for each in data for history in series_of(each, instruments, interval_ms)]
        if not series:
            raise ConfigError("no bars were given: an empty list of series; leave data out for a made-up market")
        return series
    history = _history(data, instruments, interval_ms)
    check(history, instruments)
    return [history]


def _history(data: Data, instruments: Sequence[Instrument], interval_ms: int) -> History:
    symbols = [instrument.symbol for instrument in instruments]
    if data is None:
        made = Market(GENERATED_SEED, symbols, interval_ms, START_MS).arrays(GENERATED_BARS)
        return _stacked([made[symbol] for symbol in symbols], symbols, interval_ms)
    if isinstance(data, History):
        if data.interval_ms != interval_ms:
            raise ConfigError(f"the history has bars of {data.interval_ms} ms, the environment of {interval_ms} ms")
        return data
    if isinstance(data, Mapping):
        lacking = [symbol for symbol in symbols if symbol not in data]
        if lacking:
            raise ConfigError(f"no bars of {', '.join(lacking)}; there are {', '.join(map(str, data))}")
        return _stacked([np.asarray(data[symbol], dtype=np.float64) for symbol in symbols], symbols, interval_ms)
    if isinstance(data, str | Path):
        data = [data]
    if isinstance(data, list | tuple):
        columns = read_columns(symbols, interval_ms, [Path(each) for each in data])
        return history_of(columns, instruments, interval_ms)
    array = np.asarray(data, dtype=np.float64)
    return _stacked(list(array[np.newaxis] if array.ndim == 2 else array), symbols, interval_ms)


def _stacked(tables: Sequence[Floats], symbols: Sequence[str], interval_ms: int) -> History:
    if len(tables) != len(symbols):
        raise ConfigError(f"bars of {len(tables)} symbols were given for {len(symbols)}: {', '.join(symbols)}")
    for table, symbol in zip(tables, symbols, strict=True):
        if table.ndim != 2 or table.shape[1] != 6:
            raise ConfigError(
                f"{symbol}: bars of shape {table.shape}; (T, 6) is needed: open time in ms, open, high, low, close, "
                "volume"
            )
        if len(table) != len(tables[0]) or (table[:, 0] != tables[0][:, 0]).any():
            raise ConfigError(
                f"{symbol} and {symbols[0]} are not aligned: {_where_apart(table, tables[0])}; "
                "give every symbol a bar at every time, or leave out the times that one of them lacks"
            )
    bars = np.ascontiguousarray(np.stack(tables))
    return History(interval_ms, bars, np.zeros((len(bars), 0, 2)), bars[0, :, 0].astype(np.int64))


def _where_apart(one: Floats, other: Floats) -> str:
    if len(one) != len(other):
        return f"{len(one)} bars against {len(other)}"
    t = int(np.argmax(one[:, 0] != other[:, 0]))
    return f"at row {t} the open times are {one[t, 0]:.0f} and {other[t, 0]:.0f}"


def check(history: History, instruments: Sequence[Instrument]) -> None:
    """Raises: ConfigError naming the first symbol, time and value that no lane can use."""
    if len(history.bars) != len(instruments):
        raise ConfigError(f"bars of {len(history.bars)} symbols were given for {len(instruments)} instruments")
    for bars, instrument in zip(history.bars, instruments, strict=True):
        o, h, l, c = bars[:, 1], bars[:, 2], bars[:, 3], bars[:, 4]  # noqa: E741 - as everywhere
        with np.errstate(invalid="ignore"):
            faults = {
                "lacks a bar, or has one that is not finite,": ~np.isfinite(bars).all(axis=1),
                "has a price that is not positive, or a negative volume,": (
                    (bars[:, 1:5] <= 0).any(axis=1) | (bars[:, 5] < 0)
                ),
                "has a high or low that open and close exceed": (h < np.maximum(o, c)) | (l > np.minimum(o, c)),
                "goes back in time, or is off the grid,": np.concatenate(
                    ([False], (np.diff(bars[:, 0]) <= 0) | (np.diff(bars[:, 0]) % history.interval_ms != 0))
                ),
            }
        for what, rows in faults.items():
            if rows.any():
                t = int(np.argmax(rows))
                raise ConfigError(
                    f"{instrument.symbol} {what} at {int(history.times[t])} (row {t}): {bars[t].tolist()};"
                    " mend the series, or cut it there and give both parts as a list"
                )
