"""The smallest schedule that still breaks the same invariant: delta debugging over the list of faults.

Times are absolute and random numbers belong to keys, so leaving a fault out moves no other. (Zeller and Hildebrandt,
"Simplifying and isolating failure-inducing input", 2002: ddmin.)
"""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from klined.simulation.life import Mutation
from klined.simulation.run import simulate
from klined.simulation.schedule import Fault, Schedule

RUNS_MAX = 400


def shrink(
    schedule: Schedule,
    invariants: set[str],
    mutation: Mutation | None = None,
    progress: Callable[[int, int], None] = lambda _runs, _left: None,
) -> tuple[Schedule, int]:
    """A schedule with as few faults as can be found that breaks one of `invariants` too, and how many runs it took."""
    runs = 0

    def fails(faults: Sequence[Fault]) -> bool:
        nonlocal runs
        runs += 1
        progress(runs, len(faults))
        return bool(simulate(replace(schedule, faults=tuple(faults)), mutation).invariants & invariants)

    left = list(schedule.faults)
    if fails(()):
        return replace(schedule, faults=()), runs
    parts = 2
    while len(left) > 1 and runs < RUNS_MAX:
        size = -(-len(left) // parts)
        for start in range(0, len(left), size):
            rest = left[:start] + left[start + size :]
            if rest and fails(rest):
                left, parts = rest, max(2, parts - 1)
                break
        else:
            if size == 1:
                break
            parts = min(len(left), 2 * parts)
    return replace(schedule, faults=tuple(left)), runs
