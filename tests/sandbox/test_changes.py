"""Futures orders that are changed where they stand, prices that follow the book, margin that is moved."""

import json
from typing import Any

import pytest

from sandbox.wire import Wire

ABOUT = {"symbol": "ETHUSDT", "side": "BUY"}


async def modified(wire: Wire, number: int, quantity: str, price: str, **more: Any) -> Any:
    return await wire.signed(
        "PUT", "/fapi/v1/order", **{**ABOUT, "orderId": number, "quantity": quantity, "price": price, **more}
    )


async def on_ledger(wire: Wire, number: int) -> Any:
    return next(order for order in (await wire.truth())["perp"]["orders"] if order["number"] == number)


async def test_a_modified_order_has_another_price_and_the_end_of_the_queue(wire: Wire) -> None:
    key = (await wire.call("POST", "/fapi/v1/listenKey"))["listenKey"]
    order = await wire.limit("BUY", "1", "2450", perp=True)
    async with wire.http.ws_connect(f"{wire.ws}/private/ws?listenKey={key}") as socket:
        answer = await modified(wire, order["orderId"], "2", "2440", modifyId="5")
        event = (await socket.receive_json())["o"]
    assert (answer["status"], answer["price"], answer["origQty"], answer["modifyId"]) == ("NEW", "2440.00", "2.000", 5)
    assert (event["x"], event["X"], event["p"], event["q"]) == ("AMENDMENT", "NEW", "2440.00", "2.000")
    await modified(wire, order["orderId"], "2", "2430")
    history = await wire.signed("GET", "/fapi/v1/orderAmendment", symbol="ETHUSDT", orderId=order["orderId"])
    assert [(each["amendment"]["count"], each["amendment"]["price"]) for each in history] == [
        (2, {"before": "2440.00", "after": "2430.00"}), (1, {"before": "2450.00", "after": "2440.00"}),
    ]  # fmt: skip
    taken = await modified(wire, order["orderId"], "2", "2600")
    assert taken["status"] == "FILLED"


@pytest.mark.parametrize(
    ("quantity", "price", "more", "code"),
    [
        ("1", "2450", {}, -5027), ("1", "2450.001", {}, -4014), ("500", "2440", {}, -2019),
        ("2", "2440", {"reduceOnly": "true"}, -5047), ("2", "2440", {"side": "SELL"}, -1130),
        ("2", "2440", {"orderId": 99}, -2013), ("2", "2440", {"priceMatch": "QUEUE"}, -1106),
    ],
)  # fmt: skip
async def test_a_modification_that_cannot_be_changes_nothing(
    wire: Wire, quantity: str, price: str, more: dict[str, Any], code: int
) -> None:
    order = await wire.limit("BUY", "1", "2450", perp=True)
    assert (await modified(wire, order["orderId"], quantity, price, **more))["code"] == code
    kept = await on_ledger(wire, order["orderId"])
    assert (kept["quantity"], kept["price"], kept["status"]) == ("1", "2450", "NEW")


async def test_a_post_only_order_that_would_take_is_cancelled(wire: Wire) -> None:
    order = await wire.limit("BUY", "1", "2450", perp=True, timeInForce="GTX")
    assert (await modified(wire, order["orderId"], "1", "2600"))["status"] == "CANCELED"


async def test_several_orders_are_modified_at_once(wire: Wire) -> None:
    orders = [await wire.limit("BUY", "1", "2450", perp=True) for _ in range(2)]
    wishes = [{**ABOUT, "orderId": order["orderId"], "quantity": "2", "price": "2440"} for order in orders]
    wishes.append({**ABOUT, "orderId": 99, "quantity": "2", "price": "2440"})
    answers = await wire.signed("PUT", "/fapi/v1/batchOrders", batchOrders=json.dumps(wishes))
    assert [answer.get("price", answer.get("code")) for answer in answers] == ["2440.00", "2440.00", -2013]


async def test_batches_of_cancels_are_lists_of_a_bounded_length(wire: Wire) -> None:
    order = await wire.limit("BUY", "1", "2450", perp=True)
    for sent, code in (("[1", -1130), (json.dumps(list(range(1, 12))), -4083), ("[]", -4083)):
        about = {"symbol": "ETHUSDT", "orderIdList": sent}
        assert (await wire.signed("DELETE", "/fapi/v1/batchOrders", **about))["code"] == code
    about = {"symbol": "ETHUSDT", "orderIdList": json.dumps([str(order["orderId"])])}
    assert [each["status"] for each in await wire.signed("DELETE", "/fapi/v1/batchOrders", **about)] == ["CANCELED"]


@pytest.mark.parametrize(
    ("match", "side", "level"), [("OPPONENT", "asks", 1), ("OPPONENT_5", "asks", 5), ("QUEUE", "bids", 1)]
)
async def test_a_price_may_be_that_of_the_book(wire: Wire, match: str, side: str, level: int) -> None:
    book = await wire.call("GET", "/fapi/v1/depth", symbol="ETHUSDT", limit=10)
    about = {**ABOUT, "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1", "priceMatch": match}
    order = await wire.signed("POST", "/fapi/v1/order", **about)
    assert (order["price"], order["priceMatch"]) == (book[side][level - 1][0], match)
    assert (await wire.signed("POST", "/fapi/v1/order", **about, price="2500"))["code"] == -1106
    assert (await wire.signed("POST", "/fapi/v1/order", **{**about, "priceMatch": "BEST"}))["code"] == -5037


async def test_margin_goes_into_an_isolated_position_and_out_again(wire: Wire) -> None:
    path = "/fapi/v1/positionMargin"
    assert (await wire.signed("POST", path, symbol="ETHUSDT", amount="10", type=1))["code"] == -4053
    await wire.signed("POST", "/fapi/v1/marginType", symbol="ETHUSDT", marginType="ISOLATED")
    assert (await wire.signed("POST", path, symbol="ETHUSDT", amount="10", type=1))["code"] == -4054
    await wire.market("BUY", "1", perp=True)

    async def margin() -> float:
        return float((await wire.signed("GET", "/fapi/v3/positionRisk", symbol="ETHUSDT"))[0]["isolatedWallet"])

    before = await margin()
    answer = await wire.signed("POST", path, symbol="ETHUSDT", amount="10", type=1)
    assert (answer["code"], answer["amount"], answer["type"]) == (200, 10.0, 1)
    assert await margin() == pytest.approx(before + 10)
    assert (await wire.signed("POST", path, symbol="ETHUSDT", amount="1000000", type=1))["code"] == -4050
    assert (await wire.signed("POST", path, symbol="ETHUSDT", amount="100", type=2))["code"] == -4051
    await wire.signed("POST", path, symbol="ETHUSDT", amount="5", type=2)
    history = await wire.signed("GET", f"{path}/history", symbol="ETHUSDT")
    assert [(each["type"], each["amount"]) for each in history] == [(1, "10.00000000"), (2, "5.00000000")]


async def test_another_leverage_is_told_to_the_user_stream(wire: Wire) -> None:
    key = (await wire.call("POST", "/fapi/v1/listenKey"))["listenKey"]
    async with wire.http.ws_connect(f"{wire.ws}/private/ws?listenKey={key}") as socket:
        await wire.signed("POST", "/fapi/v1/leverage", symbol="ETHUSDT", leverage=7)
        event = await socket.receive_json()
    assert (event["e"], event["ac"]) == ("ACCOUNT_CONFIG_UPDATE", {"s": "ETHUSDT", "l": 7})


async def test_positions_have_a_place_in_the_deleveraging_queue(wire: Wire) -> None:
    assert await wire.signed("GET", "/fapi/v1/adlQuantile") == []
    await wire.market("BUY", "1", perp=True)
    assert await wire.signed("GET", "/fapi/v1/adlQuantile", symbol="ETHUSDT") == [
        {"symbol": "ETHUSDT", "adlQuantile": {"LONG": 0, "SHORT": 0, "BOTH": 1}}
    ]
