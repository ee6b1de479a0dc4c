"""The process: which loop, which journal, which clock; the lock, the control socket, the report.

run     real time on uvloop, one transaction a batch, control socket, service manager
demo    the same on a generated market, from the beginning each time, told to a person
replay  virtual time, up to 256 batches a transaction, as fast as the stages go
"""

import asyncio
import faulthandler
import os
import secrets
import shutil
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import structlog
import uvloop

from klined import __version__
from klined.config.load import changes
from klined.config.settings import Settings
from klined.domain import Batch, Decision, Event
from klined.errors import KlinedError, StateError
from klined.feeds.recorded import RecordedFeed
from klined.ports import Observer, Policy
from klined.runtime import log, secrecy
from klined.runtime.assembly import assemble, make_observers
from klined.runtime.control import Control
from klined.runtime.daemon import Daemon
from klined.runtime.housekeeping import keep_house
from klined.runtime.hurry import HurriedLoop
from klined.runtime.loop import VirtualLoop
from klined.runtime.narrator import Narrator
from klined.runtime.reload import Reload
from klined.runtime.stops import deferred
from klined.runtime.verbs import Recent, Verbs
from klined.runtime.watch import Watch
from klined.store.bars import BarStore
from klined.store.digests import digest
from klined.store.journal import AsyncJournal
from klined.store.lock import StateLock
from klined.store.synchronous import SyncJournal

JOURNAL, BARS, INSTALLATION = "journal.db", "bars.db", "installation"
REPLAY_GROUP = 256  # batches in one transaction
REPLAY_ID = "replay"  # client ids of a replay must not depend on where it runs

logger = structlog.get_logger()

Reread = Callable[[str | None], Settings]
Say = Callable[[str], None]


class Logger:
    """An observer that writes events to the log."""

    def observe(self, item: Decision | Event) -> None:
        if isinstance(item, Event):
            getattr(logger, item.level)(item.name, **item.data, **{log.TOLD: True})


def run(settings: Settings, reread: Reread, *, accept_exchange: bool = False) -> int:
    """The daemon, until it is told to stop; the exit code. `reread` gives the settings anew for a reload.

    `accept_exchange`: after a restored backup, what the exchange says is right.
    """
    log.configure(settings.log.level, settings.log.format)
    log.take_over()
    faulthandler.enable()  # the watchdog's SIGABRT says where every thread stood
    secrecy.protect(settings)
    return _locked(settings, lambda: _serve(settings, reread, accept_exchange=accept_exchange), loop_of(settings))


def loop_of(settings: Settings) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the event loop; None for asyncio's own."""
    if settings.exchange.speed != 1.0:
        return partial(HurriedLoop, settings.exchange.speed)
    return uvloop.new_event_loop if settings.runtime.uvloop else None


def run_demo(settings: Settings, say: Say) -> int:
    """A generated market from its beginning, told line by line through `say`."""
    shutil.rmtree(settings.state_dir, ignore_errors=True)
    log.configure("error", settings.log.format)
    factory = uvloop.new_event_loop if settings.runtime.uvloop else None
    return _locked(settings, lambda: _demo(settings, say), factory)


def run_replay(settings: Settings, told: dict[str, object]) -> int:
    """Recorded bars through the same stages in virtual time; what came of it goes into `told`."""
    log.configure("warning", settings.log.format)
    return _locked(settings, lambda: _replay(settings, told), VirtualLoop)


def _locked(
    settings: Settings,
    serve: Callable[[], Coroutine[Any, Any, int]],
    factory: Callable[[], asyncio.AbstractEventLoop] | None,
) -> int:
    os.umask(0o077)  # what is written here is nobody else's business
    with deferred(), StateLock(settings.state_dir), asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(serve())


async def _serve(settings: Settings, reread: Reread, *, accept_exchange: bool) -> int:
    recent = Recent()
    bars = BarStore(settings.state_dir / BARS)
    plugins = make_observers(settings)
    for plugin in plugins:
        log.listen(partial(_overheard, plugin))
    daemon, journal = await _live(settings, [recent, Logger(), *plugins], bars)
    daemon.pipeline.progress = partial(_progress, daemon, bars)
    daemon.accept_exchange = accept_exchange
    reload = Reload(daemon, bars, reread, changes)
    control = Control(settings.control_socket, Verbs(daemon, recent, reload).table())
    tasks: set[asyncio.Task[Any]] = set()

    def on_reload() -> None:
        tasks.add(asyncio.create_task(_reload_loudly(reload)))

    def on_ready() -> None:
        logger.info("daemon.ready", version=__version__, mode=daemon.mode.value, seq=daemon.trader.minutes.seq)
        tasks.add(asyncio.create_task(control.start()))
        tasks.add(asyncio.create_task(keep_house(settings, journal, bars)))

    daemon.on_reload, daemon.on_ready = on_reload, on_ready
    tasks.add(asyncio.create_task(Watch(daemon).run()))
    try:
        code = await _served(daemon, journal)
    finally:
        for task in tasks:
            task.cancel()
        await control.close()
        bars.close()
    await _close(daemon, journal, code)
    logger.info("daemon.stopped", exit_code=code, why=daemon.stop_why)
    return code


async def _demo(settings: Settings, say: Say) -> int:
    narrator = Narrator(say)
    bars = BarStore(settings.state_dir / BARS)
    daemon, journal = await _live(settings, [narrator], bars)
    daemon.pipeline.progress = partial(_progress, daemon, bars)
    narrator.greet(settings, daemon.pipeline.policy.name)
    code = await _served(daemon, journal)
    bars.close()
    report = await _close(daemon, journal, code)
    narrator.bid_farewell(daemon.summary(), report)
    return code


async def _replay(settings: Settings, told: dict[str, object]) -> int:
    path = settings.state_dir / JOURNAL
    group = settings.store.group_batches if settings.store.group_batches > 1 else REPLAY_GROUP
    journal = SyncJournal(path, group)
    daemon = await assemble(settings, journal=journal, installation=REPLAY_ID)
    before, started_s = daemon.trader.metrics.bars, time.perf_counter()
    code = await daemon.serve()
    took_s = time.perf_counter() - started_s
    report = await _close(daemon, journal, code)
    batches = daemon.trader.metrics.bars - before
    told |= daemon.summary()
    told |= {"batches": int(batches), "seconds": took_s, "batches_per_s": batches / took_s if took_s else 0.0}
    if isinstance(daemon.feed, RecordedFeed):
        told |= {"dropped": daemon.feed.dropped(), "gaps": daemon.feed.gaps()}
    told |= {"digest": digest(path), "report": str(report), "exit_code": code}
    return code


async def host(
    settings: Settings, policy: Policy, observers: Sequence[Observer], made: Callable[[Daemon], None]
) -> int:
    """As `run`, inside somebody else's loop and process: no signals, no control socket; the exit code.

    `policy` decides instead of the configured one; `made` is called with the daemon before it starts.

    Raises:
        KlinedError: it could not be put together, or the directory is in use.
    """
    secrecy.protect(settings)
    with StateLock(settings.state_dir):
        bars = BarStore(settings.state_dir / BARS)
        try:
            daemon, journal = await _live(settings, [Logger(), *observers], bars, policy)
            daemon.pipeline.progress = partial(_progress, daemon, bars)
            watching = asyncio.create_task(Watch(daemon).run())
            try:
                made(daemon)
                code = await _served(daemon, journal, heed_signals=False)
            finally:
                watching.cancel()
            await _close(daemon, journal, code)
            return code
        finally:
            bars.close()


async def _served(daemon: Daemon, journal: AsyncJournal, *, heed_signals: bool = True) -> int:
    """The exit code. An error closes the journal, whose thread would keep the process alive."""
    try:
        return await daemon.serve(heed_signals=heed_signals)
    except BaseException:
        await journal.close()
        raise


async def _live(
    settings: Settings, observers: Sequence[Observer], bars: BarStore, policy: Policy | None = None
) -> tuple[Daemon, AsyncJournal]:
    journal = await AsyncJournal.open(settings.state_dir / JOURNAL)
    try:
        return await _assembled(settings, observers, bars, journal, policy), journal
    except BaseException:
        await journal.close()  # or its thread would keep a process alive that has nothing to do
        raise


async def _assembled(
    settings: Settings,
    observers: Sequence[Observer],
    bars: BarStore,
    journal: AsyncJournal,
    policy: Policy | None,
) -> Daemon:
    known = (await journal.recover()).memory.get(INSTALLATION)
    if known is None:
        # A generated market must decide alike wherever it runs, down to the client ids.
        known = REPLAY_ID if settings.market.feed_name == "generated" else secrets.token_hex(4)
        await journal.remember(INSTALLATION, known)
    return await assemble(
        settings, journal=journal, observers=observers, installation=known, bars=bars, forgiving=True, policy=policy
    )


async def _close(daemon: Daemon, journal: AsyncJournal | SyncJournal, code: int) -> Path | None:
    """Write the session's report, then let the journal go."""
    report = None
    if daemon.report is not None:
        report = daemon.report.write(journal.path, daemon.stop_why, code)
    await journal.close()
    return report


def _progress(daemon: Daemon, bars: BarStore, batch: Batch) -> None:
    """After each batch: store its bars, look for the kill switch."""
    try:
        bars.add(batch)
    except StateError as error:  # a cache: trading does not depend on it
        logger.error("bars.failed", why=str(error), hint="trading goes on; these bars are not stored")  # noqa: TRY400
    daemon.trader.gate.kill(daemon.settings.kill_file.exists())


def _overheard(observer: Observer, level: str, name: str, data: dict[str, Any]) -> None:
    """What was logged, but is no part of the stream of events, as an event."""
    observer.observe(Event(time.time_ns() // 1_000_000, level, name, data))


async def _reload_loudly(reload: Reload) -> None:
    try:
        await reload.run()
    except KlinedError as error:
        logger.error("reload.failed", why=str(error), hint="the old settings and policy go on")  # noqa: TRY400
