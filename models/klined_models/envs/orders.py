"""Orders as an agent sees them: one object per order, renewed from the executor's state, which alone is the truth.

Intended, InFlight ─▶ PENDING     Working ─▶ OPEN, PARTIAL     Filled ─▶ CLOSED
Unknown ─▶ UNKNOWN                Closed ─▶ CANCELED, or REJECTED when it never was at the venue
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from klined.domain import Intent
from klined.errors import ConfigError
from klined.trader.executor import Executor
from klined.trader.orders import Closed, Filled, Unknown, Working, filled_quantity
from klined.trader.orders import Order as State


class OrderStatus(StrEnum):
    """What an order is. TIMED_OUT is said of the monitoring alone: the order is as it was."""

    PENDING = "pending"  # not answered yet
    OPEN = "open"
    PARTIAL = "partial"  # open, and a part is filled
    CLOSED = "closed"  # filled in full
    CANCELED = "canceled"  # ended with a rest, by us or by the venue; `filled_size` may be more than nothing
    REJECTED = "rejected"  # by the gate or by the venue: nothing happened
    UNKNOWN = "unknown"  # sent, and the answer proves nothing; it is being asked for
    TIMED_OUT = "timed_out"


ENDED = frozenset({OrderStatus.CLOSED, OrderStatus.CANCELED, OrderStatus.REJECTED})


@dataclass
class Order:
    """One order; sizes are in the base asset and positive, `price` None is the market's."""

    order_id: str
    symbol: str
    type: str  # market, limit or post_only
    size: float
    price: float | None
    timestamp: int  # close of the bar after which it was asked for, UTC ms
    status: OrderStatus = OrderStatus.PENDING
    filled_size: float = 0.0
    side: str = "buy"
    reason: str = ""  # why it was refused or ended

    @property
    def ended(self) -> bool:
        """Whether it will trade no more."""
        return self.status in ENDED

    def follow(self, state: State) -> None:
        """Become what the executor knows."""
        self.status = status_of(state)
        self.filled_size = abs(float(filled_quantity(state)))
        if isinstance(state, Closed):
            self.reason = state.reason


def status_of(state: State) -> OrderStatus:
    """The agent's word for what the executor knows."""
    match state:
        case Working(filled=filled):
            return OrderStatus.PARTIAL if filled else OrderStatus.OPEN
        case Filled():
            return OrderStatus.CLOSED
        case Closed(denied=denied, inferred=inferred):
            return OrderStatus.REJECTED if denied or inferred else OrderStatus.CANCELED
        case Unknown():
            return OrderStatus.UNKNOWN
        case _:
            return OrderStatus.PENDING


class Orders:
    """All orders of one run, those of steps too, by id and in the order in which they were made."""

    def __init__(self) -> None:
        self._all: dict[str, Order] = {}

    def __iter__(self) -> Iterator[Order]:
        return iter(self._all.values())

    def take(self, intent: Intent, time_ms: int) -> Order:
        """The order of this intent; a new one is pending."""
        known = self._all.get(intent.client_id)
        if known is None:
            known = self._all[intent.client_id] = Order(
                intent.client_id,
                intent.symbol,
                str(intent.kind),
                abs(float(intent.quantity)),
                None if intent.price is None else float(intent.price),
                time_ms,
                side="buy" if intent.quantity > 0 else "sell",
            )
        return known

    def keep(self, order: Order) -> Order:
        """Remember one that never came to be: the gate refused it."""
        self._all[order.order_id] = order
        return order

    def get(self, order_id: str) -> Order:
        """Raises: ConfigError: no such order in this run, nor open before it."""
        if order_id not in self._all:
            raise ConfigError(f"order {order_id!r} is not known; there are {', '.join(self._all) or 'none yet'}")
        return self._all[order_id]

    def renew(self, executor: Executor, interval_ms: int) -> None:
        """Follow the executor; what it has forgotten stays as it ended."""
        for state in executor.open_orders():
            self.take(state.intent, state.intent.bar_time_ms + interval_ms)
        for order in self._all.values():
            known = executor.order(order.order_id)
            if known is not None:
                order.follow(known)
