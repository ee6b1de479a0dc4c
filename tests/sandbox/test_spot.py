"""Spot orders as Binance treats them: fills, rests, triggers, lists, refusals. The ledger is the judge."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


async def balances(wire: Any) -> dict[str, float]:
    """Totals by asset."""
    held = (await wire.truth())["spot"]["balances"]
    return {asset: float(each["free"]) + float(each["locked"]) for asset, each in held.items()}


async def placed(wire: Any, kind: str, side: str = "SELL", quantity: str = "0.1", **more: Any) -> Any:
    return await wire.signed("POST", "/api/v3/order", symbol="ETHUSDT", side=side, type=kind, quantity=quantity, **more)


async def status(wire: Any, number: int) -> str:
    return str((await wire.signed("GET", "/api/v3/order", symbol="ETHUSDT", orderId=number))["status"])


async def test_a_market_order_walks_the_book_and_pays_its_fee(wire: Any) -> None:
    book = await wire.call("GET", "/api/v3/depth", symbol="ETHUSDT", limit=3)
    first = float(book["asks"][0][1])
    await wire.transfer("spot", "USDT", "1000000")
    order = await wire.market("BUY", f"{first + 1:.4f}")
    assert [fill["price"] for fill in order["fills"]] == [ask[0] for ask in book["asks"][:2]]
    cost = sum(float(fill["price"]) * float(fill["qty"]) for fill in order["fills"])
    held = await balances(wire)
    assert held["USDT"] == pytest.approx(1_010_000 - cost)
    assert held["ETH"] == pytest.approx(1 + (first + 1) * 0.999)
    again = await wire.call("GET", "/api/v3/depth", symbol="ETHUSDT", limit=1)
    assert again["asks"][0][0] == book["asks"][1][0]  # what was taken is gone until the market moves


async def test_a_market_order_larger_than_the_book_expires_in_part(wire: Any) -> None:
    await wire.transfer("spot", "ETH", "100000")
    await wire.arm("rules", rules={"quantity_max": "100000"})
    order = await wire.market("SELL", "50000")
    assert (order["status"], order["expiryReason"]) == ("EXPIRED", "INSUFFICIENT_LIQUIDITY")
    assert 0 < float(order["executedQty"]) < 50_000


async def test_a_limit_order_rests_until_the_price_comes(wire: Any) -> None:
    order = await wire.limit("BUY", "0.1", "2300")
    assert order["status"] == "NEW"
    assert (await wire.truth())["spot"]["balances"]["USDT"]["locked"] == "230.0"
    await wire.shock(0.9)
    trades = await wire.signed("GET", "/api/v3/myTrades", symbol="ETHUSDT")
    assert [(trade["price"], trade["isMaker"]) for trade in trades] == [("2300.00000000", True)]
    assert await status(wire, order["orderId"]) == "FILLED"


async def test_a_crossing_limit_order_takes_and_the_rest_stays(wire: Any) -> None:
    book = await wire.call("GET", "/api/v3/depth", symbol="ETHUSDT", limit=1)
    price, size = book["asks"][0]
    await wire.transfer("spot", "USDT", "1000000")
    order = await wire.limit("BUY", f"{float(size) + 2:.4f}", price)
    assert order["status"] == "PARTIALLY_FILLED"
    assert float(order["executedQty"]) == pytest.approx(float(size))


@pytest.mark.parametrize(("tif", "expected"), [("IOC", "EXPIRED"), ("FOK", "EXPIRED"), ("GTC", "NEW")])
async def test_time_in_force_is_kept(wire: Any, tif: str, expected: str) -> None:
    assert (await wire.limit("BUY", "0.1", "2300", timeInForce=tif))["status"] == expected


async def test_limit_makers_never_take(wire: Any) -> None:
    answer = await placed(wire, "LIMIT_MAKER", "BUY", price="2600")
    assert (answer["code"], answer["msg"]) == (-2010, "Order would immediately match and take.")
    assert "orderId" in await placed(wire, "LIMIT_MAKER", "BUY", price="2300")


@pytest.mark.parametrize(("kind", "stop", "factor"), [("STOP_LOSS", "2400", 0.95), ("TAKE_PROFIT", "2600", 1.05)])
async def test_stops_wait_then_sell_at_the_market(wire: Any, kind: str, stop: str, factor: float) -> None:
    order = await placed(wire, kind, stopPrice=stop)
    assert await status(wire, order["orderId"]) == "NEW"
    await wire.shock(factor)
    assert await status(wire, order["orderId"]) == "FILLED"


async def test_a_stop_on_the_wrong_side_is_refused(wire: Any) -> None:
    assert (await placed(wire, "STOP_LOSS", stopPrice="2600"))["msg"] == "Order would trigger immediately."


async def test_a_stop_limit_rests_at_its_price_once_triggered(wire: Any) -> None:
    order = await placed(wire, "STOP_LOSS_LIMIT", stopPrice="2400", price="2390", timeInForce="GTC")
    await wire.shock(0.92)  # far below: triggered on the way, and sold no worse than its limit
    (trade,) = await wire.signed("GET", "/api/v3/myTrades", symbol="ETHUSDT", orderId=order["orderId"])
    assert float(trade["price"]) >= 2390


async def test_a_trailing_stop_follows_the_highest_price(wire: Any) -> None:
    order = await placed(wire, "STOP_LOSS", trailingDelta=500)  # 5 %
    await wire.shock(1.10)
    await wire.shock(0.97)
    assert await status(wire, order["orderId"]) == "NEW"
    await wire.shock(0.96)
    assert await status(wire, order["orderId"]) == "FILLED"


async def test_one_leg_of_an_oco_list_ends_the_other(wire: Any) -> None:
    about = {"symbol": "ETHUSDT", "side": "SELL", "quantity": "0.5", "aboveType": "LIMIT_MAKER", "abovePrice": "2700"}
    oco = await wire.signed("POST", "/api/v3/orderList/oco", **about, belowType="STOP_LOSS", belowStopPrice="2300")
    assert oco["listOrderStatus"] == "EXECUTING"
    assert (await wire.truth())["spot"]["balances"]["ETH"]["locked"] == "0.5"  # once, not twice
    await wire.shock(1.1)
    states = {report["type"]: await status(wire, report["orderId"]) for report in oco["orderReports"]}
    assert states["STOP_LOSS"] == "EXPIRED"
    assert states["LIMIT_MAKER"] in {"FILLED", "PARTIALLY_FILLED"}
    listed = await wire.signed("GET", "/api/v3/orderList", orderListId=oco["orderListId"])
    assert listed["listOrderStatus"] == "ALL_DONE"


async def test_cancelling_one_leg_cancels_the_list(wire: Any) -> None:
    about = {"symbol": "ETHUSDT", "side": "SELL", "quantity": "0.5", "aboveType": "LIMIT_MAKER", "abovePrice": "2700"}
    oco = await wire.signed("POST", "/api/v3/orderList/oco", **about, belowType="STOP_LOSS", belowStopPrice="2300")
    number = oco["orderReports"][0]["orderId"]
    cancelled = await wire.signed("DELETE", "/api/v3/order", symbol="ETHUSDT", orderId=number)
    assert cancelled["listOrderStatus"] == "ALL_DONE"
    assert await wire.signed("GET", "/api/v3/openOrders") == []


async def test_legs_the_wrong_way_round_are_refused(wire: Any) -> None:
    about = {"symbol": "ETHUSDT", "side": "SELL", "quantity": "0.5", "aboveType": "LIMIT_MAKER", "abovePrice": "2000"}
    oco = await wire.signed("POST", "/api/v3/orderList/oco", **about, belowType="STOP_LOSS", belowStopPrice="2300")
    assert oco["msg"] == "The relationship of the prices for the orders is not correct."


async def test_client_ids_are_unique_among_open_orders_only(wire: Any) -> None:
    first = await wire.market("BUY", "0.1", newClientOrderId="again")
    second = await wire.market("BUY", "0.1", newClientOrderId="again")
    assert first["orderId"] != second["orderId"]  # a filled order's id is free: it bought twice
    await wire.limit("BUY", "0.1", "2300", newClientOrderId="open")
    answer = await wire.limit("BUY", "0.1", "2300", newClientOrderId="open")
    assert (answer["code"], answer["msg"]) == (-2010, "Duplicate order sent.")
    found = await wire.signed("GET", "/api/v3/order", symbol="ETHUSDT", origClientOrderId="again")
    assert found["orderId"] == second["orderId"]


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"symbol": "NOTHING"}, -1121, "Invalid symbol."),
        ({"side": "HOLD"}, -1117, "Invalid side."),
        ({"type": "GUESS"}, -1116, "Invalid orderType."),
        ({"timeInForce": "NOW"}, -1115, "Invalid timeInForce."),
        ({"quantity": "-1"}, -1100, "Illegal characters found in parameter 'quantity'"),
        ({"quantity": "0"}, -1102, "Mandatory parameter 'quantity'"),
        ({"price": "x"}, -1100, "Illegal characters found in parameter 'price'"),
        ({"price": "2000.001"}, -1013, "Filter failure: PRICE_FILTER"),
        ({"price": "99999"}, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        ({"quantity": "0.00001"}, -1013, "Filter failure: LOT_SIZE"),
        ({"quantity": "0.001"}, -1013, "Filter failure: NOTIONAL"),
        ({"quantity": "100"}, -2010, "Account has insufficient balance for requested action."),
        ({"newClientOrderId": "a b"}, -1100, "Illegal characters found in parameter 'newClientOrderId'"),
        ({"newClientOrderId": "a" * 37}, -1100, "Illegal characters found in parameter 'newClientOrderId'"),
        ({"stopPrice": "2100"}, -1106, "Parameter 'stopPrice' sent when not required."),
        ({"newOrderRespType": "LOUD"}, -1130, "Data sent for parameter 'newOrderRespType' is not valid."),
    ],
)
async def test_bad_orders_are_refused_in_binances_words(
    wire: Any, change: dict[str, str], code: int, message: str
) -> None:
    order = {"symbol": "ETHUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1"}
    answer = await wire.signed("POST", "/api/v3/order", **{**order, "price": "2000", **change})
    assert answer["code"] == code
    assert answer["msg"].startswith(message)
    assert (await wire.truth())["spot"]["orders"] == []


@pytest.mark.parametrize(("kind", "fields"), [("ACK", 5), ("RESULT", 16), ("FULL", 17)])
async def test_answers_are_as_long_as_asked_for(wire: Any, kind: str, fields: int) -> None:
    order = await wire.market("BUY", "0.1", newOrderRespType=kind)
    assert len(order) == fields


async def test_a_cancelled_order_frees_what_it_held(wire: Any) -> None:
    order = await wire.limit("BUY", "1", "2000", newClientOrderId="mine")
    cancelled = await wire.signed("DELETE", "/api/v3/order", symbol="ETHUSDT", origClientOrderId="mine")
    assert (cancelled["status"], cancelled["orderId"]) == ("CANCELED", order["orderId"])
    assert float((await wire.truth())["spot"]["balances"]["USDT"]["locked"]) == 0
    again = await wire.signed("DELETE", "/api/v3/order", symbol="ETHUSDT", origClientOrderId="mine")
    assert (again["code"], again["msg"]) == (-2011, "Unknown order sent.")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["BUY", "SELL"]), st.integers(1, 30), st.integers(-3, 3)), max_size=12))
async def test_the_ledger_conserves_whatever_happens(wire: Any, wishes: list[tuple[str, int, int]]) -> None:
    """Totals = what there was + all trades - all fees, after any orders and prices."""
    before = await balances(wire)
    seen = len((await wire.truth())["spot"]["trades"])
    for side, lots, percent in wishes:
        price = await wire.price() * (1 + percent / 100)
        await wire.limit(side, f"{lots / 100:.2f}", f"{price:.2f}")
        await wire.step(7_000)
    trades = (await wire.truth())["spot"]["trades"][seen:]
    for trade in trades:
        sign = 1 if trade["buy"] else -1
        before["ETH"] += sign * float(trade["quantity"])
        before["USDT"] -= sign * float(trade["quantity"]) * float(trade["price"])
        before[trade["fee_asset"]] -= float(trade["fee"])
    after = await balances(wire)
    assert after == pytest.approx(before)
