"""What a person waits for at the prompt."""

from collections.abc import Iterator

from benchmarks.process import KLINED, Absent, wall_s
from benchmarks.table import Row, absent, row

RUNS = 9


def rows() -> Iterator[Row]:
    try:
        yield row("cli.help", wall_s([KLINED, "--help"], RUNS), "s", at_most=0.25)
    except Absent as why:
        yield absent("cli.help", "s", str(why))
