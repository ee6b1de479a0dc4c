"""The spot account over REST and the websocket API: orders, lists, cancels, queries."""

from collections.abc import Sequence
from typing import Any

from klined.sandbox import spot_reports as reports
from klined.sandbox.answers import ApiError
from klined.sandbox.calls import Call, Endpoint, Security, Table, nothing
from klined.sandbox.lag import in_time
from klined.sandbox.mischief import spoiled
from klined.sandbox.spot_lists import cancelled_list
from klined.sandbox.spot_orders import new_id, response_type, spot_ticket
from klined.sandbox.spot_reports import Json
from klined.world.tickets import Order

HISTORY_DEFAULT, HISTORY_MAX = 500, 1000
SPAN_MAX_H = 24


def new_order(call: Call) -> Json:
    venue = call.exchange.spot
    ticket = spoiled(call, spot_ticket(call.params, call.symbol()))
    answer = response_type(call.params, ticket.type)
    order = venue.place(ticket, call.now_ms)
    order = venue.memory.newest(order)
    rates = call.exchange.rates["spot"]
    rates.count_order(call.now_ms)
    if order.filled:
        rates.forgive_order()
    return reports.answered(venue, order, answer, call.told_ms)


def _rates(call: Call, symbol: str) -> Json:
    """Maker and taker fee of the account's tier."""
    venue, now_ms = call.exchange.spot, call.exchange.clock.now_ms()
    return {
        "maker": reports.f8(venue.fee_rate(symbol, now_ms, maker=True)),
        "taker": reports.f8(venue.fee_rate(symbol, now_ms, maker=False)),
    }


def try_order(call: Call) -> Json:
    """order/test: every check, no order."""
    venue, symbol = call.exchange.spot, call.symbol()
    ticket = spot_ticket(call.params, symbol)
    response_type(call.params, ticket.type)
    venue.admit(venue.complete(ticket))
    if not call.params.flag("computeCommissionRates"):
        return {}
    rates = _rates(call, symbol)
    none = {"maker": "0.00000000", "taker": "0.00000000"}
    discount = {"enabledForAccount": False, "enabledForSymbol": True, "discountAsset": "BNB", "discount": "0.25000000"}
    return {
        "standardCommissionForOrder": rates,
        "specialCommissionForOrder": none,
        "taxCommissionForOrder": none,
        "discount": discount,
    }


def find_order(call: Call, *, missing: tuple[int, str]) -> Order:
    """The order that orderId or origClientOrderId names.

    Raises:
        ApiError: neither was sent, there is none, or reads lag behind and do not see it yet.
    """
    symbol, number = call.symbol(), call.params.integer("orderId")
    client_id = call.params.text("origClientOrderId")
    if not number and not client_id:
        raise ApiError(-1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
    memory = call.exchange.spot.memory
    order = memory.orders.get(number) if number else memory.by_client_id(symbol, client_id)
    if order is None or order.symbol != symbol:
        raise ApiError(*missing)
    return order


def query_order(call: Call) -> Json:
    absent = (-2013, "Order does not exist.")
    order = find_order(call, missing=absent)
    if not in_time(call, order.created_ms):
        raise ApiError(*absent)
    return reports.queried(order)


def cancel_order(call: Call) -> Json:
    venue = call.exchange.spot
    order = find_order(call, missing=(-2011, "Unknown order sent."))
    restricted = call.params.text("cancelRestrictions")
    if restricted and restricted not in {"ONLY_NEW", "ONLY_PARTIALLY_FILLED"}:
        raise ApiError(-1145, "Invalid cancelRestrictions")
    if restricted and restricted != f"ONLY_{order.status}":
        raise ApiError(-2011, "Order was not canceled due to cancel restrictions.")
    cancel_id = call.params.client_id("newClientOrderId", new_id())
    if order.list_number >= 0 and order.status.open:
        entry = venue.memory.lists[order.list_number]
        return cancelled_list(call, entry, venue.cancel_list(entry, call.now_ms, cancel_id))
    return reports.cancelled(venue.cancel(order, call.now_ms, cancel_id), call.told_ms)


def cancel_all(call: Call) -> list[Json]:
    venue, symbol = call.exchange.spot, call.symbol()
    open_orders = venue.memory.open_orders(symbol)
    if not open_orders:
        raise ApiError(-2011, "Unknown order sent.")
    found: list[Json] = []
    for order in open_orders:
        if not venue.memory.newest(order).status.open:
            continue
        if order.list_number >= 0:
            entry = venue.memory.lists[order.list_number]
            found.append(cancelled_list(call, entry, venue.cancel_list(entry, call.now_ms, new_id())))
        else:
            found.append(reports.cancelled(venue.cancel(order, call.now_ms, new_id()), call.told_ms))
    return found


def open_orders(call: Call) -> list[Json]:
    symbol = call.symbol() if call.params.text("symbol") else None
    found = call.exchange.spot.memory.open_orders(symbol)
    return [reports.queried(order) for order in found if in_time(call, order.created_ms)]


def all_orders(call: Call) -> list[Json]:
    symbol, first = call.symbol(), call.params.integer("orderId")
    start, end = call.params.span(SPAN_MAX_H)
    found = [
        order for order in call.exchange.spot.memory.orders.values()
        if order.symbol == symbol and order.number >= first and start <= order.created_ms <= end
        and in_time(call, order.created_ms)
    ]  # fmt: skip
    return [reports.queried(order) for order in _limited(call, found, oldest=bool(first))]


def my_trades(call: Call) -> list[Json]:
    symbol, order = call.symbol(), call.params.integer("orderId")
    start, end = call.params.span(SPAN_MAX_H)
    first = call.params.integer("fromId")
    found = [
        trade for trade in call.exchange.spot.memory.trades.values()
        if trade.symbol == symbol and order in {0, trade.order} and trade.number >= first
        and start <= trade.time_ms <= end and in_time(call, trade.time_ms)
    ]  # fmt: skip
    return [reports.traded(trade) for trade in _limited(call, found, oldest=bool(first))]


def _limited(call: Call, found: Sequence[Any], *, oldest: bool) -> Sequence[Any]:
    limit = call.params.limit(HISTORY_DEFAULT, HISTORY_MAX)
    return found[:limit] if oldest else found[-limit:]


def account(call: Call) -> Json:
    omit = call.params.flag("omitZeroBalances")
    return reports.account(call.exchange.spot, call.told_ms, omit_zero=omit)


def order_counts(call: Call) -> list[Json]:
    counts = call.exchange.rates["spot"].counts(call.ip, call.now_ms, orders=True)
    return [entry for entry in counts if entry["rateLimitType"] == "ORDERS"]


def commission(call: Call) -> Json:
    symbol = call.symbol()
    none = dict.fromkeys(("maker", "taker", "buyer", "seller"), "0.00000000")
    rates = {**none, **_rates(call, symbol)}
    discount = {"enabledForAccount": False, "enabledForSymbol": True, "discountAsset": "BNB", "discount": "0.25000000"}
    return {
        "symbol": symbol, "standardCommission": rates, "specialCommission": none, "taxCommission": none,
        "discount": discount,
    }  # fmt: skip


# --- wallet service ---------------------------------------------------------------------------------------------------


def restrictions(call: Call) -> Json:
    key = call.key
    return {
        "ipRestrict": bool(key and key.ip_restrict),
        "createTime": call.exchange.started_ms,
        "enableReading": True,
        "enableWithdrawals": bool(key and key.withdraw),
        "enableInternalTransfer": bool(key and key.transfer),
        "enableMargin": False,
        "enableFutures": bool(key and key.futures),
        "permitsUniversalTransfer": bool(key and key.transfer),
        "enableVanillaOptions": False,
        "enableFixApiTrade": False,
        "enableFixReadOnly": False,
        "enableSpotAndMarginTrading": bool(key and key.trade),
        "enablePortfolioMarginTrading": False,
    }


def trade_fees(call: Call) -> list[Json]:
    """Of one symbol, or of all."""
    found = []
    for name in call.symbols():
        rates = _rates(call, name)
        found.append({"symbol": name, "makerCommission": rates["maker"], "takerCommission": rates["taker"]})
    return found


TRADE, SIGNED = Security.TRADE, Security.SIGNED
TABLE: Table = {
    ("POST", "/api/v3/order"): Endpoint(new_order, 1, TRADE, places=1, free=True),
    ("POST", "/api/v3/order/test"): Endpoint(try_order, 1, TRADE),
    ("GET", "/api/v3/order"): Endpoint(query_order, 4, SIGNED),
    ("DELETE", "/api/v3/order"): Endpoint(cancel_order, 1, TRADE, free=True),
    ("GET", "/api/v3/openOrders"): Endpoint(open_orders, 6, SIGNED),
    ("DELETE", "/api/v3/openOrders"): Endpoint(cancel_all, 1, TRADE, free=True),
    ("GET", "/api/v3/allOrders"): Endpoint(all_orders, 20, SIGNED),
    ("GET", "/api/v3/myTrades"): Endpoint(my_trades, 20, SIGNED),
    ("GET", "/api/v3/account"): Endpoint(account, 20, SIGNED),
    ("GET", "/api/v3/account/commission"): Endpoint(commission, 20, SIGNED),
    ("GET", "/api/v3/rateLimit/order"): Endpoint(order_counts, 40, SIGNED),
    ("GET", "/sapi/v1/account/apiRestrictions"): Endpoint(restrictions, 1, SIGNED),
    ("GET", "/sapi/v1/account/status"): Endpoint(lambda _: {"data": "Normal"}, 1, SIGNED),
    ("GET", "/sapi/v1/asset/tradeFee"): Endpoint(trade_fees, 1, SIGNED),
    ("GET", "/sapi/v1/capital/config/getall"): Endpoint(nothing, 10, SIGNED),
    ("GET", "/sapi/v1/margin/isolated/allPairs"): Endpoint(nothing, 10, SIGNED),
    ("GET", "/sapi/v1/capital/deposit/hisrec"): Endpoint(nothing, 1, SIGNED),
    ("GET", "/sapi/v1/capital/withdraw/history"): Endpoint(nothing, 1, SIGNED),
    ("GET", "/sapi/v1/system/status"): Endpoint(lambda _: {"status": 0, "msg": "normal"}),
}
