"""Spot values as Binance's JSON: orders, trades, lists, the account. Numbers are text with eight places."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from klined.domain import ZERO
from klined.world.spot import SpotVenue
from klined.world.tickets import Order, OrderList, Status, Trade

Json = dict[str, Any]
BIPS = 10_000
UNTOLD = {"listStatusType", "transactionTime"}  # of a list, when one of its orders is amended


def f8(number: Decimal | float) -> str:
    return f"{number:.8f}"


def side(order: Order | Trade) -> str:
    return "BUY" if order.buy else "SELL"


def order_type(order: Order) -> str:
    return (order.began_as or order.type).value


def acknowledged(order: Order, now_ms: int) -> Json:
    """newOrderRespType=ACK."""
    return {
        "symbol": order.symbol,
        "orderId": order.number,
        "orderListId": order.list_number,
        "clientOrderId": order.client_id,
        "transactTime": now_ms,
    }


def result(order: Order, now_ms: int) -> Json:
    """newOrderRespType=RESULT."""
    sized = order.quantity or order.quote_quantity  # a pending order may wait for its quantity
    found = {
        **acknowledged(order, now_ms),
        "price": f8(order.price),
        **({"origQty": f8(order.quantity)} if sized else {}),
        "executedQty": f8(order.filled),
        "origQuoteOrderQty": f8(order.quote_quantity),
        "cummulativeQuoteQty": f8(order.quote_filled),
        "status": order.status.value,
        "timeInForce": order.tif.value,
        "type": order_type(order),
        "side": side(order),
        **stop_fields(order),
        **labels(order, "strategyId", "strategyType"),
        "workingTime": order.working_ms,
        "selfTradePreventionMode": order.self_trade,
    }
    if order.status is Status.EXPIRED and order.type.value == "MARKET":
        found["expiryReason"] = "INSUFFICIENT_LIQUIDITY"
    return found


def full(order: Order, trades: Sequence[Trade], now_ms: int) -> Json:
    """newOrderRespType=FULL."""
    fills = [
        {
            "price": f8(trade.price),
            "qty": f8(trade.quantity),
            "commission": f8(trade.fee),
            "commissionAsset": trade.fee_asset,
            "tradeId": trade.number,
        }
        for trade in trades
    ]
    return {**result(order, now_ms), "fills": fills}


def answered(venue: SpotVenue, order: Order, kind: str, now_ms: int) -> Json:
    """A new order as newOrderRespType asks for it: ACK, RESULT or FULL."""
    if kind == "ACK":
        return acknowledged(order, now_ms)
    if kind == "RESULT":
        return result(order, now_ms)
    return full(order, venue.memory.trades_of(order), now_ms)


def queried(order: Order) -> Json:
    """GET order."""
    return {
        "symbol": order.symbol,
        "orderId": order.number,
        "orderListId": order.list_number,
        "clientOrderId": order.cancel_id or order.client_id,
        "price": f8(order.price),
        "origQty": f8(order.quantity),
        "executedQty": f8(order.filled),
        "cummulativeQuoteQty": f8(order.quote_filled),
        "status": order.status.value,
        "timeInForce": order.tif.value,
        "type": order_type(order),
        "side": side(order),
        "stopPrice": f8(order.stop),
        "icebergQty": f8(ZERO),
        **({"trailingDelta": int(order.trailing * BIPS), "trailingTime": -1} if order.trailing else {}),
        **labels(order, "strategyId", "strategyType"),
        "time": order.created_ms,
        "updateTime": order.updated_ms,
        "isWorking": order.working,
        "workingTime": order.working_ms,
        "origQuoteOrderQty": f8(order.quote_quantity),
        "selfTradePreventionMode": order.self_trade,
    }


def cancelled(order: Order, now_ms: int) -> Json:
    """DELETE order."""
    found = result(order, now_ms)
    del found["workingTime"]
    return {
        "symbol": order.symbol,
        "origClientOrderId": order.client_id,
        **found,
        "clientOrderId": order.cancel_id,
    }


def amended(order: Order, entry: OrderList | None, orders: Sequence[Order]) -> Json:
    """PUT order/amend/keepPriority."""
    change = order.amendments[-1]
    told: Json = {
        "symbol": order.symbol,
        "orderId": order.number,
        "orderListId": order.list_number,
        "origClientOrderId": change.client_id,
        "clientOrderId": order.client_id,
        "price": f8(order.price),
        "qty": f8(order.quantity),
        "executedQty": f8(order.filled),
        "preventedQty": f8(ZERO),
        "quoteOrderQty": f8(order.quote_quantity),
        "cumulativeQuoteQty": f8(order.quote_filled),
        "status": order.status.value,
        "timeInForce": order.tif.value,
        "type": order_type(order),
        "side": side(order),
        **stop_fields(order),
        **({"workingTime": order.working_ms} if order.working else {}),
        "selfTradePreventionMode": order.self_trade,
    }
    found: Json = {"transactTime": change.time_ms, "executionId": change.number, "amendedOrder": told}
    if entry is None:
        return found
    state = {name: value for name, value in listed(entry, orders).items() if name not in UNTOLD}
    return {**found, "listStatus": state}


def amendments(order: Order) -> list[Json]:
    """GET order/amendments."""
    ids = [change.client_id for change in order.amendments] + [order.client_id]
    return [
        {
            "symbol": order.symbol,
            "orderId": order.number,
            "executionId": change.number,
            "origClientOrderId": change.client_id,
            "newClientOrderId": ids[place + 1],
            "origQty": f8(change.quantity[0]),
            "newQty": f8(change.quantity[1]),
            "time": change.time_ms,
        }
        for place, change in enumerate(order.amendments)
    ]


def contingency(entry: OrderList) -> str:
    return "OTO" if entry.leader else "OCO"


def listed(entry: OrderList, orders: Sequence[Order]) -> Json:
    """An order list without reports."""
    state = ("ALL_DONE", "ALL_DONE") if entry.done else ("EXEC_STARTED", "EXECUTING")
    return {
        "orderListId": entry.number,
        "contingencyType": contingency(entry),
        "listStatusType": state[0],
        "listOrderStatus": state[1],
        "listClientOrderId": entry.client_id,
        "transactionTime": entry.time_ms,
        "symbol": entry.symbol,
        "orders": [{"symbol": o.symbol, "orderId": o.number, "clientOrderId": o.client_id} for o in orders],
    }


def traded(trade: Trade) -> Json:
    """GET myTrades."""
    return {
        "symbol": trade.symbol,
        "id": trade.number,
        "orderId": trade.order,
        "orderListId": trade.list_number,
        "price": f8(trade.price),
        "qty": f8(trade.quantity),
        "quoteQty": f8(trade.quantity * trade.price),
        "commission": f8(trade.fee),
        "commissionAsset": trade.fee_asset,
        "time": trade.time_ms,
        "isBuyer": trade.buy,
        "isMaker": trade.maker,
        "isBestMatch": True,
    }


def account(venue: SpotVenue, updated_ms: int, *, omit_zero: bool = False) -> Json:
    """GET account."""
    rates = [(item.maker_fee, item.taker_fee) for item in venue.listed.values()] or [(ZERO, ZERO)]
    maker, taker = rates[0]
    balances = ((asset, venue.balance(asset)) for asset in venue.totals)
    return {
        "makerCommission": int(maker * BIPS),
        "takerCommission": int(taker * BIPS),
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {"maker": f8(maker), "taker": f8(taker), "buyer": f8(ZERO), "seller": f8(ZERO)},
        "canTrade": True,
        "canWithdraw": True,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": updated_ms,
        "accountType": "SPOT",
        "balances": [
            {"asset": asset, "free": f8(held.free), "locked": f8(held.locked)}
            for asset, held in balances
            if not omit_zero or held.free or held.locked
        ],
        "permissions": ["SPOT"],
        "uid": 354937868,
    }


def labels(order: Order, number: str, kind: str) -> Json:
    """The client's own labels, where there are some."""
    found = {number: order.strategy, kind: order.strategy_type}
    return {name: value for name, value in found.items() if value >= 0}


def stop_fields(order: Order) -> Json:
    found: Json = {}
    if order.stop:
        found["stopPrice"] = f8(order.stop)
    if order.trailing:
        found |= {"trailingDelta": int(order.trailing * BIPS), "trailingTime": -1}
    return found
