"""The simulated exchange: its own ledger, its own prices, a long memory. It is the truth that checkers compare with.

    arrive(intent) ─▶ refused | executed at once | in parts, the rest expiring | resting ─▶ news to whoever listens
    told(client id, as of) ─▶ what a read that lags says        account(as of) ─▶ balances, positions, open orders

A client id is free again as soon as its order has ended, as on Binance: sending it twice executes twice.
"""

from bisect import bisect_right
from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal

from klined.domain import (
    ZERO,
    Accepted,
    Account,
    Denied,
    Ended,
    Fill,
    Funded,
    Intent,
    MarketKind,
    News,
    OpenOrder,
    OrderKind,
    OrderNews,
    Position,
    Traded,
)
from klined.simulation.market import Market
from klined.simulation.world import World

RECV_WINDOW_MS = 5_000
AHEAD_MAX_MS = 1_000  # a request may claim to be from so far in the future
SPREAD = Decimal("0.0001")
BALANCE = Decimal(10_000)
DAY_S = 86_400.0
PROBE_S = 3.0  # how often the market may come to a resting order
FUNDING_RATE = Decimal("0.0001")


class Ticket:
    """One order at the exchange, with all that was ever said about it, and when."""

    __slots__ = ("filled", "intent", "news", "open", "since_s")

    def __init__(self, intent: Intent, now_s: float) -> None:
        self.intent = intent
        self.since_s = now_s
        self.filled = ZERO
        self.open = True
        self.news: list[tuple[float, OrderNews]] = [(now_s, Accepted(intent.client_id, f"v{now_s:.3f}"))]


class Exchange:
    """One account. `hear` is told of every piece of news of ours, `before_fill` and `after_fill` of executions."""

    def __init__(self, world: World, market: Market, *, fee_in_base: bool) -> None:
        self.market, self.instruments = market, market.instruments
        self.quote = next(iter(self.instruments.values())).quote
        self.spot = next(iter(self.instruments.values())).kind is MarketKind.SPOT
        self.balances: dict[str, Decimal] = {self.quote: BALANCE}
        self.quantity = dict.fromkeys(self.instruments, ZERO)
        self.cost = dict.fromkeys(self.instruments, ZERO)  # of perpetual positions
        self.tickets: dict[str, list[Ticket]] = {}
        self.fills: list[Fill] = []
        self.funded: list[Funded] = []
        self.hear: Callable[[News], None] = lambda _news: None
        self.on_accept: Callable[[Ticket], None] = lambda _ticket: None
        self.on_fill: Callable[[Fill, Decimal], None] = lambda _fill, _before: None
        self._fee_in_base = fee_in_base
        self._world = world
        self._history: list[tuple[float, Account]] = []
        self._open: list[Ticket] = []
        self._remember()

    def arrive(self, intent: Intent, signed_ms: int, *, partial: bool) -> OrderNews:
        """An order reaches the exchange: Denied, or Accepted and the way of its execution."""
        refusal = self._refusal(intent, signed_ms)
        if refusal is not None:
            self._world.note("exchange.refused", intent.client_id, refusal)
            return Denied(intent.client_id, refusal)
        ticket = Ticket(intent, self._world.now_s)
        self.tickets.setdefault(intent.client_id, []).append(ticket)
        self._open.append(ticket)
        self._world.note("exchange.accepted", intent.client_id, str(intent.quantity))
        self.hear(ticket.news[0][1])
        self.on_accept(ticket)
        if intent.price is None or self._takes(intent):
            self._execute(ticket, partial=partial)
        else:
            self._remember()
            self._world.after(PROBE_S, lambda: self._probe(ticket, partial=partial))
        return ticket.news[0][1]

    def cancel(self, client_id: str) -> bool:
        """End what is left of the open order of that name; whether there was one."""
        for ticket in self.tickets.get(client_id, ()):
            if ticket.open:
                self._end(ticket, "cancelled")
                return True
        return False

    def told(self, client_id: str, as_of_s: float) -> list[OrderNews]:
        """All that a read as of that moment knows of the order."""
        return [news for t in self.tickets.get(client_id, ()) for at_s, news in t.news if at_s <= as_of_s]

    def traded(self, client_id: str) -> bool:
        """Whether any of it was executed."""
        return any(ticket.filled for ticket in self.tickets.get(client_id, ()))

    def account(self, as_of_s: float) -> Account:
        """Balances, positions and open orders as of that moment."""
        k = bisect_right(self._history, as_of_s, key=lambda entry: entry[0]) - 1
        then = self._history[max(0, k)][1]
        return Account(self._world.now_ms, then.balances, then.positions, then.orders)

    def quotes(self, symbol: str) -> tuple[Decimal, Decimal]:
        """Best bid and best ask."""
        price, tick = self.market.price(symbol, self._world.now_s), self.instruments[symbol].tick
        return (price * (1 - SPREAD)).quantize(tick), (price * (1 + SPREAD)).quantize(tick)

    def fund(self) -> None:
        """Funding of perpetual positions, as at midnight."""
        for symbol, quantity in self.quantity.items():
            if quantity and not self.spot:
                amount = -quantity * self.market.price(symbol, self._world.now_s) * FUNDING_RATE
                self.balances[self.quote] += amount
                self.funded.append(Funded(symbol, amount, self._world.now_ms, f"f{self._world.now_ms}"))
                self._remember()
                self._world.note("exchange.funded", symbol, str(amount))
                self.hear(self.funded[-1])

    def equity(self) -> Decimal:
        """Quote, everything at the last price."""
        total = self.balances[self.quote]
        for symbol, quantity in self.quantity.items():
            if quantity:
                value = quantity * self.market.price(symbol, self._world.now_s)
                total += value if self.spot else value - self.cost[symbol]
        return total

    def _refusal(self, intent: Intent, signed_ms: int) -> str | None:  # noqa: PLR0911  # one return a reason
        age_ms = self._world.now_ms - signed_ms
        if age_ms > RECV_WINDOW_MS or age_ms < -AHEAD_MAX_MS:
            return f"-1021 timestamp {age_ms} ms old"
        instrument, quantity = self.instruments[intent.symbol], intent.quantity
        held = self.quantity[intent.symbol]
        notional = abs(quantity) * self.market.price(intent.symbol, self._world.now_s)
        if not quantity or quantity % instrument.lot:
            return "-1111 precision"
        if self.spot and notional < instrument.notional_min * Decimal("0.9"):
            return "-1013 NOTIONAL"
        if self.spot and self._short_of(intent, notional):
            return "-2010 insufficient balance"
        if intent.reduce_only and not self.spot and held * quantity >= 0:
            return "-2022 ReduceOnly"
        if intent.kind is OrderKind.POST_ONLY and self._takes(intent):
            return "-5022 Post Only order will be rejected: it would immediately match"
        return None

    def _short_of(self, intent: Intent, notional: Decimal) -> bool:
        """Whether a spot account has not what the order costs, beside what resting orders keep."""
        kept = [t for t in self._open if (t.intent.quantity > 0) == (intent.quantity > 0)]
        if intent.quantity > 0:
            bound = sum(((t.intent.quantity - t.filled) * (t.intent.price or ZERO) for t in kept), ZERO)
            return notional * Decimal("1.002") > self.balances[self.quote] - bound
        bound = sum((t.intent.quantity - t.filled for t in kept if t.intent.symbol == intent.symbol), ZERO)
        return -intent.quantity > self.quantity[intent.symbol] + bound

    def _takes(self, intent: Intent) -> bool:
        """Whether a limit order meets the other side at once."""
        bid, ask = self.quotes(intent.symbol)
        return intent.price is not None and (intent.price >= ask if intent.quantity > 0 else intent.price <= bid)

    def _probe(self, ticket: Ticket, *, partial: bool) -> None:
        """Let the market come to a resting order, now and then: for a part of it first, or for all."""
        intent, world = ticket.intent, self._world
        if not ticket.open or intent.price is None:
            return
        price = self.market.price(intent.symbol, world.now_s)
        if price <= intent.price if intent.quantity > 0 else price >= intent.price:
            lot = self.instruments[intent.symbol].lot
            part = (intent.quantity / 2 / lot).to_integral_value(ROUND_DOWN) * lot if partial else ZERO
            self._trade(ticket, part if part and not ticket.filled else None)
        world.after(PROBE_S, lambda: self._probe(ticket, partial=partial))

    def _execute(self, ticket: Ticket, *, partial: bool) -> None:
        world, client_id = self._world, ticket.intent.client_id
        lot = self.instruments[ticket.intent.symbol].lot
        if not partial:
            self._trade(ticket, ticket.intent.quantity)
            return
        part = (ticket.intent.quantity * Decimal(world.random("part", client_id)) / lot).to_integral_value(ROUND_DOWN)
        if part:
            self._trade(ticket, part * lot)
        expires = world.random("expires", client_id) < 0.5
        rest = (lambda: self._end(ticket, "expired")) if expires else (lambda: self._trade(ticket, None))
        world.after(world.between(0.5, 25.0, "rest", client_id), rest)

    def _trade(self, ticket: Ticket, quantity: Decimal | None) -> None:
        """Execute `quantity` of an open order, all that is left of it for None."""
        if not ticket.open:
            return
        intent, world = ticket.intent, self._world
        quantity = intent.quantity - ticket.filled if quantity is None else quantity
        before, wanted = self.quantity[intent.symbol], quantity
        if self.spot:
            quantity = max(quantity, -before) if quantity < 0 else quantity
        elif intent.reduce_only:
            quantity = (max if quantity < 0 else min)(quantity, -before) if before * quantity < 0 else ZERO
        if quantity:
            fill = self._fill(intent, quantity, rested=world.now_s > ticket.since_s)
            self._book(fill)
            ticket.filled += quantity
            ticket.news.append((world.now_s, Traded(fill)))
            world.note("exchange.traded", intent.client_id, str(quantity), str(fill.price))
            self.on_fill(fill, before)
        if ticket.filled == intent.quantity:
            ticket.open = False
        self._remember()
        if quantity:
            self.hear(ticket.news[-1][1])
        if quantity != wanted:
            self._end(ticket, "expired: nothing left to reduce")

    def _fill(self, intent: Intent, quantity: Decimal, *, rested: bool) -> Fill:
        instrument = self.instruments[intent.symbol]
        price = self.quotes(intent.symbol)[quantity > 0]
        if intent.price is not None and (rested or (price > intent.price) == (quantity > 0)):
            price = intent.price
        maker = intent.price is not None and rested
        in_base = self._fee_in_base and self.spot and quantity > 0
        paid = quantity if in_base else abs(quantity) * price
        return Fill(
            trade_id=str(len(self.fills) + 1),
            client_id=intent.client_id,
            symbol=intent.symbol,
            quantity=quantity,
            price=price,
            fee=paid * (instrument.maker_fee if maker else instrument.taker_fee),
            fee_asset=instrument.base if in_base else self.quote,
            time_ms=self._world.now_ms,
            maker=maker,
        )

    def _book(self, fill: Fill) -> None:
        symbol, balances = fill.symbol, self.balances
        before = self.quantity[symbol]
        if self.spot:
            balances[self.quote] -= fill.quantity * fill.price
            self.quantity[symbol] += fill.quantity
            if fill.fee_asset == self.quote:
                balances[self.quote] -= fill.fee
            else:
                self.quantity[symbol] -= fill.fee
            balances[self.instruments[symbol].base] = self.quantity[symbol]
        else:
            after = before + fill.quantity
            balances[self.quote] -= fill.fee
            if before * fill.quantity >= 0:
                self.cost[symbol] += fill.quantity * fill.price
            else:
                closing = -before if abs(fill.quantity) >= abs(before) else fill.quantity
                freed = self.cost[symbol] * (-closing) / before
                balances[self.quote] += -closing * fill.price - freed
                self.cost[symbol] += (fill.quantity - closing) * fill.price - freed
            self.quantity[symbol] = after
        self.fills.append(fill)

    def _end(self, ticket: Ticket, why: str) -> None:
        if ticket.open:
            ticket.open = False
            ticket.news.append((self._world.now_s, Ended(ticket.intent.client_id, why)))
            self._world.note("exchange.ended", ticket.intent.client_id, why)
            self._remember()
            self.hear(ticket.news[-1][1])

    @property
    def working(self) -> list[Ticket]:
        """Orders that may still trade."""
        return [ticket for ticket in self._open if ticket.open]

    def _remember(self) -> None:
        self._open = self.working
        positions = tuple(
            Position(s, q, ZERO if self.spot or not q else self.cost[s] / q) for s, q in self.quantity.items()
        )
        orders = tuple(
            OpenOrder(t.intent.client_id, t.intent.symbol, t.intent.quantity, t.filled, t.intent.kind)
            for t in self._open
        )
        self._history.append((self._world.now_s, Account(self._world.now_ms, dict(self.balances), positions, orders)))
