"""Order lists with a leader, and orders that are made smaller: what becomes of each, on the ledger and in events."""

from typing import Any

import pytest

from sandbox.shapes import differences

LEADER = {
    "workingType": "LIMIT", "workingSide": "BUY", "workingPrice": "2400", "workingQuantity": "0.5",
    "workingTimeInForce": "GTC",
}  # fmt: skip
PAIR = {
    "pendingAboveType": "LIMIT_MAKER", "pendingAbovePrice": "2700", "pendingBelowType": "STOP_LOSS_LIMIT",
    "pendingBelowStopPrice": "2300", "pendingBelowPrice": "2290", "pendingBelowTimeInForce": "GTC",
}  # fmt: skip
SELLS = {"pendingSide": "SELL"}


async def placed(wire: Any, kind: str, **more: Any) -> Any:
    return await wire.signed("POST", f"/api/v3/orderList/{kind}", **{"symbol": "ETHUSDT", **LEADER, **SELLS, **more})


async def states(wire: Any, answer: Any) -> list[str]:
    about = {order["number"]: order["status"] for order in (await wire.truth())["spot"]["orders"]}
    return [about[entry["orderId"]] for entry in answer["orders"]]


def overheard(wire: Any) -> list[Any]:
    """Every spot user event from now on."""
    heard: list[Any] = []
    users = wire.server.exchange.users["spot"]
    tell = users.tell

    def overhear(events: list[Any], now_ms: int) -> None:
        heard.extend(events)
        tell(events, now_ms)

    users.tell = overhear
    return heard


DOCUMENTED = {
    "oto": ("New Order list - OTO (TRADE)", {"pendingType": "MARKET", "pendingQuantity": "0.4"}),
    "otoco": ("New Order list - OTOCO (TRADE)", {**PAIR, "pendingQuantity": "0.4"}),
    "opo": ("New Order List - OPO (TRADE)", {"pendingType": "MARKET"}),
    "opoco": ("New Order List - OPOCO (TRADE)", PAIR),
}


@pytest.mark.parametrize("kind", DOCUMENTED)
async def test_lists_with_a_leader_are_as_documented(wire: Any, documented: dict[str, list[Any]], kind: str) -> None:
    section, more = DOCUMENTED[kind]
    ours, example = await placed(wire, kind, **more), documented[section][0]
    assert differences(example, ours) == []
    told = [(report["type"], report["status"], report["workingTime"] > 0) for report in ours["orderReports"]]
    assert told[0] == ("LIMIT", "NEW", True)
    assert {each[1:] for each in told[1:]} == {("PENDING_NEW", False)}
    for report, like in zip(ours["orderReports"], example["orderReports"], strict=True):
        assert ("origQty" in report) is ("origQty" in like)


async def test_a_pending_order_begins_when_its_leader_has_filled(wire: Any) -> None:
    heard = overheard(wire)
    answer = await placed(wire, "oto", pendingType="LIMIT", pendingPrice="2600", pendingTimeInForce="GTC",
                          pendingQuantity="0.4")  # fmt: skip
    assert await states(wire, answer) == ["NEW", "PENDING_NEW"]
    assert len(await wire.signed("GET", "/api/v3/openOrders")) == 2
    held = (await wire.truth())["spot"]["balances"]
    assert (float(held["USDT"]["locked"]), float(held["ETH"]["locked"])) == (1200, 0)  # the pending order locks nothing
    await wire.shock(0.9)
    assert await states(wire, answer) == ["FILLED", "NEW"]
    assert float((await wire.truth())["spot"]["balances"]["ETH"]["locked"]) == 0.4
    await wire.shock(1.3)
    assert await states(wire, answer) == ["FILLED", "FILLED"]
    second = [
        (e["x"], e["X"]) for e in heard if e["e"] == "executionReport" and e["i"] == answer["orders"][1]["orderId"]
    ]
    assert second == [("NEW", "PENDING_NEW"), ("NEW", "NEW"), ("TRADE", "FILLED")]
    assert [(e["c"], e["l"]) for e in heard if e["e"] == "listStatus"] == [("OTO", "EXEC_STARTED"), ("OTO", "ALL_DONE")]


async def test_a_leader_that_fills_at_once_lets_a_pair_begin_of_which_one_ends_the_other(wire: Any) -> None:
    answer = await placed(wire, "otoco", **PAIR, workingPrice="2700", pendingQuantity="0.4")
    assert await states(wire, answer) == ["FILLED", "NEW", "NEW"]
    assert [report["type"] for report in answer["orderReports"]] == ["LIMIT", "STOP_LOSS_LIMIT", "LIMIT_MAKER"]
    await wire.shock(1.2)
    assert await states(wire, answer) == ["FILLED", "EXPIRED", "FILLED"]
    told = await wire.signed("GET", "/api/v3/orderList", orderListId=answer["orderListId"])
    assert (told["listOrderStatus"], told["contingencyType"]) == ("ALL_DONE", "OTO")
    assert await wire.signed("GET", "/api/v3/openOrderList") == []


async def test_what_the_leader_brings_is_the_quantity_of_the_others(wire: Any) -> None:
    await wire.transfer("spot", "ETH", "-1")  # nothing to pay the fee from
    answer = await placed(wire, "opoco", **PAIR, workingPrice="2700")
    orders = [
        await wire.signed("GET", "/api/v3/order", symbol="ETHUSDT", orderId=e["orderId"]) for e in answer["orders"]
    ]
    assert [order["status"] for order in orders] == ["FILLED", "NEW", "NEW"]
    assert [order["origQty"] for order in orders] == ["0.50000000", "0.49950000", "0.49950000"]


async def test_cancelling_any_order_cancels_the_list(wire: Any) -> None:
    for place in (0, 1, 2):
        answer = await placed(wire, "otoco", **PAIR, pendingQuantity="0.4")
        about = {"symbol": "ETHUSDT", "orderId": answer["orders"][place]["orderId"]}
        ended = await wire.signed("DELETE", "/api/v3/order", **about)
        assert [report["status"] for report in ended["orderReports"]] == ["CANCELED"] * 3
        assert await states(wire, answer) == ["CANCELED"] * 3


async def test_a_pending_order_that_cannot_be_paid_is_rejected(wire: Any) -> None:
    heard = overheard(wire)
    answer = await placed(wire, "oto", pendingType="MARKET", pendingQuantity="50")
    await wire.shock(0.9)
    assert await states(wire, answer) == ["FILLED", "REJECTED"]
    rejected = [event for event in heard if event["e"] == "executionReport" and event["x"] == "REJECTED"]
    assert [event["r"] for event in rejected] == ["INSUFFICIENT_BALANCES"]


async def test_an_expired_leader_takes_the_others_with_it(wire: Any) -> None:
    answer = await placed(wire, "otoco", **PAIR, workingTimeInForce="FOK", pendingQuantity="0.4")
    assert await states(wire, answer) == ["EXPIRED"] * 3


@pytest.mark.parametrize(
    ("kind", "more", "code"),
    [
        ("oto", {"pendingType": "MARKET"}, -1102),
        ("oto", {"pendingType": "MARKET", "pendingQuantity": "0.4", "workingType": "MARKET"}, -1106),
        ("oto", {"pendingType": "MARKET", "pendingQuantity": "0.00001"}, -1013),
        ("otoco", {**PAIR, "pendingQuantity": "0.4", "pendingAboveType": "MARKET"}, -1158),
        ("otoco", {**PAIR, "pendingQuantity": "0.4", "pendingAbovePrice": "2200"}, -2010),
        ("opo", {"pendingType": "MARKET", "workingSide": "SELL"}, -1222),
        ("opo", {"pendingType": "MARKET", "pendingSide": "BUY"}, -1223),
        ("opo", {"pendingType": "MARKET", "pendingQuantity": "1"}, -1225),
        ("oto", {"pendingType": "MARKET", "pendingQuantity": "0.4", "workingIcebergQty": "0.1"}, -2010),
    ],
)
async def test_a_list_that_cannot_be_is_refused_whole(wire: Any, kind: str, more: dict[str, str], code: int) -> None:
    assert (await placed(wire, kind, **more))["code"] == code
    assert (await wire.truth())["spot"]["orders"] == []


@pytest.mark.parametrize(
    ("side", "above", "below", "code"),
    [
        ("BUY", "LIMIT_MAKER", "STOP_LOSS", -1165), ("SELL", "STOP_LOSS", "LIMIT_MAKER", -1197),
        ("SELL", "LIMIT_MAKER", "TAKE_PROFIT", -1199), ("BUY", "TAKE_PROFIT", "STOP_LOSS", -1198),
        ("BUY", "STOP_LOSS", "STOP_LOSS", -1196), ("SELL", "LIMIT_MAKER", "LIMIT_MAKER", -1168),
    ],
)  # fmt: skip
async def test_a_pair_stands_the_right_way_round(wire: Any, side: str, above: str, below: str, code: int) -> None:
    prices = {"above": "2700", "below": "2300"}
    about: dict[str, str] = {}
    for where, kind in (("above", above), ("below", below)):
        about[f"{where}Type"] = kind
        about[f"{where}Price" if kind == "LIMIT_MAKER" else f"{where}StopPrice"] = prices[where]
    answer = await wire.signed("POST", "/api/v3/orderList/oco", symbol="ETHUSDT", side=side, quantity="0.1", **about)
    assert answer["code"] == code


# --- amendments -------------------------------------------------------------------------------------------------------


async def amended(wire: Any, number: int, quantity: str, **more: Any) -> Any:
    about = {"symbol": "ETHUSDT", "orderId": number, "newQty": quantity, **more}
    return await wire.signed("PUT", "/api/v3/order/amend/keepPriority", **about)


async def test_an_amended_order_is_smaller_and_keeps_its_place(wire: Any, documented: dict[str, list[Any]]) -> None:
    heard = overheard(wire)
    order = await wire.limit("BUY", "0.5", "2400", newClientOrderId="first")
    ahead = wire.server.exchange.spot.memory.orders[order["orderId"]].ahead
    answer = await amended(wire, order["orderId"], "0.3", newClientOrderId="second")
    example = documented["Order Amend Keep Priority (TRADE)"]
    assert differences(example[0], answer) == []
    assert wire.server.exchange.spot.memory.orders[order["orderId"]].ahead == ahead
    assert float((await wire.truth())["spot"]["balances"]["USDT"]["locked"]) == 720
    report = next(event for event in heard if event["e"] == "executionReport" and event["x"] == "REPLACED")
    assert (report["C"], report["c"], report["q"], report["X"]) == ("first", "second", "0.30000000", "NEW")
    await amended(wire, order["orderId"], "0.2")
    about = {"symbol": "ETHUSDT", "orderId": order["orderId"]}
    history = await wire.signed("GET", "/api/v3/order/amendments", **about)
    assert differences(documented["Query Order Amendments (USER_DATA)"][0], history) == []
    assert [(each["origQty"], each["newQty"]) for each in history] == [
        ("0.50000000", "0.30000000"), ("0.30000000", "0.20000000"),
    ]  # fmt: skip


async def test_amending_one_leg_amends_the_pair_and_tells_the_list(wire: Any, documented: dict[str, list[Any]]) -> None:
    heard = overheard(wire)
    listed = await placed(wire, "otoco", **PAIR, workingPrice="2700", pendingQuantity="0.4")
    answer = await amended(wire, listed["orders"][1]["orderId"], "0.3")
    assert differences(documented["Order Amend Keep Priority (TRADE)"][1], answer) == []
    orders = {order["number"]: order for order in (await wire.truth())["spot"]["orders"]}
    assert [float(orders[each["orderId"]]["quantity"]) for each in listed["orders"]] == [0.5, 0.3, 0.3]
    assert "UPDATED" in [event["l"] for event in heard if event["e"] == "listStatus"]


@pytest.mark.parametrize(("quantity", "code"), [("0.5", -2038), ("0.6", -2038), ("0.30001", -1013), ("0", -1102)])
async def test_an_amendment_that_cannot_be_changes_nothing(wire: Any, quantity: str, code: int) -> None:
    order = await wire.limit("BUY", "0.5", "2400")
    assert (await amended(wire, order["orderId"], quantity))["code"] == code
    assert (await amended(wire, 99, "0.1"))["code"] == -2038
    found = await wire.signed("GET", "/api/v3/order", symbol="ETHUSDT", orderId=order["orderId"])
    assert (found["origQty"], found["clientOrderId"]) == ("0.50000000", order["clientOrderId"])


async def test_a_client_finds_its_labels_again(wire: Any) -> None:
    order = await wire.limit("BUY", "0.5", "2400", strategyId="7", strategyType="1000001")
    assert (order["strategyId"], order["strategyType"]) == (7, 1_000_001)
    found = await wire.signed("GET", "/api/v3/order", symbol="ETHUSDT", orderId=order["orderId"])
    assert (found["strategyId"], found["strategyType"]) == (7, 1_000_001)
    assert (await wire.limit("BUY", "0.5", "2400", strategyType="5"))["code"] == -1134
    assert (await wire.limit("BUY", "0.5", "2400", icebergQty="0.1"))["code"] == -2010
