"""The spot venue: balances that orders lock, order lists, fees in what is received (or in BNB).

Locked is what open orders could still take; the legs of one list lock once. Nothing is stored twice: totals are kept,
locks are counted when somebody asks.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from klined.domain import ZERO, Instrument
from klined.world.book import Depth, Level
from klined.world.fees import FeeTier
from klined.world.limits import check_filters
from klined.world.tickets import (
    BalanceMoved,
    Declined,
    ListChanged,
    Order,
    OrderList,
    OrderType,
    Status,
    Ticket,
    Trade,
)
from klined.world.triggers import would_trigger
from klined.world.venue import Venue

BNB = "BNB"
BNB_DISCOUNT = Decimal("0.75")


class Balance(NamedTuple):
    free: Decimal
    locked: Decimal


class SpotVenue(Venue):
    """One spot account."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        prices: dict[str, Decimal],
        balances: Mapping[str, Decimal],
        *,
        depth: Depth | None = None,
        bnb_price: Decimal | None = None,
        fee_tiers: Sequence[FeeTier] = (),
    ) -> None:
        """With `bnb_price` (quote), fees are paid in BNB at a discount while the account has some."""
        super().__init__(instruments, prices, depth, fee_tiers)
        self.totals: dict[str, Decimal] = {}
        for item in instruments:
            self.totals.update({item.base: ZERO, item.quote: ZERO})
        self.totals.update(balances)
        self._bnb_price = bnb_price
        self._moved = True

    # --- money -------------------------------------------------------------------------------------------------------

    def locked(self, asset: str) -> Decimal:
        """What open orders hold of it."""
        single, lists = ZERO, dict[int, Decimal]()
        for order in self.memory.open_orders():
            item = self.listed[order.symbol]
            if asset != (item.quote if order.buy else item.base):
                continue
            need = order.left * (order.price or order.stop) if order.buy else order.left
            if order.list_number < 0:
                single += need
            else:
                lists[order.list_number] = max(need, lists.get(order.list_number, ZERO))
        return single + sum(lists.values(), ZERO)

    def balance(self, asset: str) -> Balance:
        locked = self.locked(asset)
        return Balance(max(ZERO, self.totals.get(asset, ZERO) - locked), locked)

    def transfer(self, asset: str, amount: Decimal, now_ms: int) -> None:
        """Deposit (+) or withdraw (-)."""
        self.totals[asset] = self.totals.get(asset, ZERO) + amount
        self._moved = True
        reason = "DEPOSIT" if amount >= 0 else "WITHDRAW"
        self._news.append(BalanceMoved(assets=(asset,), reason=reason, time_ms=now_ms, deltas=(amount,)))

    # --- orders ------------------------------------------------------------------------------------------------------

    def admit(self, ticket: Ticket) -> None:
        """See Venue.admit."""
        item = self.instrument(ticket.symbol)
        book, waiting = self.books[ticket.symbol], self.memory.waiting(ticket.symbol)
        check_filters(item, self.states[ticket.symbol], ticket, book.last, len(waiting))
        if any(order.client_id == ticket.client_id for order in waiting):
            raise Declined(-2010, "Duplicate order sent.")
        if would_trigger(ticket, book.last):
            raise Declined(-2010, "Order would trigger immediately.")
        if ticket.type is OrderType.LIMIT_MAKER and book.reach(buy=ticket.buy, limit=ticket.price):
            raise Declined(-2010, "Order would immediately match and take.")
        self._afford(ticket, item)

    def place_list(self, tickets: Sequence[Ticket], client_id: str, now_ms: int) -> tuple[OrderList, list[Order]]:
        """Two orders of which one ends the other.

        Raises:
            Declined: one is refused; nothing has changed.
        """
        for ticket in tickets:
            self.admit(ticket)
        number, first = self.memory.next_list(), self.memory.counters.orders + 1
        numbers = tuple(range(first, first + len(tickets)))
        entry = OrderList(number=number, client_id=client_id, symbol=tickets[0].symbol, orders=numbers, time_ms=now_ms)
        self._news.append(ListChanged(entry=entry, what="EXEC_STARTED", time_ms=now_ms))
        self.memory.keep_list(entry)
        placed = [self._enter(ticket, now_ms, list_number=number) for ticket in tickets]
        return entry, [self.memory.newest(order) for order in placed]

    def cancel_list(self, entry: OrderList, now_ms: int, cancel_id: str = "") -> list[Order]:
        """End both orders of a list.

        Raises:
            Declined: it is done already.
        """
        if entry.done:
            raise Declined(-2011, "Unknown order sent.")
        orders = [self.memory.orders[number] for number in entry.orders]
        for order in orders:
            if self.memory.newest(order).status.open:
                self._end(self.memory.newest(order), Status.CANCELED, now_ms, cancel_id=cancel_id)
        return [self.memory.newest(order) for order in orders]

    def state(self) -> bytes | None:
        """What `restore` takes, when it has changed since the last call."""
        if not self._moved:
            return None
        self._moved = False
        return msgspec.json.encode({"totals": self.totals, "states": self.states})

    def restore(self, raw: bytes) -> None:
        known = msgspec.json.decode(raw, type=dict[str, dict[str, str]])
        self.totals.update({asset: Decimal(total) for asset, total in known["totals"].items()})
        self.states.update({name: state for name, state in known["states"].items() if name in self.states})
        self._moved = False

    # --- what Venue asks ---------------------------------------------------------------------------------------------

    def _afford(self, ticket: Ticket, item: Instrument) -> None:
        if not ticket.buy:
            short = self.balance(item.base).free < ticket.quantity
        elif ticket.price or ticket.stop:
            short = self.balance(item.quote).free < ticket.quantity * (ticket.price or ticket.stop)
        else:
            cost, left = ZERO, ticket.quantity
            for level in self.books[ticket.symbol].reach(buy=True, limit=None):
                part = min(left, level.quantity)
                cost, left = cost + part * level.price, left - part
            short = self.balance(item.quote).free < (ticket.quote_quantity or cost)
        if short:
            raise Declined(-2010, "Account has insufficient balance for requested action.")

    def _settle(self, order: Order, level: Level, now_ms: int, *, maker: bool) -> Trade:
        item = self.listed[order.symbol]
        got, gave = (item.base, item.quote) if order.buy else (item.quote, item.base)
        notional = level.quantity * level.price
        gained, paid = (level.quantity, notional) if order.buy else (notional, level.quantity)
        self.totals[gave] -= paid
        self.totals[got] += gained
        rate = self.fee_rate(order.symbol, now_ms, maker=maker)
        fee, asset = (gained * rate).quantize(Decimal("1e-8")), got
        if self._bnb_price:
            in_bnb = (notional * rate * BNB_DISCOUNT / self._bnb_price).quantize(Decimal("1e-8"))
            if self.totals.get(BNB, ZERO) >= in_bnb:
                fee, asset = in_bnb, BNB
        self.totals[asset] -= fee
        self._moved = True
        return Trade(
            number=self.memory.next_trade(), order=order.number, symbol=order.symbol, buy=order.buy, price=level.price,
            quantity=level.quantity, fee=fee, fee_asset=asset, maker=maker, time_ms=now_ms,
            list_number=order.list_number,
        )  # fmt: skip

    def _settled(self, order: Order, now_ms: int) -> None:
        self._funds_moved(order, now_ms)
        self._end_others(order, now_ms)

    def _funds_moved(self, order: Order, now_ms: int) -> None:
        item = self.listed[order.symbol]
        assets = (item.base, item.quote) if self._bnb_price is None else (item.base, item.quote, BNB)
        self._news.append(BalanceMoved(assets=assets, reason="ORDER", time_ms=now_ms, symbol=order.symbol))

    def _end_others(self, order: Order, now_ms: int) -> None:
        """The other leg goes as soon as one trades."""
        if order.list_number < 0:
            return
        for number in self.memory.lists[order.list_number].orders:
            other = self.memory.orders.get(number)
            if number != order.number and other is not None and other.status.open:
                self._end(other, Status.EXPIRED, now_ms)

    def _trigger(self, order: Order, now_ms: int) -> None:
        self._end_others(order, now_ms)
        super()._trigger(order, now_ms)

    def _ended(self, order: Order, now_ms: int) -> None:
        if order.list_number < 0:
            return
        entry = self.memory.lists.get(order.list_number)
        if entry is None or entry.done:
            return
        if order.status is not Status.FILLED and not order.filled:
            self._end_others(order, now_ms)  # cancelling one cancels the list
        if not self.memory.lists[entry.number].done and not any(
            self.memory.orders[number].status.open for number in entry.orders
        ):
            entry = replace(entry, done=True)
            self.memory.keep_list(entry)
            self._news.append(ListChanged(entry=entry, what="ALL_DONE", time_ms=now_ms))
