"""The proofs that need no test-suite, and the table that holds what all of them came to.

simulation     seeds with faults and kills, 0 violations
replay         the same seeds again: the same traces
exhaustive     one order's life and one flatten, killed before every turn of the loop

The test-suite's slow tests add the rest: mutants, the wire in virtual time, processes, recorded bars, systemd.
"""

import contextlib
import fcntl
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from klined.simulation.life import Mutation
from klined.simulation.pool import Tally, simulate_seeds
from klined.simulation.run import Outcome, Simulation, simulate
from klined.simulation.schedule import Fault, Schedule, make_schedule

PROOF = Path("build") / "prove.json"
TIERS = (
    "simulation",
    "replay of a seed",
    "order life, killed at every turn",
    "flatten, killed at every turn",
    "wrong protocols",
    "wire, a virtual day a run",
    "processes",
    "recorded bars, killed",
    "systemd",
)
"""All that `make prove` tells."""
REPLAYED = 20  # seeds that are played twice


class Row(Struct, frozen=True, kw_only=True):
    """One tier of the proof."""

    tier: str
    runs: int
    faults: dict[str, int] = {}
    kills: int = 0
    violations: int = 0
    caught: dict[str, int] = {}  # wrong protocol: seeds it took
    per_minute: float = 0.0

    def plus(self, other: "Row") -> "Row":
        """Both shares of one tier's runs."""
        minutes = sum(row.runs / row.per_minute for row in (self, other) if row.per_minute)
        return Row(
            tier=self.tier,
            runs=self.runs + other.runs,
            faults=dict(sorted((Counter(self.faults) + Counter(other.faults)).items())),
            kills=self.kills + other.kills,
            violations=self.violations + other.violations,
            caught=self.caught | other.caught,
            per_minute=round((self.runs + other.runs) / minutes, 1) if minutes else 0.0,
        )


def merge(path: Path, rows: Sequence[Row], *, adding: bool = False) -> list[Row]:
    """Put `rows` into the file, each in place of an older one of its tier; all rows. What is no table is replaced.

    `adding`: the older one is another share of the same proof.

    Several processes may do so at a time: one waits for the other.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        table: dict[str, Row] = {}
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            table = {row.tier: row for row in msgspec.json.decode(path.read_bytes(), type=list[Row])}
        for row in rows:
            table[row.tier] = table[row.tier].plus(row) if adding and row.tier in table else row
        part = path.with_suffix(".part")
        part.write_bytes(msgspec.json.format(msgspec.json.encode(list(table.values()))) + b"\n")
        part.replace(path)
    return list(table.values())


def add_row(
    tier: str,
    *,
    runs: int,
    faults: Mapping[str, int] | None = None,
    kills: int = 0,
    violations: int = 0,
    caught: Mapping[str, int] | None = None,
    per_minute: float = 0.0,
    path: Path | None = None,
    adding: bool = False,
) -> list[Row]:
    """Tell what a tier came to, in place of what it came to before; for tiers that live in the test-suite.

    `adding`: beside what it came to before, since several tests tell a share each.

    `faults`: kind to count. `caught`: what must be found to how many runs it took, 0 for not at all.
    """
    row = Row(
        tier=tier,
        runs=runs,
        faults=dict(sorted((faults or {}).items())),
        kills=kills,
        violations=violations,
        caught=dict(caught or {}),
        per_minute=round(per_minute, 1),
    )
    return merge(PROOF if path is None else path, [row], adding=adding)


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
    seed=1008,
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
    rows += [_replayed(min(seeds, REPLAYED), say)]
    for tier, schedule, first_s, last_s in (
        ("order life, killed at every turn", ORDER_LIFE, 0.0, 330.0),
        ("flatten, killed at every turn", FLATTENED, 299.0, 345.0),
    ):
        say(tier)
        started_s = time.monotonic()
        points, failed = killed_everywhere(schedule, first_s, last_s)
        faults = dict(Counter(fault.name for fault in schedule.faults))
        speed = _per_minute(points, started_s)
        rows.append(Row(tier=tier, runs=points, faults=faults, kills=points, violations=len(failed), per_minute=speed))
    return rows


def _replayed(seeds: int, say: Callable[[str], None]) -> Row:
    """The same seeds in this process twice: a trace that differs is a violation."""
    say(f"replay: {seeds} seeds twice")
    started_s, kills, differing = time.monotonic(), 0, 0
    for seed in range(seeds):
        first, again = simulate(make_schedule(seed)), simulate(make_schedule(seed))
        kills += first.kills + again.kills
        differing += first.hash != again.hash
    speed = _per_minute(2 * seeds, started_s)
    return Row(tier="replay of a seed", runs=2 * seeds, kills=kills, violations=differing, per_minute=speed)


def _per_minute(runs: int, started_s: float) -> float:
    return round(runs / max(time.monotonic() - started_s, 1e-9) * 60.0, 1)
