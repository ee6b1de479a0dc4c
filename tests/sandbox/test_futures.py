"""USDT-M orders, algo orders, positions and modes as Binance treats them. The ledger is the judge."""

from typing import Any

import pytest

STOP = {"algoType": "CONDITIONAL", "symbol": "ETHUSDT", "side": "SELL", "type": "STOP_MARKET"}


async def position(wire: Any, side: str = "BOTH") -> float:
    held = (await wire.truth())["perp"]["positions"].get(f"ETHUSDT/{side}", {"amount": "0"})
    return float(held["amount"])


async def wallet(wire: Any) -> float:
    return float((await wire.truth())["perp"]["wallets"]["USDT"])


async def algo(wire: Any, **more: Any) -> Any:
    return await wire.signed("POST", "/fapi/v1/algoOrder", **{**STOP, **more})


async def algo_status(wire: Any, number: int) -> Any:
    return await wire.signed("GET", "/fapi/v1/algoOrder", algoId=number)


async def test_a_round_trip_realises_its_profit_less_fees(wire: Any) -> None:
    await wire.market("BUY", "1", perp=True)
    await wire.shock(1.05)
    await wire.market("SELL", "1", perp=True, reduceOnly="true")
    trades = await wire.signed("GET", "/fapi/v1/userTrades", symbol="ETHUSDT")
    realised = sum(float(trade["realizedPnl"]) for trade in trades)
    fees = sum(float(trade["commission"]) for trade in trades)
    assert realised == pytest.approx(float(trades[1]["price"]) - float(trades[0]["price"]))
    assert await wallet(wire) == pytest.approx(10_000 + realised - fees)
    income = await wire.signed("GET", "/fapi/v1/income")
    assert sum(float(entry["income"]) for entry in income) == pytest.approx(await wallet(wire) - 10_000)
    assert await position(wire) == 0


async def test_an_order_may_flip_a_position(wire: Any) -> None:
    await wire.market("BUY", "1", perp=True)
    await wire.market("SELL", "3", perp=True)
    assert await position(wire) == -2


async def test_answers_have_lost_average_and_quote(wire: Any) -> None:
    order = await wire.market("BUY", "1", perp=True)
    assert order["status"] == "FILLED"
    assert not {"avgPrice", "cumQuote"} & set(order)
    found = await wire.signed("GET", "/fapi/v1/order", symbol="ETHUSDT", orderId=order["orderId"])
    assert float(found["avgPrice"]) > 0


async def test_an_acknowledgement_does_not_tell_of_fills(wire: Any) -> None:
    order = await wire.market("BUY", "1", perp=True, newOrderRespType="ACK")
    assert (order["status"], order["executedQty"]) == ("NEW", "0.000")
    assert await position(wire) == 1


@pytest.mark.parametrize("kind", ["STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"])
async def test_conditional_types_belong_to_the_algo_service(wire: Any, kind: str) -> None:
    about = {"symbol": "ETHUSDT", "side": "SELL", "type": kind, "quantity": "1", "stopPrice": "2000"}
    assert (await wire.signed("POST", "/fapi/v1/order", **about))["code"] == -4120


async def test_reduce_only_never_opens(wire: Any) -> None:
    assert (await wire.market("SELL", "1", perp=True, reduceOnly="true"))["code"] == -2022
    await wire.market("BUY", "1", perp=True)
    order = await wire.market("SELL", "5", perp=True, reduceOnly="true")
    assert (order["status"], float(order["executedQty"])) == ("EXPIRED", 1)
    assert await position(wire) == 0


async def test_a_stop_closes_the_position_when_its_price_comes(wire: Any) -> None:
    await wire.market("BUY", "1", perp=True)
    stop = await algo(wire, triggerPrice="2400", closePosition="true", clientAlgoId="guard")
    assert (stop["algoStatus"], stop["orderType"]) == ("NEW", "STOP_MARKET")
    assert await wire.signed("GET", "/fapi/v1/openOrders") == []
    await wire.shock(0.95)
    found = await algo_status(wire, stop["algoId"])
    assert found["algoStatus"] == "FINISHED"
    child = await wire.signed("GET", "/fapi/v1/order", symbol="ETHUSDT", orderId=found["actualOrderId"])
    assert (child["status"], child["origType"]) == ("FILLED", "STOP_MARKET")
    assert float(child["avgPrice"]) == pytest.approx(2400, rel=2e-3)  # on the way, not at the end of the move
    assert await position(wire) == 0


async def test_a_gap_fills_a_stop_where_the_market_is(wire: Any) -> None:
    await wire.market("BUY", "1", perp=True)
    stop = await algo(wire, triggerPrice="2400", closePosition="true")
    exchange = wire.server.exchange
    exchange.perp.move("ETHUSDT", 2200.0, 100.0, exchange.clock.now_ms(), jump=True)
    exchange.flush()
    assert float((await algo_status(wire, stop["algoId"]))["actualPrice"]) < 2201


async def test_a_stop_without_a_position_expires(wire: Any) -> None:
    await wire.market("BUY", "1", perp=True)
    stop = await algo(wire, triggerPrice="2400", closePosition="true")
    await wire.market("SELL", "1", perp=True)
    await wire.shock(0.95)
    assert (await algo_status(wire, stop["algoId"]))["algoStatus"] == "EXPIRED"
    assert await position(wire) == 0


async def test_a_trailing_stop_follows(wire: Any) -> None:
    await wire.market("BUY", "1", perp=True)
    stop = await algo(wire, type="TRAILING_STOP_MARKET", callbackRate="2", quantity="1", reduceOnly="true")
    await wire.shock(1.1)
    await wire.shock(0.97)
    assert (await algo_status(wire, stop["algoId"]))["algoStatus"] == "FINISHED"
    assert await wallet(wire) > 10_000


async def test_algo_orders_survive_a_cancel_of_all_orders(wire: Any) -> None:
    await wire.market("BUY", "1", perp=True)
    await algo(wire, triggerPrice="2400", closePosition="true")
    await wire.limit("BUY", "1", "2450", perp=True)
    await wire.signed("DELETE", "/fapi/v1/allOpenOrders", symbol="ETHUSDT")
    assert await wire.signed("GET", "/fapi/v1/openOrders") == []
    assert len(await wire.signed("GET", "/fapi/v1/openAlgoOrders")) == 1
    await wire.signed("DELETE", "/fapi/v1/algoOpenOrders", symbol="ETHUSDT")
    assert await wire.signed("GET", "/fapi/v1/openAlgoOrders") == []


async def test_the_dead_mans_switch_cancels_orders_not_stops(wire: Any) -> None:
    await wire.market("BUY", "1", perp=True)
    await algo(wire, triggerPrice="2400", closePosition="true")
    await wire.limit("BUY", "1", "2400", perp=True)
    await wire.signed("POST", "/fapi/v1/countdownCancelAll", symbol="ETHUSDT", countdownTime=10_000)
    await wire.step(9_000)
    assert len(await wire.signed("GET", "/fapi/v1/openOrders")) == 1
    await wire.step(1_000)
    assert await wire.signed("GET", "/fapi/v1/openOrders") == []
    assert len(await wire.signed("GET", "/fapi/v1/openAlgoOrders")) == 1
    assert await position(wire) == 1


async def test_funding_is_paid_on_the_position(wire: Any) -> None:
    await wire.market("BUY", "1", perp=True)
    before = await wallet(wire)
    await wire.step(8 * 3_600_000)
    (entry,) = await wire.signed("GET", "/fapi/v1/income", incomeType="FUNDING_FEE")
    assert entry["time"] % (8 * 3_600_000) == 0
    assert await wallet(wire) == pytest.approx(before + float(entry["income"]))


@pytest.mark.parametrize("margin", ["ISOLATED", "CROSSED"])
async def test_a_position_without_margin_is_liquidated(wire: Any, margin: str) -> None:
    if margin == "ISOLATED":
        await wire.signed("POST", "/fapi/v1/marginType", symbol="ETHUSDT", marginType=margin)
    await wire.signed("POST", "/fapi/v1/leverage", symbol="ETHUSDT", leverage=50)
    await wire.market("BUY", "60" if margin == "CROSSED" else "10", perp=True)
    (told,) = await wire.signed("GET", "/fapi/v3/positionRisk", symbol="ETHUSDT")
    price = await wire.price()
    await wire.shock((float(told["liquidationPrice"]) + 3) / price)
    assert await position(wire) > 0
    await wire.shock(0.99)
    assert await position(wire) == 0
    orders = (await wire.truth())["perp"]["orders"]
    assert orders[-1]["client_id"].startswith("autoclose-")
    assert await wallet(wire) >= 0


async def test_hedge_mode_keeps_both_sides_apart(wire: Any) -> None:
    await wire.signed("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")
    assert (await wire.market("BUY", "1", perp=True))["code"] == -4061
    await wire.market("BUY", "1", perp=True, positionSide="LONG")
    await wire.market("SELL", "2", perp=True, positionSide="SHORT")
    assert (await position(wire, "LONG"), await position(wire, "SHORT")) == (1, -2)
    assert (await wire.market("SELL", "1", perp=True, positionSide="LONG", reduceOnly="true"))["code"] == -1106
    await wire.market("SELL", "1", perp=True, positionSide="LONG")
    assert await position(wire, "LONG") == 0
    assert (await wire.signed("POST", "/fapi/v1/positionSide/dual", dualSidePosition="false"))["code"] == -4068


@pytest.mark.parametrize(
    ("path", "params", "code"),
    [
        ("marginType", {"marginType": "CROSSED"}, -4046),
        ("positionSide/dual", {"dualSidePosition": "false"}, -4059),
        ("leverage", {"leverage": 126}, -4028),
        ("multiAssetsMargin", {"multiAssetsMargin": "false"}, -4171),
    ],
)
async def test_modes_refuse_what_changes_nothing(wire: Any, path: str, params: dict[str, Any], code: int) -> None:
    assert (await wire.signed("POST", f"/fapi/v1/{path}", symbol="ETHUSDT", **params))["code"] == code


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"quantity": "1000"}, -2019),
        ({"quantity": "0.0001"}, -4004),
        ({"quantity": "1.0001"}, -1111),
        ({"quantity": "0.001"}, -4164),
        ({"price": "2400.001"}, -4014),
        ({"price": "3000"}, -4016),
        ({"price": "1000"}, -4024),
        ({"price": "2600", "timeInForce": "GTX"}, -5022),
        ({"price": "2400", "timeInForce": "FOK"}, -5021),
        ({"newClientOrderId": "a" * 37}, -4015),
        ({"positionSide": "UP"}, -4060),
        ({"timeInForce": "GTD"}, -1102),
    ],
)
async def test_bad_orders_are_refused_in_binances_codes(wire: Any, change: dict[str, str], code: int) -> None:
    answer = await wire.limit("BUY", **{"quantity": "1", "price": "2400", "perp": True, **change})
    assert answer["code"] == code
    assert (await wire.truth())["perp"]["orders"] == []


async def test_open_client_ids_are_taken(wire: Any) -> None:
    await wire.limit("BUY", "1", "2400", perp=True, newClientOrderId="one")
    assert (await wire.limit("BUY", "1", "2400", perp=True, newClientOrderId="one"))["code"] == -4116


async def test_a_batch_answers_one_by_one(wire: Any) -> None:
    orders = '[{"symbol":"ETHUSDT","side":"BUY","type":"MARKET","quantity":"1"},{"symbol":"ETHUSDT","side":"BUY"}]'
    first, second = await wire.signed("POST", "/fapi/v1/batchOrders", batchOrders=orders)
    assert first["symbol"] == "ETHUSDT"
    assert second["code"] == -1102


async def test_a_partial_close_by_limit_is_clamped_to_the_position(wire: Any) -> None:
    await wire.market("BUY", "1", perp=True)
    await wire.limit("SELL", "2", "2550", perp=True, reduceOnly="true")
    await wire.shock(1.03)
    assert await position(wire) == 0
