"""Changing what stands on USDT-M: open limit orders, the margin of isolated positions."""

from klined.sandbox.answers import ApiError
from klined.sandbox.calls import Call, Endpoint, Security, Table
from klined.sandbox.lag import in_time
from klined.sandbox.params import missing
from klined.sandbox.perp_calls import NO_ORDER, each_of, find_order
from klined.sandbox.perp_orders import position_side, priced
from klined.sandbox.spot_orders import buys
from klined.sandbox.spot_reports import Json
from klined.world.tickets import Order

INTO, OUT_OF = 1, 2  # types of margin changes


def modify_order(call: Call) -> Json:
    """Another price and quantity; the order loses its place in the queue."""
    venue, params = call.exchange.perp, call.params
    order = find_order(call, NO_ORDER)
    if buys(params) is not order.buy:
        raise ApiError(-1130, "Data sent for parameter 'side' is not valid.")
    if params.flag("reduceOnly") and not order.reduce_only:
        raise ApiError(-5047, "The original order is not a reduce-only order.")
    price = priced(params, venue.books[order.symbol], buy=order.buy)
    order = venue.modify(order, params.positive("quantity"), price, call.now_ms)
    call.exchange.rates["perp"].count_order(call.now_ms)
    told = call.exchange.reports.order(order, answer=True)
    return {**told, "modifyId": params.integer("modifyId")} if params.text("modifyId") else told


def modify_batch(call: Call) -> list[Json]:
    return each_of(call, modify_order)


def amendments(call: Call) -> list[Json]:
    """What was changed of an order, newest first."""
    order, params, reports = find_order(call, NO_ORDER), call.params, call.exchange.reports
    start, end = params.span()
    found: list[Json] = []
    for count, change in enumerate(order.amendments, 1):
        if not (start <= change.time_ms <= end and in_time(call, change.time_ms)):
            continue
        price = [reports.price(order.symbol, each) for each in change.price]
        quantity = [reports.quantity(order.symbol, each) for each in change.quantity]
        amendment = {
            "price": {"before": price[0], "after": price[1]},
            "origQty": {"before": quantity[0], "after": quantity[1]},
            "count": count,
        }
        found.append({**_about(order), "amendmentId": change.number, "time": change.time_ms, "amendment": amendment})
    return found[::-1][: params.limit(50, 100)]


def _about(order: Order) -> Json:
    return {
        "symbol": order.symbol, "pair": order.symbol, "orderId": order.number, "clientOrderId": order.client_id,
    }  # fmt: skip


def move_margin(call: Call) -> Json:
    """Into or out of an isolated position."""
    name, amount, kind = call.symbol(), call.params.positive("amount"), call.params.integer("type")
    if not kind:
        raise missing("type")
    if kind not in {INTO, OUT_OF}:
        raise ApiError(-1130, "Data sent for parameter 'type' is not valid.")
    side = position_side(call.params)
    if call.exchange.perp.holdings.ledger.dual == (side == "BOTH"):
        raise ApiError(-4061, "Order's position side does not match user's setting.")
    call.exchange.perp.move_margin(name, side, amount if kind == INTO else -amount, call.now_ms)
    return {"amount": float(amount), "code": 200, "msg": "Successfully modify position margin.", "type": kind}


def margin_changes(call: Call) -> list[Json]:
    name, params, venue = call.symbol(), call.params, call.exchange.perp
    (start, end), kind = params.span(), params.integer("type")
    found = [
        {
            "symbol": name, "type": INTO if change.amount > 0 else OUT_OF, "deltaType": "USER_ADJUST",
            "amount": f"{abs(change.amount):.8f}", "asset": venue.listed[name].quote, "time": change.time_ms,
            "positionSide": change.side,
        }
        for change in venue.holdings.ledger.changes if change.symbol == name and start <= change.time_ms <= end
    ]  # fmt: skip
    found = [entry for entry in found if kind in {0, entry["type"]}]
    return found[-params.limit(500, 500) :]


TRADE, SIGNED = Security.TRADE, Security.SIGNED
TABLE: Table = {
    ("PUT", "/fapi/v1/order"): Endpoint(modify_order, 0, TRADE, places=1),
    ("PUT", "/fapi/v1/batchOrders"): Endpoint(modify_batch, 5, TRADE, places=1),
    ("GET", "/fapi/v1/orderAmendment"): Endpoint(amendments, 1, SIGNED),
    ("POST", "/fapi/v1/positionMargin"): Endpoint(move_margin, 1, TRADE),
    ("GET", "/fapi/v1/positionMargin/history"): Endpoint(margin_changes, 1, SIGNED),
}
