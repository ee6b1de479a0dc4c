"""A small exchange on loopback that speaks as much of Binance's REST as the tests need, and lies on demand.

Orders fill at once at `price`; `faults` holds what becomes of the next POSTs of orders, one name each:

    executed …    the order is placed, the answer is lost or lies: executed cut, html, 503, -1006, reset, slow
    dropped …     it is not placed: dropped 503, reset, 503 sure (USDT-M's sentences), code -2010 and so on
"""

import asyncio
import hashlib
import hmac
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

KEY, SECRET = "key-of-the-double", "secret-of-the-double"
Row = dict[str, Any]
LOST: dict[str, tuple[int, bytes]] = {
    "cut": (200, b'{"orderId":1,"sym'),
    "empty": (200, b""),
    "html": (200, b"<html>gateway</html>"),
    "object": (200, b"{}"),
    "502": (502, b"<html>bad gateway</html>"),
    "503": (503, b'{"code":-1000,"msg":"Unknown error, please check your request or try again later."}'),
    "-1006": (400, b'{"code":-1006,"msg":"Execution status unknown."}'),
    "-1007": (408, b'{"code":-1007,"msg":"Timeout waiting for response from backend server."}'),
    "503 sure": (503, b"Service Unavailable."),
}


LIMITS = [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 100_000}]


def spot_symbol() -> Row:
    return {
        "symbol": "ETHUSDT",
        "status": "TRADING",
        "baseAsset": "ETH",
        "quoteAsset": "USDT",
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT"],
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "minQty": "0.0001", "maxQty": "9000", "stepSize": "0.0001"},
            {"filterType": "NOTIONAL", "minNotional": "5", "applyMinToMarket": True, "notional": "5"},
            {"filterType": "MIN_NOTIONAL", "notional": "5", "minNotional": "5"},
        ],
    }


class Double:
    """The exchange's own ledger is `orders`, `trades`, `balances` and `position`."""

    def __init__(self, *, perp: bool = False) -> None:
        self.perp = perp
        self.prefix = "/fapi/v1" if perp else "/api/v3"
        self.price = Decimal(2000)
        self.orders: list[Row] = []
        self.algos: list[Row] = []
        self.trades: list[Row] = []
        self.incomes: list[Row] = []
        self.balances = {"USDT": Decimal(10_000), "ETH": Decimal(0)}
        self.position = Decimal(0)
        self.faults: deque[str] = deque()
        self.requests: list[tuple[str, str, Row]] = []
        self.hidden = 0  # so many reads of orders say "does not exist"
        self.late_trades = 0  # so many reads of trades are empty
        self.skew_ms = 0
        self.hedge = False
        self.leverage_told: int | None = None
        self.restrictions = {
            "enableReading": True,
            "enableWithdrawals": False,
            "enableInternalTransfer": False,
            "permitsUniversalTransfer": False,
            "enableSpotAndMarginTrading": True,
            "enableFutures": True,
            "ipRestrict": True,
        }
        self.key_code = 0  # refuse every signed request with this code
        self.status = 0  # answer every request with this status
        self.lost_reads = 0  # so many GETs are answered by a gateway
        self.hang = asyncio.Event()

    @property
    def posts(self) -> list[Row]:
        return [query for method, path, query in self.requests if method == "POST" and path.lower().endswith("order")]

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.skew_ms

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        return app

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.text()
        raw = "&".join(part for part in (request.query_string, body) if part)
        query: Row = dict(parse_qsl(raw, keep_blank_values=True))
        self.requests.append((request.method, request.path, query))
        if self.status:
            return web.Response(status=self.status, text="no", headers={"Retry-After": "7", "Location": "http://x/"})
        if request.method == "GET" and self.lost_reads:
            self.lost_reads -= 1
            return web.Response(status=502, text="<html>bad gateway</html>")
        if "signature" in query and (refused := self.refuse(request, raw, query)):
            return refused
        place = request.path.removeprefix(self.prefix)
        handler: Callable[..., Any] | None = self.routes().get((request.method, place or request.path))
        if handler is None:
            return error(404, -1000, f"{request.method} {request.path} is not served by the double")
        answer = handler(query)
        return await answer if asyncio.iscoroutine(answer) else answer  # type: ignore[no-any-return]  # a response

    def routes(self) -> dict[tuple[str, str], Callable[..., Any]]:
        fapi = "/fapi"
        return {
            ("GET", "/time"): lambda _: json_of({"serverTime": self.now_ms()}),
            ("GET", "/exchangeInfo"): lambda _: json_of({"symbols": [spot_symbol()], "rateLimits": LIMITS}),
            ("GET", "/account"): lambda _: json_of(self.account()),
            ("GET", fapi + "/v3/account"): lambda _: json_of(
                {"assets": [{"asset": "USDT", "walletBalance": str(self.balances["USDT"])}], "positions": []}
            ),
            ("GET", fapi + "/v3/positionRisk"): lambda _: json_of(self.positions()),
            ("GET", "/openOrders"): lambda _: json_of([o for o in self.orders if o["status"] == "NEW"]),
            ("GET", "/openAlgoOrders"): lambda _: json_of([o for o in self.algos if o["algoStatus"] == "NEW"]),
            ("POST", "/order"): self.post,
            ("POST", "/algoOrder"): self.post_algo,
            ("GET", "/algoOrder"): self.get_algo,
            ("DELETE", "/algoOrder"): self.delete_algo,
            ("GET", "/order"): self.get,
            ("DELETE", "/order"): self.delete,
            ("GET", "/myTrades"): self.my_trades,
            ("GET", "/userTrades"): self.my_trades,
            ("GET", "/income"): lambda _: json_of(self.incomes),
            ("GET", "/sapi/v1/account/apiRestrictions"): lambda _: json_of(self.restrictions),
            ("GET", "/positionSide/dual"): lambda _: json_of({"dualSidePosition": self.hedge}),
            ("GET", "/multiAssetsMargin"): lambda _: json_of({"multiAssetsMargin": False}),
            ("POST", "/marginType"): lambda _: error(400, -4046, "No need to change margin type."),
            ("POST", "/leverage"): lambda q: json_of({"leverage": self.leverage_told or int(q["leverage"])}),
            ("POST", "/countdownCancelAll"): json_of,
            ("POST", "/listenKey"): lambda _: json_of({"listenKey": "key-of-the-stream"}),
        }

    def refuse(self, request: web.Request, raw: str, query: Row) -> web.Response | None:
        signed, _, signature = raw.rpartition("&signature=")
        if self.key_code:
            return error(401, self.key_code, "Invalid API-key, IP, or permissions for action.")
        if request.headers.get("X-MBX-APIKEY") != KEY:
            return error(401, -2015, "Invalid API-key, IP, or permissions for action.")
        if hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).hexdigest() != signature:
            return error(400, -1022, "Signature for this request is not valid.")
        late = self.now_ms() - int(query["timestamp"])
        if late > int(query["recvWindow"]) or late < -1000:
            return error(400, -1021, "Timestamp for this request is outside of the recvWindow.")
        return None

    async def post(self, query: Row) -> web.StreamResponse:
        fault = self.faults.popleft() if self.faults else ""
        if fault.startswith("code "):
            return error(400, int(fault.removeprefix("code ")), "said so")
        if not fault.startswith("dropped"):
            order = self.place(query)
        name = fault.partition(" ")[2]
        if name == "reset":
            return await reset(query)
        if name == "slow":
            await self.hang.wait()
        if name in LOST:
            return web.Response(status=LOST[name][0], body=LOST[name][1])
        return json_of(self.full(order), **{"X-MBX-USED-WEIGHT-1M": "17"})

    def place(self, query: Row) -> Row:
        side = 1 if query["side"] == "BUY" else -1
        market = query["type"] == "MARKET"
        order = {
            "symbol": query["symbol"],
            "orderId": len(self.orders) + 1,
            "clientOrderId": query["newClientOrderId"],
            "transactTime": self.now_ms(),
            "updateTime": self.now_ms(),
            "price": query.get("price", "0"),
            "origQty": query["quantity"],
            "executedQty": query["quantity"] if market else "0",
            "status": "FILLED" if market else "NEW",
            "type": query["type"],
            "side": query["side"],
        }
        self.orders.append(order)
        if market:
            self.fill(order, side * Decimal(query["quantity"]))
        return order

    def fill(self, order: Row, quantity: Decimal) -> None:
        """Two executions, the second of the larger half."""
        first = (quantity / 2).quantize(Decimal("0.0001"))
        for part in (first, quantity - first):
            if part:
                fee = abs(part) * self.price / 1000
                row = {"id": 100 + len(self.trades), "orderId": order["orderId"], "symbol": order["symbol"]}
                row |= {"price": str(self.price), "qty": str(abs(part)), "commission": str(fee)}
                row |= {"commissionAsset": "USDT", "time": self.now_ms(), "isMaker": False, "maker": False}
                row |= {"side": order["side"]} if self.perp else {"isBuyer": part > 0}
                self.trades.append(row)
                self.balances["USDT"] -= fee if self.perp else part * self.price + fee
                self.balances["ETH"] += 0 if self.perp else part
                self.position += part

    def full(self, order: Row) -> Row:
        if self.perp:
            return order
        mine = [row for row in self.trades if row["orderId"] == order["orderId"]]
        words = ("price", "qty", "commission", "commissionAsset")
        return {**order, "fills": [{**{w: row[w] for w in words}, "tradeId": row["id"]} for row in mine]}

    async def post_algo(self, query: Row) -> web.StreamResponse:
        fault = self.faults.popleft() if self.faults else ""
        if fault.startswith("code "):
            return error(400, int(fault.removeprefix("code ")), "said so")
        algo = {
            "algoId": len(self.algos) + 1,
            "clientAlgoId": query["clientAlgoId"],
            "symbol": query["symbol"],
            "side": query["side"],
            "quantity": query["quantity"],
            "orderType": query["type"],
            "algoStatus": "NEW",
            "actualOrderId": "",
            "triggerPrice": query["triggerPrice"],
        }
        self.algos.append(algo)
        return json_of(algo)

    def trigger(self, client_algo_id: str) -> None:
        """The mark price reached a stop."""
        algo = next(a for a in self.algos if a["clientAlgoId"] == client_algo_id)
        query = {"symbol": algo["symbol"], "side": algo["side"], "type": "MARKET", "quantity": algo["quantity"]}
        order = self.place({**query, "newClientOrderId": "made-by-algo"})
        algo |= {"algoStatus": "FINISHED", "actualOrderId": str(order["orderId"])}

    def get_algo(self, query: Row) -> web.Response:
        for algo in self.algos:
            if algo["clientAlgoId"] == query["clientAlgoId"]:
                return json_of(algo)
        return error(400, -2013, "Order does not exist.")

    def delete_algo(self, query: Row) -> web.Response:
        for algo in self.algos:
            if algo["clientAlgoId"] == query["clientAlgoId"] and algo["algoStatus"] == "NEW":
                algo["algoStatus"] = "CANCELED"
                return json_of({"code": "200", "msg": "success", "clientAlgoId": algo["clientAlgoId"]})
        return error(400, -2011, "Unknown order sent.")

    def get(self, query: Row) -> web.Response:
        if self.hidden:
            self.hidden -= 1
            return error(400, -2013, "Order does not exist.")
        order = self.order(query)
        return error(400, -2013, "Order does not exist.") if order is None else json_of(order)

    def delete(self, query: Row) -> web.Response:
        order = self.order(query)
        if order is None or order["status"] != "NEW":
            return error(400, -2011, "Unknown order sent.")
        order["status"] = "CANCELED"
        return json_of({**order, "clientOrderId": order["clientOrderId"] if self.perp else "name-of-the-cancel"})

    def order(self, query: Row) -> Row | None:
        for order in reversed(self.orders):
            if str(order["orderId"]) == query.get("orderId") or order["clientOrderId"] == query.get(
                "origClientOrderId"
            ):
                return order
        return None

    def my_trades(self, query: Row) -> web.Response:
        if self.late_trades:
            self.late_trades -= 1
            return json_of([])
        since = int(query.get("startTime", 0))
        wanted = query.get("orderId")
        return json_of([row for row in self.trades if row["time"] >= since and wanted in {None, str(row["orderId"])}])

    def account(self) -> Row:
        rows = [{"asset": a, "free": str(b), "locked": "0"} for a, b in self.balances.items()]
        return {"canTrade": True, "balances": rows}

    def positions(self) -> list[Row]:
        if not self.position:
            return []
        return [{"symbol": "ETHUSDT", "positionAmt": str(self.position), "entryPrice": str(self.price)}]


async def reset(query: Row) -> web.StreamResponse:
    """Cut the connection in the middle of an answer."""
    del query
    raise _Reset


class _Reset(Exception):
    pass


def json_of(data: object, **headers: str) -> web.Response:
    return web.Response(text=json.dumps(data), content_type="application/json", headers=headers)


def error(status: int, code: int, message: str) -> web.Response:
    return web.json_response({"code": code, "msg": message}, status=status)


@web.middleware
async def resets(request: web.Request, handler: Callable[..., Any]) -> web.StreamResponse:
    try:
        answer: web.StreamResponse = await handler(request)
    except _Reset:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()
    return answer


@asynccontextmanager
async def serving(double: Double) -> AsyncIterator[str]:
    """The double on a port of its own; its address."""
    app = double.app()
    app.middlewares.append(resets)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        double.hang.set()
        await runner.cleanup()
