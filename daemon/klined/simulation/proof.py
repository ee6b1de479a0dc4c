"""The proofs that need no test-suite, and the table that holds what all of them came to.

simulation     seeds with faults and kills, 0 violations
replay         the same seeds again: the same traces
exhaustive     one order's life and one flatten, killed before every turn of the loop
mutants        (added by the tests) wrong protocols, each caught
"""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from klined.simulation.life import Mutation
from klined.simulation.pool import Tally, simulate_seeds
from klined.simulation.run import Outcome, Simulation, simulate
from klined.simulation.schedule import Fault, Schedule, make_schedule

PROOF = Path("build") / "prove.json"


class Row(Struct, frozen=True, kw_only=True):
    """One tier of the proof."""

    tier: str
    runs: int
    faults: dict[str, int] = {}
    kills: int = 0
    violations: int = 0
    caught: dict[str, int] = {}  # wrong protocol: seeds it took
    per_minute: float = 0.0


def merge(path: Path, rows: Sequence[Row]) -> list[Row]:
    """Put `rows` into the file in place of older ones of the same tier; all rows. What is no table is replaced."""
    known: list[Row] = []
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        known = msgspec.json.decode(path.read_bytes(), type=list[Row])
    new = {row.tier for row in rows}
    table = [row for row in known if row.tier not in new] + list(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(msgspec.json.format(msgspec.json.encode(table)) + b"\n")
    part.replace(path)
    return table


def row_of(tier: str, tally: Tally) -> Row:
    return Row(
        tier=tier,
        runs=tally.runs,
        faults=dict(sorted(tally.faults.items())),
        kills=tally.kills,
        violations=sum(len(outcome.violations) for outcome in tally.failed),
        per_minute=round(tally.per_minute, 1),
    )


ORDER_LIFE = Schedule(
    seed=15,
    bars=46,
    symbols=("ETH/USDT:USDT",),
    tight=False,
    faults=(
        Fault(59.0, "post", "lost", 60.0),
        Fault(119.0, "post", "partial", 60.0),
        Fault(179.0, "post", "drop", 60.0),
        Fault(239.0, "post", "late", 60.0, 3.0),
    ),
)
"""Orders whose answers are lost, that fill in parts, that never arrive, that arrive late."""

FLATTENED = replace(
    ORDER_LIFE,
    faults=(
        *ORDER_LIFE.faults,
        Fault(300.5, "person", "flatten"),
        Fault(300.0, "post", "partial", 55.0),
        Fault(300.0, "read", "lag", 55.0, 8.0),
        Fault(420.0, "person", "resume"),
    ),
)
"""... and a flatten in the middle, of an order that fills in parts while reads lag."""


def killed_everywhere(
    schedule: Schedule, first_s: float, last_s: float, mutation: Mutation | None = None
) -> tuple[int, list[tuple[int, Outcome]]]:
    """Kill the first life before each turn of its loop between those moments; how many, and those that failed."""
    first, last = _turns_of(schedule, first_s, last_s, mutation)
    failed: list[tuple[int, Outcome]] = []
    for turn in range(first, last):
        outcome = simulate(schedule, mutation, turn)
        if outcome.violations or outcome.kills != 1:
            failed.append((turn, outcome))
    return last - first, failed


def _turns_of(schedule: Schedule, first_s: float, last_s: float, mutation: Mutation | None) -> tuple[int, int]:
    """Numbers of the first life's turns at two moments."""
    simulation = Simulation(schedule, mutation)
    turns: list[int] = []
    for time_s in (first_s, last_s):
        simulation.world.at(time_s, lambda: turns.append(simulation.life.loop.turns if simulation.life else 0))
    simulation.play()
    return turns[0], turns[1]


def prove(seeds: int, workers: int, say: Callable[[str], None]) -> list[Row]:
    """Every tier of this module, told as it goes."""
    say(f"simulation: {seeds} seeds")
    tally = simulate_seeds(range(seeds), workers=workers)
    rows = [row_of("simulation", tally)]
    again = [make_schedule(seed) for seed in range(min(seeds, 20))]
    say(f"replay: {len(again)} seeds twice")
    differing = sum(simulate(schedule).hash != simulate(schedule).hash for schedule in again)
    rows.append(Row(tier="replay of a seed", runs=len(again), violations=differing))
    for tier, schedule, first_s, last_s in (
        ("order life, killed at every turn", ORDER_LIFE, 0.0, 330.0),
        ("flatten, killed at every turn", FLATTENED, 299.0, 345.0),
    ):
        say(tier)
        points, failed = killed_everywhere(schedule, first_s, last_s)
        rows.append(Row(tier=tier, runs=points, kills=points, violations=len(failed)))
    return rows
