"""What the executor wants done: values, performed in order by the shell, which reports what it heard."""

from collections.abc import Iterable

from msgspec import Struct

from klined.domain import Intent
from klined.trader.orders import Closed, Filled, Order, Unknown, Working, filled_quantity


class Persist(Struct, frozen=True):
    """Make the intent durable; nothing that follows may be done when this fails."""

    intent: Intent


class Submit(Struct, frozen=True):
    """Send once; never repeat, whatever happens."""

    intent: Intent


class Query(Struct, frozen=True):
    """Ask the venue for all it knows of the order; tell `hear`, or `not_found` when it knows nothing."""

    client_id: str
    symbol: str


class Cancel(Struct, frozen=True):
    client_id: str
    symbol: str


class Inspect(Struct, frozen=True):
    """Read the account and compare it with the ledger; tell `evidence`."""

    symbol: str


class WaitUntil(Struct, frozen=True):
    """Call `due` at this time; replaces the time told before."""

    ms: int


class Alert(Struct, frozen=True):
    level: str
    name: str
    data: dict[str, str | int | float | bool | None]


Action = Persist | Submit | Query | Cancel | Inspect | WaitUntil | Alert


def alerts(before: Order, after: Order) -> Iterable[Alert]:
    """What a person may want to know about this change."""
    intent = after.intent
    data: dict[str, str | int | float | bool | None] = {"client_id": intent.client_id, "symbol": intent.symbol}
    match after:
        case Filled(late=True) | Closed(late=True):
            yield Alert("error", "order.filled_late", {**data, "filled": str(filled_quantity(after))})
        case Unknown():
            yield Alert("warning", "order.doubted", data)
        case Closed(denied=True, reason=reason):
            yield Alert("warning", "order.refused", {**data, "reason": reason})
        case Closed(inferred=True):
            yield Alert("warning", "order.disproved", data)
        case Closed(reason=reason, filled=filled):
            whole = {"filled": str(filled), "quantity": str(intent.quantity)}
            yield Alert("info", "order.ended", {**data, **whole, "reason": reason})
        case Working() if isinstance(before, Closed):
            yield Alert("error", "order.reopened", data)
        case _:
            pass
