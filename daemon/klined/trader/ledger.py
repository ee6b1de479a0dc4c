"""What we own and what it cost, in Decimal: every fill, fee, funding and transfer is booked once and exactly.

    equity = quote + Σ spot quantity x mark + Σ perpetual (quantity x mark - cost)
    change of equity == realised + change of unrealised - fees + funding + transfers      exactly, no rounding anywhere

A position remembers its quantity and its total cost; the average entry is their quotient and is never stored, so that
nothing is lost by dividing. Where a part is closed, its share of the cost is rounded once (to 20 places) and both parts
use the rounded figure. Spot: the quantity is the balance of the base asset. A fee in base is a sale of that much at the
fill's price, paid out as a fee; a fee in a third asset is taken from that balance and valued by a rate, or kept apart.
"""

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext

import msgspec
from msgspec import Struct

from klined.domain import ZERO, Account, Fill, Funded, Instrument, MarketKind, Position, Transferred
from klined.errors import ConfigError
from klined.kernels import layout as at
from klined.kernels.memory import book_cost, book_trade, book_trip
from klined.kernels.rows import Row

EXACT = Context(prec=100, rounding=ROUND_HALF_EVEN)  # no sum or product of money comes near 100 digits
COST_STEP = Decimal("1e-20")
SEEN_MAX = 1_000  # ids remembered against repeats; older repeats are caught by the order's own trade ids


class Booked(Struct, frozen=True):
    """What one fill did. All money in quote."""

    symbol: str
    time_ms: int
    notional: Decimal  # >= 0
    fee: Decimal  # 0 when paid in a third asset without a rate
    realised: Decimal  # before fees
    settled: Decimal | None  # profit after fees of the round trip that it closed
    first: bool  # the first piece of its order


class Holding(Struct):
    """One symbol's position."""

    quantity: Decimal = ZERO  # signed, base
    cost: Decimal = ZERO  # signed, quote: what `quantity` was bought for
    trip: Decimal = ZERO  # realised of the open round trip, fees included
    opened_ms: int = 0  # time of the fill that opened the round trip
    opened_at: Decimal = ZERO  # its price
    client_id: str = ""  # order of the last fill


class Books(Struct):
    """All that a ledger remembers; JSON in the snapshot."""

    balances: dict[str, Decimal]
    holdings: dict[str, Holding]
    realised: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    transfers: Decimal = ZERO  # deposits less withdrawals and what was adopted, valued when they happened
    settled: Decimal = ZERO  # of the last closed round trip
    fees_apart: dict[str, Decimal] = {}  # in third assets, not valued
    seen: dict[str, None] = {}


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Books)


class Ledger:
    """One account over symbols that share one quote asset. Every booking is O(1).

    Raises:
        ConfigError: the symbols have several quote assets.
    """

    def __init__(self, instruments: Sequence[Instrument], balances: Mapping[str, Decimal] | None = None) -> None:
        quotes = {instrument.quote for instrument in instruments}
        if len(quotes) != 1:
            raise ConfigError(f"one account needs one quote asset, not {sorted(quotes)}; split the symbols")
        (self.quote,) = quotes
        self.instruments = tuple(instruments)
        self._instrument = {instrument.symbol: instrument for instrument in instruments}
        self._bases = {i.base: i.symbol for i in instruments if i.kind is MarketKind.SPOT}
        self.books = Books({self.quote: ZERO}, {i.symbol: Holding() for i in instruments})
        for asset, amount in (balances or {}).items():
            self._set_balance(asset, amount)
        self._traded: dict[str, Decimal] = {}  # signed notional of the fill that `view` has not shown yet
        self._dumped: bytes | None = None

    def relist(self, instruments: Sequence[Instrument]) -> None:
        """The same symbols, with other steps and minima."""
        self.instruments = tuple(instruments)
        self._instrument = {instrument.symbol: instrument for instrument in instruments}

    @property
    def cash(self) -> Decimal:
        """Spot: quote balance. Perpetual: wallet balance."""
        return self.books.balances[self.quote]

    def balance(self, asset: str) -> Decimal:
        symbol = self._bases.get(asset)
        return self.books.holdings[symbol].quantity if symbol else self.books.balances.get(asset, ZERO)

    def position(self, symbol: str) -> Position:
        holding = self.books.holdings[symbol]
        entry = EXACT.divide(holding.cost, holding.quantity) if holding.quantity else ZERO
        return Position(symbol, holding.quantity, entry)

    def book(self, fill: Fill, rate: Decimal | None = None) -> Booked | None:
        """Book a fill once; None when it was booked before. `rate`: quote per unit of a third fee asset."""
        if not self._first_time(f"{fill.symbol}/{fill.trade_id}"):
            return None
        books, instrument, holding = self.books, self._instrument[fill.symbol], self.books.holdings[fill.symbol]
        spot = instrument.kind is MarketKind.SPOT
        first, holding.client_id = fill.client_id != holding.client_id, fill.client_id
        with localcontext(EXACT):
            before, realised = holding.quantity, _take(holding, fill.quantity, fill.price)
            traded = self._traded[fill.symbol] = fill.quantity * fill.price
            cash = -traded if spot else realised
            if fill.fee_asset == self.quote:
                fee = fill.fee
                cash -= fee
            elif spot and fill.fee_asset == instrument.base:
                fee = fill.fee * fill.price
                extra = _take(holding, -fill.fee, fill.price)
                realised += extra
            else:
                fee = self._pay_apart(fill, rate)
            books.balances[self.quote] += cash
            books.realised += realised
            books.fees += fee
            settled = _turn(holding, instrument.lot, before, fill, realised, fee)
            if settled is not None:
                books.settled = settled
            return Booked(fill.symbol, fill.time_ms, abs(traded), fee, realised, settled, first)

    def fund(self, news: Funded) -> bool:
        """Book funding once; False when it was booked before."""
        if not self._first_time(f"funding/{news.symbol}/{news.funding_id}"):
            return False
        with localcontext(EXACT):
            self.books.balances[self.quote] += news.amount
            self.books.funding += news.amount
        return True

    def transfer(self, news: Transferred, rate: Decimal | None = None) -> Decimal:
        """Book a deposit or withdrawal once; by how much it moved equity, in quote, which is no profit.

        `rate`: quote per unit of an asset that is not the quote. Without it a base asset moves at its average entry
        and a third asset moves nothing.
        """
        if not self._first_time(f"transfer/{news.asset}/{news.transfer_id}"):
            return ZERO
        with localcontext(EXACT):
            moved = self._move(news.asset, news.amount, rate)
            self.books.transfers += moved
        return moved

    def adopt(self, account: Account, marks: Mapping[str, Decimal]) -> Decimal:
        """Take the venue's word for balances and positions; by how much that moved equity at `marks` (quote per base).

        Positions that we did not open count from the venue's entry, or from the mark where it tells none. The
        difference is booked as a transfer, so that it is neither profit nor loss.
        """
        with localcontext(EXACT):
            before = self.equity(marks)
            for asset in {*self.books.balances, *account.balances}:
                if asset not in self._bases:
                    self._set_balance(asset, account.balances.get(asset, ZERO))
            told = {position.symbol: position for position in account.positions}
            for symbol, holding in self.books.holdings.items():
                position = told.get(symbol, Position(symbol, ZERO))
                if self._instrument[symbol].kind is MarketKind.SPOT:
                    quantity = account.balances.get(self._instrument[symbol].base, ZERO)
                    position = Position(symbol, quantity, position.entry)
                if position.quantity != holding.quantity:
                    entry = position.entry or marks[symbol]
                    held = Holding(position.quantity, position.quantity * entry, opened_ms=account.time_ms)
                    held.opened_at, held.client_id = entry, holding.client_id
                    self.books.holdings[symbol] = held
            moved = self.equity(marks) - before
            self.books.transfers += moved
        self._dumped = None
        return moved

    def equity(self, marks: Mapping[str, Decimal], rates: Mapping[str, Decimal] | None = None) -> Decimal:
        """Quote. `marks[symbol]` is needed where a position is held; third assets count where `rates` values them."""
        with localcontext(EXACT):
            equity = self.cash + self.unrealised(marks)
            for symbol, holding in self.books.holdings.items():
                if self._instrument[symbol].kind is MarketKind.SPOT:
                    equity += holding.cost
            for asset, rate in (rates or {}).items():
                if asset != self.quote and asset not in self._bases:
                    equity += self.books.balances.get(asset, ZERO) * rate
            return equity

    def unrealised(self, marks: Mapping[str, Decimal]) -> Decimal:
        """Σ quantity x mark - cost, quote."""
        with localcontext(EXACT):
            held = ((s, h) for s, h in self.books.holdings.items() if h.quantity or h.cost)
            return sum((h.quantity * marks[s] - h.cost if h.quantity else -h.cost for s, h in held), ZERO)

    def view(self, A: Row, q: Row, index: int) -> None:  # noqa: N803 # the rows' names are the kernels'
        """Refresh the float rows after each booking: the one crossing from Decimal to lanes. O(1).

        Equal to `kernels.account.apply_fill` within 1e-8; LOTS are whole, dust of less than a lot is left out.
        """
        books, instrument = self.books, self.instruments[index]
        holding = books.holdings[instrument.symbol]
        lots = float(holding.quantity // instrument.lot)
        A[at.CASH] = float(self.cash)
        A[at.REALISED] = float(books.realised)
        A[at.FEES] = float(books.fees)
        A[at.FUNDING] = float(books.funding)
        A[at.LAST_SETTLED] = float(books.settled)
        if lots == 0.0:
            q[at.ENTRY] = q[at.ENTRY_TIME] = q[at.EXTREME] = 0.0
        else:
            if q[at.ENTRY_TIME] != holding.opened_ms or q[at.LOTS] * lots <= 0.0:
                q[at.EXTREME] = float(holding.opened_at)
            q[at.ENTRY] = float(holding.cost / holding.quantity)
            q[at.ENTRY_TIME] = float(holding.opened_ms)
        q[at.LOTS] = lots
        q[at.TRIP] = float(holding.trip)
        traded = self._traded.pop(instrument.symbol, None)
        if traded is not None and A[at.CAPACITY] > 0.0:
            q[at.CHANGE] = float(traded) / A[at.CAPACITY]

    def dump(self) -> bytes:
        """JSON; encoded again only after a booking."""
        if self._dumped is None:
            self._dumped = _encoder.encode(self.books)
        return self._dumped

    def load(self, raw: bytes) -> None:
        """Continue from `dump`; symbols that are new start flat.

        Raises:
            msgspec.DecodeError: `raw` is no ledger.
        """
        books = _decoder.decode(raw)
        for instrument in self.instruments:
            books.holdings.setdefault(instrument.symbol, Holding())
        books.balances.setdefault(self.quote, ZERO)
        self.books, self._dumped = books, None

    def _first_time(self, key: str) -> bool:
        seen = self.books.seen
        if key in seen:
            return False
        seen[key] = None
        if len(seen) > SEEN_MAX:
            del seen[next(iter(seen))]
        self._dumped = None
        return True

    def _pay_apart(self, fill: Fill, rate: Decimal | None) -> Decimal:
        """Take a fee from a third asset's balance; its value in quote, 0 when there is no rate."""
        books, asset = self.books, fill.fee_asset
        if asset in self._bases:  # another of our symbols' base: a position of its own gets smaller
            return -self._move(asset, -fill.fee, rate)
        books.balances[asset] = books.balances.get(asset, ZERO) - fill.fee
        if rate is None:
            books.fees_apart[asset] = books.fees_apart.get(asset, ZERO) + fill.fee
            return ZERO
        return fill.fee * rate

    def _move(self, asset: str, amount: Decimal, rate: Decimal | None) -> Decimal:
        """Change a balance from outside; by how much that moves equity."""
        if asset not in self._bases:
            self.books.balances[asset] = self.books.balances.get(asset, ZERO) + amount
            if asset == self.quote:
                return amount
            return amount * rate if rate is not None else ZERO
        holding = self.books.holdings[self._bases[asset]]
        if rate is None:
            rate = (holding.cost / holding.quantity).quantize(COST_STEP) if holding.quantity else ZERO
        holding.quantity += amount
        holding.cost += amount * rate
        return amount * rate

    def _set_balance(self, asset: str, amount: Decimal) -> None:
        symbol = self._bases.get(asset)
        if symbol is None:
            self.books.balances[asset] = amount
        else:
            self.books.holdings[symbol].quantity = amount


def count_risk(booked: Booked, A: Row, P: Row) -> None:  # noqa: N803 # the rows' names are the kernels'
    """Tell the gate's counters what a fill did: trades, turnover and fees of the day, losing round trips in a row."""
    notional, fee = float(booked.notional), float(booked.fee)
    if booked.first:
        book_trade(A, float(booked.time_ms), notional, fee)
    else:
        book_cost(A, notional, fee)
    if booked.settled is not None:
        book_trip(A, P, float(booked.time_ms), float(booked.settled))


def _take(holding: Holding, quantity: Decimal, price: Decimal) -> Decimal:
    """Change quantity and cost; the profit of what was closed, before fees."""
    before = holding.quantity
    if before * quantity >= 0:
        holding.quantity += quantity
        holding.cost += quantity * price
        return ZERO
    closing = before if abs(quantity) >= abs(before) else -quantity
    whole = closing == before
    removed = holding.cost if whole else (holding.cost * closing / before).quantize(COST_STEP)
    opening = quantity + closing
    holding.quantity += quantity
    holding.cost += opening * price - removed
    return closing * price - removed


def _turn(
    holding: Holding, lot: Decimal, before: Decimal, fill: Fill, realised: Decimal, fee: Decimal
) -> Decimal | None:
    """Follow the round trip: it opens with the first whole lot and is settled when less than a lot is left."""
    was, now = before // lot, holding.quantity // lot
    if was == 0:
        holding.trip = realised - fee
        if now != 0:
            holding.opened_ms, holding.opened_at = fill.time_ms, fill.price
        return None
    if was * now > 0:
        holding.trip += realised - fee
        return None
    fee_closing = fee if now == 0 else (fee * abs(before / fill.quantity)).quantize(COST_STEP)
    settled = holding.trip + realised - fee_closing
    holding.trip = fee_closing - fee
    holding.opened_ms, holding.opened_at = (fill.time_ms, fill.price) if now else (0, ZERO)
    return settled
