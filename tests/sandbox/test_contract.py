"""Answers and events held against Binance's documented examples: same fields, same JSON types.

A field that ours has and the example lacks is allowed where Binance added it later; a field that the example has and
ours lacks is a failure, unless it is listed here with the reason.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.shapes import differences


def test_a_difference_is_found() -> None:
    """The judge itself: planted faults."""
    assert differences({"a": 1}, {"a": "1"}) == [".a is number in text here, number there"]
    assert differences({"a": [{"b": True}]}, {"a": [{"b": 0}]}) == [".a[0].b is number here, boolean there"]
    assert differences({"a": 1, "b": 2}, {"a": 1}) == [".b is missing"]
    assert differences({"a": "x"}, {"a": "y", "new": 1}) == []


@pytest.fixture(scope="session")
def futures_example(shared_data: Path) -> Any:
    base = shared_data / "fixtures/nautilus/futures"
    return lambda name: json.loads((base / name).read_text())


PUBLIC = {
    "Check server time": ("/api/v3/time", {}),
    "Exchange information": ("/api/v3/exchangeInfo", {}),
    "Order book": ("/api/v3/depth", {"symbol": "ETHUSDT"}),
    "Recent trades list": ("/api/v3/trades", {"symbol": "ETHUSDT"}),
    "Compressed/Aggregate trades list": ("/api/v3/aggTrades", {"symbol": "ETHUSDT"}),
    "Kline/Candlestick data": ("/api/v3/klines", {"symbol": "ETHUSDT", "interval": "1m"}),
    "Current average price": ("/api/v3/avgPrice", {"symbol": "ETHUSDT"}),
    "24hr ticker price change statistics": ("/api/v3/ticker/24hr", {"symbol": "ETHUSDT"}),
    "Symbol price ticker": ("/api/v3/ticker/price", {"symbol": "ETHUSDT"}),
    "Symbol order book ticker": ("/api/v3/ticker/bookTicker", {"symbol": "ETHUSDT"}),
}


@pytest.mark.parametrize("section", PUBLIC)
async def test_public_answers_are_as_documented(wire: Any, documented: dict[str, list[Any]], section: str) -> None:
    path, params = PUBLIC[section]
    ours = await wire.call("GET", path, **params)
    examples = [each for each in documented[section] if type(each) is type(ours)]
    assert differences(examples[0], ours) == []


async def test_orders_and_queries_are_as_documented(wire: Any, documented: dict[str, list[Any]]) -> None:
    acknowledged, result, full = documented["New order (TRADE)"]
    for kind, example in (("ACK", acknowledged), ("RESULT", result), ("FULL", full)):
        assert differences(example, await wire.market("BUY", "0.1", newOrderRespType=kind)) == []
    order = await wire.limit("BUY", "0.1", "2000")
    about = {"symbol": "ETHUSDT", "orderId": order["orderId"]}
    pairs = [
        ("Query order (USER_DATA)", await wire.signed("GET", "/api/v3/order", **about)),
        ("Current open orders (USER_DATA)", await wire.signed("GET", "/api/v3/openOrders")),
        ("All orders (USER_DATA)", await wire.signed("GET", "/api/v3/allOrders", symbol="ETHUSDT")),
        ("Account trade list (USER_DATA)", await wire.signed("GET", "/api/v3/myTrades", symbol="ETHUSDT")),
        ("Account information (USER_DATA)", await wire.signed("GET", "/api/v3/account")),
        ("Query Unfilled Order Count (USER_DATA)", await wire.signed("GET", "/api/v3/rateLimit/order")),
        (
            "Query Commission Rates (USER_DATA)",
            await wire.signed("GET", "/api/v3/account/commission", symbol="ETHUSDT"),
        ),
        ("Cancel order (TRADE)", await wire.signed("DELETE", "/api/v3/order", **about)),
    ]
    for section, ours in pairs:
        examples = [each for each in documented[section] if type(each) is type(ours)]
        assert differences(examples[0], ours) == [], section


async def test_order_lists_are_as_documented(wire: Any, documented: dict[str, list[Any]]) -> None:
    about = {"symbol": "ETHUSDT", "side": "SELL", "quantity": "0.5", "aboveType": "LIMIT_MAKER", "abovePrice": "2700"}
    stop = {"belowType": "STOP_LOSS_LIMIT", "belowStopPrice": "2300", "belowPrice": "2290", "belowTimeInForce": "GTC"}
    ours = await wire.signed("POST", "/api/v3/orderList/oco", **about, **stop)
    assert differences(documented["New Order list - OCO (TRADE)"][0], ours) == []
    found = await wire.signed("GET", "/api/v3/orderList", orderListId=ours["orderListId"])
    assert differences(documented["Query Order list (USER_DATA)"][0], found) == []
    ended = await wire.signed("DELETE", "/api/v3/orderList", symbol="ETHUSDT", orderListId=ours["orderListId"])
    assert differences(documented["Cancel Order list (TRADE)"][0], ended) == []


async def test_spot_events_are_as_documented(wire: Any, documented: dict[str, list[Any]]) -> None:
    heard: dict[str, Any] = {}
    users = wire.server.exchange.users["spot"]
    tell = users.tell

    def overhear(events: list[Any], now_ms: int) -> None:
        heard.update({event["e"]: event for event in events})
        tell(events, now_ms)

    users.tell = overhear
    await wire.limit("BUY", "0.1", "2000")
    await wire.transfer("spot", "USDT", "5")
    about = {"symbol": "ETHUSDT", "side": "SELL", "quantity": "0.5", "aboveType": "LIMIT_MAKER", "abovePrice": "2700"}
    examples = {
        name: documented[section][0]["event"]
        for name, section in {
            "outboundAccountPosition": "Account Update",
            "balanceUpdate": "Balance Update",
            "executionReport": "Order Update",
        }.items()
    }
    for name, example in examples.items():
        assert differences(example, heard[name]) == [], name
    await wire.signed("POST", "/api/v3/orderList/oco", **about, belowType="STOP_LOSS", belowStopPrice="2300")
    assert differences(documented["Order Reject Reason"][0]["event"], heard["listStatus"]) == []


SPOT_STREAMS = {
    "Aggregate Trade Streams": "aggTrade",
    "Trade Streams": "trade",
    "Kline/Candlestick Streams for UTC": "kline_1m",
    "Individual Symbol Mini Ticker Stream": "miniTicker",
    "Individual Symbol Ticker Streams": "ticker",
    "Individual Symbol Book Ticker Streams": "bookTicker",
    "Partial Book Depth Streams": "depth5",
    "Diff. Depth Stream": "depth",
    "Average Price": "avgPrice",
}


@pytest.mark.parametrize("section", SPOT_STREAMS)
async def test_spot_streams_are_as_documented(wire: Any, documented: dict[str, list[Any]], section: str) -> None:
    async with wire.http.ws_connect(f"{wire.ws}/ws/ethusdt@{SPOT_STREAMS[section]}") as socket:
        await wire.step(5_000)
        ours = await socket.receive_json()
    assert differences(documented[section][0], ours) == []


LATER = {"st", "ps"}  # fields of the merged UM and CM streams; whether live sends them is not known for sure
FUTURES_STREAMS = {
    "agg_trade_stream": "market/ws/ethusdt@aggTrade",
    "book_ticker_stream": "public/ws/ethusdt@bookTicker",
    "depth_update_stream": "public/ws/ethusdt@depth@100ms",
    "kline_stream_open": "market/ws/ethusdt@kline_1m",
    "mark_price_stream": "market/ws/ethusdt@markPrice@1s",
    "ticker_stream": "market/ws/ethusdt@ticker",
    "trade_stream": "public/ws/ethusdt@trade",
}


@pytest.mark.parametrize("name", FUTURES_STREAMS)
async def test_futures_streams_are_as_documented(wire: Any, futures_example: Any, name: str) -> None:
    async with wire.http.ws_connect(f"{wire.ws}/{FUTURES_STREAMS[name]}") as socket:
        await wire.step(5_000)
        ours = await socket.receive_json()
    example = {
        key: value for key, value in futures_example(f"market_data_json/{name}.json").items() if key not in LATER
    }
    assert differences(example, ours) == []


async def test_futures_answers_are_as_documented(wire: Any, futures_example: Any) -> None:
    order = await wire.market("BUY", "1", perp=True)
    found = await wire.signed("GET", "/fapi/v1/order", symbol="ETHUSDT", orderId=order["orderId"])
    assert differences(futures_example("http_json/order_response.json"), found) == []
    for path, example in (
        ("/fapi/v2/account", "account_info_v2"), ("/fapi/v2/balance", "balance"),
        ("/fapi/v2/positionRisk", "position_risk"),
    ):  # fmt: skip
        assert differences(futures_example(f"http_json/{example}.json"), await wire.signed("GET", path)) == [], path
    await wire.signed(
        "POST", "/fapi/v1/algoOrder", algoType="CONDITIONAL", symbol="ETHUSDT", side="SELL", type="STOP_MARKET",
        quantity="1", triggerPrice="2000",
    )  # fmt: skip
    example = futures_example("http_json/open_algo_orders.json")
    for each in example:
        each["orderType"] = each.pop("type")  # the copy names it so; the SDK's schema says orderType
    assert differences(example, await wire.signed("GET", "/fapi/v1/openAlgoOrders")) == []


async def test_futures_events_are_as_documented(wire: Any, futures_example: Any) -> None:
    key = (await wire.call("POST", "/fapi/v1/listenKey"))["listenKey"]
    async with wire.http.ws_connect(f"{wire.ws}/private/ws?listenKey={key}") as socket:
        await wire.market("BUY", "1", perp=True)
        heard = [await socket.receive_json() for _ in range(4)]
        await wire.signed(
            "POST", "/fapi/v1/algoOrder", algoType="CONDITIONAL", symbol="ETHUSDT", side="SELL", type="STOP_MARKET",
            quantity="1", triggerPrice="2000",
        )  # fmt: skip
        heard.append(await socket.receive_json())
    trailing = {"AP", "cr"}  # only of trailing stops
    for ours, name in zip(
        heard,
        ("order_update_new", "order_update_trade", "trade_lite", "account_update", "algo_update_new"),
        strict=True,
    ):
        example = futures_example(f"user_data_json/{name}.json")
        wanted = [line for line in differences(example, ours) if line.rpartition(".")[2].split()[0] not in trailing]
        assert wanted == [], name


async def test_refusals_are_in_the_documented_words(wire: Any, shared_data: Path) -> None:
    """Every code that these calls provoke stands in Binance's own list, and so do the filter's sentences."""
    listed = (shared_data / "fixtures/binance_docs/spot_errors.csv").read_text()
    tables = (shared_data / "fixtures/binance_docs/spot_errors_tables.csv").read_text()
    answers = [
        await wire.limit("BUY", "0.1", "2000.001"),
        await wire.limit("BUY", "0.00001", "2000"),
        await wire.limit("BUY", "100", "2000"),
        await wire.signed("DELETE", "/api/v3/order", symbol="ETHUSDT", orderId=99),
    ]
    for answer in answers:
        assert f"\n{answer['code']}," in listed
        assert answer["msg"] in tables
    for answer in (
        await wire.signed("GET", "/api/v3/order", symbol="ETHUSDT", orderId=99),
        await wire.call("GET", "/api/v3/klines", symbol="ETHUSDT", interval="7m"),
        await wire.call("GET", "/api/v3/klines", symbol="X", interval="1m"),
    ):
        assert f"{answer['code']}," in listed
        assert answer["msg"] in listed
