"""Spot order lists: one cancels the other."""

from collections.abc import Sequence

from klined.sandbox import spot_reports as reports
from klined.sandbox.answers import ApiError
from klined.sandbox.calls import Call, Endpoint, Security, Table
from klined.sandbox.spot_orders import check_legs, leg, new_id, time_in_force
from klined.sandbox.spot_reports import Json
from klined.world.tickets import Order, OrderList, OrderType, Ticket, TimeInForce


def new_oco(call: Call) -> Json:
    params, symbol = call.params, call.symbol()
    side = params.require("side")
    if side not in {"BUY", "SELL"}:
        raise ApiError(-1117, "Invalid side.")
    quantity = params.positive("quantity")
    above = leg(params, symbol, "above", quantity, buy=side == "BUY")
    below = leg(params, symbol, "below", quantity, buy=side == "BUY")
    return _place_list(call, above, below)


def old_oco(call: Call) -> Json:
    """POST order/oco, deprecated: a limit and a stop."""
    params, symbol = call.params, call.symbol()
    buy, quantity = params.require("side") == "BUY", params.positive("quantity")
    stop_price = params.number("stopLimitPrice")
    limit = Ticket(
        client_id=params.client_id("limitClientOrderId", new_id()), symbol=symbol, buy=buy,
        type=OrderType.LIMIT_MAKER, quantity=quantity, price=params.positive("price"),
    )  # fmt: skip
    stop = Ticket(
        client_id=params.client_id("stopClientOrderId", new_id()), symbol=symbol, buy=buy,
        type=OrderType.STOP_LOSS_LIMIT if stop_price else OrderType.STOP_LOSS, quantity=quantity,
        stop=params.positive("stopPrice"), price=stop_price,
        tif=time_in_force(params.text("stopLimitTimeInForce") or "GTC") if stop_price else TimeInForce.GTC,
    )  # fmt: skip
    return _place_list(call, stop, limit) if buy else _place_list(call, limit, stop)


def _place_list(call: Call, above: Ticket, below: Ticket) -> Json:
    venue = call.exchange.spot
    check_legs(above, below, venue.books[above.symbol].last)
    client_id = call.params.client_id("listClientOrderId", new_id())
    entry, orders = venue.place_list((below, above), client_id, call.now_ms)
    for _ in orders:
        call.exchange.rates["spot"].count_order(call.now_ms)
    told = [reports.result(order, call.told_ms) for order in orders]
    return {**reports.listed(venue.memory.lists[entry.number], orders), "orderReports": told}


def cancel_list(call: Call) -> Json:
    entry = _find_list(call, "listClientOrderId")
    if entry is None:
        raise ApiError(-2011, "Unknown order list sent.")
    cancelled = call.exchange.spot.cancel_list(entry, call.now_ms, call.params.client_id("newClientOrderId", new_id()))
    return cancelled_list(call, entry, cancelled)


def cancelled_list(call: Call, entry: OrderList, orders: Sequence[Order]) -> Json:
    entry = call.exchange.spot.memory.lists[entry.number]
    told = [reports.cancelled(order, call.told_ms) for order in orders]
    return {**reports.listed(entry, orders), "orderReports": told}


def query_list(call: Call) -> Json:
    entry = _find_list(call, "origClientOrderId")
    if entry is None:
        raise ApiError(-2018, "Order list does not exist.")
    return _list_json(call, entry)


def all_lists(call: Call) -> list[Json]:
    return [_list_json(call, entry) for entry in call.exchange.spot.memory.lists.values()]


def open_lists(call: Call) -> list[Json]:
    return [_list_json(call, entry) for entry in call.exchange.spot.memory.lists.values() if not entry.done]


def _list_json(call: Call, entry: OrderList) -> Json:
    orders = call.exchange.spot.memory.orders
    return reports.listed(entry, [orders[number] for number in entry.orders if number in orders])


def _find_list(call: Call, name: str) -> OrderList | None:
    lists = call.exchange.spot.memory.lists
    number = call.params.integer("orderListId", -1)
    if number >= 0:
        return lists.get(number)
    client_id = call.params.text(name)
    return next((entry for entry in reversed(lists.values()) if entry.client_id == client_id), None)


TRADE, SIGNED = Security.TRADE, Security.SIGNED
TABLE: Table = {
    ("POST", "/api/v3/orderList/oco"): Endpoint(new_oco, 1, TRADE, places=2, free=True),
    ("POST", "/api/v3/order/oco"): Endpoint(old_oco, 1, TRADE, places=2, free=True),
    ("GET", "/api/v3/orderList"): Endpoint(query_list, 4, SIGNED),
    ("DELETE", "/api/v3/orderList"): Endpoint(cancel_list, 1, TRADE, free=True),
    ("GET", "/api/v3/allOrderList"): Endpoint(all_lists, 20, SIGNED),
    ("GET", "/api/v3/openOrderList"): Endpoint(open_lists, 6, SIGNED),
}
