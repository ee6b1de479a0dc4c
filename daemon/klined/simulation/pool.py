"""Many seeds on all cores. With one core, or where processes cannot be started, the same in this process."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

from msgspec import Struct, field
from msgspec.structs import replace

from klined.simulation.life import Mutation
from klined.simulation.run import Outcome, quiet, simulate
from klined.simulation.schedule import make_schedule

CHUNK = 8
MutationOf = Callable[[], Mutation]


class Tally(Struct):
    """What many seeds came to."""

    runs: int = 0
    kills: int = 0
    lives: int = 0
    orders: int = 0
    fills: int = 0
    turns: int = 0
    virtual_s: float = 0.0
    took_s: float = 0.0
    cpu_s: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    failed: list[Outcome] = []

    def add(self, outcome: Outcome) -> None:
        self.runs += 1
        self.kills += outcome.kills
        self.lives += outcome.lives
        self.orders += outcome.orders
        self.fills += outcome.fills
        self.turns += outcome.turns
        self.virtual_s += outcome.virtual_s
        self.faults.update(outcome.faults)
        if outcome.violations:
            self.failed.append(outcome)

    @property
    def per_minute(self) -> float:
        """Seeds a minute, by the clock on the wall."""
        return self.runs / self.took_s * 60.0 if self.took_s else 0.0


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def simulate_seeds(
    seeds: Sequence[int],
    *,
    bars: int = 200,
    kills: int = 3,
    workers: int = 0,
    progress: Callable[[Tally], None] = lambda _tally: None,
) -> Tally:
    """Play every seed once. `workers` 0 takes all cores; `progress` is told now and then."""
    tally, started_s = Tally(), time.monotonic()
    chunks = [seeds[i : i + CHUNK] for i in range(0, len(seeds), CHUNK)]
    workers = min(workers or cores(), len(chunks))
    for outcomes, cpu_s in _played(chunks, bars, kills, workers):
        for outcome in outcomes:
            tally.add(outcome)
        tally.cpu_s += cpu_s
        tally.took_s = time.monotonic() - started_s
        progress(tally)
    tally.failed.sort(key=lambda outcome: outcome.seed)
    return tally


Part = tuple[list[Outcome], float]


def _played(chunks: Sequence[Sequence[int]], bars: int, kills: int, workers: int) -> Iterator[Part]:
    left = list(chunks)
    if workers > 1:
        try:
            with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=quiet) as pool:
                running: dict[Future[Part], Sequence[int]] = {}
                waiting = list(left)
                while waiting or running:
                    while waiting and len(running) < 2 * workers:
                        chunk = waiting.pop(0)
                        running[pool.submit(play, chunk, bars, kills)] = chunk
                    for done in wait(running, return_when=FIRST_COMPLETED).done:
                        part = done.result()
                        left.remove(running.pop(done))
                        yield part
        except (OSError, BrokenProcessPool):  # no room for more processes: go on alone
            pass
    for chunk in left:
        yield play(chunk, bars, kills)


def play(seeds: Sequence[int], bars: int, kills: int) -> Part:
    """Some seeds, one after another; without their traces. And the processor time it took."""
    before_s = time.process_time()
    outcomes = [replace(simulate(make_schedule(seed, bars, kills)), trace=()) for seed in seeds]
    return outcomes, time.process_time() - before_s
