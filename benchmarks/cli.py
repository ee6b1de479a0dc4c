"""What a person waits for at the prompt."""

from collections.abc import Iterator

from benchmarks.daemon import STATE, running
from benchmarks.process import KLINED, wall_s
from benchmarks.table import Row, row

RUNS = 9


def rows() -> Iterator[Row]:
    yield row("cli.help", wall_s([KLINED, "--help"], RUNS), "s", at_most=0.25)
    with running():
        status = [KLINED, "--state", str(STATE), "status"]
        yield row("cli.status", wall_s(status, RUNS), "s", at_most=0.3, note="of a daemon at 50 bars per second")
