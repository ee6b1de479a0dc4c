"""The daemon as a process, seen from outside: memory, longest time without an answer, time to the first decision.

`klined run` on a market at many times real speed, journal and control socket as in production, the shipped policy
deciding. The longest block is what the slowest of many requests on the control socket waited: whatever holds up the
event loop holds up the answer, so this is an upper bound, and it includes what the machine's other processes took.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median

from benchmarks import bars
from benchmarks.process import KLINED, Absent
from benchmarks.table import Row, row
from klined.cli.client import ask
from klined.errors import KlinedError

SETTINGS = Path(__file__).with_name("daemon.toml")
STATE = bars.FOLDER / "daemon"
START_TIMEOUT_S = 30.0
STARTS = 7
SETTLED_S = 20.0  # of running at speed before memory is read: a thousand bars, some of them traded
ASKED_S = 15.0
ASK_EVERY_S = 0.002
REPLAYED_BARS = 50_000
WITHIN_S = 0.002  # between looks for the first decision


class Running:
    """A daemon that runs; `first_s` is the time from its start to its first decision."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.first_s = 0.0

    def rss_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
        return int(kilobytes) / 1024

    def longest_wait_ms(self, during_s: float) -> float:
        """Of many requests on the control socket, one after the other."""
        longest_s, end = 0.0, time.perf_counter() + during_s
        while time.perf_counter() < end:
            begun = time.perf_counter()
            ask(STATE / "control.sock", {"verb": "why", "last": 1})
            longest_s = max(longest_s, time.perf_counter() - begun)
            time.sleep(ASK_EVERY_S)
        return longest_s * 1e3


@contextmanager
def running(overrides: Sequence[str] = ()) -> Iterator[Running]:
    """`klined run` from an empty state directory, until the end of the block.

    Raises:
        Absent: it ended or decided nothing in time.
    """
    shutil.rmtree(STATE, ignore_errors=True)
    sets = [part for each in overrides for part in ("--set", each)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("KLINED_")}
    begun = time.perf_counter()
    process = subprocess.Popen(
        [KLINED, "-c", str(SETTINGS), "--state", str(STATE), *sets, "run"], stderr=subprocess.PIPE, env=environment
    )
    try:
        daemon = Running(process)
        daemon.first_s = first_decision_s(process, begun)
        yield daemon
    finally:
        process.terminate()
        process.communicate(timeout=START_TIMEOUT_S)
        shutil.rmtree(STATE, ignore_errors=True)


def first_decision_s(process: subprocess.Popen[bytes], begun: float) -> float:
    while time.perf_counter() - begun < START_TIMEOUT_S:
        if process.poll() is not None:
            told = process.stderr.read().decode().strip()[-200:] if process.stderr else ""
            raise Absent(f"klined run ended with {process.returncode}: {told}")
        with suppress(KlinedError):
            answer = ask(STATE / "control.sock", {"verb": "why", "last": 1})
            if answer and answer.get("decisions"):
                return time.perf_counter() - begun
        time.sleep(WITHIN_S)
    raise Absent(f"klined run decided nothing within {START_TIMEOUT_S:g} s")


def rows() -> Iterator[Row]:
    with running() as daemon:
        time.sleep(SETTLED_S)
        yield row("daemon.rss", daemon.rss_mb(), "MB", at_most=100)
    recorded = ["market.feed=recorded", f"market.files={bars.recorded(REPLAYED_BARS)}", "market.speed=500"]
    with running(recorded) as daemon:
        longest = daemon.longest_wait_ms(ASKED_S)
        yield row("daemon.block", longest, "ms", at_most=50, note="slowest answer on the control socket")
    starts = []
    for _ in range(STARTS):
        with running() as daemon:
            starts.append(daemon.first_s)
    yield row("daemon.first_bar", median(starts), "s", at_most=3)
