"""Two exchanges other than Binance by their ccxt classes: order, lost answer, unknown code, flatten."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web

from klined.domain import Accepted, Cause, Denied, Doubted, Intent, MarketKind, Traded
from klined.errors import ConfigError, Retryable
from klined.runtime.clock import SystemClock
from klined.venues.ccxt import CcxtVenue
from klined.venues.unified import UnifiedDialect
from venues.test_ccxt import heard, traded

Row = dict[str, Any]


class Exchange:
    """Fills market orders at once; `fault` is what becomes of the next order."""

    name, kind, symbol, good = "", MarketKind.SPOT, "ETH/USDT", ""

    def __init__(self) -> None:
        self.orders: list[Row] = []
        self.bodies: list[Row] = []
        self.fault = ""
        self.broken = False  # everything but orders answers nonsense
        self.code = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        body: Row = json.loads(text) if text else {}
        if request.method == "POST" and request.path in {"/api/v1/orders", "/v5/order/create"}:
            return self.post(body)
        if self.broken:
            return web.Response(status=502, text="<html>")
        return web.json_response(self.read(request.path, dict(request.query)))

    def post(self, body: Row) -> web.StreamResponse:
        self.bodies.append(body)
        if self.code:
            return web.json_response(self.refusal(self.code))
        if self.fault != "dropped":
            self.orders.append({**body, "number": str(len(self.orders) + 7)})
        if self.fault in {"lost", "dropped"}:
            return web.Response(status=200, text="")
        return web.json_response(self.answer(self.orders[-1]["number"]))

    @property
    def held(self) -> Decimal:
        raise NotImplementedError

    def read(self, path: str, query: Row) -> Row:
        raise NotImplementedError

    def answer(self, number: str) -> Row:
        raise NotImplementedError

    def refusal(self, code: str) -> Row:
        raise NotImplementedError


class Kucoin(Exchange):
    name, kind, symbol, good = "kucoin", MarketKind.SPOT, "ETH/USDT", "200004"

    @property
    def held(self) -> Decimal:
        return sum((Decimal(o["size"]) * (1 if o["side"] == "buy" else -1) for o in self.orders), Decimal(0))

    def answer(self, number: str) -> Row:
        return {"code": "200000", "data": {"orderId": number}}

    def refusal(self, code: str) -> Row:
        return {"code": code, "msg": "no"}

    def read(self, path: str, query: Row) -> Row:
        data: object = {"items": []}
        if path.endswith("/symbols") and "margin" not in path and "isolated" not in path:
            steps = {"baseIncrement": "0.0001", "quoteIncrement": "0.01", "priceIncrement": "0.01"}
            sizes = {"baseMinSize": "0.001", "baseMaxSize": "10000", "quoteMinSize": "0.1", "quoteMaxSize": "9999999"}
            names = {"symbol": "ETH-USDT", "name": "ETH-USDT", "baseCurrency": "ETH", "quoteCurrency": "USDT"}
            flags = {"enableTrading": True, "isMarginEnabled": False, "minFunds": "0.1"}
            data = [{**names, **steps, **sizes, **flags}]
        elif path.endswith("/timestamp"):
            data = time.time_ns() // 1_000_000
        elif path.endswith("/orders") and query.get("status") == "done":
            data = {"items": [self.row(order) for order in self.orders]}
        elif path.endswith("/fills"):
            data = {"items": [self.fill(order) for order in self.orders]}
        elif path.endswith("/accounts"):
            rows = (("USDT", "1000"), ("ETH", str(self.held)))
            data = [{"currency": c, "type": "trade", "balance": b, "available": b, "holds": "0"} for c, b in rows]
        return {"code": "200000", "data": data}

    def row(self, order: Row) -> Row:
        words = {"id": order["number"], "symbol": "ETH-USDT", "type": "market", "side": order["side"]}
        sizes = {"size": order["size"], "dealSize": order["size"], "dealFunds": "1000", "price": "0"}
        return {**words, **sizes, "clientOid": order["clientOid"], "isActive": False, "cancelExist": False}

    def fill(self, order: Row) -> Row:
        words = {"tradeId": "t" + order["number"], "orderId": order["number"], "symbol": "ETH-USDT"}
        money = {"price": "2000", "size": order["size"], "fee": "0.5", "feeCurrency": "USDT", "liquidity": "taker"}
        return {**words, **money, "side": order["side"], "createdAt": time.time_ns() // 1_000_000, "type": "market"}


class Bybit(Exchange):
    name, kind, symbol, good = "bybit", MarketKind.PERP, "ETH/USDT:USDT", "110007"

    @property
    def held(self) -> Decimal:
        return sum((Decimal(o["qty"]) * (1 if o["side"] == "Buy" else -1) for o in self.orders), Decimal(0))

    def answer(self, number: str) -> Row:
        return {"retCode": 0, "result": {"orderId": number, "orderLinkId": ""}}

    def refusal(self, code: str) -> Row:
        return {"retCode": int(code), "retMsg": "no", "result": {}}

    def read(self, path: str, query: Row) -> Row:
        now_ms = time.time_ns() // 1_000_000
        rows: list[Row] = []
        if path.endswith("/instruments-info") and "status" not in query:
            words = {"symbol": "ETHUSDT", "contractType": "LinearPerpetual", "status": "Trading", "baseCoin": "ETH"}
            words |= {"quoteCoin": "USDT", "settleCoin": "USDT", "launchTime": "1", "deliveryTime": "0"}
            size = {"maxOrderQty": "1000", "minOrderQty": "0.01", "qtyStep": "0.01", "minNotionalValue": "5"}
            price = {"minPrice": "0.05", "maxPrice": "99999", "tickSize": "0.01"}
            leverage = {"minLeverage": "1", "maxLeverage": "100", "leverageStep": "0.01"}
            rows = [{**words, "lotSizeFilter": size, "priceFilter": price, "leverageFilter": leverage}]
        elif path.endswith("/query-api"):
            return {"retCode": 0, "result": {"unified": 0, "uta": 1}}
        elif path.endswith("/market/time"):
            return {"retCode": 0, "result": {"timeSecond": str(now_ms // 1000)}, "time": now_ms}
        elif path.endswith("/order/history"):
            rows = [self.row(order) for order in self.orders]
        elif path.endswith("/execution/list"):
            rows = [self.fill(order) for order in self.orders]
        elif path.endswith("/wallet-balance"):
            coin = {"coin": "USDT", "walletBalance": "1000", "equity": "1000", "locked": "0"}
            rows = [{"accountType": "UNIFIED", "coin": [coin]}]
        elif path.endswith("/position/list") and self.held:
            side = "Buy" if self.held > 0 else "Sell"
            words = {"symbol": "ETHUSDT", "side": side, "size": str(abs(self.held)), "avgPrice": "2000"}
            rows = [{**words, "positionIM": "1", "positionMM": "1", "leverage": "5", "positionValue": "1"}]
        return {"retCode": 0, "result": {"list": rows, "category": "linear"}, "time": now_ms}

    def row(self, order: Row) -> Row:
        words = {"orderId": order["number"], "orderLinkId": order["orderLinkId"], "symbol": "ETHUSDT"}
        sizes = {"side": order["side"], "qty": order["qty"], "cumExecQty": order["qty"], "cumExecValue": "1000"}
        return {**words, **sizes, "orderStatus": "Filled", "orderType": "Market", "createdTime": "1", "price": "0"}

    def fill(self, order: Row) -> Row:
        words = {"execId": "t" + order["number"], "orderId": order["number"], "symbol": "ETHUSDT"}
        money = {"execPrice": "2000", "execQty": order["qty"], "execFee": "0.5", "feeCurrency": "USDT"}
        now_ms = str(time.time_ns() // 1_000_000)
        return {**words, **money, "side": order["side"], "execTime": now_ms, "isMaker": False, "execType": "Trade"}


KEYS = {"api_key": "k", "api_secret": "s"}


@asynccontextmanager
async def trading(exchange: Exchange, rest_url: str = "") -> AsyncIterator[CcxtVenue]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", exchange.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    clock = SystemClock()
    dialect = UnifiedDialect(
        exchange.name,
        exchange.kind,
        network="testnet",
        **KEYS,
        password="p",  # noqa: S106 - of a double
        recv_window_ms=5_000,
        share=1.0,
        clock=clock,
        rest_url=rest_url or f"http://127.0.0.1:{runner.addresses[0][1]}",
    )
    dialect.wire.timeout_s = 1.0
    venue = CcxtVenue(exchange.name, dialect, clock, recv_window_ms=5_000, set_offset=lambda _: None)
    try:
        await venue.instruments([exchange.symbol])
        yield venue
    finally:
        await venue.close()
        await runner.cleanup()


@pytest.fixture(params=[Kucoin, Bybit], ids=["kucoin", "bybit"])
def exchange(request: pytest.FixtureRequest) -> Exchange:
    made: Exchange = request.param()
    return made


def intent(exchange: Exchange, quantity: str = "0.5", name: str = "kl-7f3a9c-1", **words: object) -> Intent:
    plain = {"client_id": name, "symbol": exchange.symbol, "quantity": Decimal(quantity), "bar_time_ms": 0}
    return Intent(**{**plain, **words})  # type: ignore[arg-type]  # words of Intent


async def test_an_order_is_sent_once_by_our_id_and_its_fills_follow(exchange: Exchange) -> None:
    async with trading(exchange) as venue:
        news = list(await venue.submit(intent(exchange)))
        assert isinstance(news[0], Accepted)
        news += await heard(venue, Traded)  # type: ignore[arg-type]  # news of orders
        assert traded(news) == Decimal("0.5")
        fill = next(item.fill for item in news if isinstance(item, Traded))
        assert (fill.price, fill.fee, fill.fee_asset) == (Decimal(2000), Decimal("0.5"), "USDT")
        (body,) = exchange.bodies
        assert "kl-7f3a9c-1" in body.values()
        account = await venue.account()
        assert account.positions[0].quantity == Decimal("0.5")
        assert account.balances["USDT"] == 1000


async def test_a_lost_answer_is_doubted_sent_once_and_found(exchange: Exchange) -> None:
    exchange.fault = "lost"
    async with trading(exchange) as venue:
        assert [type(item) for item in await venue.submit(intent(exchange))] == [Doubted]
        assert traded(await heard(venue, Traded)) == Decimal("0.5")
        assert len(exchange.bodies) == 1


async def test_an_order_that_never_happened_is_not_found(exchange: Exchange) -> None:
    exchange.fault = "dropped"
    async with trading(exchange) as venue:
        assert [type(item) for item in await venue.submit(intent(exchange))] == [Doubted]
        assert await venue.query("kl-7f3a9c-1", exchange.symbol) == ()


async def test_known_codes_deny_and_unknown_ones_prove_nothing(exchange: Exchange) -> None:
    async with trading(exchange) as venue:
        exchange.code = exchange.good
        assert [type(item) for item in await venue.submit(intent(exchange))] == [Denied]
        exchange.code = "987654"
        assert [type(item) for item in await venue.submit(intent(exchange, name="kl-7f3a9c-2"))] == [Doubted]


async def test_what_fails_before_the_order_itself_is_a_sure_denial(exchange: Exchange) -> None:
    async with trading(exchange) as venue:
        exchange.broken = True
        (answer,) = await venue.submit(intent(exchange))
        assert isinstance(answer, Denied)
        assert exchange.bodies == []
        with pytest.raises(Retryable):
            await venue.account()


async def test_a_flatten_closes_what_is_held(exchange: Exchange) -> None:
    async with trading(exchange) as venue:
        await venue.submit(intent(exchange))
        await venue.submit(intent(exchange, "-0.5", "kl-7f3a9c-f", reduce_only=True, cause=Cause.FLATTEN))
        assert exchange.held == 0
        assert not [p for p in (await venue.account()).positions if p.quantity]
        if exchange.kind is MarketKind.PERP:
            assert exchange.bodies[-1]["reduceOnly"] is True


async def test_the_start_checks_the_key_and_warns_of_what_it_cannot_check(exchange: Exchange) -> None:
    async with trading(exchange) as venue:
        (warning,) = await venue.check([])
        assert "neither withdrawals nor transfers" in warning
        assert abs(venue.offset.offset_ms) < 2_000


async def test_an_exchange_without_a_test_network_needs_an_address() -> None:
    with pytest.raises(ConfigError, match="no test network"):
        UnifiedDialect(
            "kraken",
            MarketKind.SPOT,
            network="testnet",
            **KEYS,
            recv_window_ms=5_000,
            share=1.0,
            clock=SystemClock(),
        )
    await asyncio.sleep(0)
