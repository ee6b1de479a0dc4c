"""Order lists of a venue: one cancels the other, one triggers the other, one pays the other.

OCO     a ─┬ trades, triggers or ends ─▶ the other ends
OTO     leader ─▶ fills ─▶ the pending order begins           ends without filling ─▶ the pending order ends
OTOCO   leader ─▶ fills ─▶ the pending two begin, as an OCO
OPO     as OTO or OTOCO; the pending quantity is what the leader brought
"""

from collections.abc import Sequence

from msgspec.structs import replace

from klined.world.tickets import Declined, ListChanged, Order, OrderList, Status, Ticket
from klined.world.venue import Venue


class ListVenue(Venue):
    """A venue that takes order lists; what an account is stays with the subclass."""

    def place_list(
        self, tickets: Sequence[Ticket], client_id: str, now_ms: int, *, leader: bool = False, proceeds: bool = False
    ) -> tuple[OrderList, list[Order]]:
        """Take a list. With `leader` all but the first wait for the first to fill; see OrderList for `proceeds`.

        Raises:
            Declined: one is refused; nothing has changed.
        """
        if len({ticket.client_id for ticket in tickets}) < len(tickets):
            raise Declined(-2010, "Duplicate order sent.")
        for place, ticket in enumerate(tickets):
            if leader and place:
                self.admit_pending(ticket, sized=not proceeds)
            else:
                self.admit(ticket)
        number, first = self.memory.next_list(), self.memory.counters.orders + 1
        entry = OrderList(
            number=number, client_id=client_id, symbol=tickets[0].symbol,
            orders=tuple(range(first, first + len(tickets))), time_ms=now_ms, leader=leader, proceeds=proceeds,
        )  # fmt: skip
        self._news.append(ListChanged(entry=entry, what="EXEC_STARTED", time_ms=now_ms))
        self.memory.keep_list(entry)
        placed = self._led(tickets, entry, now_ms) if leader else [
            self._enter(ticket, now_ms, list_number=number) for ticket in tickets
        ]  # fmt: skip
        return entry, [self.memory.newest(order) for order in placed]

    def cancel_list(self, entry: OrderList, now_ms: int, cancel_id: str = "") -> list[Order]:
        """End all orders of a list.

        Raises:
            Declined: it is done already.
        """
        if entry.done:
            raise Declined(-2011, "Unknown order sent.")
        for order in self._orders(entry):
            if self.memory.newest(order).status.open:
                self._end(self.memory.newest(order), Status.CANCELED, now_ms, cancel_id=cancel_id)
        return self._orders(entry)

    def admit_pending(self, ticket: Ticket, *, sized: bool) -> None:
        """The checks that a pending order passes before its time has come; without `sized` it has no quantity yet.

        Raises:
            Declined: it would be refused.
        """
        raise NotImplementedError

    def received(self, order: Order) -> Ticket:
        """`order` with the quantity that its list's leader brought.

        Raises:
            Declined: that is too little for an order.
        """
        raise NotImplementedError

    # --- life of a list -----------------------------------------------------------------------------------------------

    def _led(self, tickets: Sequence[Ticket], entry: OrderList, now_ms: int) -> list[Order]:
        """The leader is accepted, the others are made known, then the leader meets the book."""
        orders = [self._made(ticket, now_ms, list_number=entry.number) for ticket in tickets]
        leading = self._begin(orders[0], now_ms)
        for order in orders[1:]:
            self._tell(replace(order, status=Status.PENDING_NEW), "NEW", now_ms)
        self._work(leading, now_ms)
        return orders

    def _orders(self, entry: OrderList) -> list[Order]:
        """As they are now; what is forgotten is left out."""
        return [self.memory.orders[number] for number in entry.orders if number in self.memory.orders]

    def _leads(self, order: Order) -> bool:
        entry = self.memory.lists.get(order.list_number)
        return entry is not None and entry.leader and entry.orders[0] == order.number

    def _end_others(self, order: Order, now_ms: int) -> None:
        """The other legs go: expired as soon as one trades, cancelled with it when it is cancelled."""
        if order.list_number < 0 or order.number not in self.memory.orders:
            return
        cancelled = order.status is Status.CANCELED
        for other in self._orders(self.memory.lists[order.list_number]):
            if other.number != order.number and self.memory.newest(other).status.open:
                status = Status.CANCELED if cancelled else Status.EXPIRED
                self._end(self.memory.newest(other), status, now_ms, cancel_id=order.cancel_id)

    def _traded(self, order: Order, now_ms: int) -> None:
        """One leg has traded, or is about to."""
        if not self._leads(order):
            self._end_others(order, now_ms)

    def _trigger(self, order: Order, now_ms: int) -> None:
        self._traded(order, now_ms)
        super()._trigger(order, now_ms)

    def _ended(self, order: Order, now_ms: int) -> None:
        entry = self.memory.lists.get(order.list_number)
        if entry is None or entry.done:
            return
        if self._leads(order) and order.status is Status.FILLED:
            self._release(entry, now_ms)
        elif self._leads(order) or not order.filled:
            self._end_others(order, now_ms)  # cancelling one cancels the list
        if not self.memory.lists[entry.number].done and not any(each.status.open for each in self._orders(entry)):
            entry = replace(entry, done=True)
            self.memory.keep_list(entry)
            self._news.append(ListChanged(entry=entry, what="ALL_DONE", time_ms=now_ms))

    def _release(self, entry: OrderList, now_ms: int) -> None:
        """Let the pending orders begin; when one cannot, it is rejected and the other goes with it."""
        ready: list[Order] = []
        for order in self._orders(entry)[1:]:
            try:
                ticket = self.received(order) if entry.proceeds else order
                self.admit_now(ticket)
            except Declined as no:
                self._end(order, Status.REJECTED, now_ms, told=no.message)
                return
            ready.append(replace(order, quantity=ticket.quantity))
        begun = [self._begin(order, now_ms) for order in ready]
        for order in begun:
            newest = self.memory.newest(order)
            if newest.working and newest.status.open:
                self._work(newest, now_ms)

    def admit_now(self, ticket: Ticket) -> None:
        """The checks against the market and the balance as they are now.

        Raises:
            Declined: it would be refused.
        """
        raise NotImplementedError
