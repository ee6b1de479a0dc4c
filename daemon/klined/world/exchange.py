"""An exchange inside the process: orders in, fills out, money in Decimal. It outlives nothing but its dumped rows.

    submit ─▶ Denied                                        filters, funds, margin
       ├────▶ Accepted ─ on_batch ─▶ Traded [Ended]         market: the next bar's open; the rest expires at its close
       │                      ├────▶ Funded, Liquidated     perpetuals
       │                      └────▶ Traded                 stop: when a bar reaches it; limit: when one goes through it
       └────▶ Accepted, Traded                              Cause.FLATTEN: at once, around the last close

What a bar does is `klined.kernels.fills`; this class keeps orders, the ledger and their order in time. Deterministic:
ids are counters, and the same calls give the same news. A client id is refused only while an order with it is open, as
Binance does: it is a question, not an idempotency key.

Restart: `load` the rows that `dump` gave, and show the last batch again, before or after (as WARMUP, which moves clock
and prices and trades nothing): a batch that did nothing left no row behind, so its prices have to be told anew.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from klined.domain import (
    ZERO,
    Accepted,
    Account,
    Bar,
    Batch,
    Cause,
    Denied,
    Ended,
    Fill,
    Funded,
    Instrument,
    Intent,
    Liquidated,
    News,
    OpenOrder,
    OrderKind,
    OrderNews,
    Position,
    Purpose,
    Traded,
    Unsent,
)
from klined.errors import StateError
from klined.world.admission import Admission
from klined.world.ledger import Ledger
from klined.world.margin import funding_times
from klined.world.matching import SATOSHI, Execution, Friction, Matching, WouldTakeError
from klined.world.orders import Order, Orders

Rates = Callable[[str, int], float | None]
"""The funding rate of a symbol at a funding time in ms, None when none is known."""

LIMITS = frozenset({OrderKind.LIMIT, OrderKind.POST_ONLY})
BOOKS = "books"  # key of the row that holds all but orders


class Books(Struct, frozen=True):
    """All that is durable beside orders."""

    clock_ms: int
    orders: int
    trades: int
    balances: dict[str, Decimal]
    positions: tuple[Position, ...]
    bars: tuple[Bar | None, ...]
    closes_ms: tuple[int, ...]


class Exchange:
    """One account at one exchange.

    `balances` is what it starts with, per asset. `leverage` caps positions of perpetuals by their initial margin.
    Idle, a batch costs one comparison and a few stores a symbol.

    Raises:
        ConfigError: spot and perpetuals, or several quote assets, on one account.
    """

    def __init__(
        self,
        instruments: Sequence[Instrument],
        balances: Mapping[str, Decimal],
        *,
        friction: Friction | None = None,
        leverage: Decimal = Decimal(20),
        funding: Rates | None = None,
    ) -> None:
        self.instruments = {instrument.symbol: instrument for instrument in instruments}
        self._listed = tuple(instruments)
        self._index = {instrument.symbol: i for i, instrument in enumerate(instruments)}
        self._ledger = Ledger(instruments, balances)
        self._matching = Matching(instruments, friction or Friction())
        self._orders = Orders()
        self._admission = Admission(instruments, self._ledger, self._matching, leverage)
        self._rates = funding
        self._bars: list[Bar | None] = [None] * len(self._listed)
        self._closes_ms = [0] * len(self._listed)
        self._clock_ms = self._trades = 0
        self._held: list[int] = []  # symbols with a perpetual position
        self._active = False  # whether bars can do anything: an open order or a perpetual position
        self._marked = False  # whether the matching's rows are valued at the last closes
        self._changed = True  # since the last dump
        self._mirror()

    def submit(self, intent: Intent) -> list[OrderNews]:
        """Take one order, and say what becomes of it at once."""
        self._mark()
        refusal = self._admission.refusal(intent, self._orders.open, self._bars)
        if refusal is not None:
            return [Denied(intent.client_id, refusal)]
        order = self._orders.add(intent)
        self._changed = self._active = True
        news: list[OrderNews] = [Accepted(intent.client_id, str(order.number))]
        index = self._index[intent.symbol]
        bar = self._bars[index]
        if intent.cause is Cause.FLATTEN and intent.kind is OrderKind.MARKET and bar is not None:
            done = self._matching.flatten(index, self._allowed(index, intent), bar, self._clock_ms)
            news.extend(self._finish(order, index, done, self._clock_ms))
            self._marked = False
        return news

    def query(self, client_id: str) -> list[OrderNews]:
        """All that is known of an order; `Unsent` proves that it never came."""
        order = self._orders.get(client_id)
        if order is None:
            return [Unsent(client_id)]
        news: list[OrderNews] = [Accepted(client_id, str(order.number))]
        news.extend(Traded(fill) for fill in order.fills)
        if order.ended is not None:
            news.append(Ended(client_id, order.ended))
        return news

    def cancel(self, client_id: str) -> list[OrderNews]:
        """End an open order; of any other, tell what is known."""
        order = self._orders.open.get(client_id)
        if order is None:
            return self.query(client_id)
        return self._finish(order, self._index[order.intent.symbol], None, self._clock_ms, "canceled")

    def account(self) -> Account:
        """The truth at the last batch; one position per symbol, flat ones too."""
        orders = tuple(
            OpenOrder(client_id, order.intent.symbol, order.intent.quantity, order.filled, order.intent.kind)
            for client_id, order in self._orders.open.items()
        )
        return Account(self._clock_ms, dict(self._ledger.balances), self._ledger.positions(), orders)

    def on_batch(self, batch: Batch) -> Sequence[News]:
        """What the bars did to open orders and positions, in the order of the symbols; nothing when they are old."""
        news: Sequence[News] = ()
        close_ms = batch.close_time_ms
        if close_ms < self._clock_ms:
            return news
        if close_ms > self._clock_ms:
            if self._active and batch.purpose is not Purpose.WARMUP and not self._calm(batch):
                news = self._trade(batch)
            self._clock_ms = close_ms
        bars, closes_ms = self._bars, self._closes_ms
        for i, bar in enumerate(batch.bars):
            if bar is not None:
                bars[i] = bar
                closes_ms[i] = close_ms
        self._marked = False
        return news

    def dump(self) -> list[tuple[str, bytes]]:
        """Rows that changed since the last call; a later row replaces an earlier one of the same key."""
        if not self._changed:
            return []
        self._changed = False
        books = Books(
            self._clock_ms,
            self._orders.count,
            self._trades,
            self._ledger.balances,
            self._ledger.positions(),
            tuple(self._bars),
            tuple(self._closes_ms),
        )
        return [*self._orders.dump(), (BOOKS, msgspec.json.encode(books))]

    def load(self, rows: Sequence[tuple[str, bytes]]) -> None:
        """Continue from the newest row of every key ever dumped; nothing dumped is a new account.

        Raises:
            StateError: a row is damaged or of an exchange with other symbols.
        """
        if not rows:
            return
        latest = dict(rows)
        try:
            books = msgspec.json.decode(latest[BOOKS], type=Books)
            self._orders.load(latest, books.orders)
        except (KeyError, ValueError) as fault:
            raise StateError(f"the paper exchange's ledger is damaged: {fault!r}; restore a backup") from fault
        symbols = [position.symbol for position in books.positions]
        if symbols != list(self.instruments):
            raise StateError(
                f"the paper exchange's ledger is of {symbols}, not of {list(self.instruments)}; "
                "use the former symbols or another state directory"
            )
        self._clock_ms, self._trades = max(self._clock_ms, books.clock_ms), books.trades
        self._ledger.restore(books.balances, books.positions)
        for i, (bar, close_ms) in enumerate(zip(books.bars, books.closes_ms, strict=True)):
            if close_ms > self._closes_ms[i]:  # else a newer batch was shown already
                self._bars[i], self._closes_ms[i] = bar, close_ms
        self._changed = self._marked = False
        self._mirror()
        self._mark()

    # --- one order ---------------------------------------------------------------------------------------------------

    def _allowed(self, index: int, intent: Intent) -> Decimal:
        """The part of the order that its flags allow now."""
        held, quantity = self._ledger.quantity(index), intent.quantity
        if not intent.reduce_only:
            return quantity
        if held * quantity >= 0:
            return ZERO
        return max(quantity, -held) if quantity < 0 else min(quantity, -held)

    def _finish(
        self, order: Order, index: int, done: Execution | None, time_ms: int, reason: str = "expired"
    ) -> list[OrderNews]:
        """Book what was executed of `order` and close it; what was not ends with `reason`."""
        client_id = order.intent.client_id
        news: list[OrderNews] = []
        fills = order.fills
        if done is not None:
            fill = self._book(index, client_id, done, time_ms)
            fills = (*fills, fill)
            news.append(Traded(fill))
        ended = None if done is not None and done.quantity == order.intent.quantity else reason
        if ended is not None:
            news.append(Ended(client_id, ended))
        self._orders.keep(replace(order, fills=fills, ended=ended, open=False))
        self._changed = True
        self._active = bool(self._orders.open or self._held)
        return news

    def _book(self, index: int, client_id: str, done: Execution, time_ms: int) -> Fill:
        instrument = self._listed[index]
        rate = instrument.maker_fee if done.maker else instrument.taker_fee
        fee = abs(done.quantity) * done.price * rate if done.fee is None else done.fee
        self._ledger.trade(index, done.quantity, done.price, fee)
        self._trades += 1
        self._mirror()
        return Fill(
            trade_id=str(self._trades),
            client_id=client_id,
            symbol=instrument.symbol,
            quantity=done.quantity,
            price=done.price,
            fee=fee,
            fee_asset=instrument.quote,
            time_ms=time_ms,
            maker=done.maker,
        )

    # --- one batch ---------------------------------------------------------------------------------------------------

    def _calm(self, batch: Batch) -> bool:
        """Whether all there is is one position that meets neither a funding nor its liquidation price."""
        if self._orders.open or len(self._held) != 1:
            return False
        index = self._held[0]
        bar = batch.bars[index]
        if bar is None:
            return True
        if self._rates and funding_times(
            self._listed[index].funding_interval_ms, self._closes_ms[index], batch.close_time_ms
        ):
            return False
        price = self._matching.liquidation_price(index)
        return price == 0.0 or (bar.low > price if self._ledger.quantity(index) > 0 else bar.high < price)

    def _trade(self, batch: Batch) -> list[News]:
        """Every symbol through its bar, in the order of `kernels.fills.fill_step`."""
        self._mark()
        news: list[News] = []
        for index, bar in enumerate(batch.bars):
            symbol = self._listed[index].symbol
            waiting = [order for order in self._orders.open.values() if order.intent.symbol == symbol]
            if bar is not None:
                news.extend(self._fund(index, bar, self._closes_ms[index], bar.open_time_ms + 1))
            news.extend(self._market(waiting, index, bar, batch.close_time_ms))
            if bar is None:
                continue
            resting = [order for order in waiting if order.intent.kind in LIMITS]
            adverse = [order for order in resting if self._comes_first(order, index, bar)] if resting else resting
            for order in adverse:
                news.extend(self._limit(order, index, bar, batch.close_time_ms - 1))
            news.extend(self._fund(index, bar, bar.open_time_ms + 1, batch.close_time_ms))
            news.extend(self._liquidate(index, bar, batch.close_time_ms - 1))
            for order in waiting:
                if order.intent.kind is OrderKind.STOP:
                    news.extend(self._stop(order, index, bar, batch.close_time_ms - 1))
            for order in resting:
                if order not in adverse:
                    news.extend(self._limit(order, index, bar, batch.close_time_ms - 1))
        return news

    def _market(self, waiting: list[Order], index: int, bar: Bar | None, close_ms: int) -> list[OrderNews]:
        """Orders at the bar's open; without a bar there is nobody to trade with."""
        news: list[OrderNews] = []
        for order in (each for each in waiting if each.intent.kind is OrderKind.MARKET):
            done = None if bar is None else self._matching.market(index, self._allowed(index, order.intent), bar)
            news.extend(self._finish(order, index, done, close_ms if bar is None else bar.open_time_ms))
        return news

    def _fund(self, index: int, bar: Bar, after_ms: int, until_ms: int) -> list[News]:
        """Fundings that are due, on the position as it is, at the bar's open."""
        held = self._ledger.quantity(index)
        if self._rates is None or index not in self._held:
            return []
        news: list[News] = []
        instrument = self._listed[index]
        for time_ms in funding_times(instrument.funding_interval_ms, after_ms, until_ms):
            rate = self._rates(instrument.symbol, time_ms)
            if rate is None:
                continue
            amount = -(held * Decimal(repr(bar.open)) * Decimal(repr(rate))).quantize(SATOSHI)
            self._matching.funding(index, rate, bar.open)
            self._ledger.receive(amount)
            self._mirror()
            self._changed = True
            news.append(Funded(instrument.symbol, amount, time_ms, f"{instrument.symbol}-{time_ms}"))
        return news

    def _liquidate(self, index: int, bar: Bar, time_ms: int) -> list[News]:
        if index not in self._held:
            return []
        done = self._matching.liquidation(index, bar, time_ms)
        if done is None:
            return []
        fill = self._book(index, f"autoclose-{self._trades + 1}", done, time_ms)
        self._changed = True
        self._active = bool(self._orders.open or self._held)
        return [Liquidated(fill)]

    def _stop(self, order: Order, index: int, bar: Bar, time_ms: int) -> list[OrderNews]:
        """A stop that has nothing left to reduce ends, as it would at Binance."""
        intent = order.intent
        selling = self._ledger.spot and intent.quantity < 0
        quantity = self._allowed(index, replace(intent, reduce_only=True) if selling else intent)
        if not quantity:
            return self._finish(order, index, None, time_ms, "expired: nothing to reduce")
        done = self._matching.stop(index, quantity, intent.price or ZERO, bar, time_ms)
        return [] if done is None else self._finish(order, index, done, time_ms)

    def _comes_first(self, order: Order, index: int, bar: Bar) -> bool:
        """Whether a limit order meets the open or the adverse side of the bar: it adds to the position, or takes."""
        intent = order.intent
        if self._ledger.quantity(index) * intent.quantity >= 0:
            return True
        return not order.met and self._matching.crosses(index, intent.quantity, intent.price or ZERO, bar)

    def _limit(self, order: Order, index: int, bar: Bar, time_ms: int) -> list[OrderNews]:
        """A limit order rests on with what the bar left of it."""
        intent, left = order.intent, order.intent.quantity - order.filled
        quantity = self._allowed(index, replace(intent, quantity=left))
        if not quantity:
            return self._finish(order, index, None, time_ms, "expired: nothing to reduce")
        post_only = intent.kind is OrderKind.POST_ONLY
        try:
            done = self._matching.limit(
                index, quantity, intent.price or ZERO, bar, time_ms, fresh=not order.met, post_only=post_only
            )
        except WouldTakeError:
            return self._finish(order, index, None, time_ms, "expired: post-only, and it would take")
        if done is None:
            if not order.met:
                self._orders.keep(replace(order, met=True))
                self._changed = True
            return []
        fill = self._book(index, intent.client_id, done, time_ms)
        rests = done.quantity != left
        self._orders.keep(replace(order, fills=(*order.fills, fill), met=True, open=rests))
        self._changed = True
        self._active = bool(self._orders.open or self._held)
        return [Traded(fill)]

    def _mirror(self) -> None:
        """Tell the matching what the ledger holds."""
        ledger = self._ledger
        for index in range(len(self._listed)):
            self._matching.mirror(index, ledger.cash, ledger.quantity(index), ledger.entry(index))
        self._held = [] if ledger.spot else [i for i in range(len(self._listed)) if ledger.quantity(i)]
        self._active = bool(self._orders.open or self._held)

    def _mark(self) -> None:
        """Value the matching's rows at the last closes, once a batch."""
        if not self._marked:
            self._matching.mark(self._bars, self._clock_ms)
            self._marked = True
