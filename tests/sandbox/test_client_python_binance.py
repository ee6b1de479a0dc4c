"""Unmodified python-binance: REST, the websocket API, market and user sockets, futures."""

import asyncio
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest

with warnings.catch_warnings():  # it imports names that websockets is about to drop
    warnings.simplefilter("ignore", DeprecationWarning)
    from binance import AsyncClient, BinanceSocketManager

from klined.sandbox.server import SandboxServer
from klined.sandbox.settings import DEMO_KEY, DEMO_SECRET, SandboxSettings

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:binance", "ignore::DeprecationWarning:websockets")


@pytest.fixture
def settings() -> SandboxSettings:
    return SandboxSettings(port=0, history=200, step_ms=50)


@pytest.fixture
async def client(server: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    http, ws = f"http://127.0.0.1:{server.port}", f"ws://127.0.0.1:{server.port}"
    addresses = {"API_URL": "/api", "FUTURES_URL": "/fapi", "MARGIN_API_URL": "/sapi"}
    for name, path in addresses.items():
        monkeypatch.setattr(AsyncClient, name, http + path)
    monkeypatch.setattr(AsyncClient, "WS_API_URL", f"{ws}/ws-api/v3")
    monkeypatch.setattr(AsyncClient, "WS_FUTURES_URL", f"{ws}/ws-fapi/v1")
    for name in ("STREAM_URL", "FSTREAM_URL"):
        monkeypatch.setattr(BinanceSocketManager, name, f"{ws}/")
    async with asyncio.timeout(60):
        client = await AsyncClient.create(DEMO_KEY, DEMO_SECRET)
        yield client
        await client.close_connection()


async def test_spot_rest_does_what_a_bot_author_asks(client: Any) -> None:
    assert (await client.get_symbol_info("ETHUSDT"))["baseAsset"] == "ETH"
    assert len(await client.get_historical_klines("ETHUSDT", "1m", "2 hours ago UTC")) in {120, 121}
    assert (await client.get_account_api_permissions())["enableWithdrawals"] is False
    bought = await client.order_market_buy(symbol="ETHUSDT", quantity=0.1)
    assert bought["status"] == "FILLED"
    assert sum(float(fill["qty"]) for fill in bought["fills"]) == pytest.approx(0.1)
    spent = await client.order_market_buy(symbol="ETHUSDT", quoteOrderQty=100)
    assert 99 < float(spent["cummulativeQuoteQty"]) <= 100
    resting = await client.order_limit_buy(symbol="ETHUSDT", quantity=0.1, price="2000")
    about = {"symbol": "ETHUSDT", "orderId": resting["orderId"]}
    assert (await client.get_order(**about))["status"] == "NEW"
    assert (await client.cancel_order(**about))["status"] == "CANCELED"
    oco = await client.create_oco_order(
        symbol="ETHUSDT", side="SELL", quantity=0.1, aboveType="LIMIT_MAKER", abovePrice="3000",
        belowType="STOP_LOSS_LIMIT", belowPrice="1900", belowStopPrice="2000", belowTimeInForce="GTC",
    )  # fmt: skip
    assert len(oco["orderReports"]) == len(await client.get_open_orders(symbol="ETHUSDT")) == 2
    assert len(await client.cancel_all_open_orders(symbol="ETHUSDT")) == 1
    assert await client.create_test_order(symbol="ETHUSDT", side="SELL", type="MARKET", quantity=0.1) == {}
    assert len(await client.get_my_trades(symbol="ETHUSDT")) == 2
    assert (await client.get_asset_balance("USDT"))["locked"] == "0.00000000"


async def test_futures_rest_does_what_a_bot_author_asks(client: Any) -> None:
    assert (await client.futures_change_leverage(symbol="ETHUSDT", leverage=7))["leverage"] == 7
    await client.futures_change_margin_type(symbol="ETHUSDT", marginType="ISOLATED")
    await client.futures_create_order(symbol="ETHUSDT", side="BUY", type="MARKET", quantity=0.5)
    (position,) = await client.futures_position_information(symbol="ETHUSDT")
    assert position["positionAmt"] == "0.500"
    stop = await client.futures_create_order(
        symbol="ETHUSDT", side="SELL", type="STOP_MARKET", stopPrice="2000", closePosition=True
    )
    assert (stop["algoStatus"], stop["triggerPrice"]) == ("NEW", "2000.00")
    assert await client.futures_get_open_orders(symbol="ETHUSDT") == []
    assert len(await client.futures_get_open_orders(symbol="ETHUSDT", conditional=True)) == 1
    await client.futures_cancel_all_algo_open_orders(symbol="ETHUSDT")
    assert await client.futures_get_open_orders(symbol="ETHUSDT", conditional=True) == []
    assert (await client.futures_countdown_cancel_all(symbol="ETHUSDT", countdownTime=120000))["symbol"] == "ETHUSDT"
    closed = await client.futures_create_order(
        symbol="ETHUSDT", side="SELL", type="MARKET", quantity=0.5, reduceOnly=True, newOrderRespType="RESULT"
    )
    assert closed["status"] == "FILLED"
    assert len(await client.futures_account_trades(symbol="ETHUSDT")) == 2
    assert {entry["incomeType"] for entry in await client.futures_income_history()} >= {"COMMISSION"}
    assert (await client.futures_get_position_mode())["dualSidePosition"] is False
    assert float((await client.futures_mark_price(symbol="ETHUSDT"))["markPrice"]) > 0
    assert (await client.futures_leverage_bracket(symbol="ETHUSDT"))[0]["brackets"][0]["bracket"] == 1


async def test_the_websocket_api_places_queries_and_cancels(client: Any) -> None:
    assert (await client.ws_create_order(symbol="ETHUSDT", side="BUY", type="MARKET", quantity=0.1))[
        "status"
    ] == "FILLED"
    order = await client.ws_create_order(
        symbol="ETHUSDT", side="BUY", type="LIMIT", timeInForce="GTC", price="2000", quantity="0.1"
    )
    assert (await client.ws_get_order(symbol="ETHUSDT", orderId=order["orderId"]))["status"] == "NEW"
    assert (await client.ws_cancel_order(symbol="ETHUSDT", orderId=order["orderId"]))["status"] == "CANCELED"
    await client.ws_futures_create_order(symbol="ETHUSDT", side="SELL", type="MARKET", quantity=0.5)
    held = {each["symbol"]: each["positionAmt"] for each in await client.ws_futures_account_position()}
    assert held["ETHUSDT"] == "-0.500"


@pytest.mark.parametrize(
    ("make", "event"),
    [
        (lambda sockets: sockets.kline_socket("ETHUSDT", "1m"), "kline"),
        (lambda sockets: sockets.aggtrade_socket("ETHUSDT"), "aggTrade"),
        (lambda sockets: sockets.kline_futures_socket("ETHUSDT"), "continuous_kline"),
        (lambda sockets: sockets.multiplex_socket(["ethusdt@kline_1m"]), "kline"),
        (lambda sockets: sockets.futures_multiplex_socket(["ethusdt@markPrice"]), "markPriceUpdate"),
        (lambda sockets: sockets.symbol_ticker_futures_socket("ETHUSDT"), "bookTicker"),
    ],
)
async def test_market_sockets_deliver_their_events(client: Any, make: Any, event: str) -> None:
    async with make(BinanceSocketManager(client)) as socket:
        message = await socket.recv()
    assert message.get("data", message)["e"] == event


async def test_user_sockets_hear_of_fills(client: Any) -> None:
    sockets = BinanceSocketManager(client)
    async with sockets.user_socket() as socket:
        await client.order_market_buy(symbol="ETHUSDT", quantity=0.1)
        heard = [await socket.recv() for _ in range(3)]
        assert [(each["e"], each.get("x")) for each in heard] == [
            ("executionReport", "NEW"), ("outboundAccountPosition", None), ("executionReport", "TRADE"),
        ]  # fmt: skip
    async with sockets.futures_user_socket() as socket:
        await client.futures_create_order(symbol="ETHUSDT", side="BUY", type="MARKET", quantity=0.5)
        heard = [await socket.recv() for _ in range(4)]
        assert [each["e"] for each in heard] == [
            "ORDER_TRADE_UPDATE",
            "ORDER_TRADE_UPDATE",
            "TRADE_LITE",
            "ACCOUNT_UPDATE",
        ]
