"""What happened in one seed, line by line, for a person; and the file in which a run is kept.

seed 12: ETH/USDT:USDT, 200 bars, 2 faults
22:01:00.041  process  order kl-sim000-… of +4.927 ETH/USDT (policy) leaves: no answer will come
22:01:00.173  exchange executed +4.927 at 2003.34
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from klined import __version__
from klined.errors import ConfigError
from klined.simulation.run import Outcome, simulate
from klined.simulation.schedule import CHANNELS, Fault, Schedule
from klined.simulation.world import EPOCH_MS

FORMAT = "klined-simulation-1"
WAYS = {
    "ok": "",
    "lost": "; its answer will be lost",
    "done": "; it executes, and the answer is 503",
    "drop": "; it will never arrive",
    "late": "; it arrives late, and nothing is answered",
    "reject": "; it will be rejected",
    "slow": "; the answer takes seconds",
    "refused": "; 503, not executed",
    "partial": "; it executes in parts",
}
MEANINGS = {
    "post.lost": "orders execute, their answers never come",
    "post.done": "orders execute, and the answer is 503",
    "post.drop": "orders never arrive, nor do answers",
    "post.late": "orders arrive after the client gave up",
    "post.reject": "orders are rejected",
    "post.slow": "answers to orders take seconds",
    "post.refused": "503, orders are not executed",
    "post.partial": "orders execute in parts",
    "read.lag": "what is read is up to so many seconds old",
    "read.fail": "seven of ten reads and cancels fail",
    "read.slow": "reads take up to so many seconds longer",
    "user.miss": "most news of the account is lost",
    "user.twice": "news of the account comes twice",
    "user.delay": "news of the account comes late",
    "net.dark": "no network",
    "clock.step": "the machine's clock jumps by so many ms",
    "machine.suspend": "the machine sleeps for so many seconds",
    "machine.stop": "the process is stopped for so many seconds",
    "disk.full": "the disk is full",
    "disk.readonly": "the disk is read-only",
    "disk.slow": "transactions take up to so many seconds",
    "disk.busy": "another process has the journal locked",
    "signal.term": "SIGTERM",
    "signal.term_twice": "SIGTERM, and SIGINT a second later",
    "kill.kill": "SIGKILL, so many turns of the loop later",
    "kill.power": "power fails, so many transactions later",
    "person.swap": "somebody brings another policy",
    "feed.stall": "bars come so many seconds late",
    "feed.twice": "bars come twice",
    "feed.swap": "a bar comes a minute late, after its successor",
    "feed.skip": "a bar never comes",
    "feed.revise": "REST tells another bar than the stream",
    "feed.garble": "half a frame comes",
    "feed.cut": "the stream breaks off",
    "feed.rest": "bars cannot be read by REST",
}


class Kept(Struct, frozen=True):
    """One run as a file: what to play, and what must come of it."""

    format: str
    version: str
    schedule: Schedule
    hash: str
    violations: tuple[str, ...] = ()


def keep(path: Path, schedule: Schedule, outcome: Outcome) -> None:
    """Write the run, so that it can be played again anywhere.

    Raises:
        ConfigError: it cannot be written there.
    """
    kept = Kept(FORMAT, __version__, schedule, outcome.hash, outcome.violations)
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(kept)) + b"\n")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}; name a file that can be written with --save") from error


def kept(path: Path) -> Kept:
    """A run as it was written.

    Raises:
        ConfigError: no such file, truncated, garbled, of another format or version.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Kept)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}; name a file written by klined sim --save") from error
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{path} is no recorded run ({error}); write one with klined sim --seed N --save") from error
    if found.format != FORMAT:
        raise ConfigError(f"{path} is of format {found.format!r}, this klined reads {FORMAT!r}; record it again")
    if found.version != __version__:
        raise ConfigError(
            f"{path} was recorded by klined {found.version}, this is {__version__}: what it must do may differ; "
            f"install that version, or record it again with klined sim --seed {found.schedule.seed} --save"
        )
    for fault in found.schedule.faults:
        if fault.what not in CHANNELS.get(fault.channel, ()):
            raise ConfigError(f"{path}: there is no fault {fault.name}; write it as klined sim --save does")
    return found


def replayed(path: Path) -> Outcome:
    """Play a recorded run again. Raises ConfigError, also when it does not come to the same."""
    found = kept(path)
    outcome = simulate(found.schedule)
    if (outcome.hash, outcome.violations) != (found.hash, found.violations):
        raise ConfigError(
            f"{path}: trace {outcome.hash} instead of {found.hash}; the code has changed since it was recorded"
        )
    return outcome


def told(schedule: Schedule, outcome: Outcome, *, all_of_it: bool = True) -> Iterator[str]:
    """The story, a line at a time. Without `all_of_it` only what led to the first violation."""
    limits = ", limits near" if schedule.tight else ""
    yield (
        f"seed {schedule.seed}: {', '.join(schedule.symbols)}, {schedule.bars} bars, "
        f"{len(schedule.faults)} faults{limits}; trace {outcome.hash}"
    )
    for fault in schedule.faults if len(schedule.faults) <= 12 else ():
        yield f"  planned {_clock(fault.at_s)}  {_fault(fault)}"
    lines = outcome.trace
    if not all_of_it:
        end = next((i for i, line in enumerate(lines) if line[1] == "VIOLATION"), len(lines) - 1)
        lines = lines[max(0, end - 24) : end + 1]
    for line in lines:
        yield f"{_clock(float(str(line[0])))}  {_line(str(line[1]), line[2:])}"
    yield (
        "0 violations" if not outcome.violations else "\n".join(("violated:", *(f"  {v}" for v in outcome.violations)))
    )


def _fault(fault: Fault) -> str:
    lasts = f" for {fault.for_s:g} s" if fault.for_s else ""
    meaning = f": {MEANINGS[fault.name]}" if fault.name in MEANINGS else ""
    return f"{fault.name}{lasts}" + (f" ({fault.amount:g})" if fault.amount else "") + meaning


def _line(what: str, rest: Sequence[object]) -> str:  # noqa: C901, PLR0911  # a table of sentences
    words = [str(word) for word in rest]
    match what, words:
        case "post", [client_id, symbol, quantity, cause, way]:
            return f"process   sends {client_id}: {quantity} {symbol} ({cause}){WAYS.get(way, way)}"
        case "life", [number]:
            return f"process   starts, life {number}"
        case "ready", _:
            return "process   is ready to trade"
        case "killed", [turns]:
            return f"process   KILLED after {turns} turns of its loop"
        case "exit", [code, why]:
            return f"process   ends with exit code {code}: {why}"
        case "fault", [name, amount]:
            return f"fault     {name}" + (f" ({amount})" if amount != "0.0" else "")
        case "query", [client_id, found]:
            return f"process   asks for {client_id}: " + (f"{found} pieces of news" if found != "0" else "not found")
        case "cancel", [client_id, found]:
            return f"process   cancels {client_id}: " + ("it was at work" if found == "True" else "it was not at work")
        case "paused", _:
            return "daemon    confirms that it is paused"
        case "VIOLATION", [invariant, how]:
            return f"VIOLATION {invariant}: {how}"
        case _:
            who, _, did = what.partition(".")
            return f"{who:<9} {' '.join((did, *words)).strip()}"


def _clock(time_s: float) -> str:
    return datetime.fromtimestamp(EPOCH_MS / 1000 + time_s, UTC).strftime("%H:%M:%S.%f")[:-3]
