"""The whole daemon in this process against the sandbox: bars come when the test says so, and prices move likewise."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from numpy.typing import NDArray

from klined.config.load import load
from klined.config.settings import Settings
from klined.domain import Bar, Batch, Decision, Event, Purpose
from klined.errors import Retryable
from klined.ports import Choice, Policy
from klined.runtime import assembly, reconciling, remote
from klined.runtime.assembly import assemble
from klined.runtime.daemon import Daemon
from klined.sandbox.server import running
from klined.sandbox.settings import DEMO_KEY, DEMO_SECRET, SandboxSettings
from klined.store.journal import AsyncJournal
from klined.testing import ScriptedFeed, closes
from sandbox.wire import Wire

MINUTE_MS = 60_000
PAST = 400
SPOT, PERP = "ETH/USDT", "ETH/USDT:USDT"


class Wants:
    """A policy that wants what the test last said."""

    name, plan = "wants", "eth15"

    def __init__(self, target: float) -> None:
        self.target = target

    def decide(self, observations: NDArray[np.float32]) -> list[Choice]:
        return [(self.target, ())] * len(observations)

    def state(self) -> bytes:
        return b""

    def restore(self, state: bytes) -> None:
        pass


class Bars(ScriptedFeed):
    """A past of calm bars, then what `show` is told; each bar closes a minute after the one before."""

    def __init__(self, symbols: Sequence[str], price: float) -> None:
        self.symbols, self.price = symbols, price
        self.close_ms = time.time_ns() // 1_000_000 - 90_000  # room for two bars around now
        prices = [price * (1 + 0.0004 * (k % 5 - 2)) for k in range(PAST)]
        first_ms = self.close_ms - PAST * MINUTE_MS
        pasts = [closes(s, prices, start_ms=first_ms, volume=1e6, purpose=Purpose.WARMUP) for s in symbols]
        past = [
            Batch(each[0].close_time_ms, tuple(one.bars[0] for one in each), Purpose.WARMUP)
            for each in zip(*pasts, strict=True)
        ]
        super().__init__([], past)
        self.queue: asyncio.Queue[Batch | None] = asyncio.Queue()

    async def history(self, count: int, after_ms: int | None) -> Sequence[Batch]:
        return await super().history(count, after_ms) if after_ms is None else ()

    async def next(self) -> Batch | None:
        return await self.queue.get()

    def show(self, price: float) -> None:
        """One more bar, of every symbol."""
        opened_ms = self.close_ms
        self.close_ms += MINUTE_MS
        bars = tuple(Bar(s, opened_ms, price, price * 1.0004, price * 0.9996, price, 1e6) for s in self.symbols)
        self.queue.put_nowait(Batch(self.close_ms, bars))


class Ear:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self.decisions: list[Decision] = []

    def observe(self, item: Decision | Event) -> None:
        if isinstance(item, Event):
            self.events.append(item)
        else:
            self.decisions.append(item)

    def names(self) -> list[str]:
        return [event.name for event in self.events]


class Rehearsal:
    """A sandbox, and one daemon after another on the same state directory."""

    def __init__(self, wire: Wire, settings: Settings, policy: Policy, price: float) -> None:
        self.wire, self.settings, self.policy = wire, settings, policy
        self.perp = settings.market.kind.value == "perp"
        self.symbol = settings.market.symbols[0]
        self.bars = Bars(settings.market.symbols, price)
        self.ear = Ear()
        self.daemon: Daemon
        self._journal: AsyncJournal
        self._serving: asyncio.Task[int] | None = None

    async def start(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(assembly, "make_feed", lambda *_: self.bars)
        monkeypatch.setattr(assembly, "make_policy", lambda _: self.policy)
        self.settings.state_dir.mkdir(parents=True, exist_ok=True)
        self._journal = await AsyncJournal.open(self.settings.state_dir / "journal.db")
        self.daemon = await assemble(
            self.settings, journal=self._journal, installation="7f3a9c00", forgiving=True, observers=[self.ear]
        )
        self._serving = asyncio.create_task(self.daemon.serve())
        await self.until(lambda: self.daemon.started)

    async def stop(self) -> int:
        """As Ctrl+C; the exit code."""
        assert self._serving is not None
        self.daemon.stop("test")
        code = await self._serving
        await self._journal.close()
        self._serving = None
        return code

    async def kill(self) -> None:
        """End all its tasks at once; nothing is flattened, cancelled or said to the exchange."""
        assert self._serving is not None
        self.daemon.venue.countdown = gone  # type: ignore[attr-defined]  # what a dying task says last stays unsaid
        self._serving.cancel()
        with contextlib.suppress(BaseException):
            await self._serving
        await self._journal.close()
        self._serving = None

    async def end(self) -> None:
        if self._serving is not None:
            await self.kill()

    async def until(self, claim: Any, *, seconds: float = 10.0) -> None:
        async with asyncio.timeout(seconds):
            while not claim():
                assert self._serving is None or not self._serving.done(), "the daemon ended"
                await asyncio.sleep(0)

    async def show(self, price: float | None = None) -> None:
        """One bar at the exchange's own price, and wait until it was decided."""
        seq = self.daemon.trader.time_ms
        self.bars.show(await self.price() if price is None else price)
        await self.until(lambda: self.daemon.trader.time_ms > seq and self.daemon.outbox.idle.is_set())
        await self.until(lambda: not self.daemon.trader.actions and not self.daemon.outbox.performing)

    async def price(self) -> float:
        return float((await self.wire.truth())["perp" if self.perp else "spot"]["prices"]["ETHUSDT"])

    async def orders(self) -> list[dict[str, Any]]:
        """All orders of this account at the exchange, oldest first."""
        truth = await self.wire.truth()
        return list(truth["perp" if self.perp else "spot"]["orders"])

    async def working(self) -> list[dict[str, Any]]:
        return [order for order in await self.orders() if order["open"]]

    async def held(self) -> Decimal:
        truth = await self.wire.truth()
        if self.perp:
            held = [each["amount"] for name, each in truth["perp"]["positions"].items() if name.startswith("ETHUSDT/")]
        else:
            held = list(truth["spot"]["balances"].get("ETH", {"free": 0, "locked": 0}).values())
        return sum((Decimal(str(each)) for each in held), Decimal(0))

    def position(self) -> Decimal:
        return self.daemon.trader.book.ledger.position(self.symbol).quantity


async def gone(_symbols: Sequence[str], _after_s: float) -> bool:
    raise Retryable("this process is dead")


@asynccontextmanager
async def rehearsing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, kind: str, policy: Policy, **more: str
) -> AsyncIterator[Rehearsal]:
    """A sandbox whose prices stand still unless the test moves them, and a daemon that is started by the test."""
    monkeypatch.setattr(reconciling, "LOOK_AGAIN_S", 0.05)
    monkeypatch.setattr(reconciling, "LAG_S", 0.05)
    monkeypatch.setattr(remote, "FIRST_WAIT_S", 0.01)
    sandbox = SandboxSettings(port=0, step_ms=3_600_000, history=200, balances={"USDT": "10000"})
    async with running(sandbox) as server, aiohttp.ClientSession() as http:
        wire = Wire(http, server)
        told = {
            "market.exchange": "binance",
            "market.kind": kind,
            "market.symbols": PERP if kind == "perp" else SPOT,
            "mode.paper": "false",
            "exchange.rest_url": wire.base,
            "exchange.user_stream_url": f"{wire.ws}/private/ws" if kind == "perp" else f"{wire.ws}/ws-api/v3",
            "exchange.reconcile_s": "1",
            "policy.name": "flat",
            "store.dir": str(tmp_path / "state"),
            "runtime.flatten_deadline_s": "10",
            "risk.max_bar_age_s": "86400",
            "risk.max_clock_skew_ms": "60000",
            **more,
        }
        keys = {"KLINED_EXCHANGE__API_KEY": DEMO_KEY, "KLINED_EXCHANGE__API_SECRET": DEMO_SECRET}
        settings = load(None, [f"{key}={value}" for key, value in told.items()], keys)
        price = float((await wire.truth())["spot"]["prices"]["ETHUSDT"])
        rehearsal = Rehearsal(wire, settings, policy, price)
        try:
            yield rehearsal
        finally:
            await rehearsal.end()
