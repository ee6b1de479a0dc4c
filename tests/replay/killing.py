"""A replay that dies at a chosen point: run as a script it kills its own process, imported it raises `Killed`.

    python -m replay.killing FIRST_MS SETTING... -- [POINT PHASE BAR]

Journal, venue and feed are wrapped from outside; the daemon knows of none of this. Points are `<call>.before` and
`<call>.after` of history, on_batch, submit, query, commit, snapshot, flush, remember, end_run, and `sql.BEGIN` and
`sql.COMMIT`, which are hit before the statement runs. The first hit of the point in the phase from that bar on kills.
"""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from msgspec import Struct

from klined.config.load import load
from klined.config.settings import Settings
from klined.domain import Batch, Cause, Intent, News, Reason, Record, Refused, Traded
from klined.ports import Feed, Venue
from klined.runtime import assembly, log
from klined.runtime.loop import VirtualLoop
from klined.runtime.process import REPLAY_ID
from klined.store.lock import StateLock
from klined.store.synchronous import SyncJournal

ANY = "any"
HITS = "hits"  # file in the state directory's parent: one line a kill


class Kill(Struct, frozen=True):
    """Where to die."""

    point: str
    phase: str = ANY  # warm-up, decision, intent, fill, flatten, stop
    bar: int = 0  # bar of the market, counted from its first
    spare: int = 0  # hits that are survived


class Killed(BaseException):
    """The process is dead: nothing of it may run on."""


def kill_self() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("SIGKILL returned")


def drop() -> NoReturn:
    raise Killed


class Killer:
    """Counts what it sees, and dies at its point."""

    def __init__(self, kill: Kill | None, die: Callable[[], NoReturn], first_ms: int = 0, interval_ms: int = 1) -> None:
        self._kill, self._die = kill, die
        self._first_ms, self._interval_ms = first_ms, interval_ms
        self.seen: Counter[tuple[str, str]] = Counter()
        self._spared = 0
        self.bar = 0
        self.phase = "warm-up"
        self.dead = False
        self.on_death: Callable[[Kill], None] = lambda _kill: None

    def shown(self, batch: Batch) -> None:
        if not self._first_ms:
            self._first_ms = batch.close_time_ms
        self.bar = (batch.close_time_ms - self._first_ms) // self._interval_ms

    def hit(self, point: str, phase: str | None = None) -> None:
        """Be at `point`; the phase is the last one named unless given."""
        if self.dead:
            raise Killed
        self.phase = phase or self.phase
        self.seen[point, self.phase] += 1
        kill = self._kill
        if kill is None or point != kill.point or kill.phase not in {ANY, self.phase} or self.bar < kill.bar:
            return
        self._spared += 1
        if self._spared > kill.spare:
            self.dead = True
            self.on_death(Kill(point, self.phase, self.bar))
            self._die()


def phase_of(record: Record) -> str:
    """What a transaction is about."""
    if any(intent.cause is Cause.FLATTEN for intent in record.intents):
        return "flatten"
    if record.intents:
        return "intent"
    if record.fills:
        return "fill" if record.decisions else "flatten"
    verdicts = [decision.verdict for decision in record.decisions]
    if any(isinstance(verdict, Refused) and verdict.reason is Reason.WARMUP for verdict in verdicts):
        return "warm-up"
    return "decision" if verdicts else "stop"


class DyingJournal:
    """The replay's journal with points."""

    def __init__(self, inner: SyncJournal, killer: Killer) -> None:
        self._inner, self._killer = inner, killer
        self.path = inner.path
        self.recover, self.venue_rows, self.begin_run = inner.recover, inner.venue_rows, inner.begin_run

    async def watch(self) -> None:
        """Have the statements that begin and end a transaction as points."""

        def told(statement: str) -> None:
            if statement.startswith(("BEGIN", "COMMIT")):
                self._killer.hit(f"sql.{statement.split(maxsplit=1)[0]}")

        await self._inner.perform(lambda link: link.set_trace_callback(told))

    async def commit(self, record: Record, snapshot: Callable[[], bytes] | None) -> None:
        hit = self._killer.hit

        def taken() -> bytes:
            hit("snapshot.before")
            blob = b"" if snapshot is None else snapshot()
            hit("snapshot.after")
            return blob

        hit("commit.before", phase_of(record))
        await self._inner.commit(record, None if snapshot is None else taken)
        hit("commit.after")

    async def remember(self, key: str, value: str | None) -> None:
        self._killer.hit("remember.before", "flatten")
        await self._inner.remember(key, value)
        self._killer.hit("remember.after")

    async def flush(self) -> None:
        self._killer.hit("flush.before")
        await self._inner.flush()
        self._killer.hit("flush.after")

    async def end_run(self, run: int, time_ms: int, outcome: str) -> None:
        self._killer.hit("end_run.before", "stop")
        await self._inner.end_run(run, time_ms, outcome)
        self._killer.hit("end_run.after")

    async def close(self) -> None:
        await self._inner.close()


class DyingVenue:
    """The paper exchange with points."""

    def __init__(self, inner: Venue, killer: Killer) -> None:
        self._inner, self._killer = inner, killer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def submit(self, intent: Intent) -> Sequence[Any]:
        self._killer.hit("submit.before", "flatten" if intent.cause is Cause.FLATTEN else "intent")
        news = await self._inner.submit(intent)
        self._killer.hit("submit.after")
        return news

    async def query(self, client_id: str, symbol: str) -> Sequence[Any]:
        self._killer.hit("query.before")
        news = await self._inner.query(client_id, symbol)
        self._killer.hit("query.after")
        return news

    def on_batch(self, batch: Batch) -> Sequence[News]:
        self._killer.shown(batch)
        self._killer.hit("on_batch.before")
        news = self._inner.on_batch(batch)
        self._killer.hit("on_batch.after", "fill" if any(isinstance(item, Traded) for item in news) else None)
        return news


class DyingFeed:
    """The recorded feed with points."""

    def __init__(self, inner: Feed, killer: Killer) -> None:
        self._inner, self._killer = inner, killer
        self.next, self.close = inner.next, inner.close

    async def history(self, count: int, after_ms: int | None) -> Sequence[Batch]:
        self._killer.hit("history.before", "warm-up" if after_ms is None else None)
        batches = await self._inner.history(count, after_ms)
        self._killer.hit("history.after")
        return batches


async def replay(settings: Settings, killer: Killer) -> int:
    """As `klined replay`, with points; the exit code."""
    make_venue, make_feed = assembly.make_venue, assembly.make_feed
    inner = SyncJournal(settings.state_dir / "journal.db", settings.store.group_batches)
    journal = DyingJournal(inner, killer)
    try:
        assembly.make_venue = lambda *args: DyingVenue(make_venue(*args), killer)
        assembly.make_feed = lambda *args: DyingFeed(make_feed(*args), killer)
        daemon = await assembly.assemble(settings, journal=journal, installation=REPLAY_ID)
    finally:
        assembly.make_venue, assembly.make_feed = make_venue, make_feed
    try:
        await journal.watch()
        return await daemon.serve()
    finally:
        await inner.close()


def replay_and_drop(settings: Settings, kill: Kill | None) -> tuple[int | None, Counter[tuple[str, str]]]:
    """One life inside this process: the exit code, None when it was cut short; and how often each point was passed."""
    killer = Killer(kill, drop)
    try:
        with StateLock(settings.state_dir), asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(replay(settings, killer)), killer.seen
    except BaseException:
        if not killer.dead:
            raise
        return None, killer.seen


def main(arguments: Sequence[str]) -> int:
    """One life as a process of its own; `FIRST_MS` is when bar 0 closes."""
    cut = arguments.index("--")
    settings = load(None, arguments[1:cut], environ={})
    last = arguments[cut + 1 :]
    kill = Kill(last[0], last[1], int(last[2])) if last else None
    killer = Killer(kill, kill_self, int(arguments[0]), settings.market.interval_ms)
    hits = os.open(settings.state_dir.parent / HITS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    killer.on_death = lambda kill: _write(hits, kill)
    log.configure("critical", "json")
    with StateLock(settings.state_dir), asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(replay(settings, killer))


def _write(hits: int, kill: Kill) -> None:
    os.write(hits, f"{kill.point} {kill.phase} {kill.bar}\n".encode())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
