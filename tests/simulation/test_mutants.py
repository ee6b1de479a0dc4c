"""A simulation that finds nothing proves nothing: every wrong protocol is caught, within a stated number of seeds."""

import time
from collections import Counter

import pytest

from klined.simulation.proof import add_row
from klined.simulation.run import simulate
from klined.simulation.schedule import make_schedule
from klined.simulation.shrink import shrink
from simulation.mutants import WRONG, Wrong, retries_with_the_same_id

QUICK = 10  # seeds within which a wrong protocol is caught in every run of the suite


def caught_after(wrong: Wrong) -> int:
    """How many seeds it took; 0 when it was not caught."""
    for seed in range(wrong.seeds_max):
        if simulate(make_schedule(seed), wrong.mutation).invariants & wrong.invariants:
            return seed + 1
    return 0


@pytest.mark.parametrize(
    "wrong", [wrong for wrong in WRONG if wrong.seeds_max <= QUICK], ids=lambda wrong: wrong.mutation.__name__
)
def test_wrong_protocol_is_caught_within_its_seeds(wrong: Wrong) -> None:
    assert caught_after(wrong)


@pytest.mark.slow
def test_every_wrong_protocol_is_caught_and_counted() -> None:
    started_s = time.monotonic()
    took = {wrong.mutation.__name__: caught_after(wrong) for wrong in WRONG}
    seeds = [seed for runs in took.values() for seed in range(runs)]
    runs, faults = len(seeds), Counter(fault.name for seed in seeds for fault in make_schedule(seed).faults)
    per_minute = runs / (time.monotonic() - started_s) * 60.0
    add_row("wrong protocols", runs=runs, faults=faults, caught=took, kills=3 * runs, per_minute=per_minute)
    assert [name for name, seeds in took.items() if not seeds] == []
    assert len(took) >= 8


def test_failing_seed_shrinks_to_a_few_faults_that_still_fail() -> None:
    schedule = make_schedule(0)
    outcome = simulate(schedule, retries_with_the_same_id)
    smaller, runs = shrink(schedule, {"I4"}, retries_with_the_same_id)
    assert "I4" in outcome.invariants
    assert len(smaller.faults) <= 3 < len(schedule.faults)
    assert {fault.channel for fault in smaller.faults} & {"post", "net"}
    assert runs < 100
    assert "I4" in simulate(smaller, retries_with_the_same_id).invariants
    assert simulate(smaller).violations == ()
