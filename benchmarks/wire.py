"""The wire: from a kline's frame to the order's bytes, a burst of fifty symbols, and what the sandbox can take.

The daemon is `klined run` as a process of its own, with the journal on disk. Its exchange is `benchmarks.loopback`,
which stamps when a frame is written and when an order was read. Bots take turns, bar by bar, so what disturbs the
machine disturbs all of them; a second daemon that tells when a bar passes each door gives the breakdown.
"""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median, quantiles

from benchmarks import bars, sandboxed
from benchmarks.loopback import Loopback, listening
from benchmarks.process import KLINED, SCRIPTS, Absent
from benchmarks.table import Row, absent, row
from benchmarks.traced import DOORS

STATE = bars.FOLDER / "wire"
SETTINGS = Path(__file__).with_name("wire.toml")
BOT = SCRIPTS / "frame_to_order.py"
ROUNDS, WARM_ROUNDS = 40, 5
BURSTS = 15
PACE_S = 0.03  # between an order and the next bot's frame, so that what a bot does after its order is over
START_S, ORDER_S, BURST_S = 30.0, 5.0, 30.0
NAIVE_TIMES = 2.5  # what the journal may cost
PARTS = ("wire", "parse", "engine", "policy", "gate", "commit", "client")
KEYS = {"KLINED_EXCHANGE__API_KEY": "sandbox-key", "KLINED_EXCHANGE__API_SECRET": "sandbox-secret"}


class Bot:
    """A process that trades on an exchange of its own; `told` is where it says when a bar passed each door."""

    def __init__(self, exchange: Loopback, told: asyncio.StreamReader | None = None) -> None:
        self.exchange, self.told = exchange, told

    async def trade(self, orders: int = 1) -> tuple[int, int]:
        """Close a bar: when its first frame was written, and when the last of its orders was read."""
        at_ns = self.exchange.tell()
        read_ns = 0
        async with asyncio.timeout(BURST_S if orders > 1 else ORDER_S):
            for _ in range(orders):
                _, read_ns = await self.exchange.orders.get()
        return at_ns, read_ns

    async def doors(self) -> dict[str, int]:
        """When the last bar passed them; nothing of a bot that does not tell."""
        if self.told is None:
            return {}
        async with asyncio.timeout(ORDER_S):
            told: dict[str, int] = json.loads(await self.told.readline())
        return told


@asynccontextmanager
async def bot(words: Sequence[str], exchange: Loopback, traced: int | None = None) -> AsyncIterator[Bot]:
    """`words` as a process until the end of the block; `traced` is the pipe it inherits.

    Raises:
        Absent: it did not connect in time.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith("KLINED_")} | KEYS
    process = await asyncio.create_subprocess_exec(
        *words,
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=() if traced is None else (traced,),
    )
    connected, ended = asyncio.create_task(exchange.connected.wait()), asyncio.create_task(process.wait())
    try:
        await asyncio.wait((connected, ended), timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
        if not connected.done() or ended.done():
            if not ended.done():
                process.kill()
            said = (await process.communicate())[1].decode().strip()[-3000:]
            raise Absent(f"{' '.join(words)[:60]} did not begin to trade: {said}")
        yield Bot(exchange)
    finally:
        connected.cancel()
        if not ended.done():
            process.kill()
        await process.communicate()
        await ended


def klined(exchange: Loopback, name: str, symbols: Sequence[str]) -> list[str]:
    """The words after `klined` that let it trade there, from an empty state directory."""
    shutil.rmtree(STATE / name, ignore_errors=True)
    told = {
        "market.symbols": ",".join(symbols),
        "market.stream_url": f"{exchange.ws}/stream",
        "market.rest_url": exchange.http,
        "exchange.rest_url": exchange.http,
    }
    sets = [word for key, value in told.items() for word in ("--set", f"{key}={value}")]
    return ["-c", str(SETTINGS), "--state", str(STATE / name), *sets, "run"]


@asynccontextmanager
async def plain_daemon(symbols: Sequence[str]) -> AsyncIterator[Bot]:
    async with (
        listening([symbol.replace("/", "") for symbol in symbols]) as exchange,
        bot([KLINED, *klined(exchange, "plain", symbols)], exchange) as running,
    ):
        yield running


@asynccontextmanager
async def traced_daemon(symbols: Sequence[str]) -> AsyncIterator[Bot]:
    reading, writing = os.pipe()
    async with listening([symbol.replace("/", "") for symbol in symbols]) as exchange:
        words = [sys.executable, "-m", "benchmarks.traced", str(writing), *klined(exchange, "traced", symbols)]
        told = asyncio.StreamReader()
        pipe = os.fdopen(reading, "rb")
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(told), pipe
        )
        try:
            async with bot(words, exchange, writing) as running:
                running.told = told
                yield running
        finally:
            transport.close()
            os.close(writing)


@asynccontextmanager
async def simple(which: str) -> AsyncIterator[Bot]:
    async with (
        listening(["S00USDT"]) as exchange,
        bot([sys.executable, str(BOT), which, f"{exchange.ws}/stream", exchange.http], exchange) as running,
    ):
        yield running


async def frame_to_order() -> list[Row]:
    """Echo, a naive bot, the daemon, and the daemon that tells, in turns."""
    took: dict[str, list[float]] = {"echo": [], "naive": [], "klined": [], "traced": []}
    parts: dict[str, list[float]] = {part: [] for part in PARTS}
    async with AsyncExitStack() as stack:
        bots = {
            "echo": await stack.enter_async_context(simple("echo")),
            "naive": await stack.enter_async_context(simple("naive")),
            "klined": await stack.enter_async_context(plain_daemon(["S00/USDT"])),
            "traced": await stack.enter_async_context(traced_daemon(["S00/USDT"])),
        }
        for turn in range(WARM_ROUNDS + ROUNDS):
            for name, each in bots.items():
                at_ns, read_ns = await each.trade()
                doors = await each.doors()
                if turn >= WARM_ROUNDS:
                    took[name].append((read_ns - at_ns) / 1e3)
                    if doors:
                        passed = [at_ns, *(doors[door] for door in DOORS), read_ns]
                        for part, begin, end in zip(PARTS, passed, passed[1:], strict=False):
                            parts[part].append((end - begin) / 1e3)
                await asyncio.sleep(PACE_S)
    told = ", ".join(f"{part} {median(values):.0f}" for part, values in parts.items())
    p50, p99 = {name: median(values) for name, values in took.items()}, {name: tail(took[name]) for name in took}
    naive = "ccxt bot, no journal"
    return [
        row("wire.frame_to_order", p50["klined"], "us", baseline=naive, baseline_value=p50["naive"],
            times_max=NAIVE_TIMES, note=f"p50; {told}"),
        row("wire.frame_to_order_p99", p99["klined"], "us", note=f"{naive}: {p99['naive']:.0f}"),
        row("wire.frame_to_order_echo", p50["echo"], "us", note=f"the transport alone; p99 {p99['echo']:.0f}"),
    ]  # fmt: skip


async def burst() -> Row:
    symbols = [f"S{k:02d}/USDT" for k in range(50)]
    decided, ordered = [], []
    async with traced_daemon(symbols) as daemon:
        for _ in range(BURSTS):
            at_ns, read_ns = await daemon.trade(orders=len(symbols))
            doors = await daemon.doors()
            decided.append((doors["durable"] - at_ns) / 1e6)
            ordered.append((read_ns - at_ns) / 1e6)
            await asyncio.sleep(10 * PACE_S)
    read = f"50 orders read by {median(ordered):.0f}, at worst {max(ordered):.0f}"
    note = f"slowest of {BURSTS} bursts, p50 {median(decided):.1f}; {read}"
    return row("wire.burst_50", max(decided), "ms", at_most=250, note=note)


def tail(values: Sequence[float]) -> float:
    """p99."""
    return quantiles(values, n=100)[-1]


def rows() -> Iterator[Row]:
    try:
        yield from asyncio.run(frame_to_order())
    except (Absent, TimeoutError) as why:
        yield absent("wire.frame_to_order", "us", str(why) or "a bot sent no order in time")
    try:
        yield asyncio.run(burst())
    except (Absent, TimeoutError) as why:
        yield absent("wire.burst_50", "ms", str(why) or "not all orders came in time")
    shutil.rmtree(STATE, ignore_errors=True)
    yield from sandboxed.rows()
