"""One life of the simulated process: the production daemon, from its first instruction to its end or its death.

Only what stands behind the ports differs: the feed's socket, the venue, the clock and the disk. Runtime, stages,
outbox, executor, ledger, gate, reconciliation and journal are those that trade.
"""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from functools import cache
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from klined.config.settings import Settings
from klined.domain import Batch, Instrument, MarketKind, Recovered
from klined.errors import KlinedError
from klined.ports import Choice
from klined.runtime.assembly import make_style, make_trader
from klined.runtime.daemon import Daemon
from klined.runtime.freezer import Freezer
from klined.runtime.observing import Bus
from klined.runtime.outbox import Outbox
from klined.runtime.pipeline import Pipeline
from klined.runtime.reconciling import Reconciling
from klined.runtime.resting import Resting
from klined.simulation.checkers import PLAN, WARMUP_BARS, Checkers, Moment, risk_memory
from klined.simulation.disk import Disk, SimJournal
from klined.simulation.exchange import Exchange
from klined.simulation.loop import Killed, SimLoop
from klined.simulation.market import Market
from klined.simulation.schedule import Timeline
from klined.simulation.stream import SimFeed, Wire
from klined.simulation.wire import SimClock, SimVenue
from klined.simulation.world import World
from klined.trader.plans import ORIGINAL
from klined.trader.trader import Trader
from klined.world.filters import default_instrument

INSTALLATION = "sim000"
FUNERAL_TURNS = 200
RECONCILE_S = (180.0, 300.0, 600.0)  # one of them
REGULAR = 7  # bars after which the policy goes from flat to long or back, whatever its whim
TICK_S = 30.0  # how soon a sleep of the machine is noticed

Mutation = Callable[[Daemon], None]
"""Makes a freshly assembled daemon a wrong one, for the tests that must catch it."""


class Whim:
    """A policy without reason: now and then it wants something else. What it remembers is in its state."""

    name = "whim"
    plan = ORIGINAL.name

    def __init__(self, world: World, symbols: int) -> None:
        self._world = world
        self._bars = 0
        self._wants = [0.0] * symbols

    def decide(self, observations: NDArray[np.float32]) -> list[Choice]:
        self._bars += 1
        whim = 0.0
        for i in range(len(observations)):
            whim = self._world.random("whim", self._bars, i)
            if whim < 0.3:
                self._wants[i] = (1.0, 0.5, -0.5, -1.0, 0.0)[int(whim / 0.06)]
            if self._bars % REGULAR == 0:  # so that something is opened in every calm
                self._wants[i] = 1.0 if self._wants[i] <= 0.0 else 0.0
        failed = whim > 0.98
        return [(float("nan") if failed else wants, ()) for wants in self._wants]

    def state(self) -> bytes:
        return msgspec.json.encode((self._bars, self._wants))

    def restore(self, state: bytes) -> None:
        self._bars, self._wants = msgspec.json.decode(state, type=tuple[int, list[float]])


class Surroundings(msgspec.Struct):
    """What a life finds when it begins."""

    world: World
    market: Market
    exchange: Exchange
    wire: Wire
    timeline: Timeline
    disk: Disk
    checkers: Checkers
    settings: Settings
    mutation: Mutation | None = None


class Life:
    """One process. `run` returns its exit code, or raises Killed."""

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        self.warmup_bars = WARMUP_BARS
        world, instruments = around.world, list(around.market.instruments.values())
        self.loop = SimLoop(world)
        self.ready = False
        self.doomed = False  # a kill is on its way
        self.clock = SimClock(world)
        self.feed = SimFeed(world, around.market, around.timeline, around.wire, self.clock.now_ms)
        self.venue = SimVenue(world, around.exchange, around.timeline, self.clock, around.checkers)
        checkers = around.checkers
        self.shown: list[Batch] = []  # to the indicators, in this life
        self.journal = SimJournal(around.disk, self._moment, checkers.durable, checkers.torn)
        self.daemon = self._assemble(instruments, Whim(world, len(instruments)))
        self._asked: set[asyncio.Task[Any]] = set()
        if around.mutation is not None:
            around.mutation(self.daemon)

    def run(self) -> int:
        """Until it ends by itself.

        Raises:
            Killed: it was killed.
            KlinedError: it could not even begin or end.
        """
        self.around.checkers.life = self
        self.around.exchange.hear = self.venue.push
        try:
            return self.loop.run_until_complete(self.daemon.serve())
        finally:
            self.venue.dead = True
            self.around.exchange.hear = lambda _news: None

    def bury(self) -> None:
        """After a kill: let go of the tasks without letting them touch the world."""
        self.venue.dead = self.journal.dead = True
        self.loop.turns_left = self.loop.turn_last = -1
        held = self.around.world.events
        self.around.world.events = []
        for _ in range(FUNERAL_TURNS):
            left = [task for task in asyncio.all_tasks(self.loop) if not task.done()]
            if not left:
                break
            for task in left:
                task.cancel()
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
        self.around.world.events = held
        self.loop.close()

    def tell(self, number: signal.Signals) -> None:
        self.loop.signal(number)

    def ask(self, work: Callable[[Daemon], Coroutine[Any, Any, object]], then: Callable[[object], None]) -> None:
        """A person asks through the control socket; `then` is told the answer, unless it is an error."""
        if not self.ready or self.venue.dead:
            return

        async def answered() -> None:
            try:
                answer = await work(self.daemon)
            except KlinedError as error:
                self.around.world.note("refused", str(error))
            else:
                if not self.venue.dead:
                    then(answer)

        task = self.loop.create_task(answered())
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)

    def _assemble(self, instruments: list[Instrument], policy: Whim) -> Daemon:
        around, clock, journal, venue, feed = self.around, self.clock, self.journal, self.venue, self.feed
        trader = make_trader(around.settings, instruments, policy, PLAN, INSTALLATION, patient=True)
        trader.gate.style = make_style(around.settings)
        trader.gate.trust(verified=True)
        freezer = Freezer(around.settings, trader=trader, policy=policy, venue=venue, clock=clock, bars=None)
        self._overlook(trader, freezer)
        bus = Bus(())
        outbox = Outbox(
            venue=venue, journal=journal, clock=clock, trader=trader, snapshot=freezer.take, bus=bus, forgiving=True
        )
        pipeline = Pipeline(
            feed=feed,
            policy=policy,
            venue=venue,
            clock=clock,
            trader=trader,
            outbox=outbox,
            progress=lambda _batch: None,
        )
        outbox.rests = trader.gate.style is not None
        if outbox.rests:
            after_s = around.settings.orders.reprice_after_s
            resting = Resting(trader=trader, outbox=outbox, venue=venue, clock=clock, after_s=after_s)
            bus.add(resting)
            pipeline.beside.append(resting.run)
        period_s = RECONCILE_S[int(3 * around.world.random("period"))]
        daemon = Daemon(
            settings=around.settings,
            clock=clock,
            journal=journal,
            feed=feed,
            venue=venue,
            trader=trader,
            pipeline=pipeline,
            outbox=outbox,
            bus=bus,
            freezer=freezer,
            warmup_bars=WARMUP_BARS,
            reconciling=Reconciling(
                venue=venue,
                trader=trader,
                outbox=outbox,
                clock=clock,
                period_s=period_s,
                countdown_s=0.0,
                tick_s=TICK_S,
            ),
        )
        daemon.on_ready = self._on_ready
        return daemon

    def _overlook(self, trader: Trader, freezer: Freezer) -> None:
        """Let the checkers see what the indicators are shown, and what a restart remembers."""
        show, restore = trader.show, freezer.restore

        def shown(batch: Batch) -> None:
            show(batch)
            self.shown.append(batch)

        def restored(recovered: Recovered) -> None:
            restore(recovered)
            self.around.checkers.restored(self, recovered)

        trader.show, freezer.restore = shown, restored  # type: ignore[method-assign]

    def _on_ready(self) -> None:
        self.ready = True
        self.around.world.note("ready", self.loop.turns)
        self.around.checkers.started(self)

    def _moment(self) -> Moment:
        """What a snapshot of now holds."""
        return Moment(risk_memory(self.daemon.trader.book.A.row[0]), self.shown, len(self.shown))


@cache
def settings_of(symbols: tuple[str, ...], *, tight: bool, orders: str = "market") -> Settings:
    """Limits out of the way, or so near that they are met; orders at the market, or resting."""
    perp = ":" in symbols[0]
    loose = {
        "deadband": 0.05,
        "max_trades_hour": 10_000,
        "max_trades_day": 100_000,
        "max_turnover_day": 10_000.0,
        "max_fees_day": 1.0,
        "max_day_loss": 0.9,
        "max_week_loss": 0.9,
        "reduce_drawdown": 0.9,
        "max_drawdown": 0.95,
        "max_losses": 1_000,
        "max_gross": 3.0,
        "max_net": 3.0,
        "max_cluster": 3.0,
        "max_leverage": 3.0,
        "collar_sigma": 100.0,
        "max_orders_minute": 1_200,
        "max_volume_fraction": 1.0,
    }
    near = {
        **loose,
        "max_trades_hour": 12,
        "max_losses": 3,
        "cooldown_minutes": 10.0,
        "max_day_loss": 0.01,
        "reduce_drawdown": 0.03,
        "max_drawdown": 0.04,
    }
    return Settings.model_validate(
        {
            "market": {"kind": MarketKind.PERP if perp else MarketKind.SPOT, "symbols": symbols},
            "risk": near if tight else loose,
            "orders": {"type": orders, "offset_bps": 1.0, "reprice_after_s": 25.0, "reprices_max": 1},
            "runtime": {"flatten_deadline_s": 90.0},
        }
    )


@cache
def instruments_of(symbols: tuple[str, ...]) -> tuple[Instrument, ...]:
    perp = ":" in symbols[0]
    return tuple(default_instrument(symbol, MarketKind.PERP if perp else MarketKind.SPOT) for symbol in symbols)


__all__ = ["Killed", "Life", "Mutation", "Surroundings", "settings_of"]
