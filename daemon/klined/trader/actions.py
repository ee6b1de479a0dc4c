"""What the executor wants done: values, performed in order by the shell, which reports what it heard."""

from msgspec import Struct

from klined.domain import Intent
from klined.trader.orders import Closed, Filled, Order, Unknown, Working


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


def alerts(before: Order, after: Order) -> tuple[Alert, ...]:
    """What a person may want to know about this change."""
    told: tuple[str, str, dict[str, str]] | None = None
    match after:
        case Closed():
            told = _end(after)
        case Unknown():
            told = ("warning", "order.doubted", {})
        case Working() if isinstance(before, Closed):
            told = ("error", "order.reopened", {})
        case Filled(intent, late=True):
            told = ("error", "order.filled_late", {"filled": str(intent.quantity)})
        case _:
            pass
    if told is None:
        return ()
    level, name, why = told
    return (Alert(level, name, {"client_id": after.intent.client_id, "symbol": after.intent.symbol, **why}),)


def _end(order: Closed) -> tuple[str, str, dict[str, str]]:
    filled = {"filled": str(order.filled)}
    if order.late:
        return "error", "order.filled_late", filled
    if order.denied:
        return "warning", "order.refused", {"reason": order.reason}
    if order.inferred:
        return "warning", "order.disproved", {}
    return "info", "order.ended", {**filled, "quantity": str(order.intent.quantity), "reason": order.reason}
