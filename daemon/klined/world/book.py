"""A simulated order book: levels around the last price, and what an order that comes in can take from them.

    last price ─▶ half spread ─▶ best bid, best ask ─▶ levels further and further out, of varying size

Nobody else's orders are modelled one by one: sizes are a hash of price and level, so a price shows the same book.
What an order takes is missing at first and comes back as the market moves (`move`), by a share each time. Taking also
pushes the price (Almgren and Chriss, 2000): a permanent part that stays, a transient part that fades as the book fills
up again; both linear in what was taken. Whole ticks and lots inside, Decimal outside.

A limit order that comes to rest has a queue before it: what the book shows at its price (`queue`).
"""

from decimal import Decimal

from msgspec import Struct

from klined.domain import Instrument

LEVELS = 50  # on each side; an order that eats them all finds nothing more


class Depth(Struct, frozen=True, kw_only=True):
    """The shape of a book."""

    half_spread: float = 0.00005  # fraction of the price
    spacing: float = 0.00005  # between levels, fraction of the price
    level_quote: float = 40_000.0  # size of one level, quote
    liquidity: float = 1.0  # factor on sizes; a thin market has less
    recovery: float = 0.5  # share of what is missing that comes back with each move of the market
    permanent: float = 0.0  # impact for good, fraction of the price per level's size taken
    transient: float = 0.0  # and impact that recovers as the sizes do


class Level(Struct, frozen=True):
    price: Decimal
    quantity: Decimal


class Book:
    """One symbol's book. `move` costs a few operations; levels are made when somebody looks."""

    def __init__(self, instrument: Instrument, price: Decimal, depth: Depth) -> None:
        self.depth = depth
        self.updates = 1  # counts moves and takings: the update id
        self._sold = self._bought = 0  # lots that are missing
        self._pushed = self._leaning = 0.0  # of the price, by what we took: for good, and for a while
        self.rule(instrument)
        self._ticks = max(1, int(price / self._tick))

    def rule(self, instrument: Instrument) -> None:
        """Take over price and quantity steps, which an exchange may change."""
        before = getattr(self, "_tick", instrument.tick)
        self._tick, self._lot = instrument.tick, instrument.lot
        self._ticks = max(1, int(getattr(self, "_ticks", 1) * before / self._tick))

    @property
    def last(self) -> Decimal:
        """The last price, on a tick."""
        return self._ticks * self._tick

    def impacted(self, price: float) -> float:
        """The market's own `price` as our trades have pushed it."""
        return price * (1.0 + self._pushed + self._leaning)

    def move(self, price: float) -> None:
        """The price is `price` now; a share of what was taken is there again."""
        self._ticks = max(1, round(price / float(self._tick)))
        gone = 1.0 - self.depth.recovery
        self._sold, self._bought = int(self._sold * gone), int(self._bought * gone)
        self._leaning *= gone
        self.updates += 1

    def queue(self, price: Decimal, *, buy: bool) -> Decimal:
        """What stands before an order of ours that comes to rest at `price`: the size that the book shows there.

        Before the best price nobody stands; between two levels as many as on the next one out.
        """
        levels = self.side(buy=not buy)
        if not levels or (price > levels[0].price if buy else price < levels[0].price):
            return Decimal(0)
        out = (level for level in levels if (level.price <= price if buy else level.price >= price))
        return next(out, levels[-1]).quantity

    def best_bid(self) -> Level:
        return self.side(buy=False, count=1)[0]

    def best_ask(self) -> Level:
        return self.side(buy=True, count=1)[0]

    def side(self, *, buy: bool, count: int = LEVELS) -> list[Level]:
        """What a buyer (asks) or a seller (bids) meets, best first; at most `count` levels."""
        gone = self._bought if buy else self._sold
        levels: list[Level] = []
        for ticks, lots in self._levels(buy=buy):
            left = lots - gone
            gone = max(0, gone - lots)
            if left > 0:
                levels.append(Level(ticks * self._tick, left * self._lot))
            if len(levels) == count:
                break
        return levels

    def reach(self, *, buy: bool, limit: Decimal | None) -> list[Level]:
        """The levels that an order may take, no worse than `limit`."""
        levels = self.side(buy=buy)
        if limit is None:
            return levels
        return [level for level in levels if (level.price <= limit if buy else level.price >= limit)]

    def take(self, quantity: Decimal, *, buy: bool, limit: Decimal | None) -> list[Level]:
        """Take up to `quantity` (not negative) from the book; what was got, best price first."""
        got: list[Level] = []
        for level in self.reach(buy=buy, limit=limit):
            part = min(quantity, level.quantity)
            if part <= 0:
                break
            got.append(Level(level.price, part))
            quantity -= part
        taken = int(sum((level.quantity for level in got), Decimal(0)) / self._lot)
        if buy:
            self._bought += taken
        else:
            self._sold += taken
        self.updates += bool(taken)
        self._push(taken if buy else -taken)
        return got

    def _push(self, taken: int) -> None:
        """Linear impact of signed lots; it shows with the next move."""
        depth = self.depth
        levels = taken * float(self._lot * self.last) / (depth.level_quote * depth.liquidity)
        self._pushed += depth.permanent * levels
        self._leaning += depth.transient * levels

    def _levels(self, *, buy: bool) -> list[tuple[int, int]]:
        """(ticks, lots) of each level before anything was taken."""
        depth, sign = self.depth, 1 if buy else -1
        offset = max(1, round(self._ticks * depth.half_spread))
        step = max(1, round(self._ticks * depth.spacing))
        size = depth.level_quote * depth.liquidity / float(self.last * self._lot)
        levels: list[tuple[int, int]] = []
        for i in range(LEVELS):
            ticks = self._ticks + sign * (offset + i * step)
            if ticks < 1:
                break
            noise = (ticks * 0x9E3779B1 + i * 0x85EBCA6B) % 1024 / 1024.0
            levels.append((ticks, max(1, int(size * (0.5 + noise) * (1.0 + 0.1 * i)))))
        return levels
