"""The USDT-M venue: positions on margin, reduce-only orders, the algo service, funding, liquidation.

place ─▶ LIMIT, MARKET                    place_algo ─▶ waits outside the book ─▶ TRIGGERED ─▶ an order of its own
fund, move ─▶ wallet, liquidation         countdown ─▶ all orders of a symbol cancelled when nobody renews it
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from klined.domain import ZERO, Instrument
from klined.world.book import Depth, Level
from klined.world.fees import FeeTier
from klined.world.holdings import CENT8, Held, Holdings
from klined.world.limits import check_filters
from klined.world.tickets import (
    AlgoChanged,
    BalanceMoved,
    Declined,
    Order,
    OrderType,
    Status,
    Ticket,
    TimeInForce,
    Trade,
)
from klined.world.triggers import would_trigger
from klined.world.venue import Venue

ALGOS_MAX = 200  # open conditional orders per account
AMENDMENTS_MAX = 10_000  # of one order


class PerpetualVenue(Venue):
    """One futures account."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        prices: dict[str, Decimal],
        wallets: Mapping[str, Decimal],
        *,
        depth: Depth | None = None,
        leverage: int = 20,
        fee_tiers: Sequence[FeeTier] = (),
    ) -> None:
        super().__init__(instruments, prices, depth, fee_tiers)
        self.holdings = Holdings(self.listed, wallets, lambda symbol: self.books[symbol].last, leverage)
        self.countdowns: dict[str, int] = {}  # symbol: when its orders are cancelled
        self._moved = True

    # --- orders ------------------------------------------------------------------------------------------------------

    def admit(self, ticket: Ticket) -> None:
        """See Venue.admit."""
        item = self.instrument(ticket.symbol)
        book, waiting = self.books[ticket.symbol], self.memory.waiting(ticket.symbol)
        check_filters(item, self.states[ticket.symbol], ticket, book.last, len(waiting))
        if any(order.client_id == ticket.client_id and order.algo is ticket.algo for order in waiting):
            raise Declined(-4116, "ClientOrderId is duplicated.")
        if self.holdings.ledger.dual == (ticket.position_side == "BOTH"):
            raise Declined(-4061, "Order's position side does not match user's setting.")
        if ticket.algo:
            self._admit_algo(ticket, waiting)
            return
        if ticket.tif is TimeInForce.GTX and book.reach(buy=ticket.buy, limit=ticket.price):
            raise Declined(
                -5022, "Due to the order could not be executed as maker, the Post Only order will be rejected. "
                "The order will not be recorded in the order history"
            )  # fmt: skip
        if ticket.tif is TimeInForce.FOK:
            found = sum((level.quantity for level in book.reach(buy=ticket.buy, limit=ticket.price)), ZERO)
            if found < ticket.quantity:
                raise Declined(
                    -5021, "Due to the order could not be filled immediately, the FOK order has been rejected. "
                    "The order will not be recorded in the order history"
                )  # fmt: skip
        self._afford(ticket, item)

    def _admit_algo(self, ticket: Ticket, waiting: list[Order]) -> None:
        if would_trigger(ticket, self.books[ticket.symbol].last):
            raise Declined(-2021, "Order would immediately trigger.")
        if len(self.memory.open_orders(algo=True)) >= ALGOS_MAX:
            raise Declined(-4045, "Reach max stop order limit.")
        if ticket.close_position:
            if any(
                o.close_position and o.buy is ticket.buy and o.type is ticket.type
                and o.position_side == ticket.position_side
                for o in waiting
            ):  # fmt: skip
                raise Declined(
                    -4130, "An open stop or take profit order with GTE and closePosition in the direction is existing."
                )
            if not self.closable(ticket):
                raise Declined(-4509, "Time in Force (TIF) GTE can only be used with open positions.")

    def modify(self, order: Order, quantity: Decimal, price: Decimal, now_ms: int) -> Order:
        """Give an open limit order another price and quantity; it goes to the end of the queue.

        A partly filled order that is to be no larger than its fill, and a post-only order that would take, are
        cancelled.

        Raises:
            Declined: it is not open, no limit order, or the rules or the margin do not allow the change.
        """
        if not order.status.open:
            raise Declined(-2013, "Order does not exist.")
        if order.type is not OrderType.LIMIT:
            raise Declined(-5025, "Only limit order is supported.")
        if (quantity, price) == (order.quantity, order.price):
            raise Declined(-5027, "No need to modify the order.")
        if len(order.amendments) >= AMENDMENTS_MAX:
            raise Declined(-5026, "Exceed maximum modify order limit.")
        item, book = self.instrument(order.symbol), self.books[order.symbol]
        check_filters(item, self.states[order.symbol], replace(order, quantity=quantity, price=price), book.last, 0)
        if (order.filled and quantity <= order.filled) or (
            order.tif is TimeInForce.GTX and book.reach(buy=order.buy, limit=price)
        ):
            return self.cancel(order, now_ms)
        if not self._closes(order):
            more = (quantity - order.filled) * price - order.left * order.price
            if more / self.holdings.ledger.leverage[order.symbol] > self.holdings.available(
                item.quote, self.ordered_margin(item.quote)
            ):
                raise Declined(-2019, "Margin is insufficient.")
        return self._work(self._amend(order, quantity, price, order.client_id, now_ms, "AMENDMENT"), now_ms)

    def move_margin(self, symbol: str, side: str, amount: Decimal, now_ms: int) -> None:
        """Move margin into (+) or out of (-) an isolated position.

        Raises:
            Declined: there is no such position, it is cross, or the margin is not there or needed where it is.
        """
        held, asset = self.holdings.position(symbol, side), self.instrument(symbol).quote
        if not self.holdings.ledger.isolated[symbol]:
            raise Declined(-4053, "Cannot add position margin: position is cross.")
        if not held.amount:
            raise Declined(-4054, "Cannot add position margin: position is 0.")
        if amount > self.holdings.available(asset, self.ordered_margin(asset)):
            raise Declined(-4050, "Cross balance insufficient.")
        spare = held.isolated_wallet + min(ZERO, self.holdings.profit(held)) - self.holdings.initial(held)
        if -amount > max(ZERO, spare):
            raise Declined(-4051, "Isolated balance insufficient.")
        self.holdings.move_margin(held, amount, now_ms)
        self._account_moved(symbol, "MARGIN_TRANSFER", now_ms)

    def countdown(self, symbol: str, countdown_ms: int, now_ms: int) -> None:
        """Cancel all orders of the symbol at that time, unless renewed; 0 stops it."""
        self.instrument(symbol)
        self.countdowns.pop(symbol, None)
        if countdown_ms:
            self.countdowns[symbol] = now_ms + countdown_ms
        self._moved = True

    def expire(self, now_ms: int) -> None:
        """Let countdowns that are over do their work; algo orders are not theirs."""
        for symbol in [name for name, due_ms in self.countdowns.items() if now_ms >= due_ms]:
            del self.countdowns[symbol]
            self._moved = True
            for order in self.memory.open_orders(symbol):
                self.cancel(order, now_ms)

    def fund(self, symbol: str, rate: Decimal, now_ms: int) -> None:
        """Pay or receive funding on the position, at the mark."""
        for held in self.holdings.positions(symbol):
            asset = self.listed[symbol].quote
            amount = -(self.holdings.notional(held) * rate).quantize(CENT8)
            self.holdings.receive(asset, amount)
            self.memory.income(symbol, "FUNDING_FEE", amount, now_ms)
            self._account_moved(symbol, "FUNDING_FEE", now_ms)

    def transfer(self, asset: str, amount: Decimal, now_ms: int) -> None:
        """Deposit (+) or withdraw (-)."""
        self.holdings.receive(asset, amount)
        self.memory.income("", "TRANSFER", amount, now_ms)
        reason = "DEPOSIT" if amount >= 0 else "WITHDRAW"
        self._news.append(BalanceMoved(assets=(asset,), reason=reason, time_ms=now_ms, deltas=(amount,)))
        self._moved = True

    def closable(self, ticket: Ticket) -> Decimal:
        """How much of the position this ticket's direction would close."""
        held = self.holdings.position(ticket.symbol, ticket.position_side)
        return abs(held.amount) if (held.amount < 0) is ticket.buy and held.amount else ZERO

    def ordered_margin(self, asset: str) -> Decimal:
        """What open orders that may add to positions reserve."""
        total = ZERO
        for order in self.memory.open_orders():
            if self.listed[order.symbol].quote == asset and not self._closes(order):
                total += order.left * order.price / self.holdings.ledger.leverage[order.symbol]
        return total

    def state(self) -> bytes | None:
        """What `restore` takes, when it has changed since the last call."""
        if not self._moved:
            return None
        self._moved = False
        rest = {"states": self.states, "countdowns": self.countdowns}
        return msgspec.json.encode({"holdings": msgspec.Raw(self.holdings.dump()), **rest})

    def restore(self, raw: bytes) -> None:
        known = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        self.holdings.load(bytes(known["holdings"]))
        states = msgspec.json.decode(known["states"], type=dict[str, str])
        self.states.update({name: state for name, state in states.items() if name in self.states})
        self.countdowns = msgspec.json.decode(known["countdowns"], type=dict[str, int])
        self._moved = False

    def touch(self) -> None:
        """Settings of the account were changed from outside."""
        self._moved = True

    # --- what Venue asks ---------------------------------------------------------------------------------------------

    def _closes(self, ticket: Ticket) -> bool:
        """Reduce-only, by its flag or by its side in hedge mode."""
        hedged = ticket.position_side != "BOTH" and (ticket.position_side == "LONG") is not ticket.buy
        return ticket.reduce_only or ticket.close_position or hedged

    def _afford(self, ticket: Ticket, item: Instrument) -> None:
        closable = self.closable(ticket)
        if self._closes(ticket):
            if not closable:
                raise Declined(-2022, "ReduceOnly Order is rejected.")
            return
        grows = ticket.quantity if ticket.position_side != "BOTH" else max(ZERO, ticket.quantity - closable)
        price = ticket.price or self.books[ticket.symbol].last
        cost = grows * price / self.holdings.ledger.leverage[ticket.symbol]
        if ticket.position_side == "BOTH" and grows and closable:
            cost = max(ZERO, cost - self.holdings.initial(self.holdings.position(ticket.symbol)))
        if cost > self.holdings.available(item.quote, self.ordered_margin(item.quote)):
            raise Declined(-2019, "Margin is insufficient.")

    def _allowed(self, order: Order) -> Decimal:
        return min(order.left, self.closable(order)) if self._closes(order) else order.left

    def _trigger(self, order: Order, now_ms: int) -> None:
        if self.reject_triggers:
            self.reject_triggers -= 1
            self._end(order, Status.REJECTED, now_ms, told="Reduce Only reject")
            return
        quantity = self.closable(order) if order.close_position else order.quantity
        if not quantity or (self._closes(order) and not self.closable(order)):
            self._end(order, Status.EXPIRED, now_ms, told="Reduce Only reject")
            return
        order = replace(order, status=Status.TRIGGERED, updated_ms=now_ms, child=self.memory.counters.orders + 1)
        self._tell(order, "TRIGGERED", now_ms)
        self._become(order, quantity, now_ms)

    def _become(self, order: Order, quantity: Decimal, now_ms: int) -> None:
        """The order that an algo order turns into when its trigger is reached."""
        limit = order.type in {OrderType.STOP, OrderType.TAKE_PROFIT}
        fields = {name: getattr(order, name) for name in Ticket.__struct_fields__}
        fields |= {
            "type": OrderType.LIMIT if limit else OrderType.MARKET,
            "quantity": quantity,
            "algo": False,
            "reduce_only": self._closes(order) and order.position_side == "BOTH",
        }
        child = Ticket(**fields)
        if not self._closes(order):
            try:
                self._afford(child, self.listed[order.symbol])
            except Declined as no:
                self._end(replace(order, child=0), Status.REJECTED, now_ms, told=no.message)
                return
        self._enter(child, now_ms, began_as=order.type)

    def _settle(self, order: Order, level: Level, now_ms: int, *, maker: bool) -> Trade:
        item = self.listed[order.symbol]
        signed = level.quantity if order.buy else -level.quantity
        realised = self.holdings.trade(order.symbol, order.position_side, signed, level.price, now_ms)
        fee = (level.quantity * level.price * self.fee_rate(order.symbol, now_ms, maker=maker)).quantize(CENT8)
        self.holdings.receive(item.quote, -fee)
        number = self.memory.next_trade()
        if realised:
            self.memory.income(order.symbol, "REALIZED_PNL", realised, now_ms, str(number))
        self.memory.income(order.symbol, "COMMISSION", -fee, now_ms, str(number))
        return Trade(
            number=number, order=order.number, symbol=order.symbol, buy=order.buy, price=level.price,
            quantity=level.quantity, fee=fee, fee_asset=item.quote, maker=maker, time_ms=now_ms,
            realised=realised, position_side=order.position_side,
        )  # fmt: skip

    def _settled(self, order: Order, now_ms: int) -> None:
        self._account_moved(order.symbol, "ORDER", now_ms)

    def _ended(self, order: Order, now_ms: int) -> None:
        """An algo order has finished when its order has."""
        for parent in reversed(self.memory.algos.values()) if order.began_as else ():
            if parent.child == order.number and parent.status is Status.TRIGGERED:
                self._tell(replace(parent, status=Status.FINISHED, updated_ms=now_ms), "FINISHED", now_ms)
                return

    def _tell(self, order: Order, what: str, now_ms: int, trade: Trade | None = None) -> None:
        if not order.algo:
            super()._tell(order, what, now_ms, trade)
            return
        self._keep(order)
        self._news.append(AlgoChanged(order=order, time_ms=now_ms))

    def _exposed(self, symbol: str) -> bool:
        return bool(self.holdings.positions(symbol))

    def _revalue(self, symbol: str, now_ms: int) -> None:
        if self._exposed(symbol):
            for held in list(self.holdings.doomed()):
                self._liquidate(held, now_ms)

    def _liquidate(self, held: Held, now_ms: int) -> None:
        """The exchange takes the position over at the mark, for a fee; nobody loses more than the wallet."""
        item, price = self.listed[held.symbol], self.books[held.symbol].last
        quantity = abs(held.amount)
        ticket = Ticket(
            client_id=f"autoclose-{now_ms}", symbol=held.symbol, buy=held.amount < 0, type=OrderType.LIMIT,
            tif=TimeInForce.IOC, quantity=quantity, price=price, reduce_only=True, position_side=held.side,
        )  # fmt: skip
        fields = {name: getattr(ticket, name) for name in Ticket.__struct_fields__}
        order = Order(**fields, number=self.memory.next_order(), created_ms=now_ms, working_ms=now_ms)
        self._tell(order, "NEW", now_ms)
        trade = self._settle(order, Level(price, quantity), now_ms, maker=False)
        penalty = min(quantity * price * item.liquidation_fee, max(ZERO, self.holdings.ledger.wallets[item.quote]))
        self.holdings.receive(item.quote, -penalty.quantize(CENT8))
        self.memory.income(held.symbol, "INSURANCE_CLEAR", -penalty.quantize(CENT8), now_ms, str(trade.number))
        wallet = self.holdings.ledger.wallets[item.quote]
        if wallet < 0:
            self.holdings.receive(item.quote, -wallet)
        self.memory.trade(trade)
        done = replace(order, status=Status.FILLED, filled=quantity, quote_filled=quantity * price, updated_ms=now_ms)
        self._tell(done, "CALCULATED", now_ms, trade)
        self._account_moved(held.symbol, "ORDER", now_ms)

    def _account_moved(self, symbol: str, reason: str, now_ms: int) -> None:
        self._moved = True
        asset = self.listed[symbol].quote
        self._news.append(BalanceMoved(assets=(asset,), reason=reason, time_ms=now_ms, symbol=symbol))
