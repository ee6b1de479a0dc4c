"""Jumps of time: the machine slept, the clock was set, or the process was stopped for a while.

    wall        what the venue's times are compared with; may be set
    monotonic   goes on while the machine runs, whether or not this process does
    boot        goes on while the machine sleeps too

Between two looks: boot ran ahead of monotonic, so it slept; wall went another way than boot, so it was set.
"""

import time
from typing import Literal, NamedTuple

JUMP_S = 0.5  # a clock that is slewed drifts by at most 0.0005 s a second


class Clocks(NamedTuple):
    """Three clocks, read together; seconds."""

    wall_s: float
    monotonic_s: float
    boot_s: float

    @classmethod
    def now(cls) -> "Clocks":
        return cls(time.time(), time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME))


class Jump(NamedTuple):
    """Time went on without us, or another way than we thought."""

    kind: Literal["slept", "set", "stopped"]
    by_s: float  # negative: the clock was set back


def between(before: Clocks, after: Clocks, *, expected_s: float, stopped_s: float) -> list[Jump]:
    """What happened between two looks that should lie `expected_s` apart; later by `stopped_s` is a jump as well."""
    ran = after.monotonic_s - before.monotonic_s
    passed = after.boot_s - before.boot_s
    told = after.wall_s - before.wall_s
    found: list[Jump] = []
    if passed - ran >= JUMP_S:
        found.append(Jump("slept", passed - ran))
    if abs(told - passed) >= JUMP_S:
        found.append(Jump("set", told - passed))
    if ran - expected_s >= stopped_s:
        found.append(Jump("stopped", ran - expected_s))
    return found
