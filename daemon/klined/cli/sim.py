"""`klined sim`: the daemon in a simulated world with faults and kills, by seed.

klined sim --seeds 10000          all cores; "0 violations", or which seeds failed and why
klined sim --seed 17 --verbose    one seed, told line by line; a failing one is shrunk first
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from klined.cli.output import emit, span, table
from klined.errors import ConfigError

if TYPE_CHECKING:  # as in options
    from klined.simulation.pool import Tally
    from klined.simulation.proof import Row
    from klined.simulation.run import Outcome

SEEDS, BARS, KILLS = 100, 200, 3
PROOF_SEEDS = 1_000
TELL_EVERY_S = 1.0


def sim_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--seeds", type=int, metavar="N", help=f"play seeds 0 to N-1 ({SEEDS})")
    what.add_argument("--seed", type=int, metavar="N", help="play one seed; with -v tell all that happens")
    what.add_argument("--replay", type=Path, metavar="FILE", help="play a recorded run; it must come to the same")
    parser.add_argument("--prove", action="store_true", help="every proof, as a table and in build/prove.json")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="first of --seeds (0)")
    parser.add_argument("--bars", type=int, default=BARS, metavar="N", help=f"bars of a seed ({BARS})")
    parser.add_argument("--kills", type=int, default=KILLS, metavar="N", help=f"kills of a seed ({KILLS})")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="processes (all cores)")
    parser.add_argument("--save", type=Path, metavar="FILE", help="record the run of --seed, shrunk when it fails")


def sim(args: argparse.Namespace) -> int:
    """Exit code 0: no violation; 1: there are some."""
    _judge(args)
    from klined.simulation.run import quiet  # noqa: PLC0415 - the whole daemon, only for this

    quiet()
    if args.prove:
        return _prove(args)
    if args.replay is not None:
        from klined.simulation.story import kept, replayed, told  # noqa: PLC0415

        outcome = replayed(args.replay)
        _print_lines(told(kept(args.replay).schedule, outcome, all_of_it=args.verbose), args)
        return int(bool(outcome.violations))
    if args.seed is not None:
        return _one(args)
    return _many(args)


def _judge(args: argparse.Namespace) -> None:
    least = {"seeds": 1, "bars": 40, "kills": 0, "workers": 0, "first": 0, "seed": 0}
    for name, minimum in least.items():
        value = getattr(args, name)
        if value is not None and value < minimum:
            raise ConfigError(f"--{name} {value}: at least {minimum}")
    if args.save is not None and args.seed is None:
        raise ConfigError("--save records one run: name it with --seed")
    if args.prove and (args.seed is not None or args.replay is not None):
        raise ConfigError("--prove plays many seeds: say how many with --seeds, and name no single run beside it")


def _one(args: argparse.Namespace) -> int:
    from klined.simulation.run import simulate  # noqa: PLC0415
    from klined.simulation.schedule import make_schedule  # noqa: PLC0415
    from klined.simulation.shrink import shrink  # noqa: PLC0415
    from klined.simulation.story import keep, told  # noqa: PLC0415

    schedule = make_schedule(args.seed, args.bars, args.kills)
    outcome = simulate(schedule)
    if outcome.violations:
        smaller, runs = shrink(schedule, outcome.invariants)
        print(f"shrunk from {len(schedule.faults)} faults to {len(smaller.faults)} in {runs} runs", file=sys.stderr)
        schedule, outcome = smaller, simulate(smaller)
    if args.save is not None:
        keep(args.save, schedule, outcome)
    _print_lines(told(schedule, outcome, all_of_it=args.verbose), args)
    if args.json:
        emit(_outcome(outcome))
    return int(bool(outcome.violations))


def _many(args: argparse.Namespace) -> int:
    from klined.simulation.pool import simulate_seeds  # noqa: PLC0415

    count = args.seeds or SEEDS
    bar = Progress(count)
    tally = simulate_seeds(
        range(args.first, args.first + count),
        bars=args.bars,
        kills=args.kills,
        workers=args.workers,
        progress=bar.show,
    )
    bar.done()
    if args.json:
        emit({"runs": tally.runs, "kills": tally.kills, "per_minute": tally.per_minute, "cpu_s": tally.cpu_s,
              "violations": [_outcome(outcome) for outcome in tally.failed]})  # fmt: skip
    else:
        _report(tally, args)
    return int(bool(tally.failed))


def _report(tally: "Tally", args: argparse.Namespace) -> None:
    days = tally.virtual_s / 86_400
    print(
        f"{tally.runs} seeds, {tally.lives} lives, {tally.kills} kills, {sum(tally.faults.values())} faults, "
        f"{tally.orders} orders, {days:.1f} virtual days in {span(tally.took_s)} ({tally.per_minute:.0f} seeds/min)"
    )
    if not tally.failed:
        print("0 violations")
        return
    print(f"{sum(len(outcome.violations) for outcome in tally.failed)} violations in {len(tally.failed)} seeds")
    for outcome in tally.failed:
        print(f"  seed {outcome.seed}: {outcome.violations[0]}")
    print(f"\ntell the story of one: klined sim --seed {tally.failed[0].seed}{_same(args)}")


def _same(args: argparse.Namespace) -> str:
    given = (("bars", args.bars, BARS), ("kills", args.kills, KILLS))
    return "".join(f" --{name} {value}" for name, value, usual in given if value != usual)


def _prove(args: argparse.Namespace) -> int:
    from klined.simulation.proof import PROOF, merge, prove  # noqa: PLC0415

    rows = merge(PROOF, prove(args.seeds or PROOF_SEEDS, args.workers, lambda text: print(text, file=sys.stderr)))
    if args.json:
        emit([{field: getattr(row, field) for field in row.__struct_fields__} for row in rows])
    else:
        print(_table(rows))
        print(f"\nwritten to {PROOF}")
    return int(any(row.violations or not all(row.caught.values()) for row in rows))


def _table(rows: Sequence["Row"]) -> str:
    head = ("tier", "runs", "faults", "kills", "violations", "caught", "per minute")
    body = [
        (
            row.tier,
            str(row.runs),
            str(sum(row.faults.values())),
            str(row.kills),
            str(row.violations),
            f"{sum(map(bool, row.caught.values()))} of {len(row.caught)}" if row.caught else "",
            f"{row.per_minute:.0f}" if row.per_minute else "",
        )
        for row in rows
    ]
    kinds: dict[str, int] = {}
    for row in rows:
        for name, count in row.faults.items():
            kinds[name] = kinds.get(name, 0) + count
    told = ", ".join(f"{name} {count}" for name, count in sorted(kinds.items()))
    caught = ", ".join(f"{name} {runs or 'NOT'}" for row in rows for name, runs in row.caught.items())
    return (
        table([head, *body], right=(1, 2, 3, 4, 5, 6))
        + (f"\n\nfaults: {told}" if told else "")
        + (f"\n\ncaught, after so many runs: {caught}" if caught else "")
    )


def _print_lines(lines: object, args: argparse.Namespace) -> None:
    if not args.json:
        for line in lines:  # type: ignore[attr-defined]  # an iterator of str
            print(line)


def _outcome(outcome: "Outcome") -> dict[str, object]:
    return {"seed": outcome.seed, "hash": outcome.hash, "kills": outcome.kills, "orders": outcome.orders,
            "violations": list(outcome.violations)}  # fmt: skip


class Progress:
    """One line on a terminal: how far, how fast, how long still."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._told_s = time.monotonic()
        self._shown = False

    def show(self, tally: "Tally") -> None:
        now_s = time.monotonic()
        if not sys.stderr.isatty() or now_s - self._told_s < TELL_EVERY_S:
            return
        self._told_s, self._shown = now_s, True
        left_s = (self._count - tally.runs) / max(tally.per_minute, 1e-9) * 60.0
        share = tally.runs / self._count
        bar = "█" * int(share * 24)
        failed = f"  {len(tally.failed)} FAILED" if tally.failed else ""
        text = f"{bar:░<24} {tally.runs}/{self._count}  {tally.per_minute:.0f} seeds/min  {span(left_s)} left{failed}"
        print(f"\r{text}\033[K", end="", file=sys.stderr, flush=True)

    def done(self) -> None:
        if self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
