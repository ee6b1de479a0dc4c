"""Killed anywhere and started again, a replay ends with the very journal of one that nobody disturbed.

Two ways to die: SIGKILL of a real process at points spread over 20,000 bars; and, cheaply inside this process, at
every kind of point there is, in every phase. Compared is every table but the one of the process's own starts.
"""

import csv
import random
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from klined.domain import Batch
from klined.errors import ConfigError
from klined.runtime import log
from klined.runtime.assembly import shipped
from klined.simulation.proof import add_row
from klined.store.digests import state_digest
from replay.killing import ANY, HITS, Kill, replay_and_drop
from replay.worlds import ETH_2025, PAIR_2021, PERP, World

TESTS = Path(__file__).parents[1]
SPOT = World("spot", (ETH_2025,), rows=20_500)
ETH_PERP = World(
    "perp", ("small/ETHUSDT-1m_um_2025-05.csv.gz",), ("ETH/USDT:USDT",), rows=20_500, kind="perp", more=PERP
)
PAIR = World("pair", PAIR_2021, ("BTC/USDT", "ETH/USDT"), first=5_000, rows=600)
HISTORY = (
    "market.history_bars=200"  # of the 300 that the plan needs: the rest of the warm-up is decided on, and refused
)
PHASES = {"warm-up", "decision", "intent", "fill", "flatten", "stop"}

EARLY = (
    Kill("history.before", "warm-up"),
    Kill("history.after", "warm-up"),
    Kill("commit.before", "warm-up", 220),
    Kill("commit.after", "warm-up", 260),
)
MIDDLE = (
    ("commit.before", "decision"),
    ("commit.after", "decision"),
    ("on_batch.before", "decision"),
    ("commit.before", "intent"),
    ("commit.after", "intent"),
    ("submit.before", "intent"),
    ("submit.after", "intent"),
    ("on_batch.after", "fill"),
    ("commit.before", "fill"),
    ("commit.after", "fill"),
    ("snapshot.before", ANY),
    ("snapshot.after", ANY),
    ("sql.BEGIN", ANY),
    ("sql.COMMIT", ANY),
)
LATE = (
    ("remember.before", "flatten"),
    ("remember.after", "flatten"),
    ("commit.before", "flatten"),
    ("commit.after", "flatten"),
    ("submit.before", "flatten"),
    ("submit.after", "flatten"),
    ("flush.before", ANY),
    ("flush.after", ANY),
    ("end_run.before", "stop"),
)


@pytest.mark.parametrize(
    ("world", "group", "policy"),
    [
        pytest.param(SPOT, 256, "onnx", id="spot-256"),
        pytest.param(replace(ETH_PERP, rows=6_000), 1, "ema_cross", id="perp-1"),
        pytest.param(ETH_PERP, 1, "ema_cross", id="perp-1-long", marks=pytest.mark.slow),
        pytest.param(SPOT, 1, "ema_cross", id="spot-1", marks=pytest.mark.slow),
        pytest.param(ETH_PERP, 256, "onnx", id="perp-256", marks=pytest.mark.slow),
    ],
)
def test_replay_killed_by_signal_again_and_again_ends_like_an_undisturbed_one(
    shared_data: Path, quick_path: Path, world: World, group: int, policy: str
) -> None:
    policy = known(policy)
    more = [HISTORY, f"store.group_batches={group}"]
    killed = world.overrides(shared_data, quick_path / "killed", policy, more)
    for kill in schedule(group, world.rows):
        assert life(killed, kill) == -signal.SIGKILL, f"{kill} was never met"
    assert life(killed) == 0
    assert life(world.overrides(shared_data, quick_path / "whole", policy, more)) == 0

    hits = [line.split() for line in (quick_path / HITS).read_text().splitlines()]
    assert len(hits) == len(EARLY) + len(MIDDLE) + len(LATE) >= 20
    assert {phase for _, phase, _ in hits} == PHASES
    assert {"snapshot.before", "snapshot.after", "sql.COMMIT"} <= {point for point, _, _ in hits}
    must_be_equal(quick_path / "killed" / "journal.db", quick_path / "whole" / "journal.db")
    counted = counts(quick_path / "whole" / "journal.db")
    assert counted["decisions"] >= world.rows - 500
    assert counted["fills"] > 100


ROUND = [  # market and group; all of both in the long proof
    (replace(SPOT, rows=520), 1),
    (replace(ETH_PERP, rows=800), 8),
    (PAIR, 256),
]


@pytest.mark.parametrize(("world", "group"), ROUND, ids=lambda value: value.name if isinstance(value, World) else value)
def test_death_at_any_kind_of_point_in_any_phase_leaves_no_trace(
    shared_data: Path, quick_path: Path, world: World, group: int
) -> None:
    die_everywhere(shared_data, quick_path, world, group, samples=1)


@pytest.mark.slow
@pytest.mark.parametrize("group", [1, 8, 256])
@pytest.mark.parametrize("world", [world for world, _ in ROUND], ids=lambda world: world.name)
def test_death_at_many_points_leaves_no_trace(shared_data: Path, quick_path: Path, world: World, group: int) -> None:
    kills = die_everywhere(shared_data, quick_path, world, group, samples=4)
    faults = Counter(f"killed at {kill.point}" for kill in kills)
    add_row("recorded bars, killed", runs=len(kills), faults=faults, kills=len(kills), adding=True)


def test_restart_that_forgets_a_price_is_found_out(
    shared_data: Path, quick_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: a snapshot that keeps no older bar of the symbol that had none last."""
    monkeypatch.setattr(Batch, "over", lambda self, _earlier: self)
    with pytest.raises(AssertionError, match="differ"):
        die_everywhere(shared_data, quick_path, PAIR, 256, samples=1, points={"flush.after"})


def die_everywhere(  # one death is described by this much
    data: Path, folder: Path, world: World, group: int, *, samples: int, points: set[str] | None = None
) -> list[Kill]:
    """Die once at each point and phase that the replay has (first, last or between), and compare; the deaths."""
    kills: list[Kill] = []
    log.configure("critical", "json")
    more = [HISTORY, f"store.group_batches={group}"]
    whole = world.settings(data, folder / "whole", "ema_cross", more)
    code, seen = replay_and_drop(whole, None)
    assert code == 0
    assert {phase for _, phase in seen} == PHASES
    rng = random.Random(group)
    for (point, phase), times in sorted(seen.items()):
        if points is not None and point not in points:
            continue
        for spare in sorted({rng.choice([0, times - 1, rng.randrange(times)]) for _ in range(samples)}):
            kill = Kill(point, phase, spare=spare)
            state = folder / f"{point}-{phase}-{spare}"
            settings = whole.model_copy(update={"store": whole.store.model_copy(update={"dir": state})})
            assert replay_and_drop(settings, kill)[0] is None, f"{kill} was never met"
            assert replay_and_drop(settings, None)[0] == 0, kill
            must_be_equal(state / "journal.db", folder / "whole" / "journal.db", str(kill))
            kills.append(kill)
    return kills


def schedule(seed: int, bars: int) -> list[Kill]:
    """Kills from the first bar to the last, in the order in which they are met."""
    rng = random.Random(seed)
    low, high = 400, bars - 1_000  # a whole group of 256 comes after the last of them
    points = list(MIDDLE)
    rng.shuffle(points)
    width = (high - low) // len(points)
    middle = [Kill(*point, low + k * width + rng.randrange(width // 2)) for k, point in enumerate(points)]
    return [*EARLY, *middle, *(Kill(*point, bars - 1) for point in LATE)]


def known(policy: str) -> str:
    """The shipped network where there is one, else a rule."""
    try:
        shipped()
    except ConfigError:
        return "ema_cross"
    return policy


def life(overrides: Sequence[str], kill: Kill | None = None) -> int:
    """One life of a real process; its return code."""
    file = next(word for word in overrides if word.startswith("market.files=")).partition("=")[2]
    with Path(file).open() as lines:
        first_ms = int(list(csv.reader(lines))[1][0]) + 60_000
    last = [] if kill is None else [kill.point, kill.phase, str(kill.bar)]
    command = [sys.executable, "-m", "replay.killing", str(first_ms), *overrides, "--", *last]
    done = subprocess.run(command, check=False, cwd=TESTS, capture_output=True, text=True, timeout=120)
    assert done.returncode in {0, -signal.SIGKILL}, f"life until {kill}: {done.stderr[-2_000:]}"
    return done.returncode


def must_be_equal(killed: Path, whole: Path, when: str = "") -> None:
    if state_digest(killed) != state_digest(whole):
        tables = [name for name, rows in contents(whole).items() if rows != contents(killed)[name]]
        raise AssertionError(f"{when} {', '.join(tables)} differ from the undisturbed run's")


def contents(journal: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every table but `runs`."""
    with closing(sqlite3.connect(journal)) as link:
        names = [name for (name,) in link.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            name: link.execute(f"SELECT * FROM {name}").fetchall()  # noqa: S608 # names of our schema
            for name in names
            if name != "runs"
        }


def counts(journal: Path) -> Counter[str]:
    return Counter({name: len(rows) for name, rows in contents(journal).items()})
