"""One run of the wire tier: daemon and sandbox in one process, on an in-memory network, for hours of market."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from klined.config.load import load
from klined.config.settings import Settings
from klined.runtime.assembly import assemble
from klined.runtime.daemon import Daemon
from klined.runtime.watch import Watch
from klined.sandbox.answers import encode
from klined.sandbox.faults import Fault, FaultKind
from klined.sandbox.server import SandboxServer, running
from klined.sandbox.settings import Key, SandboxSettings
from klined.sandbox.truth import ledger
from klined.store.synchronous import SyncJournal
from tiers.ledgers import decided, findings, told
from tiers.proxy import Proxy, proxied
from tiers.virtual import BEGAN_NS, Loop, virtually

HOUR_S = 3_600
QUIET_S = 600.0  # at the end, without faults: trading must go on
CANARY_KEY, CANARY_SECRET = "CANARYkeyAb3f", "CANARYsecret9d1c"


class Played(Struct, frozen=True):
    """What came of one run."""

    code: int
    fills: int
    bars: int
    faults: dict[str, int]
    events: dict[str, int]
    findings: list[str]
    trades_s: list[float]  # when the exchange traded
    took_s: float = 0.0


def exchange_settings(market: str, faults: Sequence[Fault]) -> SandboxSettings:
    return SandboxSettings(
        port=0,
        start_ms=BEGAN_NS // 1_000_000,
        step_ms=5_000,
        kline_spot_ms=10_000,
        kline_perp_ms=10_000,
        history=800,
        balances={"USDT": "10000"},
        spot=("ETH/USDT",) if market == "spot" else (),
        perp=("ETH/USDT:USDT",) if market == "perp" else (),
        keys=(Key(key=CANARY_KEY, secret=CANARY_SECRET),),
        timestamps="sandbox",
        faults=tuple(faults),
    )


def daemon_settings(market: str, port: int, state: Path) -> Settings:
    http, ws = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}"
    spot = market == "spot"
    chosen = {
        "market.exchange": "binance",
        "market.kind": market,
        "market.symbols": "ETH/USDT" if spot else "ETH/USDT:USDT",
        "market.stream_url": f"{ws}/stream" if spot else f"{ws}/market/stream",
        "market.rest_url": http,
        "exchange.rest_url": http,
        "exchange.user_stream_url": f"{ws}/ws-api/v3" if spot else f"{ws}/private/ws",
        "mode.paper": "false",
        "policy.name": "flat",
        "store.dir": str(state),
        "risk.max_drawdown": "0.9", "risk.max_day_loss": "0.9", "risk.max_week_loss": "0.9",
        "risk.max_fees_day": "1", "risk.max_turnover_day": "10000", "risk.max_losses": "1000",
        "risk.max_trades_hour": "10000", "risk.max_trades_day": "100000", "risk.max_ood": "1000000",
    }  # fmt: skip
    keys = {"KLINED_EXCHANGE__API_KEY": CANARY_KEY, "KLINED_EXCHANGE__API_SECRET": CANARY_SECRET}
    return load(None, [f"{key}={value}" for key, value in chosen.items()], keys)


def make_faults(seed: int, lasting_s: float, market: str) -> list[Fault]:
    """A schedule of every kind that a wire can show, ten an hour of each of the commonest."""
    rng = random.Random(f"{seed} {market}")
    until_ms = int((lasting_s - QUIET_S) * 1000)
    calls = [
        FaultKind.LOST_ANSWER, FaultKind.LATE, FaultKind.UNKNOWN_EXECUTED, FaultKind.UNKNOWN, FaultKind.UNAVAILABLE,
        FaultKind.EMPTY, FaultKind.TRUNCATED, FaultKind.HTML, FaultKind.RESET, FaultKind.SLOW, FaultKind.PARTIAL,
        FaultKind.CODE,
    ]  # fmt: skip
    faults = [Fault(kind=kind, count=0, probability=0.04, until_ms=until_ms) for kind in calls]
    faults += [
        Fault(kind=kind, count=0, probability=0.05, until_ms=until_ms)
        for kind in (FaultKind.DUPLICATE_EVENT, FaultKind.REORDER_EVENTS, FaultKind.MISSING_EVENT)
    ]
    faults += [
        Fault(kind=kind, count=0, probability=0.02, until_ms=until_ms, text='{"e":"kline","k":nul')
        for kind in (FaultKind.MISSING_CLOSE, FaultKind.DUPLICATE_CLOSE, FaultKind.REVISED_BAR, FaultKind.BAD_FRAME)
    ]
    faults.append(Fault(kind=FaultKind.RESET, where="GET ", count=0, probability=0.01, until_ms=until_ms))
    at_once: list[dict[str, Any]] = [
        {"kind": FaultKind.DISCONNECT},
        {"kind": FaultKind.SHUTDOWN},
        {"kind": FaultKind.LISTEN_KEY_EXPIRED},
        {"kind": FaultKind.READ_LAG, "delay_ms": 8_000, "duration_ms": 40_000},
        {"kind": FaultKind.BAN, "duration_ms": 90_000},
        {"kind": FaultKind.CLOCK_SKEW, "value": 4000.0, "duration_ms": 200_000},
        {"kind": FaultKind.SILENT, "duration_ms": 120_000},
    ]
    for hour in range(max(1, int(lasting_s // HOUR_S))):
        for each in at_once:
            moment_ms = hour * HOUR_S * 1000 + rng.randrange(60_000, HOUR_S * 1000)
            if moment_ms < until_ms:
                faults.append(Fault(**each, from_ms=moment_ms))
    return faults


def nemesis(proxy: Proxy, rng: random.Random, until_s: float) -> None:
    """Cut, stall, darken and slow the network now and then until that moment of the loop."""
    loop = asyncio.get_running_loop()
    ways = (proxy.cut, proxy.stall, proxy.go_dark, lambda: proxy.drip(0.2))
    moment_s = rng.uniform(60, 900)
    while moment_s < until_s - 90:
        loop.call_at(moment_s, rng.choice(ways))
        moment_s += rng.uniform(1, 90)
        loop.call_at(moment_s, proxy.heal)
        moment_s += rng.uniform(60, 900)


async def daemon_on(settings: Settings) -> tuple[Daemon, SyncJournal]:
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    journal = SyncJournal(settings.state_dir / "journal.db", 1)
    return await assemble(settings, journal=journal, installation="7f3a9c00", forgiving=True), journal


def play(
    market: str,
    seed: int,
    hours: float,
    state: Path,
    *,
    faulty: bool = True,
    spoil: Callable[[Daemon], None] | None = None,
    befall: Callable[[Loop, Proxy], None] | None = None,
) -> Played:
    """So many hours of market for one daemon that is then told to stop.

    `spoil` makes its protocol wrong, `befall` plans troubles of the network.
    """
    lasting_s = hours * HOUR_S
    faults = make_faults(seed, lasting_s, market) if faulty else []

    async def main(loop: Loop) -> Played:
        rng = random.Random(f"nemesis {seed} {market}")
        async with running(exchange_settings(market, faults)) as server, proxied(server.port) as proxy:
            settings = daemon_settings(market, proxy.port, state)
            daemon, journal = await daemon_on(settings)
            if spoil is not None:
                spoil(daemon)
            watch = asyncio.create_task(Watch(daemon).run())
            if faulty:
                nemesis(proxy, rng, lasting_s - QUIET_S)
            if befall is not None:
                befall(loop, proxy)
            loop.call_later(lasting_s, loop.kill, signal.SIGTERM)
            code = await daemon.serve()
            watch.cancel()
            await journal.close()
            return outcome(code, market, server, proxy, journal.path)

    began_s = time.perf_counter()
    played: Played = virtually(main)
    return replace(played, took_s=time.perf_counter() - began_s)


def outcome(code: int, market: str, server: SandboxServer, proxy: Proxy, journal: Path) -> Played:
    truth = msgspec.json.decode(encode(ledger(server.exchange)))
    fired = Counter(fired.kind.value for fired in server.exchange.faults.log)
    fired.update({f"network {what}": count for what, count in proxy.count.items()})
    return Played(
        code=code,
        fills=len(truth[market]["trades"]),
        bars=decided(journal),
        faults=dict(fired),
        events=dict(told(journal)),
        findings=findings(journal, truth, market),
        trades_s=[trade["time_ms"] / 1000 - BEGAN_NS / 1e9 for trade in truth[market]["trades"]],
    )
