"""The cache of bars: it may be lost, but never lies, and never stands in the way."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from math import isnan, nan
from pathlib import Path

import pytest

from klined.domain import Bar, Batch
from klined.errors import StateError
from klined.store.bars import BarStore

Batches = Callable[[int], Batch]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bars.db"


def test_bars_come_back_in_order_and_before_a_time(path: Path, batch: Batches) -> None:
    store = BarStore(path, group=64)
    for n in range(100):
        store.add(batch(n))
    assert store.latest("ETH/USDT", 3) == [batch(n).bars[0] for n in (97, 98, 99)]
    assert store.latest("ETH/USDT", 2, before_ms=50 * 60_000) == [batch(n).bars[0] for n in (48, 49)]
    assert store.latest("BTC/USDT", 3) == []
    store.close()
    again = BarStore(path)
    assert len(again.latest("ETH/USDT", 1000)) == 100
    again.close()


def test_revised_bar_does_not_replace_what_was_traded_on(path: Path) -> None:
    store = BarStore(path)
    first = Bar("ETH/USDT", 0, 100.0, 101.0, 99.0, 100.0, 5.0)
    store.add(Batch(60_000, (first,)))
    store.add(Batch(60_000, (Bar("ETH/USDT", 0, 100.0, 102.0, 99.0, 100.0, 6.0),)))
    assert store.latest("ETH/USDT", 9) == [first]
    store.close()


def test_metrics_are_replaced_and_nan_comes_back(path: Path, batch: Batches) -> None:
    store = BarStore(path)
    store.measure(1, {"sharpe": nan, "equity": 10_000.0})
    store.measure(2, {"sharpe": 1.0})
    store.measure(2, {"sharpe": 1.5})
    (at, value), second = store.metric("sharpe")
    assert (at, isnan(value)) == (1, True)
    assert second == (2, 1.5)
    assert store.metric("equity", after_ms=1) == []
    store.close()


def test_old_bars_go_by_symbol_a_bounded_piece_at_a_time(path: Path) -> None:
    store = BarStore(path)
    for n in range(50):
        bars = tuple(Bar(s, n, 1.0, 1.0, 1.0, 1.0, 1.0) for s in ("A", "B", "C"))
        store.add(Batch(n + 1, bars))
        store.measure(n, {"equity": 1.0})
    steps = []
    while deleted := store.prune(before_ms=30, chunk=8):
        steps.append(deleted)
    assert steps == [32, 32, 32, 24]  # three symbols and one metric, eight rows of each; 30 = 3 * 8 + 6
    for symbol in ("A", "B", "C"):
        assert [bar.open_time_ms for bar in store.latest(symbol, 99)] == list(range(30, 50))
    assert len(store.metric("equity", after_ms=-1)) == 20
    store.close()


@pytest.mark.parametrize("raw", [b"\xff" * 8192, b"text " * 4000])
def test_damaged_file_is_set_aside_and_begun_anew(path: Path, batch: Batches, raw: bytes) -> None:
    path.write_bytes(raw)
    store = BarStore(path)
    assert store.set_aside is not None
    assert store.set_aside.read_bytes() == raw
    store.add(batch(1))
    assert len(store.latest("ETH/USDT", 9)) == 1
    store.close()


def test_newer_schema_is_refused_not_set_aside(path: Path) -> None:
    BarStore(path).close()
    with closing(sqlite3.connect(path)) as link:
        link.execute("PRAGMA user_version = 99")
    with pytest.raises(StateError, match="schema 99 is newer"):
        BarStore(path)
    assert path.is_file()


def test_full_disk_is_told_and_the_cache_goes_on(path: Path, batch: Batches) -> None:
    store = BarStore(path)
    store._link.execute("PRAGMA max_page_count = 5")
    for n in range(1000):
        store.measure(n, {"equity": 1.0})
    with pytest.raises(StateError, match="the disk is full"):
        store.add(batch(1))
    store._link.execute("PRAGMA max_page_count = 100000")
    store.add(batch(2))
    assert store.latest("ETH/USDT", 1) == [batch(2).bars[0]]
    store.close()
