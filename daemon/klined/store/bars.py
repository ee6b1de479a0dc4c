"""Bars and metrics in a file of their own: a cache that may lose its last rows in a power cut, or be deleted.

A damaged file is set aside and begun anew, never in the way of trading. Bars come back with the feed's
history. SQLite runs inline: at NORMAL a commit is about 10 us and waits for the disk only at a checkpoint.
"""

import sqlite3
from collections.abc import Mapping
from math import nan
from pathlib import Path

from klined.domain import Bar, Batch
from klined.store.faults import Damaged, guarding
from klined.store.migrations import open_database

# What was traded on stays: a bar that the exchange revises later does not replace it.
BAR = (
    "INSERT INTO bars (symbol, open_time_ms, open, high, low, close, volume) VALUES (?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (symbol, open_time_ms) DO NOTHING"
)
METRIC = (
    "INSERT INTO metrics (name, time_ms, value) VALUES (?, ?, ?)"
    " ON CONFLICT (name, time_ms) DO UPDATE SET value = excluded.value"
)
# Symbols and names by hops through the index, so that nothing but what is deleted is read.
SYMBOLS = (
    "WITH RECURSIVE keys (k) AS (SELECT min(symbol) FROM bars"
    " UNION ALL SELECT (SELECT min(symbol) FROM bars WHERE symbol > k) FROM keys WHERE k IS NOT NULL)"
    " SELECT k FROM keys WHERE k IS NOT NULL"
)
PRUNE_BARS = (
    "DELETE FROM bars WHERE symbol = ?1 AND open_time_ms IN (SELECT open_time_ms FROM bars"
    " WHERE symbol = ?1 AND open_time_ms < ?2 ORDER BY open_time_ms LIMIT ?3)"
)
NAMES = SYMBOLS.replace("symbol", "name").replace("bars", "metrics")
PRUNE_METRICS = PRUNE_BARS.replace("open_time_ms", "time_ms").replace("symbol", "name").replace("bars", "metrics")
LATEST = "SELECT symbol, open_time_ms, open, high, low, close, volume FROM bars"


class BarStore:
    """`set_aside` is where an unusable file was moved at opening, or None."""

    def __init__(self, path: Path, group: int = 1) -> None:
        """Writes after every `group` batches; a kill loses the unwritten ones.

        Raises:
            StateError: locked, read-only or full.
        """
        self.path = path
        self.set_aside: Path | None = None
        self._group = group
        self._batches = 0
        self._bars: list[tuple[object, ...]] = []
        self._metrics: list[tuple[object, ...]] = []
        self._link = self._open()

    def add(self, batch: Batch) -> None:
        """Take the batch's bars. Raises: StateError when they could not be written."""
        for bar in batch.bars:
            if bar is not None:
                self._bars.append((bar.symbol, bar.open_time_ms, bar.open, bar.high, bar.low, bar.close, bar.volume))
        self._batches += 1
        if self._batches >= self._group:
            self.flush()

    def measure(self, time_ms: int, metrics: Mapping[str, float]) -> None:
        """Take metrics of one moment; written with the next bars."""
        self._metrics.extend((name, time_ms, value) for name, value in metrics.items())

    def flush(self) -> None:
        """Write what was taken. Raises: StateError; what was taken is dropped, this is a cache."""
        bars, metrics = self._bars, self._metrics
        self._bars, self._metrics, self._batches = [], [], 0
        if not bars and not metrics:
            return
        with guarding(self.path):
            self._link.execute("BEGIN IMMEDIATE")
            try:
                self._link.executemany(BAR, bars)
                self._link.executemany(METRIC, metrics)
                self._link.execute("COMMIT")
            except BaseException:
                if self._link.in_transaction:
                    self._link.execute("ROLLBACK")
                raise

    def latest(self, symbol: str, count: int, before_ms: int | None = None) -> list[Bar]:
        """The last `count` bars of `symbol` that opened before `before_ms`, oldest first. O(count)."""
        self.flush()
        limit = before_ms if before_ms is not None else 1 << 62
        with guarding(self.path):
            rows = self._link.execute(
                f"{LATEST} WHERE symbol = ? AND open_time_ms < ? ORDER BY open_time_ms DESC LIMIT ?",  # constant
                (symbol, limit, count),
            ).fetchall()
        return [Bar(*row) for row in reversed(rows)]

    def metric(self, name: str, after_ms: int = 0) -> list[tuple[int, float]]:
        """(time_ms, value) of one metric later than `after_ms`, oldest first."""
        self.flush()
        with guarding(self.path):
            rows = self._link.execute(
                "SELECT time_ms, value FROM metrics WHERE name = ? AND time_ms > ? ORDER BY time_ms", (name, after_ms)
            ).fetchall()
        return [(time_ms, nan if value is None else value) for time_ms, value in rows]

    def prune(self, before_ms: int, chunk: int = 2000) -> int:
        """Delete at most `chunk` older bars of each symbol and values of each metric; how many. 0: all is done."""
        with guarding(self.path):
            return sum(
                self._link.execute(delete, (key, before_ms, chunk)).rowcount
                for keys, delete in ((SYMBOLS, PRUNE_BARS), (NAMES, PRUNE_METRICS))
                for (key,) in self._link.execute(keys).fetchall()
            )

    def close(self) -> None:
        self.flush()
        self._link.close()

    def _open(self) -> sqlite3.Connection:
        try:
            return open_database(self.path, "bars", "NORMAL", sqlite3.Connection)
        except Damaged:
            pass
        self.set_aside = self.path.with_name(f"{self.path.name}.damaged")
        self.path.replace(self.set_aside)
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        return open_database(self.path, "bars", "NORMAL", sqlite3.Connection)
