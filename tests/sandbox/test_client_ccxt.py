"""Unmodified ccxt trades on the sandbox: REST, and ccxt.pro's streams."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import ccxt.async_support as ccxt
import ccxt.pro
import pytest

from klined.sandbox.server import SandboxServer
from klined.sandbox.settings import DEMO_KEY, DEMO_SECRET, SandboxSettings
from sandbox.wire import until

SPOT, SWAP = "ETH/USDT", "ETH/USDT:USDT"


def pointed(exchange: Any, port: int) -> Any:
    """Every address of the exchange on loopback; nothing else of the client is touched."""

    def moved(url: Any) -> Any:
        if isinstance(url, dict):
            return {name: moved(each) for name, each in url.items()}
        scheme, _, rest = url.partition("://")
        path = "/" + rest.partition("/")[2] if "/" in rest else ""
        host = rest.partition(".")[0]
        if host in {"stream", "fstream"}:  # ccxt tells spot streams by this word in the address
            path = f"/{host}{path}"
        return f"{'ws' if scheme == 'wss' else 'http'}://127.0.0.1:{port}{path}"

    exchange.urls["api"] = moved(exchange.urls["api"])
    return exchange


@pytest.fixture
def settings() -> SandboxSettings:
    return SandboxSettings(port=0, history=200, step_ms=50)


@pytest.fixture
async def exchange(server: SandboxServer) -> AsyncIterator[Any]:
    types = {"fetchMarkets": {"types": ["spot", "linear"]}}
    client = pointed(ccxt.pro.binance({"apiKey": DEMO_KEY, "secret": DEMO_SECRET, "options": types}), server.port)
    yield client
    await client.close()


async def test_markets_and_klines_are_what_ccxt_expects(exchange: Any) -> None:
    markets = await exchange.load_markets()
    assert set(markets) == {"BTC/USDT", "ETH/USDT", "BTC/USDT:USDT", "ETH/USDT:USDT"}
    assert markets[SPOT]["limits"]["cost"]["min"] == 5
    assert markets[SWAP]["precision"] == {**markets[SWAP]["precision"], "amount": 0.001, "price": 0.01}
    for symbol in (SPOT, SWAP):
        rows = await exchange.fetch_ohlcv(symbol, "1m", limit=100)
        assert len(rows) == 100
        assert all(later[0] - earlier[0] == 60_000 for earlier, later in pairwise(rows))
        hours = await exchange.fetch_ohlcv(symbol, "1h", limit=2)
        assert hours[1][0] - hours[0][0] == 3_600_000
    book = await exchange.fetch_order_book(SPOT, 5)
    assert book["bids"][0][0] < book["asks"][0][0]
    bid = (await exchange.fetch_ticker(SPOT))["bid"]
    assert bid == pytest.approx(book["bids"][0][0], rel=1e-3)  # the market has moved on between the two calls


async def test_ccxt_trades_on_spot_markets(exchange: Any, server: SandboxServer) -> None:
    bought = await exchange.create_order(SPOT, "market", "buy", 0.1)
    assert (bought["status"], bought["filled"]) == ("closed", 0.1)
    assert bought["fees"] == [{"currency": "ETH", "cost": 0.0001}]
    resting = await exchange.create_order(SPOT, "limit", "buy", 0.1, 1500)
    assert (await exchange.fetch_order(resting["id"], SPOT))["status"] == "open"
    balance = await exchange.fetch_balance()
    assert balance["USDT"]["used"] == 150
    assert balance["ETH"]["total"] == pytest.approx(1.0999)
    assert [order["id"] for order in await exchange.fetch_open_orders(SPOT)] == [resting["id"]]
    assert (await exchange.cancel_order(resting["id"], SPOT))["status"] == "canceled"
    stop = await exchange.create_order(SPOT, "STOP_LOSS_LIMIT", "sell", 0.1, 1400, {"stopPrice": 1500})
    assert (await exchange.fetch_order(None, SPOT, {"clientOrderId": stop["clientOrderId"]}))["triggerPrice"] == 1500
    assert len(await exchange.cancel_all_orders(SPOT)) == 1
    assert len(await exchange.fetch_my_trades(SPOT)) == 1
    assert server.exchange.spot.totals["ETH"] == pytest.approx(server.exchange.spot.balance("ETH").free)


async def test_ccxt_trades_on_perpetual_markets(exchange: Any, server: SandboxServer) -> None:
    await exchange.set_leverage(5, SWAP)
    await exchange.set_margin_mode("isolated", SWAP)
    opened = await exchange.create_order(SWAP, "market", "buy", 0.5)
    assert opened["filled"] == 0.5
    (position,) = await exchange.fetch_positions([SWAP])
    assert (position["contracts"], position["side"], position["marginMode"]) == (0.5, "long", "isolated")
    assert 0 < position["liquidationPrice"] < position["entryPrice"]
    stop = await exchange.create_order(SWAP, "market", "sell", 0.5, None, {"stopLossPrice": 1500, "reduceOnly": True})
    found = await exchange.fetch_order(None, SWAP, {"clientOrderId": stop["clientOrderId"], "trigger": True})
    assert (found["status"], found["triggerPrice"]) == ("open", 1500)
    assert await exchange.fetch_open_orders(SWAP) == []
    assert len(await exchange.fetch_open_orders(SWAP, params={"trigger": True})) == 1
    await exchange.cancel_all_orders(SWAP, {"trigger": True})
    assert await exchange.fetch_open_orders(SWAP, params={"trigger": True}) == []
    closed = await exchange.create_order(SWAP, "market", "sell", 0.5, None, {"reduceOnly": True})
    assert closed["status"] == "closed"
    assert server.exchange.perp.holdings.positions() == []
    assert len(await exchange.fetch_my_trades(SWAP)) == 2
    assert (await exchange.fetch_balance({"type": "swap"}))["USDT"]["total"] < 10_000
    assert await exchange.fetch_funding_history(SWAP) == []


async def test_ccxt_recognises_what_a_refusal_means(exchange: Any) -> None:
    with pytest.raises(ccxt.InvalidOrder):
        await exchange.create_order(SPOT, "market", "buy", 100_000)
    with pytest.raises(ccxt.InsufficientFunds):
        await exchange.create_order(SPOT, "limit", "buy", 100, 2000)
    with pytest.raises(ccxt.OrderNotFound):
        await exchange.fetch_order("999", SPOT)


@pytest.mark.parametrize("symbol", [SPOT, SWAP])
async def test_ccxt_pro_watches_the_market(exchange: Any, symbol: str) -> None:
    async with asyncio.timeout(20):
        bars = await exchange.watch_ohlcv(symbol, "1m")
        assert bars[-1][1] > 0
        ticker = await exchange.watch_bids_asks([symbol])
        assert ticker[symbol]["bid"] < ticker[symbol]["ask"]
        trades = await exchange.watch_trades(symbol)
        assert trades[-1]["price"] > 0


@pytest.mark.parametrize("symbol", [SPOT, SWAP])
async def test_ccxt_pro_hears_of_its_orders(exchange: Any, server: SandboxServer, symbol: str) -> None:
    kind = {"type": "spot" if symbol == SPOT else "swap"}
    await exchange.load_markets()
    users = server.exchange.users["spot" if symbol == SPOT else "perp"]
    async with asyncio.timeout(20):
        watching = asyncio.ensure_future(exchange.watch_orders(symbol, params=kind))
        await until(lambda: bool(users._subscriptions or any(users._listeners.values())))
        order = await exchange.create_order(symbol, "limit", "buy", 0.1, 2400)
        heard = await watching
        assert heard[-1]["id"] == order["id"]
        assert heard[-1]["status"] == "open"
