"""When a waiting order wakes up: stops, take-profits, trailing stops. Pure arithmetic on one order and one price."""

from decimal import Decimal

from msgspec.structs import replace

from klined.domain import ZERO
from klined.world.tickets import Order, Ticket


def rises(ticket: Ticket) -> bool:
    """Whether it triggers at or above its stop (a buy stop, a sell take-profit), not at or below."""
    return ticket.buy != ticket.type.profit


def would_trigger(ticket: Ticket, price: Decimal) -> bool:
    """Whether a fixed trigger is reached at `price`; a trailing stop is judged by where it stands now."""
    if not ticket.stop or (ticket.trailing and not isinstance(ticket, Order)):
        return False
    return price >= ticket.stop if rises(ticket) else price <= ticket.stop


def follow(order: Order, price: Decimal, tick: Decimal) -> Order:
    """Let a trailing stop follow the price: behind the highest (selling) or the lowest (buying) it has seen."""
    if not order.trailing:
        return order
    up = rises(order)
    if not order.follows and order.activation and (price > order.activation if up else price < order.activation):
        return order  # not active yet
    seen = order.follows or price
    best = min(seen, price) if up else max(seen, price)
    if best == order.follows:
        return order
    stop = best * (1 + order.trailing) if up else best * (1 - order.trailing)
    return replace(order, follows=best, stop=stop - stop % tick + (tick if up and stop % tick else ZERO))


def levels_between(orders: list[Order], before: Decimal, after: Decimal) -> list[Decimal]:
    """Prices at which one of `orders` wants to be looked at, on the way from `before` to `after`, in that order."""
    low, high = min(before, after), max(before, after)
    found: set[Decimal] = set()
    for order in orders:
        level = order.price if order.working else order.stop
        if low < level < high:
            found.add(level)
    return sorted(found, reverse=after < before)
