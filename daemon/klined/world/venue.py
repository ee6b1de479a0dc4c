"""An exchange that works in real time: orders meet a simulated book at once, rest in it, or wait for their trigger.

    place ─▶ checks ─▶ NEW ─▶ takes from the book ─▶ TRADE ... ─▶ FILLED, EXPIRED, or rests
    move  ─▶ triggers ─▶ as above;  resting orders that the price reaches ─▶ TRADE (maker)
    cancel ─▶ CANCELED

A limit order rests behind the queue that the book shows at its price. What trades there while the price touches it goes
to the queue first, and then `PARTICIPATION` of it to us; others do not cancel, so a queue shrinks by trades alone. When
the price trades through, whoever was before us is done.

What is particular to spot or to perpetuals (money, refusals, algo orders) is in the subclasses. One account. Nothing
happens by itself: time comes with every call. News pile up until `drain`. Our orders never meet each other.
"""

from collections.abc import Sequence
from decimal import Decimal

from msgspec.structs import replace

from klined.domain import ZERO, Instrument
from klined.world.book import Book, Depth, Level
from klined.world.fees import Fees, FeeTier
from klined.world.memory import Memory
from klined.world.tickets import (
    Amendment,
    Changed,
    Declined,
    Order,
    OrderType,
    Status,
    Ticket,
    TimeInForce,
    Trade,
    VenueNews,
)
from klined.world.triggers import follow, levels_between, would_trigger

TRADING = "TRADING"
IMMEDIATE = {TimeInForce.IOC, TimeInForce.FOK}
PARTICIPATION = Decimal("0.5")
"""Largest share of a step's volume that one resting order gets."""


class Venue:
    """Common to both kinds of market; see the subclasses for what an account is."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        prices: dict[str, Decimal],
        depth: Depth | None = None,
        fee_tiers: Sequence[FeeTier] = (),
    ) -> None:
        """`prices` are the first last prices by venue symbol; without `fee_tiers` each has fees of its own."""
        self.listed = {instrument.venue_symbol: instrument for instrument in instruments}
        self.states = dict.fromkeys(self.listed, TRADING)
        self.books = {name: Book(item, prices[name], depth or Depth()) for name, item in self.listed.items()}
        self.memory = Memory()
        self.fees = Fees(fee_tiers)
        self.reject_triggers = 0  # a fault: so many triggered orders are rejected
        self._news: list[VenueNews] = []

    # --- asked from outside ------------------------------------------------------------------------------------------

    def instrument(self, symbol: str) -> Instrument:
        """Raises Declined when it is not listed."""
        found = self.listed.get(symbol)
        if found is None:
            raise Declined(-1121, "Invalid symbol.")
        return found

    def place(self, ticket: Ticket, now_ms: int) -> Order:
        """Take an order.

        Raises:
            Declined: it is refused; nothing has changed.
        """
        ticket = self.complete(ticket)
        self.admit(ticket)
        return self._enter(ticket, now_ms)

    def admit(self, ticket: Ticket) -> None:
        """Every check that `place` makes, and nothing else.

        Raises:
            Declined: it would be refused.
        """
        raise NotImplementedError

    def cancel(self, order: Order, now_ms: int, cancel_id: str = "") -> Order:
        """End an open order.

        Raises:
            Declined: it is not open any more.
        """
        if not order.status.open:
            raise Declined(-2011, "Unknown order sent.")
        return self._end(order, Status.CANCELED, now_ms, cancel_id=cancel_id)

    def move(self, symbol: str, price: float, volume: float, now_ms: int, *, jump: bool = False) -> None:
        """The market trades up or down to `price`, `volume` (base) on the way; with `jump`, nothing in between."""
        book = self.books[symbol]
        orders = self.memory.waiting(symbol)
        if not orders and not self._exposed(symbol):
            book.move(book.impacted(price))
            return
        tick = self.listed[symbol].tick
        target = Decimal(max(1, round(book.impacted(price) / float(tick)))) * tick
        stops = [] if jump else levels_between(orders, book.last, target)
        share = Decimal(repr(volume)) / (len(stops) + 1)
        for level in [*stops, target]:
            book.move(float(level))
            self._meet(symbol, share, now_ms)

    def drain(self) -> list[VenueNews]:
        """What happened since the last call."""
        news, self._news = self._news, []
        return news

    def fee_rate(self, symbol: str, now_ms: int, *, maker: bool) -> Decimal:
        """Fraction of the notional that a trade pays now."""
        tier = self.fees.tier(now_ms)
        if tier is not None:
            return tier.maker if maker else tier.taker
        item = self.listed[symbol]
        return item.maker_fee if maker else item.taker_fee

    def recount(self) -> None:
        """Take the turnover of remembered trades into account, after a restart."""
        for trade in self.memory.trades.values():
            self.fees.add(trade.price * trade.quantity, trade.time_ms)

    def rule(self, symbol: str, instrument: Instrument) -> None:
        """The exchange changes what it allows."""
        self.listed[symbol] = instrument
        self.books[symbol].rule(instrument)

    # --- for the subclasses ------------------------------------------------------------------------------------------

    def _allowed(self, order: Order) -> Decimal:
        """How much of the order may still trade."""
        return order.left

    def _settle(self, order: Order, level: Level, now_ms: int, *, maker: bool) -> Trade:
        """Move the money of one execution."""
        raise NotImplementedError

    def _settled(self, order: Order, now_ms: int) -> None:
        """After an execution was told: what it brings with it."""

    def _ended(self, order: Order, now_ms: int) -> None:
        """After an order has ended."""

    def _funds_moved(self, order: Order, now_ms: int) -> None:
        """After an order took or gave back funds without trading."""

    def _exposed(self, symbol: str) -> bool:
        """Whether a price move matters even without orders."""
        del symbol
        return False

    def _revalue(self, symbol: str, now_ms: int) -> None:
        """After the price moved and orders had their turn."""

    def complete(self, ticket: Ticket) -> Ticket:
        """Fill in what the ticket leaves to the venue: a quantity from an amount of quote."""
        if not ticket.quote_quantity or ticket.symbol not in self.books:
            return ticket
        left, lots = ticket.quote_quantity, ZERO
        for level in self.books[ticket.symbol].reach(buy=ticket.buy, limit=None):
            part = min(level.quantity, left / level.price)
            lots, left = lots + part, left - part * level.price
        return replace(ticket, quantity=lots - lots % self.listed[ticket.symbol].lot)

    def _enter(self, ticket: Ticket, now_ms: int, *, list_number: int = -1, began_as: OrderType | None = None) -> Order:
        """Make an order of an admitted ticket, and let it meet the book unless it waits for a trigger."""
        order = self._begin(self._made(ticket, now_ms, list_number=list_number, began_as=began_as), now_ms)
        return self._work(order, now_ms) if order.working else order

    def _made(self, ticket: Ticket, now_ms: int, *, list_number: int = -1, began_as: OrderType | None = None) -> Order:
        """An order that nobody knows of yet."""
        return Order(
            **{name: getattr(ticket, name) for name in Ticket.__struct_fields__},
            number=self.memory.next_order(), created_ms=now_ms, updated_ms=now_ms, list_number=list_number,
            began_as=began_as,
        )  # fmt: skip

    def _begin(self, order: Order, now_ms: int) -> Order:
        """Accept an order; it is working unless it waits for a trigger."""
        waits = bool(order.stop or order.trailing) and order.began_as is None
        order = replace(order, status=Status.NEW, updated_ms=now_ms, working_ms=-1 if waits else now_ms)
        if waits:
            order = follow(order, self.books[order.symbol].last, self.listed[order.symbol].tick)
        self._tell(order, "NEW", now_ms)
        self._funds_moved(order, now_ms)
        return order

    # --- the life of an order ----------------------------------------------------------------------------------------

    def _meet(self, symbol: str, volume: Decimal, now_ms: int) -> None:
        """Let every open order of the symbol look at the price."""
        book, tick = self.books[symbol], self.listed[symbol].tick
        for waiting in self.memory.waiting(symbol):
            order = self.memory.newest(waiting)
            if not order.status.open or order.status is Status.PENDING_NEW:
                continue  # what came before ended it, or has to fill first
            if order.good_till_ms and now_ms >= order.good_till_ms:
                self._end(order, Status.EXPIRED, now_ms)
            elif order.working:
                self._maybe_make(order, book.last, volume, now_ms)
            else:
                order = self._keep(follow(order, book.last, tick))
                if would_trigger(order, book.last):
                    self._trigger(order, now_ms)
        self._revalue(symbol, now_ms)

    def _trigger(self, order: Order, now_ms: int) -> None:
        if self.reject_triggers:
            self.reject_triggers -= 1
            self._end(order, Status.EXPIRED, now_ms, told="Due to the order could not be executed")
            return
        order = replace(order, working_ms=now_ms, updated_ms=now_ms, began_as=order.began_as or order.type)
        self._tell(order, "NEW", now_ms)
        self._work(order, now_ms)

    def _maybe_make(self, order: Order, last: Decimal, volume: Decimal, now_ms: int) -> None:
        if last > order.price if order.buy else last < order.price:
            return
        lot, most = self.listed[order.symbol].lot, ZERO
        if last != order.price:  # traded through
            most = max(lot, volume * PARTICIPATION // lot * lot) if volume else ZERO
        elif order.ahead < volume:
            most = (volume - order.ahead) * PARTICIPATION // lot * lot
        if order.ahead:
            ahead = max(ZERO, order.ahead - volume) if last == order.price else ZERO
            order = self._keep(replace(order, ahead=ahead))
        quantity = min(self._allowed(order), most)
        if quantity > 0:
            self._execute(order, Level(order.price, quantity), now_ms, maker=True)
        elif not self._allowed(order):
            self._end(order, Status.EXPIRED, now_ms)

    def _work(self, order: Order, now_ms: int) -> Order:
        """Bring an order to the book: take what it may, then rest or expire."""
        book = self.books[order.symbol]
        limit = order.price or None
        quantity = self._allowed(order)
        at_once = limit is None or order.tif in IMMEDIATE
        if order.fill_fraction is not None:
            lot = self.listed[order.symbol].lot
            quantity, at_once = quantity * order.fill_fraction // lot * lot, True
        if order.tif is TimeInForce.FOK and quantity > sum(
            (level.quantity for level in book.reach(buy=order.buy, limit=limit)), ZERO
        ):
            quantity = ZERO
        for level in book.take(quantity, buy=order.buy, limit=limit) if quantity > 0 else ():
            order = self._execute(order, level, now_ms, maker=False)
        if order.status.open and (at_once or quantity <= 0):
            order = self._end(order, Status.EXPIRED, now_ms)
        if order.status.open:
            order = self._keep(replace(order, ahead=book.queue(order.price, buy=order.buy)))
        return order

    def _execute(self, order: Order, level: Level, now_ms: int, *, maker: bool) -> Order:
        trade = self._settle(order, level, now_ms, maker=maker)
        filled = order.filled + level.quantity
        order = replace(
            order,
            filled=filled,
            quote_filled=order.quote_filled + level.quantity * level.price,
            status=Status.FILLED if filled >= order.quantity else Status.PARTIALLY_FILLED,
            updated_ms=now_ms,
        )
        self.memory.trade(trade)
        self.fees.add(trade.price * trade.quantity, now_ms)
        self._tell(order, "TRADE", now_ms, trade)
        self._settled(order, now_ms)
        if not order.status.open:
            self._ended(order, now_ms)
        return order

    def _end(self, order: Order, status: Status, now_ms: int, *, told: str = "", cancel_id: str = "") -> Order:
        order = replace(order, status=status, updated_ms=now_ms, told=told, cancel_id=cancel_id)
        self._tell(order, status.value, now_ms)
        self._funds_moved(order, now_ms)
        self._ended(order, now_ms)
        return order

    def _amend(self, order: Order, quantity: Decimal, price: Decimal, client_id: str, now_ms: int, what: str) -> Order:
        """Change an open order, and tell it as `what`."""
        change = Amendment(
            number=self.memory.counters.executions + 1, client_id=order.client_id, quantity=(order.quantity, quantity),
            price=(order.price, price), time_ms=now_ms,
        )  # fmt: skip
        order = replace(
            order, quantity=quantity, price=price, client_id=client_id, updated_ms=now_ms,
            amendments=(*order.amendments, change),
        )  # fmt: skip
        self._tell(order, what, now_ms)
        self._funds_moved(order, now_ms)
        return order

    def _keep(self, order: Order) -> Order:
        self.memory.keep(order)
        return order

    def _tell(self, order: Order, what: str, now_ms: int, trade: Trade | None = None) -> None:
        self._keep(order)
        execution = self.memory.next_execution()
        self._news.append(Changed(order=order, what=what, time_ms=now_ms, trade=trade, execution=execution))
