"""One seed from its first bar to its last word: lives one after another in a world that goes on.

    faults (safety) ────────────────▶│ calm (liveness) ─▶ SIGTERM ─▶ flat, exit 0 ─▶ a last start that reconciles
    life ─ killed ─ life ─ exit 1 ─ life …

What an outcome depends on is the schedule, the mutation and this code, nothing else: not the process, not hash seeds.
"""

import logging
import signal
from collections import Counter
from collections.abc import Callable

import structlog
from msgspec import Struct

from klined.domain import Mode
from klined.errors import KlinedError, StateError
from klined.runtime.daemon import EXIT_OK, Daemon
from klined.runtime.flatten import FLAG
from klined.runtime.loop import Deadlock
from klined.simulation.checkers import Checkers
from klined.simulation.disk import Disk
from klined.simulation.exchange import DAY_S, Exchange
from klined.simulation.life import Life, Mutation, Surroundings, Whim, instruments_of, settings_of
from klined.simulation.loop import Killed
from klined.simulation.market import Market
from klined.simulation.power import FileDisk
from klined.simulation.schedule import BAR_S, Fault, Schedule, Timeline
from klined.simulation.stream import Wire
from klined.simulation.world import World

LIVES_MAX = 60
END_S = 1_800.0  # after the last bar everything must be over
SUPERVISOR_S = 5.0  # RestartSec of the service manager
POWER_S = 250.0  # how long a failing power waits for a transaction
EXCUSES = frozenset({"disk.full", "disk.readonly", "disk.busy", "net.dark", "read.fail"})
EXCUSED_S = 200.0


class Outcome(Struct, frozen=True):
    """What came of one seed."""

    seed: int
    violations: tuple[str, ...]
    hash: str
    lives: int
    kills: int
    turns: int
    orders: int
    fills: int
    virtual_s: float
    faults: dict[str, int]
    trace: tuple[tuple[object, ...], ...] = ()

    @property
    def invariants(self) -> set[str]:
        """Which were broken: I1, I2, ..."""
        return {violation.partition(":")[0] for violation in self.violations}


class Simulation:
    """One schedule, played once. `turn_last`: kill the first life before that turn of its loop."""

    def __init__(self, schedule: Schedule, mutation: Mutation | None = None, turn_last: int = -1) -> None:
        self.schedule = schedule
        self.world = world = World(schedule.seed)
        timeline = Timeline(schedule.faults)
        instruments = list(instruments_of(schedule.symbols))
        market = Market(world, instruments, wild=schedule.tight)
        self.exchange = Exchange(world, market, fee_in_base=world.random("fee") < 0.3)
        disk = _disk(world, timeline)
        self.checkers = Checkers(world, self.exchange, disk)
        self.checkers.calm_s = schedule.calm_s
        settings = settings_of(schedule.symbols, tight=schedule.tight, orders=schedule.orders)
        wire = Wire(world, market, timeline)
        self.around = Surroundings(
            world, market, self.exchange, wire, timeline, disk, self.checkers, settings, mutation
        )
        self.life: Life | None = None
        self.lives = self.turns = self.kills = 0
        self._turn_last = turn_last
        self._lost = False  # the journal is damaged
        self._failing: Fault | None = None  # the newest loss of power
        self._due: list[Fault] = []  # kills that found nobody to kill
        self._stops = self._resumes = 0
        self._last_stop_s = (schedule.bars * BAR_S) + 20.0
        world.end_s = self._last_stop_s + 2 * END_S
        for fault in timeline.instants:
            world.at(fault.at_s, lambda fault=fault: self._strike(fault))  # type: ignore[misc]  # bound as a default
        world.at(DAY_S / 12.0, self.exchange.fund)  # midnight
        world.at(schedule.calm_s, self._calm)
        world.at(self._last_stop_s, self._stop)

    def play(self) -> Outcome:
        world = self.world
        try:
            while not self._over() and self.lives < LIVES_MAX:
                self._live()
            if self._lost:
                pass
            elif self.lives >= LIVES_MAX:
                world.violate("I15", f"{self.lives} lives and still not at rest")
            else:
                self._audit()
        except Deadlock as error:
            world.violate("I15", f"deadlock: {error}")
        finally:
            self.around.disk.close()
        known = Counter(fault.name for fault in self.schedule.faults)
        return Outcome(
            self.schedule.seed,
            tuple(world.violations),
            world.hash(),
            self.lives,
            self.kills,
            self.turns,
            len(self.exchange.tickets),
            len(self.exchange.fills),
            world.now_s,
            dict(sorted(known.items())),
            tuple(world.trace),
        )

    def _over(self) -> bool:
        return self._lost or (self._stops > 0 and self.life is None and self.world.now_s >= self._last_stop_s)

    def _live(self) -> None:
        """One life; then what the service manager does."""
        world = self.world
        self.lives += 1
        self.life = life = Life(self.around)
        if self.lives == 1:
            life.loop.turn_last = self._turn_last
        if self._due and world.now_s < self.schedule.calm_s:
            self._kill(life, self._due.pop(0))
        world.note("life", self.lives)
        code = -1
        try:
            code = life.run()
        except Killed:
            self.kills += 1
            world.note("killed", life.loop.turns)
            life.bury()
            self._reopen()
        except KlinedError as error:
            world.note("died", str(error))
            self._judge_death(error)
            life.bury()
        except Deadlock:
            life.bury()
            raise
        else:
            life.bury()
        self.turns += life.loop.turns
        self.life = None
        if code >= 0:
            self._ended(code, life)
        wait_s = world.between(1.0, 60.0, "restart", int(world.now_s)) if code < 0 else SUPERVISOR_S
        if not (code == EXIT_OK and self._over()):
            world.live_until(world.now_s + wait_s)
            if self._stops and world.now_s > self._last_stop_s + END_S:
                self.lives = LIVES_MAX

    def _reopen(self) -> None:
        """What the disk holds after the kill is what the next life begins with."""
        try:
            self.around.disk.crash()
        except StateError as error:
            self.world.violate("I5", f"the journal is lost: {error}")
            self._lost = True

    def _ended(self, code: int, life: Life) -> None:
        world = self.world
        world.note("exit", code, life.daemon.stop_why)
        if life.daemon.stop_why == "the market ended":
            world.violate("I15", "it stopped although nobody told it to")
        if code == EXIT_OK:
            self.checkers.flat("exit 0")
        elif world.now_s >= self.schedule.calm_s + 120.0:
            world.violate("I15", f"exit code {code} although nothing went wrong for minutes")
        elif life.daemon.stop_why == "failure":
            self._judge_death(KlinedError("the daemon failed"))

    def _judge_death(self, error: KlinedError) -> None:
        """Only a disk that fails, or an account that a start cannot read in many tries, may end the process."""
        excused = any(
            fault.name in EXCUSES and fault.at_s <= self.world.now_s <= fault.at_s + fault.for_s + EXCUSED_S
            for fault in self.schedule.faults
        )
        if not excused:
            self.world.violate("I15", f"the process ended by itself: {error}")

    def _audit(self) -> None:
        """Start once more with nothing going wrong, and stop: the books of both sides are compared."""
        self.lives += 1
        life = Life(self.around)
        life.daemon.on_ready = lambda: life.daemon.stop("audit")
        try:
            code = life.run()
        except KlinedError as error:
            self.world.violate("I15", f"the last start failed: {error}")
            return
        finally:
            life.bury()
        self.turns += life.loop.turns
        if code != EXIT_OK:
            self.world.violate("I15", f"the last start ended with {code}")
        self.checkers.end(life)

    def _strike(self, fault: Fault) -> None:
        """What happens in an instant."""
        self.world.note("fault", fault.name, fault.amount)
        life = self.life
        match fault.channel:
            case "kill":
                if life is None or life.doomed:
                    self._due.append(fault)  # the next life does not live long
                else:
                    self._kill(life, fault)
            case "clock":
                self.world.step_ms += int(fault.amount)
            case "machine":
                self._freeze(fault)
            case "signal":
                if life is not None and life.ready:
                    life.tell(signal.SIGTERM)
                    if fault.what == "term_twice":
                        self.world.after(1.0, lambda: life.tell(signal.SIGINT))
            case "person" if life is not None:
                self._person(life, fault.what)
            case _:
                pass

    def _kill(self, life: Life, fault: Fault) -> None:
        """At the end of a turn of its loop; when power fails, in a transaction, or in some minutes without one."""
        life.doomed = True

        disk = self.around.disk

        def dies() -> None:
            if self.life is not None:  # another one, when this one ended by itself
                self.life.loop.turns_left = 0

        if fault.what == "power":
            self._failing = fault
            disk.lose_power(int(fault.amount), dies)
            until_s = min(self.world.now_s + POWER_S, self.schedule.calm_s)
            self.world.at(until_s, lambda: dies() if disk.failing and self._failing is fault else None)
        else:
            life.loop.turns_left = int(fault.amount)

    def _freeze(self, fault: Fault) -> None:
        """The machine sleeps, or the process is stopped: the world goes on without it."""
        before_s = self.world.now_s
        self.world.live_until(before_s + fault.amount)
        if fault.what == "suspend":
            self.world.frozen_s += self.world.now_s - before_s

    def _person(self, life: Life, what: str) -> None:
        match what:
            case "pause":
                life.ask(lambda daemon: daemon.pause("a person"), self._paused())
            case "resume":
                self._resume(life)
            case "flatten":
                paused = self._paused()
                life.ask(lambda daemon: daemon.flatten_now("a person"), lambda flat: self._flattened(flat, paused))
            case _:
                life.ask(self._swap, lambda _: self.world.note("swapped"))

    async def _swap(self, daemon: Daemon) -> None:
        """A new policy between two batches, as a reload brings it."""
        policy = Whim(self.world, len(self.schedule.symbols))
        policy.restore(daemon.pipeline.policy.state())

        def change() -> bool:
            if daemon.trader.unknown():
                return False
            daemon.pipeline.policy = daemon.freezer.policy = policy
            return True

        daemon.pipeline.between.append(change)

    def _flattened(self, flat: object, paused: Callable[[object], None]) -> None:
        paused(flat)
        if flat:
            self.checkers.flat("flatten")

    def _resume(self, life: Life) -> None:
        self.checkers.paused = False  # from the moment it is asked
        self._resumes += 1
        life.ask(lambda daemon: daemon.resume(), lambda _: None)

    def _paused(self) -> Callable[[object], None]:
        """What a confirmed pause means, unless somebody resumed meanwhile."""
        resumes = self._resumes

        def confirmed(_answer: object) -> None:
            if resumes == self._resumes:
                self.world.note("paused")
                self.checkers.paused = True

        return confirmed

    def _calm(self) -> None:
        """The faults are over, and a person looks after it, again and again until it listens."""
        self.world.note("calm")
        self._care()

    def _care(self) -> None:
        life = self.life
        if life is None or not life.ready:
            self.world.after(20.0, self._care)
        elif FLAG in life.daemon.trader.holds:  # a flatten that was cut short by its deadline is asked for again
            self._person(life, "flatten")
            self.world.after(120.0, self._care)
        elif life.daemon.mode is not Mode.RUNNING and not self.schedule.tight:
            self._resume(life)
            self.world.after(20.0, self._care)

    def _stop(self) -> None:
        """The last bar has closed: trading must have gone on, and now it stops."""
        self._stops += 1
        life, world = self.life, self.world
        if self._stops == 1:
            self._judge_calm(life)
        if life is not None:
            life.tell(signal.SIGTERM)
        if world.now_s < self._last_stop_s + END_S:
            world.after(300.0, self._stop)

    def _judge_calm(self, life: Life | None) -> None:
        if life is None or not life.ready:
            self.world.violate("I15", "not running when the calm ended")
            return
        unknown = life.daemon.trader.unknown()
        if unknown:
            self.world.violate("I15", f"still unknown when the calm ended: {unknown}")
        if not self.schedule.tight and not self.checkers.opened_calm:
            self.world.violate("I15", f"nothing was opened in the calm; {life.daemon.mode_why}")


def _disk(world: World, timeline: Timeline) -> Disk:
    """In memory; on files when power fails, if there is room for files."""
    if any(fault.name == "kill.power" for fault in timeline.instants):
        try:
            return FileDisk(world, timeline)
        except OSError as error:
            world.note("disk.no_room", error.strerror, "power fails as a kill")
    return Disk(world, timeline)


def simulate(schedule: Schedule, mutation: Mutation | None = None, turn_last: int = -1) -> Outcome:
    """Play a schedule. The same schedule gives the same outcome, trace and all."""
    return Simulation(schedule, mutation, turn_last).play()


def quiet() -> None:
    """Let the daemon's log pass into nothing: the trace tells what happened. For processes that only simulate."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
