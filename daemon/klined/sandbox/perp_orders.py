"""From the parameters of a futures call to a ticket, with every check that Binance makes on parameters alone."""

from decimal import Decimal

from klined.domain import ZERO
from klined.sandbox.answers import ApiError
from klined.sandbox.params import Params, missing
from klined.sandbox.spot_orders import buys, new_id, order_type, time_in_force
from klined.world.book import Book
from klined.world.tickets import OrderType, Ticket, TimeInForce

CONDITIONAL = frozenset({
    OrderType.STOP, OrderType.STOP_MARKET, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_MARKET,
    OrderType.TRAILING_STOP_MARKET,
})  # fmt: skip
PLAIN = frozenset({OrderType.LIMIT, OrderType.MARKET})
LIMITED = frozenset({OrderType.LIMIT, OrderType.STOP, OrderType.TAKE_PROFIT})
LEVELS = (("", 1), ("_5", 5), ("_10", 10), ("_20", 20))
MATCHES = {f"{way}{suffix}": count for way in ("OPPONENT", "QUEUE") for suffix, count in LEVELS}
SELF_TRADE = frozenset({"NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"})
SIDES = frozenset({"BOTH", "LONG", "SHORT"})
CALLBACK_MIN, CALLBACK_MAX = Decimal("0.1"), Decimal(10)
GOOD_TILL_MIN_MS = 600_000


def order_ticket(params: Params, symbol: str, now_ms: int, *, dual: bool, book: Book) -> Ticket:
    """The ticket of POST order.

    Raises:
        ApiError: a parameter is missing, malformed, or does not belong there; -4120 for conditional types.
    """
    buy = buys(params)
    kind = order_type(params.require("type"), PLAIN | CONDITIONAL)
    if kind in CONDITIONAL:
        raise ApiError(
            -4120, "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead."
        )
    tif = TimeInForce.GTC
    if kind is OrderType.LIMIT:
        if not params.text("timeInForce"):
            raise missing("timeInForce")
        tif = time_in_force(params.text("timeInForce"))
    elif params.text("price"):
        raise ApiError(-1106, "Parameter 'price' sent when not required.")
    elif matching(params):
        raise ApiError(-5038, "Price match only supports order type: LIMIT, STOP AND TAKE_PROFIT")
    return Ticket(
        client_id=_client_id(params, "newClientOrderId"),
        symbol=symbol,
        buy=buy,
        type=kind,
        tif=tif,
        quantity=params.positive("quantity"),
        price=priced(params, book, buy=buy) if kind is OrderType.LIMIT else ZERO,
        price_match=matching(params) or "NONE",
        reduce_only=_reduce_only(params, dual=dual),
        position_side=position_side(params),
        self_trade=_self_trade(params),
        good_till_ms=_good_till(params, tif, now_ms),
    )


def algo_ticket(params: Params, symbol: str, now_ms: int, *, dual: bool) -> Ticket:
    """The ticket of POST algoOrder; see `order_ticket`."""
    if params.require("algoType") != "CONDITIONAL":
        raise ApiError(-1102, "Mandatory parameter 'algoType' was not sent, was empty/null, or malformed.")
    buy, kind = buys(params), order_type(params.require("type"), CONDITIONAL)
    close, trailing = params.flag("closePosition"), kind is OrderType.TRAILING_STOP_MARKET
    if close and (params.text("quantity") or params.text("reduceOnly")):
        sent = "quantity" if params.text("quantity") else "reduceOnly"
        raise ApiError(-1106, f"Parameter '{sent}' sent when not required.")
    if close and (kind in LIMITED or trailing):
        raise ApiError(-4136, f"Target strategy invalid for orderType {kind},closePosition true")
    tif = time_in_force(params.text("timeInForce") or "GTC")
    return Ticket(
        client_id=_client_id(params, "clientAlgoId"),
        symbol=symbol,
        buy=buy,
        type=kind,
        tif=tif,
        quantity=ZERO if close else params.positive("quantity"),
        price=params.positive("price") if kind in LIMITED else ZERO,
        stop=ZERO if trailing else params.positive("triggerPrice"),
        trailing=_callback(params) if trailing else ZERO,
        activation=params.number("activatePrice") or params.number("activationPrice"),
        reduce_only=_reduce_only(params, dual=dual),
        close_position=close,
        position_side=position_side(params),
        working_type=_working_type(params),
        price_protect=params.flag("priceProtect"),
        self_trade=_self_trade(params),
        good_till_ms=_good_till(params, tif, now_ms),
        algo=True,
    )


def matching(params: Params) -> str:
    """How the price follows the book; empty when it does not.

    Raises:
        ApiError: an unknown way.
    """
    found = params.text("priceMatch")
    if found not in {"", "NONE", *MATCHES}:
        raise ApiError(-5037, "Invalid price match")
    return "" if found == "NONE" else found


def priced(params: Params, book: Book, *, buy: bool) -> Decimal:
    """The limit price: as sent, or that of the level which priceMatch names.

    Raises:
        ApiError: it is missing, both were sent, or the book is not so deep.
    """
    found = matching(params)
    if not found:
        return params.positive("price")
    if params.text("price"):
        raise ApiError(-1106, "Parameter 'price' sent when not required.")
    opposite, count = found.startswith("OPPONENT"), MATCHES[found]
    levels = book.side(buy=buy is opposite, count=count)
    if len(levels) < count:
        raise ApiError(-5041, "No depth matches this BBO order")
    return levels[count - 1].price


def _self_trade(params: Params) -> str:
    found = params.text("selfTradePreventionMode") or "EXPIRE_MAKER"
    if found not in SELF_TRADE:
        raise ApiError(-5039, "Invalid self trade prevention mode")
    return found


def _client_id(params: Params, name: str) -> str:
    if len(params.text(name)) > 36:
        raise ApiError(-4015, "Client order id length should be less than 36 chars")
    return params.client_id(name, new_id())


def _reduce_only(params: Params, *, dual: bool) -> bool:
    if dual and params.text("reduceOnly"):
        raise ApiError(-1106, "Parameter 'reduceonly' sent when not required.")
    return params.flag("reduceOnly")


def position_side(params: Params) -> str:
    side = params.text("positionSide") or "BOTH"
    if side not in SIDES:
        raise ApiError(-4060, "Invalid position side.")
    return side


def _working_type(params: Params) -> str:
    found = params.text("workingType") or "CONTRACT_PRICE"
    if found not in {"MARK_PRICE", "CONTRACT_PRICE"}:
        raise ApiError(-1130, "Data sent for parameter 'workingType' is not valid.")
    return found


def _callback(params: Params) -> Decimal:
    rate = params.positive("callbackRate")
    if not CALLBACK_MIN <= rate <= CALLBACK_MAX:
        raise ApiError(-2007, "Invalid callBack rate")
    return rate / 100


def _good_till(params: Params, tif: TimeInForce, now_ms: int) -> int:
    if tif is not TimeInForce.GTD:
        return 0
    until_ms = params.integer("goodTillDate")
    if not until_ms:
        raise missing("goodTillDate")
    if until_ms <= now_ms + GOOD_TILL_MIN_MS:
        raise ApiError(
            -5040,
            "The goodTillDate timestamp must be greater than the current time plus 600 seconds and smaller than "
            "253402300799000",
        )
    return until_ms
