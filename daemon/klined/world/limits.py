"""Filters of a real-time venue: what every order must keep, said in Binance's codes; on top of `world.filters`."""

from decimal import Decimal

from klined.domain import Instrument, MarketKind
from klined.world.filters import Failure, Wish, check
from klined.world.tickets import Declined, OrderType, Ticket

CLOSED = {"BREAK", "HALT", "CANCEL_ONLY", "SETTLING", "PENDING_TRADING", "END_OF_DAY"}


def check_filters(instrument: Instrument, state: str, ticket: Ticket, last: Decimal, orders_open: int) -> None:
    """Every filter on the ticket's prices and quantity.

    Raises:
        Declined: the first one that fails.
    """
    spot = instrument.kind is MarketKind.SPOT
    if state in CLOSED:
        raise Declined(-1013, "Market is closed.") if spot else Declined(-4141, "Symbol is closed.")
    failure = _first(instrument, ticket, last, orders_open)
    if failure is not None:
        raise Declined(failure.code, failure.message)


def _first(instrument: Instrument, ticket: Ticket, last: Decimal, orders_open: int) -> Failure | None:
    if ticket.close_position:
        return _step(instrument, ticket.stop)
    if ticket.stop and (failure := _step(instrument, ticket.stop)):
        return failure
    limit = ticket.price or None
    wish = Wish(
        quantity=ticket.quantity if ticket.buy else -ticket.quantity,
        reference=ticket.stop or last,
        price=limit,
        reduce_only=ticket.reduce_only,
        orders_open=orders_open,
    )
    failure = check(instrument, wish)
    if failure is not None and failure.name == "MARKET_LOT_SIZE" and ticket.type is not OrderType.MARKET:
        return Failure(failure.code, "LOT_SIZE", "Filter failure: LOT_SIZE")
    return failure


def _step(instrument: Instrument, price: Decimal) -> Failure | None:
    if price % instrument.tick == 0:
        return None
    if instrument.kind is MarketKind.SPOT:
        return Failure(-1013, "PRICE_FILTER", "Filter failure: PRICE_FILTER")
    return Failure(-4014, "PRICE_NOT_INCREASED_BY_TICK_SIZE", "Price not increased by tick size.")
