"""Recorded files as checked columns of bars.

Read are: CSV of `open_time,open,high,low,close,volume` with or without a header and more columns behind (so
data.binance.vision's twelve too), and recorded websocket frames, one a line; each plain or gzipped.
"""

import gzip
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from klined.domain import Bar
from klined.errors import ConfigError
from klined.feeds.frames import MILLISECONDS_MAX, FrameFault, FrameParser
from klined.feeds.gaps import Step
from klined.feeds.timeframe import timeframe_name
from klined.world.filters import venue_symbol

OWN_FRAME = b'{"at_ms"'
WIDTH = 6  # open time, open, high, low, close, volume


Table = NDArray[np.float64]
"""Rows as they stand in a file, (n, 6)."""

FAULTS: tuple[tuple[FrameFault, Callable[[Table, int], Any]], ...] = (
    (FrameFault.MICROSECONDS, lambda rows, _: rows[:, 0] >= MILLISECONDS_MAX),
    (FrameFault.OFF_GRID, lambda rows, interval_ms: (rows[:, 0] < 0) | (rows[:, 0] % interval_ms != 0)),
    (FrameFault.NOT_FINITE, lambda rows, _: ~np.isfinite(rows).all(axis=1)),
    (FrameFault.NOT_POSITIVE, lambda rows, _: (rows[:, 1:5] <= 0).any(axis=1) | (rows[:, 5] < 0)),
    (
        FrameFault.INCONSISTENT,
        lambda rows, _: (rows[:, 2] < rows[:, 1:5].max(axis=1)) | (rows[:, 3] > rows[:, 1:5].min(axis=1)),
    ),
)
"""What no bar may have; a row counts under the first fault that it has."""


class RecordedFrame(Struct):
    """One line of what `klined record` writes."""

    at_ms: int  # when it was received
    raw: str


class Columns(Struct, eq=False):
    """Bars of one symbol in order, each open time once.

    `times` int64 (n,), open times in ms; `values` float64 (n, 5): open, high, low, close, volume.
    """

    times: NDArray[np.int64]
    values: NDArray[np.float64]
    dropped: Counter[str]  # rows left out, by reason: FrameFault or Step
    gaps: int
    missing: int  # bars, over all gaps


def read_columns(symbols: Sequence[str], interval_ms: int, files: Sequence[Path]) -> dict[str, Columns]:
    """Bars of every symbol from all files.

    Raises:
        ConfigError: a file cannot be read, belongs to no symbol, or has bars of another interval; or a symbol has none.
    """
    tables: dict[str, list[Table]] = {symbol: [] for symbol in symbols}
    dropped: dict[str, Counter[str]] = {symbol: Counter() for symbol in symbols}
    for path in files:
        lines = _lines(path)
        if any(b"{" in line for line in lines[:3]):
            for symbol, table in _frame_tables(lines, symbols, interval_ms).items():
                tables[symbol].append(table)
        else:
            symbol = _owner(path, symbols)
            table, malformed = _csv_table(lines)
            _check_interval(path, table, interval_ms)
            tables[symbol].append(table)
            dropped[symbol][FrameFault.MALFORMED] += malformed
    return {symbol: columns_of(symbol, tables[symbol], dropped[symbol], interval_ms) for symbol in symbols}


def _lines(path: Path) -> list[bytes]:
    try:
        data = path.read_bytes()
        data = _unzipped(data) if data[:2] == b"\x1f\x8b" else data
    except FileNotFoundError as error:
        raise ConfigError(f"no file {path}; correct market.files") from error
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    return [line for line in data.split(b"\n") if line.strip()]


def _unzipped(data: bytes) -> bytes:
    try:
        return gzip.decompress(data)
    except EOFError:
        whole, _, _ = zlib.decompressobj(wbits=31).decompress(data).rpartition(b"\n")
        if whole.startswith(OWN_FRAME):  # a recording that was killed is good up to its last whole line
            return whole
        raise


def _owner(path: Path, symbols: Sequence[str]) -> str:
    if len(symbols) == 1:
        return symbols[0]
    owners = [symbol for symbol in symbols if path.name.upper().startswith(venue_symbol(symbol))]
    if not owners:
        raise ConfigError(f"{path.name} belongs to no symbol of {', '.join(symbols)}: its name should begin with one")
    return max(owners, key=len)


def _csv_table(lines: list[bytes]) -> tuple[Table, int]:
    """Rows as float64 (n, 6) and the number of lines that are no numbers."""
    rows = lines if not lines or lines[0].lstrip()[:1].isdigit() else lines[1:]
    if not rows:
        return np.empty((0, WIDTH)), 0
    try:
        text = [row.decode("ascii") for row in rows]
        return np.loadtxt(text, delimiter=",", usecols=range(WIDTH), ndmin=2, comments=None), 0
    except (ValueError, IndexError, UnicodeDecodeError):  # find out which: slower
        good = [row for row in map(_row, rows) if row is not None]
        return np.array(good, dtype=np.float64).reshape(-1, WIDTH), len(rows) - len(good)


def _row(line: bytes) -> list[float] | None:
    try:
        row = [float(field) for field in line.split(b",")[:WIDTH]]
    except ValueError:
        return None
    return row if len(row) == WIDTH and np.isfinite(row[0]) else None


def _frame_tables(lines: list[bytes], symbols: Sequence[str], interval_ms: int) -> dict[str, Table]:
    """Closed bars of recorded frames: ours, or any `<time>: <frame>` lines; what is no bar was never one."""
    parser = FrameParser(symbols, interval_ms)
    decode = msgspec.json.Decoder(RecordedFrame).decode
    rows: dict[str, list[tuple[float, ...]]] = {symbol: [] for symbol in symbols}
    for line in lines:
        raw = decode(line).raw if line.startswith(OWN_FRAME) else line[max(line.find(b"{"), 0) :]
        heard = parser.parse(raw)
        if isinstance(heard, Bar):
            row = (heard.open_time_ms, heard.open, heard.high, heard.low, heard.close, heard.volume)
            rows[heard.symbol].append(row)
    return {symbol: np.array(rows[symbol], dtype=np.float64).reshape(-1, WIDTH) for symbol in symbols}


def _check_interval(path: Path, table: Table, interval_ms: int) -> None:
    steps = np.diff(table[:, 0])
    steps = steps[steps > 0]
    usual = int(np.median(steps)) if len(steps) else interval_ms
    if usual != interval_ms:
        held, wanted = timeframe_name(usual), timeframe_name(interval_ms)
        hint = ": its times are microseconds, which are refused" if usual == interval_ms * 1_000 else ""
        raise ConfigError(f"{path.name} holds {held} bars, market.timeframe is {wanted}{hint}")


def columns_of(symbol: str, tables: list[Table], dropped: Counter[str], interval_ms: int) -> Columns:
    """The bars among the rows of `tables`; what is left out is counted in `dropped`.

    Raises:
        ConfigError: there are none.
    """
    tables = sorted((table for table in tables if len(table)), key=lambda table: float(table[0, 0]))
    table = np.concatenate(tables) if tables else np.empty((0, WIDTH))
    for fault, is_bad in FAULTS:
        bad = is_bad(table, interval_ms)
        dropped[fault] += int(bad.sum())
        table = table[~bad]
    times = table[:, 0].astype(np.int64)
    newest = np.maximum.accumulate(times)
    before = np.concatenate(([np.iinfo(np.int64).min], newest[:-1])) if len(times) else times
    dropped[Step.DUPLICATE] += int((times == before).sum())
    dropped[Step.OLDER] += int((times < before).sum())
    fresh = times > before
    times, values = times[fresh], np.ascontiguousarray(table[fresh, 1:])
    if not len(times):
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items() if count) or "no rows"
        raise ConfigError(f"no bars of {symbol} in market.files: {reasons}")
    steps = np.diff(times) // interval_ms
    return Columns(times, values, dropped, int((steps > 1).sum()), int((steps - 1).sum()))
