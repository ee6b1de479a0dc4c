"""500,000 bars through the whole pipeline, against NautilusTrader on the same bars."""

from collections.abc import Iterator

from benchmarks.process import Absent
from benchmarks.table import Row


def rows() -> Iterator[Row]:
    raise Absent("klined.runtime.replay is not there yet")
    yield
