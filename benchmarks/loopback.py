"""An exchange of one page, for clocks: Binance's spot protocol on loopback, as far as a bot needs it to trade.

    tell ─ frame ─▶ websocket ─▶ bot ─▶ POST ─▶ `orders`: when its last byte was read, by the clock of all processes

It fills every market order at the last close and checks no signature; what it does itself costs every client the same.
Frames go out and requests are read without a library in between, so both stamps lie beside the system calls.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import ServerConnection, serve

SECOND_MS = 1_000
BEHIND_S = 500
"""The market is so far in the past: bars of a second are told as fast as one likes, and none is of the future."""

VOLUME = "1000000"
FILTERS = [
    {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"},
    {"filterType": "LOT_SIZE", "minQty": "0.0001", "maxQty": "9000000", "stepSize": "0.0001"},
    {"filterType": "NOTIONAL", "minNotional": "5", "applyMinToMarket": True, "maxNotional": "90000000"},
]


class Loopback:
    """Lists `symbols`, such as S00USDT. `orders` are (client order id, nanoseconds of the monotonic clock)."""

    def __init__(self, symbols: Sequence[str]) -> None:
        self.symbols = list(symbols)
        self.http = self.ws = ""
        self.connected = asyncio.Event()
        self.orders: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
        self.balances = dict.fromkeys([name.removesuffix("USDT") for name in symbols], Decimal(0))
        self.balances["USDT"] = Decimal(10_000)  # what a daemon expects: a difference is looked at for a minute
        self.open_ms = (time.time_ns() // 2_000_000_000 * 2 - BEHIND_S) * SECOND_MS  # of the next bar: an even one, up
        self.trades: list[dict[str, Any]] = []
        self._link: ServerConnection | None = None

    def tell(self) -> int:
        """Close a bar of every symbol; when the first byte was about to be written."""
        if self._link is None:
            raise ConnectionError("nobody listens")
        payloads = [framed(self._frame(name)) for name in self.symbols]
        self.open_ms += SECOND_MS
        write = self._link.transport.write
        at_ns = time.perf_counter_ns()
        for payload in payloads:
            write(payload)
        return at_ns

    def hear(self, method: str, target: str, body: str, at_ns: int) -> tuple[int, Any]:
        """Status and answer of one request whose last byte was read at `at_ns`."""
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query)) | dict(parse_qsl(body))
        if method == "POST":
            self.orders.put_nowait((query.get("newClientOrderId", ""), at_ns))
            return 200, self._fill(query) if query else {}
        answers: dict[str, Callable[[], Any]] = {
            "/api/v3/time": lambda: {"serverTime": time.time_ns() // 1_000_000},
            "/api/v3/exchangeInfo": lambda: {"rateLimits": [], "symbols": [listing(name) for name in self.symbols]},
            "/api/v3/account": self._account,
            "/api/v3/openOrders": list,
            "/api/v3/myTrades": lambda: [each for each in self.trades if each["symbol"] == query["symbol"]],
            "/api/v3/klines": lambda: self._klines(int(query["startTime"]), int(query["endTime"])),
        }
        if parts.path in answers:
            return 200, answers[parts.path]()
        return 400, {"code": -2013, "msg": "Order does not exist."}

    async def listen(self, link: ServerConnection) -> None:
        self._link = link
        self.connected.set()
        await link.wait_closed()

    def _prices(self, number: int) -> tuple[str, str]:
        """Open and close: up half a percent, down again."""
        return ("100.00", "100.50") if number % 2 == 0 else ("100.50", "100.00")

    def _frame(self, name: str) -> bytes:
        opened, closed = self._prices(self.open_ms // SECOND_MS)
        end_ms = self.open_ms + SECOND_MS - 1
        kline = {
            "t": self.open_ms, "T": end_ms, "s": name, "i": "1s", "f": 100, "L": 200, "o": opened, "c": closed,
            "h": "100.50", "l": "100.00", "v": VOLUME, "n": 100, "x": True, "q": "1.0", "V": "500", "Q": "0.5",
            "B": "0",
        }  # fmt: skip
        event = {"e": "kline", "E": end_ms + 1, "s": name, "k": kline}
        return json.dumps({"stream": f"{name.lower()}@kline_1s", "data": event}, separators=(",", ":")).encode()

    def _klines(self, start_ms: int, end_ms: int) -> list[list[Any]]:
        """Bars before the next that is told."""
        first, last = -(-start_ms // SECOND_MS), min(end_ms, self.open_ms - 1) // SECOND_MS
        rows: list[list[Any]] = []
        for number in range(first, last + 1):
            opened, closed = self._prices(number)
            rows.append([number * SECOND_MS, opened, "100.50", "100.00", closed, VOLUME, (number + 1) * SECOND_MS - 1])
        return rows

    def _account(self) -> dict[str, Any]:
        held = [{"asset": asset, "free": str(free), "locked": "0"} for asset, free in self.balances.items()]
        return {"canTrade": True, "accountType": "SPOT", "balances": held}

    def _fill(self, query: dict[str, str]) -> dict[str, Any]:
        name, bought, quantity = query["symbol"], query["side"] == "BUY", Decimal(query["quantity"])
        price = self._prices(self.open_ms // SECOND_MS - 1)[1]
        number, now_ms = len(self.trades) + 1, time.time_ns() // 1_000_000
        worth = quantity * Decimal(price)
        self.balances[name.removesuffix("USDT")] += quantity if bought else -quantity
        self.balances["USDT"] -= worth if bought else -worth
        paid = {"price": price, "qty": str(quantity), "commission": "0", "commissionAsset": "USDT"}
        self.trades.append(paid | {"symbol": name, "id": number, "orderId": number, "time": now_ms, "isBuyer": bought})
        return {
            "symbol": name, "orderId": number, "orderListId": -1, "clientOrderId": query["newClientOrderId"],
            "transactTime": now_ms, "price": "0.00", "origQty": str(quantity), "executedQty": str(quantity),
            "origQuoteOrderQty": "0.00", "cummulativeQuoteQty": str(worth), "status": "FILLED", "timeInForce": "GTC",
            "type": "MARKET", "side": query["side"], "workingTime": now_ms, "fills": [{**paid, "tradeId": number}],
            "selfTradePreventionMode": "NONE",
        }  # fmt: skip


class Http(asyncio.Protocol):
    """One kept connection: whole requests in, whole answers out."""

    def __init__(self, exchange: Loopback) -> None:
        self._exchange = exchange
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        at_ns = time.perf_counter_ns()
        self._got += data
        head, found, rest = self._got.partition(b"\r\n\r\n")
        if not found:
            return
        lines = head.decode().split("\r\n")
        length = next((int(line[15:]) for line in lines if line.lower().startswith("content-length:")), 0)
        if len(rest) < length:
            return
        self._got = rest[length:]
        method, target, _ = lines[0].split(" ")
        status, answer = self._exchange.hear(method, target, rest[:length].decode(), at_ns)
        body = json.dumps(answer, separators=(",", ":")).encode()
        front = f"HTTP/1.1 {status} {'OK' if status == 200 else 'Bad Request'}\r\nContent-Type: application/json\r\n"
        self._transport.write(f"{front}Content-Length: {len(body)}\r\n\r\n".encode() + body)


def listing(name: str) -> dict[str, Any]:
    """A symbol in the exchangeInfo."""
    return {
        "symbol": name, "status": "TRADING", "baseAsset": name.removesuffix("USDT"), "quoteAsset": "USDT",
        "baseAssetPrecision": 8, "quotePrecision": 8, "quoteAssetPrecision": 8, "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False, "orderTypes": ["LIMIT", "MARKET"], "permissions": ["SPOT"],
        "permissionSets": [["SPOT"]], "filters": FILTERS,
    }  # fmt: skip


def framed(payload: bytes) -> bytes:
    """A text frame of a server: not masked."""
    size = len(payload)
    head = bytes((0x81, size)) if size < 126 else bytes((0x81, 126)) + size.to_bytes(2, "big")
    return head + payload


@asynccontextmanager
async def listening(symbols: Sequence[str]) -> AsyncIterator[Loopback]:
    """An exchange on two free ports until the end of the block."""
    exchange = Loopback(symbols)
    http = await asyncio.get_running_loop().create_server(lambda: Http(exchange), "127.0.0.1", 0)
    async with http, serve(exchange.listen, "127.0.0.1", 0, compression=None, ping_interval=None) as streams:
        exchange.http = f"http://127.0.0.1:{http.sockets[0].getsockname()[1]}"
        exchange.ws = f"ws://127.0.0.1:{next(iter(streams.sockets)).getsockname()[1]}"
        yield exchange
