"""Progress, silence and jumps of time: what feeds the watchdog and what does not."""

import math
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from klined.config.load import load
from klined.domain import Batch
from klined.runtime.assembly import assemble
from klined.runtime.clock import SystemClock
from klined.runtime.daemon import Daemon
from klined.runtime.health import Health
from klined.runtime.jumps import Clocks, Jump, between
from klined.runtime.watch import JUMPED, Watch, deadlines
from klined.runtime.watchdog import Silence, Watchdog
from klined.store.synchronous import SyncJournal
from klined.testing import ScriptedFeed


class TellingFeed(ScriptedFeed):
    """A feed that says what it waits for; satisfies `klined.ports.Watched`."""

    def __init__(self, batches: list[Batch]) -> None:
        super().__init__(batches)
        self.steps, self.waiting, self.resynced = 0, "", 0

    def resync(self) -> None:
        self.resynced += 1
        self.waiting = "reconnecting"


class Hands:
    """Three clocks that are moved by hand."""

    def __init__(self) -> None:
        self.clocks = Clocks(1e9, 100.0, 100.0)

    def read(self) -> Clocks:
        return self.clocks

    def run(self, seconds: float) -> None:
        self.clocks = Clocks(*(clock + seconds for clock in self.clocks))


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The other end of sd_notify."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.setblocking(False)  # noqa: FBT003 - the standard library's signature
        yield heard


def told(manager: socket.socket) -> str:
    lines = []
    while True:
        try:
            lines.append(manager.recv(4096).decode())
        except BlockingIOError:
            return "\n".join(lines)


async def watching(tmp_path: Path, *, notified: bool = True) -> tuple[Daemon, Watch, Hands]:
    """A daemon that was started, in the hands of a test; its feed tells what it waits for."""
    settings = load(None, ["market.speed=0", "policy.name=flat", f"store.dir={tmp_path}"], {})
    journal = SyncJournal(tmp_path / "journal.db")
    daemon = await assemble(settings, journal=journal, installation="replay")
    daemon.feed, daemon.clock = TellingFeed([]), SystemClock()
    environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "3000000"} if notified else {}
    daemon.health = Health(environ)
    daemon.started = True
    hands = Hands()
    return daemon, Watch(daemon, hands.read), hands


def ticks(watch: Watch, hands: Hands, count: int) -> None:
    for _ in range(count):
        hands.run(1.0)
        watch.tick()


async def test_waiting_stage_is_pinged_for_until_its_deadline_and_not_after(
    tmp_path: Path, manager: socket.socket
) -> None:
    daemon, watch, hands = await watching(tmp_path)
    daemon.pipeline.busy = "executor"
    ticks(watch, hands, 10)
    assert "WATCHDOG=1" in told(manager)
    ticks(watch, hands, 3)
    told(manager)
    ticks(watch, hands, 20)
    assert "WATCHDOG=1" not in told(manager)
    daemon.outbox.performed += 1
    ticks(watch, hands, 2)
    assert "WATCHDOG=1" in told(manager)
    await daemon.journal.close()


async def test_announced_wait_of_the_feed_is_pinged_through_for_hours(tmp_path: Path, manager: socket.socket) -> None:
    daemon, watch, hands = await watching(tmp_path)
    feed = daemon.feed
    assert isinstance(feed, TellingFeed)
    daemon.pipeline.busy, feed.waiting = "feed", "reconnecting: connection refused"
    heard = ""
    for _ in range(3600):
        feed.steps += 1
        ticks(watch, hands, 1)
        heard += told(manager)
    assert "STATUS=waiting: reconnecting" in heard
    before = watch.pinged
    ticks(watch, hands, 119)
    assert watch.pinged > before
    before = watch.pinged
    feed.waiting = ""
    ticks(watch, hands, 20)
    assert watch.pinged == before, "nobody says why nothing comes"
    await daemon.journal.close()


async def test_silent_feed_is_excused_while_paused_and_flat_only(tmp_path: Path) -> None:
    daemon, watch, hands = await watching(tmp_path, notified=False)
    daemon.pipeline.busy = "feed"
    ticks(watch, hands, 60)
    before = watch.pinged
    ticks(watch, hands, 20)
    assert watch.pinged == before
    daemon.trader.hold("by hand")
    ticks(watch, hands, 20)
    assert watch.pinged > before
    await daemon.journal.close()


async def test_jump_freezes_entries_until_the_feed_is_in_step(tmp_path: Path) -> None:
    daemon, watch, hands = await watching(tmp_path, notified=False)
    feed = daemon.feed
    assert isinstance(feed, TellingFeed)
    hands.clocks = hands.clocks._replace(boot_s=hands.clocks.boot_s + 3600, wall_s=hands.clocks.wall_s + 3600)
    ticks(watch, hands, 1)
    assert feed.resynced == 1
    assert JUMPED in daemon.trader.holds
    [settled] = daemon.pipeline.between
    assert not settled()
    feed.waiting = ""
    assert settled()
    assert JUMPED not in daemon.trader.holds
    await daemon.journal.close()


async def test_time_that_a_stopped_process_missed_is_no_silence(tmp_path: Path) -> None:
    daemon, watch, hands = await watching(tmp_path, notified=False)
    daemon.pipeline.busy = "executor"
    ticks(watch, hands, 5)
    before = watch.pinged
    hands.run(600.0)
    watch.tick()
    ticks(watch, hands, 1)
    assert watch.pinged > before
    await daemon.journal.close()


def test_manager_that_does_not_listen_holds_nobody_up(tmp_path: Path, manager: socket.socket) -> None:
    health = Health({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    for _ in range(10_000):
        health.ping()
    assert "WATCHDOG=1" in told(manager)


def test_start_and_stop_ask_the_service_manager_for_their_time(tmp_path: Path, manager: socket.socket) -> None:
    health = Health({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    health.stopping(60.0)
    assert told(manager).splitlines()[-1] == "EXTEND_TIMEOUT_USEC=75000000"
    Health({}).ping()
    assert told(manager) == ""


@pytest.mark.parametrize(
    ("after", "jumps"),
    [
        (Clocks(11.0, 1.0, 1.0), []),
        (Clocks(11.3, 1.0, 1.0), []),
        (Clocks(71.0, 1.0, 61.0), [Jump("slept", 60.0)]),
        (Clocks(6.0, 1.0, 1.0), [Jump("set", -5.0)]),
        (Clocks(130.0, 120.0, 120.0), [Jump("stopped", 119.0)]),
        (Clocks(73.0, 1.0, 61.0), [Jump("slept", 60.0), Jump("set", 2.0)]),
    ],
)
def test_each_way_in_which_time_jumps_is_told_apart(after: Clocks, jumps: list[Jump]) -> None:
    assert between(Clocks(10.0, 0.0, 0.0), after, expected_s=1.0, stopped_s=5.0) == jumps


def test_watchdog_counts_silence_of_a_stage_and_forgets_it_with_progress() -> None:
    watchdog = Watchdog({"policy": 2.0})
    assert [watchdog.look("bars", "policy", 1, 1.0) for _ in range(3)] == [None] * 3
    assert watchdog.look("bars", "policy", 1, 1.0) == Silence("policy", 3.0, 2.0)
    assert watchdog.look("bars", "policy", 2, 1.0) is None
    assert watchdog.look("bars", "", 2, 9.0) is None


def test_deadline_of_a_feed_follows_its_bars_and_no_other_does() -> None:
    quick = deadlines(load(None, ["market.exchange=binance", "market.timeframe=1m"], {}))
    slow = deadlines(load(None, ["market.exchange=binance", "market.timeframe=1h"], {}))
    assert slow.pop("feed") - quick.pop("feed") == 59 * 60
    assert slow == quick


class Looking:
    """Reconciliation that takes steps when a test says so."""

    steps = 0


async def test_account_that_nobody_looks_at_any_more_stops_the_ping(tmp_path: Path, manager: socket.socket) -> None:
    daemon, watch, hands = await watching(tmp_path)
    daemon.reconciling = Looking()  # type: ignore[assignment]  # all that is watched of it
    daemon.pipeline.busy = "feed"
    assert isinstance(daemon.feed, TellingFeed)
    heard = ""
    for second in range(400):
        Looking.steps += second < 200
        daemon.feed.steps += 1
        daemon.trader.minutes.seq += 1
        ticks(watch, hands, 1)
        heard += told(manager)
    assert heard.index("stuck: account") > heard.rindex("WATCHDOG=1")
    await daemon.journal.close()


def test_agent_may_think_for_as_long_as_its_market_waits() -> None:
    still = deadlines(load(None, ["market.exchange=sim", "market.speed=0"], {}))
    passing = deadlines(load(None, ["market.exchange=binance", "risk.max_bar_age_s=8"], {}))
    assert still["agent"] == math.inf
    assert passing["agent"] == 8 + passing["policy"]
