"""Spot values as Binance's JSON: orders, trades, lists, user events. Numbers are text with eight places."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from klined.domain import ZERO
from klined.world.spot import SpotVenue
from klined.world.tickets import BalanceMoved, Changed, ListChanged, Order, OrderList, Status, Trade, VenueNews

Json = dict[str, Any]
BIPS = 10_000


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
    found = {
        **acknowledged(order, now_ms),
        "price": f8(order.price),
        "origQty": f8(order.quantity),
        "executedQty": f8(order.filled),
        "origQuoteOrderQty": f8(order.quote_quantity),
        "cummulativeQuoteQty": f8(order.quote_filled),
        "status": order.status.value,
        "timeInForce": order.tif.value,
        "type": order_type(order),
        "side": side(order),
        **_stop_fields(order),
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


def listed(entry: OrderList, orders: Sequence[Order]) -> Json:
    """An order list without reports."""
    state = ("ALL_DONE", "ALL_DONE") if entry.done else ("EXEC_STARTED", "EXECUTING")
    return {
        "orderListId": entry.number,
        "contingencyType": "OCO",
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


def event(venue: SpotVenue, news: VenueNews, now_ms: int) -> list[Json]:
    """What the user stream says of `news`."""
    match news:
        case Changed():
            return [_execution_report(news, now_ms)]
        case BalanceMoved(deltas=deltas, assets=assets) if deltas:
            changes = zip(assets, deltas, strict=True)
            moved = [
                {"e": "balanceUpdate", "E": now_ms, "a": asset, "d": f8(delta), "T": news.time_ms}
                for asset, delta in changes
            ]
            return [*moved, _positions(venue, news, now_ms)]
        case BalanceMoved():
            return [_positions(venue, news, now_ms)]
        case ListChanged():
            return [_list_status(venue, news, now_ms)]
        case _:
            return []


def _positions(venue: SpotVenue, news: BalanceMoved, now_ms: int) -> Json:
    held = [(asset, venue.balance(asset)) for asset in news.assets]
    balances = [{"a": asset, "f": f8(balance.free), "l": f8(balance.locked)} for asset, balance in held]
    return {"e": "outboundAccountPosition", "E": now_ms, "u": news.time_ms, "B": balances}


def _list_status(venue: SpotVenue, news: ListChanged, now_ms: int) -> Json:
    entry = news.entry
    orders = (venue.memory.orders.get(number) for number in entry.orders)
    return {
        "e": "listStatus",
        "E": now_ms,
        "s": entry.symbol,
        "g": entry.number,
        "c": "OCO",
        "l": news.what,
        "L": "ALL_DONE" if news.what == "ALL_DONE" else "EXECUTING",
        "r": "NONE",
        "C": entry.client_id,
        "T": news.time_ms,
        "O": [{"s": o.symbol, "i": o.number, "c": o.client_id} for o in orders if o is not None],
    }


def _execution_report(news: Changed, now_ms: int) -> Json:
    order, trade = news.order, news.trade
    found: Json = {
        "e": "executionReport",
        "E": now_ms,
        "s": order.symbol,
        "c": order.cancel_id or order.client_id,
        "S": side(order),
        "o": order_type(order),
        "f": order.tif.value,
        "q": f8(order.quantity),
        "p": f8(order.price),
        "P": f8(order.stop),
        "F": f8(ZERO),
        "g": order.list_number,
        "C": order.client_id if order.cancel_id else "",
        "x": news.what,
        "X": order.status.value,
        "r": "NONE",
        "i": order.number,
        "l": f8(trade.quantity if trade else ZERO),
        "z": f8(order.filled),
        "L": f8(trade.price if trade else ZERO),
        "n": f8(trade.fee) if trade else "0",
        "N": trade.fee_asset if trade else None,
        "T": news.time_ms,
        "t": trade.number if trade else -1,
        "v": 0,
        "I": news.execution,
        "w": order.working and order.status.open,
        "m": trade.maker if trade else False,
        "M": trade is not None,
        "O": order.created_ms,
        "Z": f8(order.quote_filled),
        "Y": f8(trade.price * trade.quantity if trade else ZERO),
        "Q": f8(order.quote_quantity),
        "V": order.self_trade,
    }
    if order.working:
        found["W"] = order.working_ms
    if order.trailing:
        found["d"] = int(order.trailing * BIPS)
    if order.status is Status.EXPIRED and order.type.value == "MARKET":
        found["eR"] = "INSUFFICIENT_LIQUIDITY"
    return found


def _stop_fields(order: Order) -> Json:
    found: Json = {}
    if order.stop:
        found["stopPrice"] = f8(order.stop)
    if order.trailing:
        found |= {"trailingDelta": int(order.trailing * BIPS), "trailingTime": -1}
    return found
