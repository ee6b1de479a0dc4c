"""A second opinion on fills and money: slow, plain, in Decimal, from the written rules only.

It shares no line with the kernels, the paper venue or the ledger, and imports nothing of klined. Given the bars, the
quantities that were decided on each bar and the costs, it says what must have been filled and what the account was
worth at every close:

* An order decided at the close of bar t fills at the open of bar t+1, worse by half the spread (never under half a
  tick) and by the square-root impact Y x sigma x sqrt(quantity / volume of t+1), then rounded against us to a tick.
* Its quantity is at most participation x volume of t+1, in whole lots; the rest expires at the close of t+1.
* sigma is that of the bar it trades in, (high - low) / open / (2 sqrt(ln 2)) (Parkinson, 1980); or, with
  `past_sigma`, the one known at the close of t: v starts as the square of the first log return, then
  v += (r*r - v) x 2/61, sigma = sqrt(v), 0 before the first return.
* The fee is taker x quantity x price, in quote.
* Spot pays quote for base; the position cannot become negative, and what the cash does not pay is not bought (at the
  price of the larger quantity). A perpetual pays and gets nothing but profit on
  closing against the average entry, and funding: -position x rate x open at each funding time, at the bar that opens
  there (or first after a gap), for the position held before that bar's orders fill.
* equity = quote + base x close (spot), wallet + position x (close - entry) (perpetual).

What it leaves out: liquidation, protective exits, filters; it is for runs that meet none of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext

PRECISION = 40
ZERO = Decimal(0)


@dataclass(frozen=True)
class SlowBar:
    open_time_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


@dataclass(frozen=True)
class Costs:
    """What one symbol costs; fractions of the price unless said otherwise."""

    tick: Decimal  # quote
    lot: Decimal  # base
    half_spread: Decimal = ZERO
    spread_sigma: Decimal = ZERO  # half spread added per unit of sigma
    impact: Decimal = ZERO  # Y
    participation: Decimal = Decimal(1)  # of a bar's volume
    taker: Decimal = ZERO
    perp: bool = False
    past_sigma: bool = False  # impact by what was known when the order was decided


@dataclass(frozen=True)
class SlowFill:
    bar: int  # index of the bar at whose open it happened
    symbol: str
    quantity: Decimal  # signed
    price: Decimal
    fee: Decimal  # quote
    realised: Decimal  # quote, before fees, against the average entry


@dataclass
class Holding:
    quantity: Decimal = ZERO
    entry: Decimal = ZERO  # average
    variance: Decimal | None = None
    close: Decimal | None = None
    end_ms: int | None = None  # end of the last bar
    ordered: Decimal = ZERO  # decided and not yet filled or expired

    def sigma(self) -> Decimal:
        return ZERO if self.variance is None else self.variance.sqrt()

    def see_close(self, close: Decimal) -> None:
        if self.close is not None:
            r = (close / self.close).ln()
            if self.variance is None:
                self.variance = r * r
            else:
                self.variance += (r * r - self.variance) * 2 / 61
        self.close = close

    def take(self, quantity: Decimal, price: Decimal) -> Decimal:
        """Change the position; the profit of what was closed."""
        before, after = self.quantity, self.quantity + quantity
        realised = ZERO
        if before == 0 or (before > 0) == (quantity > 0):
            self.entry = (self.entry * before + price * quantity) / after
        else:
            closed = min(abs(before), abs(quantity)) * (1 if before > 0 else -1)
            realised = closed * (price - self.entry)
            if after == 0:
                self.entry = ZERO
            elif (after > 0) != (before > 0):
                self.entry = price
        self.quantity = after
        return realised


@dataclass
class SlowAccount:
    """What is left of the run."""

    quote: Decimal
    fills: list[SlowFill] = field(default_factory=list)
    equity: list[Decimal] = field(default_factory=list)  # at the close of each bar
    positions: list[dict[str, Decimal]] = field(default_factory=list)  # at the close of each bar
    fees: Decimal = ZERO
    funding: Decimal = ZERO  # > 0 received
    realised: Decimal = ZERO


def range_sigma(bar: SlowBar) -> Decimal:
    """Volatility within one bar, a fraction of the price."""
    return (bar.high - bar.low) / bar.open / (2 * Decimal(2).ln().sqrt())


def fill_price(side: int, bar: SlowBar, quantity: Decimal, sigma: Decimal, costs: Costs) -> Decimal:
    """Price of `quantity` (unsigned) bought (side 1) or sold (side -1) at the open of `bar`."""
    worse = max(costs.half_spread + costs.spread_sigma * sigma, costs.tick / 2 / bar.open)
    worse += costs.impact * sigma * (quantity / bar.volume).sqrt()
    raw = bar.open * (1 + side * worse)
    ticks = (raw / costs.tick).to_integral_value(ROUND_CEILING if side > 0 else ROUND_FLOOR)
    return ticks * costs.tick


def recompute(
    bars: Sequence[Mapping[str, SlowBar]],
    orders: Sequence[Mapping[str, Decimal]],
    costs: Mapping[str, Costs],
    quote: Decimal,
    funding: Mapping[str, Mapping[int, Decimal]] | None = None,
    bar_ms: int = 60_000,
) -> SlowAccount:
    """Follow one account through `bars`, one mapping of symbol to bar per close time.

    `orders[t]` are the signed base quantities decided at the close of bar t; `funding[symbol]` maps the time in ms to
    the rate. A symbol without a bar at t has nothing to fill its order with, and the order expires.
    """
    with localcontext() as context:
        context.prec = PRECISION
        account = SlowAccount(quote)
        holdings = {symbol: Holding() for symbol in costs}
        for t, row in enumerate(bars):
            for symbol, holding in holdings.items():
                bar = row.get(symbol)
                if bar is not None:
                    _fund(account, holding, bar, costs[symbol], (funding or {}).get(symbol, {}))
                    _fill(account, t, symbol, holding, bar, costs[symbol])
                holding.ordered = ZERO
            for symbol, bar in row.items():
                holdings[symbol].see_close(bar.close)
                holdings[symbol].end_ms = bar.open_time_ms + bar_ms
            account.equity.append(_equity(account, holdings, costs))
            account.positions.append({symbol: h.quantity for symbol, h in holdings.items()})
            for symbol, quantity in orders[t].items():
                holdings[symbol].ordered = quantity
        return account


def _fill(account: SlowAccount, t: int, symbol: str, holding: Holding, bar: SlowBar, costs: Costs) -> None:
    wanted = holding.ordered
    if wanted == 0:
        return
    side = 1 if wanted > 0 else -1
    most = abs(wanted)
    if side < 0 and not costs.perp:
        most = min(most, holding.quantity)
    lots = (min(most, costs.participation * bar.volume) / costs.lot).to_integral_value(ROUND_FLOOR)
    if lots <= 0:
        return
    quantity = lots * costs.lot
    sigma = holding.sigma() if costs.past_sigma else range_sigma(bar)
    price = fill_price(side, bar, quantity, sigma, costs)
    if side > 0 and not costs.perp:
        most = max(account.quote, ZERO) / (price * (1 + costs.taker))
        quantity = min(quantity, (most / costs.lot).to_integral_value(ROUND_FLOOR) * costs.lot)
        if quantity == 0:
            return
    fee = costs.taker * quantity * price
    realised = holding.take(side * quantity, price)
    account.quote -= fee
    account.quote += realised if costs.perp else -side * quantity * price
    account.fees += fee
    account.realised += realised
    account.fills.append(SlowFill(t, symbol, side * quantity, price, fee, realised))


def _fund(account: SlowAccount, holding: Holding, bar: SlowBar, costs: Costs, rates: Mapping[int, Decimal]) -> None:
    since_ms = bar.open_time_ms if holding.end_ms is None else holding.end_ms
    for time_ms, rate in rates.items():
        if costs.perp and since_ms <= time_ms <= bar.open_time_ms:
            paid = holding.quantity * rate * bar.open
            account.quote -= paid
            account.funding -= paid


def _equity(account: SlowAccount, holdings: Mapping[str, Holding], costs: Mapping[str, Costs]) -> Decimal:
    equity = account.quote
    for symbol, holding in holdings.items():
        if holding.quantity and holding.close is not None:
            basis = holding.entry if costs[symbol].perp else ZERO
            equity += holding.quantity * (holding.close - basis)
    return equity
