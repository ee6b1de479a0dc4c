"""The spot venue: balances that orders lock, fees in what is received (or in BNB).

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
from klined.world.lists import ListVenue
from klined.world.tickets import (
    BalanceMoved,
    Declined,
    ListChanged,
    Order,
    OrderType,
    Status,
    Ticket,
    Trade,
)
from klined.world.triggers import would_trigger

BNB = "BNB"
BNB_DISCOUNT = Decimal("0.75")
AMENDMENTS_MAX = 10  # of one order


class Balance(NamedTuple):
    free: Decimal
    locked: Decimal


class SpotVenue(ListVenue):
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
            if asset != (item.quote if order.buy else item.base) or order.status is Status.PENDING_NEW:
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
        self.admit_pending(ticket, sized=True)
        self.admit_now(ticket)

    def admit_pending(self, ticket: Ticket, *, sized: bool) -> None:
        """See ListVenue.admit_pending."""
        item = self.instrument(ticket.symbol)
        book, waiting = self.books[ticket.symbol], self.memory.waiting(ticket.symbol)
        if sized:
            check_filters(item, self.states[ticket.symbol], ticket, book.last, len(waiting))
        if any(order.client_id == ticket.client_id for order in waiting):
            raise Declined(-2010, "Duplicate order sent.")

    def admit_now(self, ticket: Ticket) -> None:
        """See ListVenue.admit_now."""
        book = self.books[ticket.symbol]
        if would_trigger(ticket, book.last):
            raise Declined(-2010, "Order would trigger immediately.")
        if ticket.type is OrderType.LIMIT_MAKER and book.reach(buy=ticket.buy, limit=ticket.price):
            raise Declined(-2010, "Order would immediately match and take.")
        self._afford(ticket, self.listed[ticket.symbol])

    def received(self, order: Order) -> Ticket:
        """See ListVenue.received; a fee comes out of the free balance where that suffices."""
        item, leader = self.listed[order.symbol], self.memory.orders[self.memory.lists[order.list_number].orders[0]]
        quantity = min(leader.filled, self.balance(item.base).free)
        ticket = replace(order, quantity=quantity - quantity % item.lot)
        check_filters(item, self.states[order.symbol], ticket, self.books[order.symbol].last, 0)
        return ticket

    def amend(self, order: Order, quantity: Decimal, client_id: str, now_ms: int) -> Order:
        """Make an open order smaller; it keeps its place in the queue, the other leg of an OCO pair shrinks with it.

        Raises:
            Declined: it is not open, or that is no smaller quantity that the rules allow.
        """
        if not order.status.open:
            raise Declined(-2038, "Unknown order sent.")
        entry = self.memory.lists.get(order.list_number)
        pending = order.status is Status.PENDING_NEW
        if entry is not None and entry.proceeds and pending:
            raise Declined(-2038, "Order amend (pending OPO order) is not supported.")
        if quantity == order.quantity:
            raise Declined(-2038, "The requested action would change no state; rejecting.")
        if quantity > order.quantity:
            raise Declined(-2038, "Order amend (quantity increase) is not supported.")
        if quantity <= order.filled or len(order.amendments) >= AMENDMENTS_MAX:
            failed = "Invalid quantity." if quantity <= order.filled else "Filter failure: MAX_NUM_ORDER_AMENDS"
            raise Declined(-2038, failed)
        item, book = self.instrument(order.symbol), self.books[order.symbol]
        check_filters(item, self.states[order.symbol], replace(order, quantity=quantity), book.last, 0)
        amended = self._amend(order, quantity, order.price, client_id, now_ms, "REPLACED")
        for number in () if entry is None or self._leads(order) else entry.orders:
            twin = self.memory.orders[number]
            if number != order.number and twin.status.open and not self._leads(twin):
                self._amend(twin, quantity, twin.price, twin.client_id, now_ms, "REPLACED")
        if entry is not None and client_id != order.client_id:
            self._news.append(ListChanged(entry=entry, what="UPDATED", time_ms=now_ms))
        return amended

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
        self._traded(order, now_ms)

    def _funds_moved(self, order: Order, now_ms: int) -> None:
        item = self.listed[order.symbol]
        assets = (item.base, item.quote) if self._bnb_price is None else (item.base, item.quote, BNB)
        self._news.append(BalanceMoved(assets=assets, reason="ORDER", time_ms=now_ms, symbol=order.symbol))
