"""A real daemon in a process of its own, and what the tests ask of it: its log, its socket, what it left behind."""

import json
import os
import queue
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from klined.cli.client import ask
from klined.config.load import load
from klined.domain import ZERO, Account
from klined.errors import NotRunning
from klined.runtime.assembly import make_instruments
from klined.venues.paper import PaperVenue

KLINED = Path(sys.executable).with_name("klined")
PATIENCE_S = 60.0  # far more than anything here takes, for a machine that is busy
TICK_S = 0.005

BUSY = """
[market]
exchange = "sim"
speed = {speed}
bars = {bars}
[policy]
name = "ema_cross"
[risk]
max_exposure = 0.5
max_change = 2.0
max_day_loss = 1.0
max_week_loss = 1.0
max_drawdown = {max_drawdown}
reduce_drawdown = {max_drawdown}
max_losses = 1000
max_trades_hour = 1000
max_trades_day = 10000
max_turnover_day = 1000.0
max_fees_day = 1.0
[runtime]
flatten_deadline_s = 30
on_stop = "{on_stop}"
[log]
format = "json"
level = "{level}"
"""

Line = dict[str, Any]


class Living:
    """One process. Its log is read by a thread, so that waiting for a line is waiting for that line."""

    def __init__(self, command: Sequence[str | Path], folder: Path) -> None:
        environ = {key: value for key, value in os.environ.items() if not key.startswith("KLINED_")}
        self.folder = folder
        self.process = subprocess.Popen(
            [str(word) for word in command], cwd=folder, stderr=subprocess.PIPE, text=True, env=environ
        )
        self.lines: list[Line] = []
        self._fresh: queue.Queue[Line | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def wait_for(self, event: str, count: int = 1) -> Line:
        """The `count`th such line from now on; fails when the process ends before."""
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            line = self._fresh.get(timeout=max(0.0, deadline_s - time.monotonic()))
            assert line is not None, f"ended without {event}: {self.lines[-5:]}"
            if line.get("event") == event:
                count -= 1
                if not count:
                    return line

    def told(self, event: str) -> list[Line]:
        return [line for line in self.lines if line.get("event") == event]

    def ask(self, verb: str, **more: object) -> Any:
        """The daemon's answer, as `klined` would get it."""
        return ask(self.state / "control.sock", {"verb": verb, **more}, PATIENCE_S)

    def reachable(self) -> None:
        """Wait until the control socket answers."""
        until(self._answers)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self, number: signal.Signals | None = None) -> int:
        """The exit code, after a signal or by itself."""
        if number is not None:
            self.send(number)
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return code

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.lines[-5:]
        try:
            self.ask("status")
        except NotRunning:
            return False
        return True

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for text in lines:
                try:
                    line: Line = json.loads(text)
                except ValueError:
                    line = {"event": "", "text": text.rstrip()}
                self.lines.append(line)
                self._fresh.put(line)
        self._fresh.put(None)


def configure(  # each is one setting that some test changes
    folder: Path,
    *,
    speed: float = 2_000,
    bars: int = 0,
    on_stop: str = "flatten",
    max_drawdown: float = 1.0,
    level: str = "info",
) -> Path:
    """Write a settings file of a market that is traded often."""
    path = folder / "klined.toml"
    path.write_text(BUSY.format(speed=speed, bars=bars, on_stop=on_stop, max_drawdown=max_drawdown, level=level))
    return path


@contextmanager
def running(folder: Path, command: Sequence[str | Path] = ()) -> Iterator[Living]:
    """`klined run` over `folder`; killed at the end if a failed test left it alive."""
    living = Living(command or (KLINED, "-c", "klined.toml", "--state", "state", "run"), folder)
    try:
        yield living
    finally:
        if living.process.poll() is None:
            living.process.kill()
        living.end()


def until(happened: Callable[[], bool]) -> None:
    """Wait for something that nobody announces."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline_s, "it never happened"
        time.sleep(TICK_S)


def venue_account(folder: Path) -> Account:
    """What the paper exchange has on its books, read from the journal of a daemon that ended."""
    settings = load(folder / "klined.toml", ["store.dir=" + str(folder / "state")], environ={})
    instruments = make_instruments(settings)
    venue = PaperVenue(instruments, {instruments[0].quote: settings.paper.balance})
    venue.load(rows(folder, "SELECT key, value FROM venue ORDER BY key"))
    return venue.exchange.account()


def must_be_flat(folder: Path) -> None:
    """The exchange holds no lot that could be sold and no open order; nobody thinks that a flatten is due."""
    account = venue_account(folder)
    settings = load(folder / "klined.toml", [], environ={})
    for instrument, position in zip(make_instruments(settings), account.positions, strict=True):
        assert abs(position.quantity) < instrument.lot, position
    assert account.orders == ()
    assert memory(folder).get("flattening") is None


def held(folder: Path) -> bool:
    return any(position.quantity != ZERO for position in venue_account(folder).positions)


def memory(folder: Path) -> dict[str, str]:
    return dict(rows(folder, "SELECT key, value FROM memory"))


def rows(folder: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(folder / "state" / "journal.db")) as link:
        return link.execute(sql).fetchall()
