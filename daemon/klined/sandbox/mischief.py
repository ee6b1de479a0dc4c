"""Faults that change what an order becomes: partial fills that expire, stops that are refused."""

from decimal import Decimal

from msgspec.structs import replace

from klined.sandbox.answers import ApiError
from klined.sandbox.calls import Call
from klined.sandbox.faults import FaultKind
from klined.world.tickets import Ticket


def spoiled(call: Call, ticket: Ticket) -> Ticket:
    """The ticket as the armed faults will have it.

    Raises:
        ApiError: a stop is refused on purpose.
    """
    faults, where = call.exchange.faults, "POST /api/v3/order" if call.kind == "spot" else "POST /fapi/v1/order"
    about = {"symbol": ticket.symbol, "market": call.kind}
    if ticket.stop or ticket.trailing:
        stop = faults.take((FaultKind.REJECT_STOP,), "stop", call.now_ms, **about)
        if stop is None:
            return ticket
        if not stop.executed:
            refused = (-2010, "Order would trigger immediately.")
            raise ApiError(*(refused if call.kind == "spot" else (-2021, "Order would immediately trigger.")))
        call.exchange.venue(call.kind).reject_triggers += 1
        return ticket
    partial = faults.take((FaultKind.PARTIAL,), where, call.now_ms, **about)
    return ticket if partial is None else replace(ticket, fill_fraction=Decimal(repr(partial.value)))
