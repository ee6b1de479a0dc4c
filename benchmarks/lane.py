"""The EMA cross on one compiled lane against vectorbt on the same bars, both warm."""

from collections.abc import Iterator

from benchmarks.process import Absent
from benchmarks.table import Row


def rows() -> Iterator[Row]:
    raise Absent("klined.backtest.lanes is not there yet")
    yield
