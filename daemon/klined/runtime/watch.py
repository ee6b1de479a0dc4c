"""Once a second beside the pipeline: is there progress, did time jump, is the loop late; and what follows from it.

    starting ── EXTEND_TIMEOUT while recovery gets on, or waits for something it has announced
    trading ─── WATCHDOG=1 while every stage meets its deadline
                  ├ silent, but announced (reconnecting, maintenance) or SAFE and flat: told again and again, and pinged
                  └ silent without a reason: told once, no ping; the service manager kills it, the next start recovers
    stopping ── WATCHDOG=1; the flatten has a deadline of its own

A loop that is blocked runs no tick, so it pings nobody. A jump of time freezes entries, makes the feed fetch what it
missed, and lets entries go on with the first batch after that.
"""

import asyncio
from collections.abc import Callable
from math import inf

import structlog

from klined.config.settings import Settings
from klined.domain import Mode
from klined.ports import Watched
from klined.runtime.clock import FeedClock
from klined.runtime.daemon import Daemon
from klined.runtime.jumps import Clocks, Jump, between
from klined.runtime.watchdog import Silence, Watchdog

TICK_S = 1.0
LATE_S = 1.0  # a tick later than this: something blocked the loop
STOPPED_S = 5.0  # later than this: the process itself stood still
START_S = 60.0  # longest silence of a recovery
LOOK_S = 180.0  # longest look at an account: its requests have time-outs of their own, and it waits for lagging reads
STEP_S = 120.0  # longest step of a feed that counts them: a page of bars for every symbol
REPEAT_S = 300.0  # between two alerts about the same supervised wait
JUMPED = "time jumped"

log = structlog.get_logger()


class Watch:
    """Watches one daemon until cancelled. `clocks` is where the time comes from."""

    def __init__(self, daemon: Daemon, clocks: Callable[[], Clocks] = Clocks.now) -> None:
        self._daemon, self._read = daemon, clocks
        self._watchdog = Watchdog(deadlines(daemon.settings))
        self._feed = daemon.feed if isinstance(daemon.feed, Watched) else None
        self._clocks = clocks()
        self._ping_in_s = self._alert_in_s = 0.0
        self._starved = False
        self.pinged = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self._tick_s)
            self.tick()

    def tick(self) -> None:
        """One look, `TICK_S` after the last as far as the loop allows."""
        before, self._clocks = self._clocks, self._read()
        late_s = self._clocks.monotonic_s - before.monotonic_s - self._tick_s
        if LATE_S <= late_s < STOPPED_S:
            log.warning("loop.blocked", late_s=round(late_s, 3), hint="a stage or a plugin held up everything")
        for jump in between(before, self._clocks, expected_s=self._tick_s, stopped_s=STOPPED_S):
            self._jumped(jump)
        self._judge(min(self._clocks.monotonic_s - before.monotonic_s, self._tick_s + LATE_S))

    @property
    def _tick_s(self) -> float:
        return min(TICK_S, self._daemon.health.interval_s or TICK_S)

    def _judge(self, passed_s: float) -> None:
        """`passed_s` is what the stages had to get on with."""
        daemon, health = self._daemon, self._daemon.health
        silence = None if daemon.pipeline.stopping else self._silence(passed_s)
        why = "" if silence is None else self._supervised(silence)
        if silence is not None and not why:
            health.status(f"stuck: {silence}")
            if not self._starved:
                log.error("watchdog.starved", why=str(silence), hint="the service manager starts it anew")
            self._starved = True
            return
        if silence is not None:
            health.status(f"waiting: {why}")
            self._alert(silence, why, passed_s)
        elif not daemon.pipeline.stopping and daemon.started:
            health.status("trading" if daemon.mode is Mode.RUNNING else f"{daemon.mode.value}: {daemon.mode_why}")
            self._alert_in_s = 0.0
        self._starved = False
        self._feed_the_dog(passed_s)

    def _feed_the_dog(self, passed_s: float) -> None:
        health = self._daemon.health
        self._ping_in_s -= passed_s
        if self._ping_in_s > 0.0:
            return
        self._ping_in_s = health.interval_s - self._tick_s / 2
        self.pinged += 1
        health.ping()
        if not self._daemon.started:
            health.extend(START_S)

    def _silence(self, passed_s: float) -> Silence | None:
        """The first stage that is silent; every line is looked at."""
        pipeline, outbox, watchdog = self._daemon.pipeline, self._daemon.outbox, self._watchdog
        mark = (self._daemon.trader.minutes.seq, len(pipeline.backlog), outbox.performed)
        stage = pipeline.stage() if self._daemon.started else "start"
        found = [
            watchdog.look("batch", stage, mark, passed_s),
            watchdog.look("venue", "venue" if outbox.performing else "", outbox.performed, passed_s),
        ]
        if self._daemon.started and self._daemon.reconciling is not None:
            found.append(watchdog.look("account", "account", self._daemon.reconciling.steps, passed_s))
        if self._feed is not None and stage in {"feed", "start"}:
            found.append(watchdog.look("feed", "feed step", self._feed.steps, passed_s))
        return next((silence for silence in reversed(found) if silence is not None), None)

    def _supervised(self, silence: Silence) -> str:
        """Why this silence is being dealt with; empty when nobody knows."""
        daemon = self._daemon
        if silence.stage in {"feed", "start"} and self._feed is not None and self._feed.waiting:
            return self._feed.waiting
        if silence.stage == "start" and daemon.trader.unknown():
            return f"orders are not settled: {', '.join(daemon.trader.unknown())}"
        if silence.stage == "feed" and daemon.mode is not Mode.RUNNING and not daemon.trader.left():
            return f"{daemon.mode.value} and flat: {daemon.mode_why}"
        return ""

    def _alert(self, silence: Silence, why: str, passed_s: float) -> None:
        self._alert_in_s -= passed_s
        if self._alert_in_s <= 0.0:
            self._alert_in_s = REPEAT_S
            log.warning("wait.supervised", stage=silence.stage, silent_s=round(silence.silent_s), why=why)

    def _jumped(self, jump: Jump) -> None:
        """Nothing is opened until the feed has caught up; a market that brings its own time does not care."""
        daemon = self._daemon
        log.warning("time.jumped", kind=jump.kind, by_s=round(jump.by_s, 3))
        if isinstance(daemon.clock, FeedClock) or not daemon.started or daemon.pipeline.stopping:
            return
        if self._feed is not None:
            self._feed.resync()
        if JUMPED not in daemon.trader.holds:
            daemon.trader.hold(JUMPED)
            daemon.pipeline.between.append(self._settled)

    def _settled(self) -> bool:
        """Called before each batch: entries go on once the feed is in step."""
        if self._feed is not None and self._feed.waiting:
            return False
        self._daemon.trader.release(JUMPED)
        log.info("time.settled")
        return True


def deadlines(settings: Settings) -> dict[str, float]:
    """Longest silence of each stage, seconds. The feed's is that of its bars, whatever their interval."""
    market, stage_s = settings.market, settings.runtime.stage_deadline_s
    agent_s = settings.risk.max_bar_age_s + stage_s
    if market.feed_name in {"generated", "recorded"}:
        bar_s = 1.0 / market.speed if market.speed else 0.0
        agent_s = inf  # such a market stands still until it has decided
    else:
        bar_s = (market.interval_ms + market.grace_ms) / 1000.0 + 2 * stage_s  # and a refill by REST
    return {
        "start": max(START_S, settings.runtime.flatten_deadline_s + stage_s),
        "feed": bar_s + stage_s,
        "agent": agent_s,
        "feed step": STEP_S,
        "account": LOOK_S,
        **dict.fromkeys(("indicators", "policy", "gate", "executor"), stage_s),
        "venue": 3 * stage_s,  # its own time-outs come first
    }
