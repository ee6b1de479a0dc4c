"""The exchange's memory of orders: which are open, what became of the others, what of it is not yet durable.

Closed orders stay known, so that whoever lost an answer can still ask, until `ORDERS_KEPT` newer ones came. Each order
has a slot in a ring and is dumped under its slot's key, so the durable rows are bounded without ever deleting one.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal

import msgspec
from msgspec import Struct

from klined.domain import ZERO, Fill, Intent

ORDERS_KEPT = 1024
PREFIX = "order/"


class Order(Struct, frozen=True):
    """An order as the exchange remembers it."""

    intent: Intent
    number: int  # counts all orders; also its venue id
    fills: tuple[Fill, ...] = ()
    ended: str | None = None  # why the rest will not trade
    open: bool = True
    met: bool = False  # whether a limit order has seen a bar: it can no longer take at an open

    @property
    def filled(self) -> Decimal:
        """Base quantity executed so far, signed."""
        return sum((fill.quantity for fill in self.fills), ZERO)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Order).decode


class Orders:
    """All orders that are still known, by client id; a client id that is used again means its newest order."""

    def __init__(self) -> None:
        self.open: dict[str, Order] = {}  # in order of submission
        self.count = 0  # ever submitted
        self._known: dict[str, Order] = {}
        self._slots: dict[int, str] = {}
        self._places: dict[str, int] = {}
        self._slot = 0
        self._dirty: dict[str, None] = {}

    def add(self, intent: Intent) -> Order:
        """A new open order; the oldest closed one may be forgotten for it."""
        self.count += 1
        order = Order(intent, self.count)
        slot = self._free_slot()
        forgotten = self._slots.get(slot)
        if forgotten is not None and self._places.get(forgotten) == slot:  # else a newer order has the same client id
            del self._known[forgotten], self._places[forgotten]
            self._dirty.pop(forgotten, None)
        self._slots[slot] = intent.client_id
        self._places[intent.client_id] = slot
        self.keep(order)
        return order

    def keep(self, order: Order) -> None:
        """Remember what `order` has become."""
        client_id = order.intent.client_id
        self._known[client_id] = order
        self._dirty[client_id] = None
        if order.open:
            self.open[client_id] = order
        else:
            self.open.pop(client_id, None)

    def get(self, client_id: str) -> Order | None:
        """What is known of the order, if anything."""
        return self._known.get(client_id)

    def dump(self) -> Iterator[tuple[str, bytes]]:
        """Rows of the orders that changed since the last call."""
        dirty, self._dirty = self._dirty, {}
        for client_id in dirty:
            yield f"{PREFIX}{self._places[client_id]}", _encode(self._known[client_id])

    def load(self, rows: Mapping[str, bytes], count: int) -> None:
        """Continue from dumped rows (others than orders are ignored) and the count of orders so far.

        Raises:
            msgspec.DecodeError: a row is no order.
        """
        slots = {int(key.removeprefix(PREFIX)): _decode(raw) for key, raw in rows.items() if key.startswith(PREFIX)}
        ascending = sorted(slots.items(), key=lambda item: item[1].number)
        self.count = count
        self._dirty = {}
        self._slots = {slot: order.intent.client_id for slot, order in ascending}
        self._places = {order.intent.client_id: slot for slot, order in ascending}
        self._known = {order.intent.client_id: order for _, order in ascending}
        self.open = {order.intent.client_id: order for _, order in ascending if order.open}
        self._slot = ascending[-1][0] if ascending else 0

    def _free_slot(self) -> int:
        while True:
            self._slot = (self._slot + 1) % ORDERS_KEPT
            holder = self._slots.get(self._slot)
            if holder not in self.open or self._places[holder] != self._slot:
                return self._slot
