"""Spot order lists: OCO, OTO, OTOCO, OPO, OPOCO; see world.lists for what becomes of them."""

from collections.abc import Sequence

from klined.domain import ZERO
from klined.sandbox import spot_reports as reports
from klined.sandbox.answers import ApiError
from klined.sandbox.calls import Call, Endpoint, Handler, Security, Table
from klined.sandbox.lag import in_time
from klined.sandbox.params import Params
from klined.sandbox.spot_orders import RESPONSES, buys, check_legs, leading, leg, new_id, time_in_force
from klined.sandbox.spot_reports import Json
from klined.world.tickets import Order, OrderList, OrderType, Ticket, TimeInForce

LISTS_DEFAULT, LISTS_MAX = 500, 1000
SPAN_MAX_H = 24


def new_oco(call: Call) -> Json:
    params, symbol = call.params, call.symbol()
    buy, quantity = buys(params), params.positive("quantity")
    above = leg(params, symbol, "above", quantity, buy=buy)
    below = leg(params, symbol, "below", quantity, buy=buy)
    check_legs(above, below, call.exchange.spot.books[symbol].last)
    return _place_list(call, _in_order(above, below))


def led(*, pair: bool, proceeds: bool) -> Handler:
    """A leader with pending orders: one (OTO, OPO), or a `pair` (OTOCO, OPOCO) of which one ends the other."""

    def handler(call: Call) -> Json:
        params, symbol = call.params, call.symbol()
        first, buy = leading(params, symbol), buys(params, "pendingSide")
        if proceeds:
            _check_proceeds(params, first, buy=buy)
        quantity = ZERO if proceeds else params.positive("pendingQuantity")
        if not pair:
            pending = [leg(params, symbol, "pending", quantity, buy=buy, oco=False)]
        else:
            above = leg(params, symbol, "pendingAbove", quantity, buy=buy)
            below = leg(params, symbol, "pendingBelow", quantity, buy=buy)
            check_legs(above, below)
            pending = _in_order(above, below)
        return _place_list(call, [first, *pending], leader=True, proceeds=proceeds)

    return handler


def _check_proceeds(params: Params, first: Ticket, *, buy: bool) -> None:
    """Raises ApiError unless the leader buys what the pending orders sell."""
    if not first.buy:
        raise ApiError(-1222, "Working order in an OPO list must be a bid.")
    if buy:
        raise ApiError(-1223, "Pending orders in an OPO list must be asks.")
    if params.text("pendingQuantity"):
        raise ApiError(-1225, "Pending orders should not include the 'pendingQuantity' tag.")


def _in_order(above: Ticket, below: Ticket) -> list[Ticket]:
    """The order that stops the loss has the lower number, whichever side it is on."""
    return [above, below] if above.buy else [below, above]


def old_oco(call: Call) -> Json:
    """POST order/oco, deprecated: a limit and a stop."""
    params, symbol = call.params, call.symbol()
    buy, quantity = buys(params), params.positive("quantity")
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
    above, below = (stop, limit) if buy else (limit, stop)
    check_legs(above, below, call.exchange.spot.books[symbol].last)
    return _place_list(call, _in_order(above, below))


def _place_list(call: Call, tickets: Sequence[Ticket], *, leader: bool = False, proceeds: bool = False) -> Json:
    venue, answer = call.exchange.spot, call.params.text("newOrderRespType") or "RESULT"
    if answer not in RESPONSES:
        raise ApiError(-1130, "Data sent for parameter 'newOrderRespType' is not valid.")
    client_id = call.params.client_id("listClientOrderId", new_id())
    entry, orders = venue.place_list(tickets, client_id, call.now_ms, leader=leader, proceeds=proceeds)
    for order in orders:
        call.exchange.rates["spot"].count_order(call.now_ms)
        if order.filled:
            call.exchange.rates["spot"].forgive_order()
    told = [reports.answered(venue, order, answer, call.told_ms) for order in orders]
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
    if entry is None or not in_time(call, entry.time_ms):
        raise ApiError(-2018, "Order list does not exist.")
    return _list_json(call, entry)


def all_lists(call: Call) -> list[Json]:
    params, first = call.params, call.params.integer("fromId", -1)
    if first >= 0 and (params.text("startTime") or params.text("endTime")):
        raise ApiError(-1128, "Combination of optional parameters invalid.")
    start, end = params.span(SPAN_MAX_H)
    limit = params.limit(LISTS_DEFAULT, LISTS_MAX)
    found = [
        entry for entry in call.exchange.spot.memory.lists.values()
        if entry.number >= first and start <= entry.time_ms <= end and in_time(call, entry.time_ms)
    ]  # fmt: skip
    return [_list_json(call, entry) for entry in (found[:limit] if first >= 0 else found[-limit:])]


def open_lists(call: Call) -> list[Json]:
    lists = call.exchange.spot.memory.lists.values()
    return [_list_json(call, entry) for entry in lists if not entry.done and in_time(call, entry.time_ms)]


def _list_json(call: Call, entry: OrderList) -> Json:
    orders = call.exchange.spot.memory.orders
    return reports.listed(entry, [orders[number] for number in entry.orders if number in orders])


def _find_list(call: Call, name: str) -> OrderList | None:
    lists = call.exchange.spot.memory.lists
    number = call.params.integer("orderListId", -1)
    if number >= 0:
        return lists.get(number)
    client_id = call.params.text(name)
    if not client_id:
        raise ApiError(-1102, f"Param '{name}' or 'orderListId' must be sent, but both were empty/null!")
    return next((entry for entry in reversed(lists.values()) if entry.client_id == client_id), None)


TRADE, SIGNED = Security.TRADE, Security.SIGNED
TABLE: Table = {
    ("POST", "/api/v3/orderList/oco"): Endpoint(new_oco, 1, TRADE, places=2, free=True),
    ("POST", "/api/v3/orderList/oto"): Endpoint(led(pair=False, proceeds=False), 1, TRADE, places=2, free=True),
    ("POST", "/api/v3/orderList/otoco"): Endpoint(led(pair=True, proceeds=False), 1, TRADE, places=3, free=True),
    ("POST", "/api/v3/orderList/opo"): Endpoint(led(pair=False, proceeds=True), 1, TRADE, places=2, free=True),
    ("POST", "/api/v3/orderList/opoco"): Endpoint(led(pair=True, proceeds=True), 1, TRADE, places=3, free=True),
    ("POST", "/api/v3/order/oco"): Endpoint(old_oco, 1, TRADE, places=2, free=True),
    ("GET", "/api/v3/orderList"): Endpoint(query_list, 4, SIGNED),
    ("DELETE", "/api/v3/orderList"): Endpoint(cancel_list, 1, TRADE, free=True),
    ("GET", "/api/v3/allOrderList"): Endpoint(all_lists, 20, SIGNED),
    ("GET", "/api/v3/openOrderList"): Endpoint(open_lists, 6, SIGNED),
}
