"""USDT-M orders and algo orders over REST and the websocket API."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from klined.sandbox.answers import ApiError, declined
from klined.sandbox.calls import Call, Endpoint, Security, Table
from klined.sandbox.lag import in_time
from klined.sandbox.mischief import spoiled
from klined.sandbox.params import Params, as_text
from klined.sandbox.perp_orders import algo_ticket, order_ticket
from klined.sandbox.spot_reports import Json
from klined.world.tickets import Declined, Order

BATCH_MAX, CANCELS_MAX = 5, 10
NO_ORDER = (-2013, "Order does not exist.")
UNKNOWN_ORDER = (-2011, "Unknown order sent.")


def new_order(call: Call) -> Json:
    venue, dual = call.exchange.perp, call.exchange.perp.holdings.ledger.dual
    symbol = call.symbol()
    ticket = spoiled(call, order_ticket(call.params, symbol, call.now_ms, dual=dual, book=venue.books[symbol]))
    answer = call.params.text("newOrderRespType") or "ACK"
    if answer not in {"ACK", "RESULT"}:
        raise ApiError(-1136, "Invalid newOrderRespType")
    order = venue.place(ticket, call.now_ms)
    call.exchange.rates["perp"].count_order(call.now_ms)
    if answer == "ACK":  # as it was when it came in: what follows is told by the user stream
        order = replace(
            order, filled=order.filled * 0, quote_filled=order.quote_filled * 0, status=type(order.status).NEW
        )
    return call.exchange.reports.order(order, answer=True)


def try_order(call: Call) -> Json:
    venue = call.exchange.perp
    dual, symbol = venue.holdings.ledger.dual, call.symbol()
    ticket = order_ticket(call.params, symbol, call.now_ms, dual=dual, book=venue.books[symbol])
    venue.admit(ticket)
    order = Order(**{name: getattr(ticket, name) for name in type(ticket).__struct_fields__}, number=0)
    return call.exchange.reports.order(replace(order, updated_ms=call.now_ms), answer=True)


def find_order(call: Call, absent: tuple[int, str], *, algo: bool = False) -> Order:
    """The order, or algo order, that the call names.

    Raises:
        ApiError: none is named, or there is none.
    """
    memory = call.exchange.perp.memory
    by_number, by_name = ("algoId", "clientAlgoId") if algo else ("orderId", "origClientOrderId")
    number, client_id = call.params.integer(by_number), call.params.text(by_name)
    if not number and not client_id:
        either = f"'{by_name.lower()}' or '{by_number.lower()}'"
        raise ApiError(-1102, f"Param {either} must be sent, but both were empty/null!")
    symbol = None if algo else call.symbol()
    shelf = memory.algos if algo else memory.orders
    order = shelf.get(number) if number else memory.by_client_id(symbol, client_id, algo=algo)
    if order is None or symbol not in {None, order.symbol}:
        raise ApiError(*absent)
    return order


def query_order(call: Call) -> Json:
    order = find_order(call, NO_ORDER)
    if not in_time(call, order.created_ms):
        raise ApiError(*NO_ORDER)
    return call.exchange.reports.order(order)


def query_open(call: Call) -> Json:
    order = find_order(call, NO_ORDER)
    if not order.status.open or not in_time(call, order.created_ms):
        raise ApiError(*NO_ORDER)
    return call.exchange.reports.order(order)


def cancel_order(call: Call) -> Json:
    order = find_order(call, UNKNOWN_ORDER)
    return call.exchange.reports.order(call.exchange.perp.cancel(order, call.now_ms), answer=True)


def cancel_all(call: Call) -> Json:
    for order in call.exchange.perp.memory.open_orders(call.symbol()):
        call.exchange.perp.cancel(order, call.now_ms)
    return {"code": 200, "msg": "The operation of cancel all open order is done."}


def batch(call: Call) -> list[Json]:
    return each_of(call, new_order)


def each_of(call: Call, handler: Callable[[Call], Json]) -> list[Json]:
    """The answers to every wish of `batchOrders`; refusals are answers too.

    Raises:
        ApiError: it is no JSON list of one to five wishes.
    """
    try:
        wishes = msgspec.json.decode(call.params.require("batchOrders"), type=list[dict[str, Any]])
    except msgspec.DecodeError:
        raise ApiError(-1130, "Data sent for parameter 'batchOrders' is not valid.") from None
    if not 1 <= len(wishes) <= BATCH_MAX:
        raise ApiError(-4082, "Invalid number of batch place orders.")
    return [_one(call, {k: as_text(v) for k, v in wish.items()}, handler) for wish in wishes]


def cancel_batch(call: Call) -> list[Json]:
    symbol = call.symbol()
    numbers, names = _listed(call, "orderIdList"), _listed(call, "origClientOrderIdList")
    if not 1 <= len(numbers) + len(names) <= CANCELS_MAX:
        raise ApiError(-4083, "Invalid number of batch cancel orders.")
    wishes = [{"orderId": number} for number in numbers] + [{"origClientOrderId": name} for name in names]
    return [_one(call, {"symbol": symbol, **wish}, cancel_order) for wish in wishes]


def _listed(call: Call, name: str) -> list[str]:
    """A JSON list of numbers or names, as text."""
    try:
        return [as_text(each) for each in msgspec.json.decode(call.params.text(name) or "[]", type=list[int | str])]
    except msgspec.DecodeError:
        raise ApiError(-1130, f"Data sent for parameter '{name}' is not valid.") from None


def _one(call: Call, raw: dict[str, str], handler: Callable[[Call], Json]) -> Json:
    try:
        return handler(replace(call, params=Params(raw)))
    except ApiError as no:
        return no.body()
    except Declined as no:
        return declined(no).body()


def open_orders(call: Call) -> list[Json]:
    symbol = call.symbol() if call.params.text("symbol") else None
    orders = call.exchange.perp.memory.open_orders(symbol)
    return [call.exchange.reports.order(order) for order in orders if in_time(call, order.created_ms)]


def all_orders(call: Call) -> list[Json]:
    found = _history(call, call.exchange.perp.memory.orders.values(), "orderId")
    return [call.exchange.reports.order(order) for order in found]


def _history(call: Call, orders: Any, first: str) -> Sequence[Any]:
    symbol, number = call.symbol(), call.params.integer(first)
    start, end = call.params.span()
    limit = call.params.limit(500, 1000)
    found = [
        order for order in orders
        if order.symbol == symbol and order.number >= number and start <= order.created_ms <= end
        and in_time(call, order.created_ms)
    ]  # fmt: skip
    return found[:limit] if number else found[-limit:]


def user_trades(call: Call) -> list[Json]:
    symbol, order = call.symbol(), call.params.integer("orderId")
    start, end = call.params.span()
    first, limit = call.params.integer("fromId"), call.params.limit(500, 1000)
    found = [
        trade for trade in call.exchange.perp.memory.trades.values()
        if trade.symbol == symbol and order in {0, trade.order} and trade.number >= first
        and start <= trade.time_ms <= end and in_time(call, trade.time_ms)
    ]  # fmt: skip
    return [call.exchange.reports.trade(trade) for trade in (found[:limit] if first else found[-limit:])]


# --- algo orders ------------------------------------------------------------------------------------------------------


def new_algo(call: Call) -> Json:
    venue = call.exchange.perp
    ticket = algo_ticket(call.params, call.symbol(), call.now_ms, dual=venue.holdings.ledger.dual)
    order = venue.place(spoiled(call, ticket), call.now_ms)
    call.exchange.rates["perp"].count_order(call.now_ms)
    return call.exchange.reports.algo(order)


def query_algo(call: Call) -> Json:
    order = find_order(call, NO_ORDER, algo=True)
    if not in_time(call, order.created_ms):
        raise ApiError(*NO_ORDER)
    return call.exchange.reports.algo(order)


def cancel_algo(call: Call) -> Json:
    order = call.exchange.perp.cancel(find_order(call, UNKNOWN_ORDER, algo=True), call.now_ms)
    return {"algoId": order.number, "clientAlgoId": order.client_id, "code": "200", "msg": "success"}


def cancel_algos(call: Call) -> Json:
    for order in call.exchange.perp.memory.open_orders(call.symbol(), algo=True):
        call.exchange.perp.cancel(order, call.now_ms)
    return {"code": 200, "msg": "The operation of cancel all open order is done."}


def open_algos(call: Call) -> list[Json]:
    symbol = call.symbol() if call.params.text("symbol") else None
    orders = call.exchange.perp.memory.open_orders(symbol, algo=True)
    return [call.exchange.reports.algo(order) for order in orders if in_time(call, order.created_ms)]


def all_algos(call: Call) -> list[Json]:
    found = _history(call, call.exchange.perp.memory.algos.values(), "algoId")
    return [call.exchange.reports.algo(order) for order in found]


TRADE, SIGNED = Security.TRADE, Security.SIGNED
TABLE: Table = {
    ("POST", "/fapi/v1/order"): Endpoint(new_order, 0, TRADE, places=1),
    ("POST", "/fapi/v1/order/test"): Endpoint(try_order, 1, TRADE),
    ("GET", "/fapi/v1/order"): Endpoint(query_order, 1, SIGNED),
    ("DELETE", "/fapi/v1/order"): Endpoint(cancel_order, 1, TRADE),
    ("GET", "/fapi/v1/openOrder"): Endpoint(query_open, 1, SIGNED),
    ("GET", "/fapi/v1/openOrders"): Endpoint(open_orders, 1, SIGNED),
    ("GET", "/fapi/v1/allOrders"): Endpoint(all_orders, 5, SIGNED),
    ("DELETE", "/fapi/v1/allOpenOrders"): Endpoint(cancel_all, 1, TRADE),
    ("POST", "/fapi/v1/batchOrders"): Endpoint(batch, 5, TRADE, places=1),
    ("DELETE", "/fapi/v1/batchOrders"): Endpoint(cancel_batch, 1, TRADE),
    ("GET", "/fapi/v1/userTrades"): Endpoint(user_trades, 5, SIGNED),
    ("POST", "/fapi/v1/algoOrder"): Endpoint(new_algo, 0, TRADE, places=1),
    ("GET", "/fapi/v1/algoOrder"): Endpoint(query_algo, 1, SIGNED),
    ("DELETE", "/fapi/v1/algoOrder"): Endpoint(cancel_algo, 1, TRADE),
    ("GET", "/fapi/v1/openAlgoOrders"): Endpoint(open_algos, 1, SIGNED),
    ("GET", "/fapi/v1/allAlgoOrders"): Endpoint(all_algos, 5, SIGNED),
    ("DELETE", "/fapi/v1/algoOpenOrders"): Endpoint(cancel_algos, 1, TRADE),
}
