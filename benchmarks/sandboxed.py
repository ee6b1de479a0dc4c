"""`klined sandbox` as a process: orders and frames a second, and a day's memory of the daemon that trades on it.

Whoever asks and listens here is raw sockets that look at nothing but lengths, so the sandbox is what is measured.
"""

import asyncio
import hashlib
import hmac
import json
import shutil
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast
from urllib.parse import urlencode

from benchmarks import bars
from benchmarks.process import KLINED, Absent
from benchmarks.table import Row, absent, row

STATE = bars.FOLDER / "sandbox"
KEY, SECRET = "sandbox-key", b"sandbox-secret"  # the built-in ones
START_S = 30.0
ORDERS, CONNECTIONS = 2_000, 8
STREAMS, FRAMES_S = 50, 5.0
DAY_SPEED = 900  # 24 hours in 96 s
SLOPE_KB = 200.0
TESTS = Path(__file__).parents[1] / "tests"


@asynccontextmanager
async def sandbox(**settings: object) -> AsyncIterator[int]:
    """One on a free port until the end of the block; the port.

    Raises:
        Absent: it did not start.
    """
    shutil.rmtree(STATE, ignore_errors=True)
    STATE.mkdir(parents=True)
    file = STATE / "sandbox.toml"
    file.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in {"port": 0, **settings}.items()))
    process = await asyncio.create_subprocess_exec(
        KLINED, "sandbox", str(file), "--json", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(START_S):
            line = await process.stdout.readline() if process.stdout else b""
        if not line:
            raise Absent(f"klined sandbox: {(await process.communicate())[1].decode().strip()[-300:]}")
        yield int(json.loads(line)["port"])
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
        shutil.rmtree(STATE, ignore_errors=True)


def order(number: int, port: int) -> bytes:
    """A signed market order as a whole request: bought, sold, bought."""
    query = urlencode({
        "symbol": "ETHUSDT", "side": "BUY" if number % 2 == 0 else "SELL", "type": "MARKET", "quantity": "0.01",
        "newClientOrderId": f"bench-{number}", "timestamp": time.time_ns() // 1_000_000, "recvWindow": 5000,
    })  # fmt: skip
    body = f"{query}&signature={hmac.new(SECRET, query.encode(), hashlib.sha256).hexdigest()}"
    head = f"POST /api/v3/order HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-MBX-APIKEY: {KEY}\r\n"
    kind = "Content-Type: application/x-www-form-urlencoded\r\n"
    return f"{head}{kind}Content-Length: {len(body)}\r\n\r\n{body}".encode()


async def place(port: int, first: int, count: int) -> None:
    """So many orders, each after the answer to the one before, over one kept connection.

    Raises:
        Absent: one was refused.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for number in range(first, first + count):
            writer.write(order(number, port))
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            answer = await reader.readexactly(int(head.partition("content-length:")[2].split()[0]))
            if " 200 " not in head.partition("\r\n")[0]:
                raise Absent(f"the sandbox refused an order: {answer.decode()[:200]}")
    finally:
        writer.close()


async def orders() -> tuple[float, float]:
    """Orders/s over one connection, and over several at once."""
    limits = {"weight": 10_000_000, "orders_10s": 10_000_000, "orders_1d": 0}
    rich = {"balances.USDT": "100000000", "balances.ETH": "1000"}
    async with sandbox(**{f"spot_limits.{name}": value for name, value in limits.items()}, **rich) as port:
        await place(port, 0, ORDERS // 10)
        begun = time.perf_counter()
        await place(port, ORDERS, ORDERS)
        alone = ORDERS / (time.perf_counter() - begun)
        begun = time.perf_counter()
        each = ORDERS // CONNECTIONS
        await asyncio.gather(*(place(port, (2 + k) * ORDERS, each) for k in range(CONNECTIONS)))
        return alone, each * CONNECTIONS / (time.perf_counter() - begun)


class Listener(asyncio.Protocol):
    """A websocket that counts whole frames and reads none."""

    def __init__(self, port: int, streams: str) -> None:
        self.frames = 0
        self._port, self._streams = port, streams
        self._open = False
        self._got = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(
            f"GET /stream?streams={self._streams} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        got = self._got
        got += data
        if not self._open:
            end = got.find(b"\r\n\r\n")
            if end < 0:
                return
            del got[: end + 4]
            self._open = True
        at = 0
        while len(got) - at >= 4:
            size, head = got[at + 1], 2
            if size == 126:
                size, head = int.from_bytes(got[at + 2 : at + 4], "big"), 4
            if len(got) - at < head + size:
                break
            at += head + size
            self.frames += 1
        del got[:at]


async def frames() -> float:
    """Frames/s that fifty connections are told, each the best prices of all fifty symbols."""
    symbols = [f"S{k:02d}/USDT" for k in range(STREAMS)]
    names = "/".join(f"s{k:02d}usdt@bookTicker" for k in range(STREAMS))
    async with sandbox(spot=symbols, perp=[], step_ms=10, speed=60) as port:
        loop = asyncio.get_running_loop()
        links = [await loop.create_connection(lambda: Listener(port, names), "127.0.0.1", port) for _ in range(STREAMS)]
        await asyncio.sleep(1.0)
        before, begun = sum(listener.frames for _, listener in links), time.perf_counter()
        await asyncio.sleep(FRAMES_S)
        told, took_s = sum(listener.frames for _, listener in links) - before, time.perf_counter() - begun
        for transport, _ in links:
            transport.close()
    return told / took_s


def slope() -> Row:
    """24 hours of market as the tests live through them."""
    sys.path.insert(0, str(TESTS))
    try:
        from wire.day import resident, slope_kb
    finally:
        sys.path.remove(str(TESTS))
    shutil.rmtree(STATE, ignore_errors=True)
    STATE.mkdir(parents=True)
    resident_kb = asyncio.run(resident(STATE, speed=DAY_SPEED))
    note = f"{resident_kb[-1] / 1024:.1f} MB at the end; at most {SLOPE_KB:g} kB an hour of market, either way"
    return row("wire.rss_slope", slope_kb(resident_kb), "kB/h", at_most=SLOPE_KB, note=note)


def rows() -> Iterator[Row]:
    try:
        alone, together = asyncio.run(orders())
        yield row("wire.sandbox_orders", alone, "orders/s", note=f"one connection; over {CONNECTIONS}: {together:,.0f}")
    except (Absent, TimeoutError, OSError) as why:
        yield absent("wire.sandbox_orders", "orders/s", str(why))
    try:
        yield row("wire.sandbox_frames", asyncio.run(frames()), "frames/s", note=f"to {STREAMS} connections")
    except (Absent, TimeoutError, OSError) as why:
        yield absent("wire.sandbox_frames", "frames/s", str(why))
    try:
        yield slope()
    except (ImportError, AssertionError) as why:
        yield absent("wire.rss_slope", "kB/h", str(why)[:200])
    shutil.rmtree(STATE, ignore_errors=True)
