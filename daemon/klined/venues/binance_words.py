"""Binance's words: orders into parameters, and its orders, trades and events into ours. Pure.

Prices and quantities travel as text without exponent. `side` and sign: quantities are signed on our side only.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from klined.domain import (
    ZERO,
    Accepted,
    Cause,
    Ended,
    Fill,
    Intent,
    Liquidated,
    MarketKind,
    OpenOrder,
    OrderKind,
    Traded,
    Transferred,
)
from klined.venues.dialect import Event, Found, Trade

Json = Mapping[str, Any]

STOP_SLIP = Decimal("0.05")  # how far a spot stop's limit lies behind its trigger, where stops need a limit
ENDED = frozenset({"CANCELED", "EXPIRED", "REJECTED", "EXPIRED_IN_MATCH"})
ALGO_ENDED = frozenset({"CANCELED", "CANCELLED", "EXPIRED", "REJECTED"})
FORCED = ("autoclose-", "adl_autoclose", "settlement_autoclose-")  # client ids of the exchange closing positions itself
KINDS = {
    "MARKET": OrderKind.MARKET,
    "LIMIT": OrderKind.LIMIT,
    "LIMIT_MAKER": OrderKind.POST_ONLY,
    "STOP_LOSS": OrderKind.STOP,
    "STOP_LOSS_LIMIT": OrderKind.STOP,
    "STOP_MARKET": OrderKind.STOP,
    "STOP": OrderKind.STOP,
}


def plain(number: Decimal) -> str:
    """Without exponent and trailing zeros."""
    return f"{number.normalize():f}"


def spot_order(intent: Intent, name: str, tick: Decimal, order_types: frozenset[str]) -> dict[str, str]:
    """Parameters of `POST /api/v3/order`."""
    order = {**_basics(intent, name), "newClientOrderId": intent.client_id, "newOrderRespType": "FULL"}
    price = plain(intent.price) if intent.price is not None else ""
    match intent.kind:
        case OrderKind.MARKET:
            return {**order, "type": "MARKET"}
        case OrderKind.LIMIT:
            return {**order, "type": "LIMIT", "timeInForce": "GTC", "price": price}
        case OrderKind.POST_ONLY:
            return {**order, "type": "LIMIT_MAKER", "price": price}
        case OrderKind.STOP if "STOP_LOSS" in order_types:
            return {**order, "type": "STOP_LOSS", "stopPrice": price}
        case OrderKind.STOP:
            trigger = intent.price or ZERO
            limit = trigger * (1 - STOP_SLIP if intent.quantity < 0 else 1 + STOP_SLIP)
            limit -= limit % tick
            words = {"type": "STOP_LOSS_LIMIT", "timeInForce": "GTC", "stopPrice": price, "price": plain(limit)}
            return {**order, **words}


def perp_order(intent: Intent, name: str) -> dict[str, str]:
    """Parameters of `POST /fapi/v1/order`, or of `algoOrder` for a stop."""
    order = _basics(intent, name)
    if intent.reduce_only or intent.cause is Cause.FLATTEN or intent.kind is OrderKind.STOP:
        order["reduceOnly"] = "true"
    price = plain(intent.price) if intent.price is not None else ""
    if intent.kind is OrderKind.STOP:
        words = {"algoType": "CONDITIONAL", "type": "STOP_MARKET", "triggerPrice": price, "workingType": "MARK_PRICE"}
        return {**order, **words, "clientAlgoId": intent.client_id}
    order |= {"newClientOrderId": intent.client_id, "newOrderRespType": "RESULT"}
    match intent.kind:
        case OrderKind.LIMIT:
            return {**order, "type": "LIMIT", "timeInForce": "GTC", "price": price}
        case OrderKind.POST_ONLY:
            return {**order, "type": "LIMIT", "timeInForce": "GTX", "price": price}
        case _:
            return {**order, "type": "MARKET"}


def found(order: Json, symbol: str, *, client_id: str = "") -> Found:
    """An order of any endpoint; `client_id` is ours where the answer bears the name of a request instead.

    Raises:
        KeyError, ValueError, TypeError, ArithmeticError: it is no order.
    """
    side = _sign(order["side"]) if "side" in order else 1
    executed = side * Decimal(order.get("executedQty", "0"))
    name = client_id or str(order["clientOrderId"])
    status, why = str(order.get("status", "NEW")), str(order.get("expiryReason", "") or "")
    return Found(
        client_id=name,
        symbol=symbol,
        venue_id=str(int(order["orderId"])),
        executed=executed,
        ended=f"{status.lower()} {why.lower()}".strip() if status in ENDED else "",
        fills=tuple(_answered_fill(each, order, name, symbol, side) for each in order.get("fills") or ()),
    )


def found_algo(order: Json, symbol: str) -> Found:
    """A stop that has not been triggered. Raises as `found`."""
    status = str(order.get("algoStatus", "NEW"))
    return Found(
        client_id=str(order["clientAlgoId"]),
        symbol=symbol,
        venue_id="",
        ended=status.lower() if status in ALGO_ENDED else "",
    )


def trade(row: Json, symbol: str) -> Trade:
    """A row of myTrades or userTrades. Raises as `found`."""
    bought = row["isBuyer"] if "isBuyer" in row else row["side"] == "BUY"
    quantity = Decimal(row["qty"])
    fill = Fill(
        trade_id=str(row["id"]),
        client_id="",
        symbol=symbol,
        quantity=quantity if bought else -quantity,
        price=Decimal(row["price"]),
        fee=Decimal(row["commission"]),
        fee_asset=str(row["commissionAsset"]),
        time_ms=int(row["time"]),
        maker=bool(row.get("isMaker", row.get("maker", False))),
    )
    return Trade(fill, str(row["orderId"]))


def open_order(order: Json, symbol: str) -> OpenOrder:
    """A row of openOrders or openAlgoOrders. Raises as `found`."""
    side = _sign(order["side"])
    name = str(order.get("clientAlgoId") or order.get("clientOrderId"))
    quantity = Decimal(order.get("origQty") or order.get("quantity") or "0")
    kind = KINDS.get(str(order.get("type") or order.get("orderType")), OrderKind.LIMIT)
    return OpenOrder(name, symbol, side * quantity, side * Decimal(order.get("executedQty", "0")), kind)


def spot_event(event: Json, symbols: Mapping[str, str], prefix: str) -> Event:
    """A message of the spot user stream, unwrapped; `symbols` are ours by the venue's name. Raises as `found`."""
    match event.get("e"):
        case "executionReport":
            original = str(event.get("C") or "")
            name = original if original.startswith(prefix) else str(event["c"])
            return _report(event, name, symbols, prefix)
        case "balanceUpdate":
            asset, amount, at_ms = str(event["a"]), Decimal(event["d"]), int(event["T"])
            moved = Transferred(asset, amount, at_ms, f"{at_ms}-{asset}-{plain(amount)}")
            return Event(news=(moved,), look="a balance changed")
        case "eventStreamTerminated" | "serverShutdown":
            return Event(over=True)
        case _:
            return Event()


def perp_event(event: Json, symbols: Mapping[str, str], prefix: str) -> Event:  # noqa: PLR0911 # a table: one return per kind
    """A message of the USDT-M user stream. Raises as `found`."""
    match event.get("e"):
        case "ORDER_TRADE_UPDATE":
            order = event["o"]
            name = str(order["c"])
            if name.startswith(FORCED):
                symbol = symbols.get(str(order["s"]))
                happened = order["x"] in {"TRADE", "CALCULATED"} and symbol is not None
                news = (Liquidated(_event_fill(order, name, symbol)),) if happened and symbol else ()
                return Event(news=news, look="the exchange closes a position", alarm=f"{name} on {order['s']}")
            return _report(order, name, symbols, prefix)
        case "ALGO_UPDATE":
            order = event["o"]
            name, symbol = str(order["caid"]), symbols.get(str(order["s"]))
            if symbol is None or not name.startswith(prefix):
                return Event(look=f"a stop that is not ours: {name}")
            if order["X"] in ALGO_ENDED:
                return Event(news=(Ended(name, str(order["X"]).lower()),))
            return Event(news=(Accepted(name),)) if order["X"] == "NEW" else Event(ask=(name, symbol))
        case "ACCOUNT_UPDATE":
            why = str(event["a"].get("m", ""))
            return Event() if why == "ORDER" else Event(look=f"the account changed: {why.lower()}")
        case "listenKeyExpired":
            return Event(over=True)
        case "MARGIN_CALL":
            return Event(look="a margin call", alarm="the exchange warns that margin is short")
        case "ACCOUNT_CONFIG_UPDATE":
            return Event(look="leverage or account mode was changed")
        case _:
            return Event()


def _report(event: Json, name: str, symbols: Mapping[str, str], prefix: str) -> Event:
    """One order's report; spot and USDT-M share these letters."""
    symbol = symbols.get(str(event["s"]))
    if symbol is None or not name.startswith(prefix):
        return Event(look=f"an order that is not ours: {name}")
    match event["x"]:
        case "NEW":
            return Event(news=(Accepted(name, str(event["i"])),))
        case "TRADE":
            fill = _event_fill(event, name, symbol)
            return Event(news=(Accepted(name, str(event["i"])), Traded(fill)))
        case "CANCELED" | "EXPIRED" | "REJECTED" | "TRADE_PREVENTION":
            if Decimal(event["z"]):
                return Event(ask=(name, symbol))  # its trades may come later than its end
            return Event(news=(Ended(name, str(event["x"]).lower()),))
        case _:
            return Event(ask=(name, symbol))


def _event_fill(event: Json, name: str, symbol: str) -> Fill:
    return Fill(
        trade_id=str(event["t"]),
        client_id=name,
        symbol=symbol,
        quantity=_sign(event["S"]) * Decimal(event["l"]),
        price=Decimal(event["L"]),
        fee=Decimal(event.get("n") or "0"),
        fee_asset=str(event.get("N") or "USDT"),
        time_ms=int(event["T"]),
        maker=bool(event.get("m", False)),
    )


def _answered_fill(fill: Json, order: Json, name: str, symbol: str, side: int) -> Fill:
    return Fill(
        trade_id=str(fill["tradeId"]),
        client_id=name,
        symbol=symbol,
        quantity=side * Decimal(fill["qty"]),
        price=Decimal(fill["price"]),
        fee=Decimal(fill["commission"]),
        fee_asset=str(fill["commissionAsset"]),
        time_ms=int(order["transactTime"]),
    )


def _basics(intent: Intent, name: str) -> dict[str, str]:
    side = "BUY" if intent.quantity > 0 else "SELL"
    return {"symbol": name, "side": side, "quantity": plain(abs(intent.quantity))}


def _sign(side: object) -> int:
    return 1 if side == "BUY" else -1


def path_of(kind: MarketKind) -> str:
    """Where the REST interface of a market begins."""
    return "/api/v3" if kind is MarketKind.SPOT else "/fapi/v1"
