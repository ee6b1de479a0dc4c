"""One daemon from start to stop: recovery, warm-up, the pipeline, the flatten, the report.

    recover ─▶ settle open intents ─▶ reconcile ─▶ (finish a flatten) ─▶ warm up ─▶ READY ─▶ pipeline
                                                                                  report ◀─ flatten ◀─┘

Start-up and recovery after a crash are the same code: a fresh state directory is one with nothing to recover.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from klined.config.settings import Settings
from klined.domain import Batch, Mode, Purpose, Reason, Recovered
from klined.errors import ConfigError, KlinedError, StateError
from klined.kernels import layout as at
from klined.ports import Clock, Feed, Journal, Venue
from klined.runtime.flatten import FLAG, Flatten
from klined.runtime.freezer import Freezer
from klined.runtime.health import Health
from klined.runtime.observing import Bus
from klined.runtime.outbox import Outbox
from klined.runtime.pipeline import Pipeline
from klined.runtime.reconciling import Reconciling
from klined.runtime.report import Report
from klined.runtime.signals import Signals
from klined.store.backup import RESTORED
from klined.trader.trader import Trader

PAUSED = "paused"
EXIT_OK, EXIT_FAILED, EXIT_NOT_FLAT = 0, 1, 5
SETTLE_WAIT_S = 0.5
MASKED = "this feed does not tell what they read, so they are 0: was it so in training?"
EXPLAIN_S = 90.0  # longer than any order can stay unknown while our books are right

log = structlog.get_logger()


class Durable(Journal, Protocol):
    """A journal that also notes the process's own starts and stops and keeps an in-process venue's ledger."""

    async def venue_rows(self) -> tuple[tuple[str, bytes], ...]: ...

    async def begin_run(self, time_ms: int) -> int: ...

    async def end_run(self, run: int, time_ms: int, outcome: str) -> None: ...


class Daemon:
    """The parts, put together by `assembly`, and the order in which they are used."""

    def __init__(
        self,
        *,
        settings: Settings,
        clock: Clock,
        journal: Durable,
        feed: Feed,
        venue: Venue,
        trader: Trader,
        pipeline: Pipeline,
        outbox: Outbox,
        bus: Bus,
        freezer: Freezer,
        warmup_bars: int,
        reconciling: Reconciling | None = None,  # with a venue behind a wire
    ) -> None:
        self.settings, self.clock, self.journal, self.feed, self.venue = settings, clock, journal, feed, venue
        self.trader, self.pipeline, self.outbox, self.bus = trader, pipeline, outbox, bus
        self.health = Health()
        self.started = False
        self.flatten = Flatten(venue=venue, journal=journal, clock=clock, trader=trader, outbox=outbox)
        self.freezer, self._warmup_bars, self.reconciling = freezer, warmup_bars, reconciling
        pipeline.beside += reconciling.works() if reconciling is not None else []
        self._flattening: asyncio.Task[bool] | None = None
        self._starting: asyncio.Task[None] | None = None
        self.accept_exchange = False  # a person has compared a restored backup with the exchange
        self.stop_why = "the market ended"
        self.report: Report | None = None
        self.run = 0  # which of this journal's runs this is
        self.failed: list[BaseException] = []  # what ended it, when it was not asked to
        self.on_ready: Callable[[], None] = lambda: None
        self.on_reload: Callable[[], None] = lambda: None

    def stop(self, why: str) -> None:
        """Begin to stop; what is in flight is finished."""
        if not self.pipeline.stopping:
            self.stop_why = why
        self.pipeline.stop()
        if self._starting is not None and not self.started:
            self._starting.cancel()  # a start may wait for an exchange that does not answer

    @property
    def mode(self) -> Mode:
        return self.trader.gate.mode

    @property
    def mode_why(self) -> str:
        """Why nothing new is opened, or ok."""
        a = self.trader.book.A.row[0]
        if a[at.HALT]:
            return f"halted: {Reason(int(a[at.HALT])).name.lower()}; klined resume"
        if a[at.KILL]:
            return f"kill file {self.settings.kill_file}"
        if RESTORED in self.trader.holds:
            return "a restored backup: the exchange may know more; compare, then klined run --accept-exchange"
        if self.trader.holds:
            return f"no entries: {', '.join(sorted(self.trader.holds))}"
        return "desync" if a[at.DESYNCED] else "ok"

    async def pause(self, why: str) -> None:
        """No new exposure until a person resumes; survives a restart."""
        await self.journal.remember(PAUSED, why)
        self.trader.hold(PAUSED)
        self.trader.note("warning", "mode.paused", why=why)

    async def resume(self) -> None:
        """End a pause or a halt."""
        await self.journal.remember(PAUSED, None)
        self.trader.gate.resume()
        self.trader.release(PAUSED)
        for why in self.trader.holds:
            self.trader.hold(why)
        self.trader.note("warning", "mode.resumed")

    async def flatten_now(self, why: str) -> bool:
        """Close everything, then stay paused; whether the venue says flat."""
        await self.pause(why)
        return await self.flatten.run(why, self.settings.runtime.flatten_deadline_s)

    async def serve(self, *, heed_signals: bool = True) -> int:
        """Run to the end; returns the exit code. Inside somebody else's process, signals are not for us."""
        signals = Signals(
            on_stop=lambda: self.stop("signal"),
            on_abort=self._abort,
            on_reload=self._reload,
            on_dump=self.dump,
        )
        if heed_signals:
            signals.install(asyncio.get_running_loop())
        self.run = run = await self.journal.begin_run(self.clock.now_ms())
        code = EXIT_FAILED
        try:
            code = await self._live()
            return code
        finally:
            signals.remove()
            await self.bus.close()
            await self.feed.close()
            await self.venue.close()
            try:
                await self.journal.flush()
                await self.journal.end_run(run, self.clock.now_ms(), f"{self.stop_why}; exit {code}")
            except StateError as error:  # told, but no reason to end with another code
                log.error("journal.failed", why=str(error), hint="the next start recovers")  # noqa: TRY400

    async def start(self) -> None:
        """Recovery: know what the venue knows, and show the indicators what they missed."""
        recovered = await self.journal.recover()
        self.freezer.restore(recovered)
        self.venue.load(await self.journal.venue_rows())
        await self._settle(recovered)
        fresh = self.reconciling is not None and not self.trader.time_ms
        if fresh:  # what the account holds already is valued at the marks of the warm-up
            await self._catch_up()
        await self._reconcile()
        await self._distrust(recovered.memory.get(RESTORED))
        if PAUSED in recovered.memory:
            self.trader.hold(PAUSED)
        if FLAG not in recovered.memory:
            self.trader.release(FLAG)  # a snapshot taken in a flatten says paused
        else:
            self.trader.hold(FLAG)
            log.warning("flatten.resumed", why=recovered.memory[FLAG])
            await self.flatten.run(recovered.memory[FLAG], self.settings.runtime.flatten_deadline_s)
        if not fresh:
            await self._catch_up()

    async def _distrust(self, backup: str | None) -> None:
        """A restored journal is older than the account: nothing is opened until a person accepts what that has become.

        A venue inside this process was restored with it, and knows no more.
        """
        if backup is None:
            return
        if self.accept_exchange or self.venue.in_process:
            await self.journal.remember(RESTORED, None)
            log.warning("backup.accepted", backup=backup, left=self.trader.left())
        else:
            self.trader.hold(RESTORED)
            log.error("backup.restored", backup=backup, left=self.trader.left(), hint=self.mode_why)

    async def _catch_up(self) -> None:
        """Show the indicators the past, or queue what was missed."""
        history = await self.feed.history(self._warmup_bars, self.trader.time_ms or None)
        self._tell_masked(history)
        for batch in history:
            if batch.purpose is Purpose.WARMUP:
                self.trader.show(batch)
            else:
                self.pipeline.backlog.append(batch)

    def _tell_masked(self, history: Sequence[Batch]) -> None:
        """A policy that saw an order book in training, and sees none here, lives something else."""
        program = self.trader.engine.plan.program
        bar = next((bar for batch in history[-1:] for bar in batch.bars if bar is not None), None)
        if program is not None and bar is not None and (masked := program.masked(bar)):
            log.warning("features.masked", feed=self.settings.market.feed_name, features=masked, hint=MASKED)

    async def _begin(self) -> None:
        """Start, unless a stop comes first."""
        self._starting = asyncio.create_task(self.start())
        try:
            await self._starting
        except asyncio.CancelledError:
            if not self.pipeline.stopping:
                self._starting.cancel()
                raise
            raise _StoppedEarlyError from None

    async def _live(self) -> int:
        failed = self.failed
        try:
            await self._begin()
            self.bus.start()
            self.report = Report(self.settings.state_dir, self.trader)
            self.started = True
            self.health.ready("trading")
            self.on_ready()
            await self.pipeline.run()
        except* _StoppedEarlyError:
            pass
        except* KlinedError as group:
            failed += _leaves(group)
            for error in failed:
                log.error("daemon.failed", why=str(error), kind=type(error).__name__)  # noqa: TRY400  # one sentence
        except* Exception as group:
            crashed = _leaves(group)
            failed += crashed
            for error in crashed:
                log.error("daemon.crashed", why=repr(error), exc_info=error)  # noqa: TRY400
        if failed:
            self.stop_why = "failure"
        return await self._end(failed=bool(failed), code=_code_of(failed))

    async def _end(self, *, failed: bool, code: int) -> int:
        """Go flat; `code` is what the process ends with when that succeeds."""
        runtime = self.settings.runtime
        self.pipeline.stopping = True
        self.health.stopping(runtime.flatten_deadline_s)
        if runtime.on_stop == "keep" and not failed:
            if self.trader.protected():
                return EXIT_OK
            log.warning("stop.flattens", why="on_stop is keep, but no resting stop protects the position")
        self._flattening = asyncio.create_task(self.flatten.run(self.stop_why, runtime.flatten_deadline_s))
        try:
            flat = await self._flattening
        except asyncio.CancelledError:
            flat = False
        if not flat:
            log.error("stop.not_flat", left=self.trader.left(), hint="the next start finishes the flatten")
            return EXIT_NOT_FLAT
        if self.reconciling is not None:
            await self.reconciling.disarm()
        return code

    async def _settle(self, recovered: Recovered) -> None:
        """Ask for every order that a dead process left, until none is unknown."""
        self.trader.resume(recovered, self.clock.now_ms())
        await self.outbox.send()
        since_s = self.clock.monotonic_s()
        while self.trader.unknown():
            log.warning("orders.unsettled", orders=self.trader.unknown())
            await asyncio.sleep(SETTLE_WAIT_S)
            self.trader.due(self.clock.now_ms())
            await self.outbox.send()
            if self.reconciling is not None and self.clock.monotonic_s() - since_s > EXPLAIN_S:
                await self.reconciling.begin()  # a trade that was never heard speaks against every proof
                since_s = self.clock.monotonic_s()

    async def _reconcile(self) -> None:
        if self.reconciling is not None:
            await self.reconciling.begin()
            return
        self.trader.reconcile(await self.venue.account(), self.clock.now_ms())
        await self.outbox.send()

    def _reload(self) -> None:
        self.on_reload()

    def _abort(self) -> None:
        if self._flattening is not None:
            self._flattening.cancel()

    def summary(self) -> dict[str, object]:
        """Figures of this session; empty before it began."""
        return {} if self.report is None else self.report.summary()

    def dump(self) -> None:
        """SIGUSR1: the state, in one line of the log."""
        log.info("state.dumped", **self.trader.state())


class _StoppedEarlyError(Exception):
    """A stop came before the start was over."""


def _code_of(failed: list[BaseException]) -> int:
    """2 when only a person can mend it: a service manager would start the same failure again and again."""
    if not failed:
        return EXIT_OK
    settings = any(isinstance(error, ConfigError) for error in failed)
    return ConfigError.exit_code if settings else EXIT_FAILED


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
