"""From the parameters of a spot call to a ticket, with every check that Binance makes on parameters alone."""

import secrets
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from klined.domain import ZERO
from klined.sandbox.answers import ApiError
from klined.sandbox.params import Params, missing
from klined.sandbox.spot_reports import BIPS
from klined.world.tickets import OrderType, Ticket, TimeInForce

TYPES = frozenset({
    OrderType.LIMIT, OrderType.MARKET, OrderType.LIMIT_MAKER, OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT,
    OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT,
})  # fmt: skip
TIMED = frozenset({OrderType.LIMIT, OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT_LIMIT})
PRICED = TIMED | {OrderType.LIMIT_MAKER}
WAITING = frozenset(
    {OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT}
)
DELTA_MIN, DELTA_MAX = 10, 2000
STRATEGY_TYPE_MIN = 1_000_000
SELF_TRADE = frozenset({"NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT", "TRANSFER"})
RESPONSES = frozenset({"ACK", "RESULT", "FULL"})


def new_id() -> str:
    """Such as the exchange makes when none is sent."""
    return secrets.token_urlsafe(16)[:22].replace("-", "a").replace("_", "b")


def buys(params: Params, name: str = "side") -> bool:
    side = params.require(name)
    if side not in {"BUY", "SELL"}:
        raise ApiError(-1117, "Invalid side.")
    return side == "BUY"


def order_type(text: str, known: frozenset[OrderType]) -> OrderType:
    try:
        found = OrderType(text)
    except ValueError:
        raise ApiError(-1116, "Invalid orderType.") from None
    if found not in known:
        raise ApiError(-1116, "Invalid orderType.")
    return found


def time_in_force(text: str) -> TimeInForce:
    try:
        return TimeInForce(text)
    except ValueError:
        raise ApiError(-1115, "Invalid timeInForce.") from None


def response_type(params: Params, kind: OrderType) -> str:
    """What newOrderRespType asks for; MARKET and LIMIT are answered in full unless it says otherwise."""
    wanted = params.text("newOrderRespType") or ("FULL" if kind in {OrderType.MARKET, OrderType.LIMIT} else "ACK")
    if wanted not in RESPONSES:
        raise ApiError(-1130, "Data sent for parameter 'newOrderRespType' is not valid.")
    return wanted


def spot_ticket(params: Params, symbol: str) -> Ticket:
    """The ticket of a new order.

    Raises:
        ApiError: a parameter is missing, malformed, or does not belong there.
    """
    buy, kind = buys(params), order_type(params.require("type"), TYPES)
    quantity, quote = params.number("quantity"), params.number("quoteOrderQty")
    if kind is OrderType.MARKET:
        if bool(quantity) == bool(quote):
            if quantity:
                raise ApiError(-1128, "Combination of optional parameters invalid.")
            raise ApiError(-1102, "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!")
    else:
        quantity = params.positive("quantity")
        if quote:
            raise ApiError(-1106, "Parameter 'quoteOrderQty' sent when not required.")
    _not_modelled(params)
    return Ticket(
        client_id=params.client_id("newClientOrderId", new_id()),
        symbol=symbol,
        buy=buy,
        type=kind,
        tif=_tif(params, kind, "timeInForce"),
        quantity=quantity,
        quote_quantity=quote,
        self_trade=self_trade(params, "EXPIRE_MAKER"),
        **_strategy(params),
        **_prices(params, kind, {"price": "price", "stop": "stopPrice", "delta": "trailingDelta"}),
    )


def _tif(params: Params, kind: OrderType, name: str) -> TimeInForce:
    sent = params.text(name)
    if kind in TIMED:
        if not sent:
            raise missing(name)
        found = time_in_force(sent)
        if found not in {TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK}:
            raise ApiError(-1115, "Invalid timeInForce.")
        return found
    if sent:
        raise ApiError(-1106, f"Parameter '{name}' sent when not required.")
    return TimeInForce.GTC


def _prices(params: Params, kind: OrderType, names: Mapping[str, str]) -> dict[str, Any]:
    """Price, stop and trailing delta; `names` are those of the parameters."""
    found = {"price": ZERO, "stop": ZERO, "trailing": ZERO, "activation": ZERO}
    if kind in PRICED:
        found["price"] = params.positive(names["price"])
    elif params.text(names["price"]):
        raise ApiError(-1106, f"Parameter '{names['price']}' sent when not required.")
    stop, delta = params.number(names["stop"]), params.integer(names["delta"])
    if kind not in WAITING:
        if stop or delta:
            sent = names["stop"] if stop else names["delta"]
            raise ApiError(-1106, f"Parameter '{sent}' sent when not required.")
        return found
    if not (stop or delta):
        raise ApiError(-1102, f"Param '{names['stop']}' or '{names['delta']}' must be sent, but both were empty/null!")
    if delta:
        if not DELTA_MIN <= delta <= DELTA_MAX:
            raise ApiError(-1013, "Filter failure: TRAILING_DELTA")
        return {**found, "trailing": Decimal(delta) / BIPS, "activation": stop}
    return {**found, "stop": stop}


def leg(params: Params, symbol: str, where: str, quantity: Decimal, *, buy: bool, oco: bool = True) -> Ticket:
    """One order of a list, whose parameters begin with `where`: `above`, `pendingBelow`, ...; `oco`: of a pair."""
    kind = order_type(params.require(f"{where}Type"), TYPES)
    names = {"price": f"{where}Price", "stop": f"{where}StopPrice", "delta": f"{where}TrailingDelta"}
    if oco and kind in {OrderType.LIMIT, OrderType.MARKET}:
        raise ApiError(-1158, "Order type not supported in OCO.")
    _not_modelled(params, where)
    return Ticket(
        client_id=params.client_id(f"{where}ClientOrderId", new_id()),
        symbol=symbol,
        buy=buy,
        type=kind,
        tif=_tif(params, kind, f"{where}TimeInForce"),
        quantity=quantity,
        self_trade=self_trade(params, "EXPIRE_MAKER"),
        **_strategy(params, where),
        **_prices(params, kind, names),
    )


def leading(params: Params, symbol: str) -> Ticket:
    """The working order of an OTO or OPO list."""
    found = leg(
        params, symbol, "working", params.positive("workingQuantity"), buy=buys(params, "workingSide"), oco=False
    )
    if found.type not in {OrderType.LIMIT, OrderType.LIMIT_MAKER}:
        raise ApiError(-1130, "Data sent for parameter 'workingType' is not valid.")
    return found


def check_legs(above: Ticket, below: Ticket, last: Decimal | None = None) -> None:
    """Raises ApiError when the legs cannot be a pair, or their prices stand the wrong way round `last`."""
    limits = [each for each in (above, below) if each.type is OrderType.LIMIT_MAKER]
    if len(limits) == 2:
        raise ApiError(-1168, "At least one OCO order must be contingent.")
    for each, place, wrong in ((above, "below", above.buy), (below, "above", not below.buy)):
        name = "buy" if each.buy else "sell"
        if each.type is OrderType.LIMIT_MAKER and wrong:
            raise ApiError(-1165 if each.buy else -1166, f"A limit order in a {name} OCO must be {place}.")
        if each.type.profit and wrong:
            raise ApiError(-1198 if each.buy else -1199, f"A take profit order in a {name} OCO must be {place}.")
        if each.type.value.startswith("STOP_LOSS") and not wrong:
            raise ApiError(-1196 if each.buy else -1197, f"A stop loss order in a {name} OCO must be {place}.")
    high = above.price if above.type is OrderType.LIMIT_MAKER else above.stop or above.activation
    low = below.price if below.type is OrderType.LIMIT_MAKER else below.stop or below.activation
    if (high and low and high <= low) or (last is not None and ((high and high <= last) or (low and low >= last))):
        raise ApiError(-2010, "The relationship of the prices for the orders is not correct.")


def self_trade(params: Params, default: str) -> str:
    found = params.text("selfTradePreventionMode") or default
    if found not in SELF_TRADE:
        raise ApiError(-1130, "Data sent for parameter 'selfTradePreventionMode' is not valid.")
    return found


def _not_modelled(params: Params, where: str = "") -> None:
    """Raises ApiError, as on a symbol that does not have them: icebergs and pegged prices."""
    if params.text(f"{where}IcebergQty" if where else "icebergQty"):
        raise ApiError(-2010, "Iceberg orders are not supported for this symbol.")
    if params.text(f"{where}PegPriceType" if where else "pegPriceType"):
        raise ApiError(-2010, "Pegged orders are not supported for this symbol.")


def _strategy(params: Params, where: str = "") -> dict[str, Any]:
    """The client's own labels, which answers repeat."""
    number, kind = (
        f"{where}{name}" if where else name[0].lower() + name[1:] for name in ("StrategyId", "StrategyType")
    )
    found = {"strategy": params.integer(number, -1), "strategy_type": params.integer(kind, -1)}
    if params.text(kind) and found["strategy_type"] < STRATEGY_TYPE_MIN:
        raise ApiError(-1134, "`strategyType` was less than 1000000.")
    return found
