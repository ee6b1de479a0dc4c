"""A simulated order book: levels around the last price, and what an order that comes in can take from them.

    last price ─▶ half spread ─▶ best bid, best ask ─▶ levels further and further out, of varying size

Nobody else's orders are modelled one by one: sizes are a hash of price and level, so a price shows the same book.
What an order takes is missing until the market moves again (`move`). Whole ticks and lots inside, Decimal outside.
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


class Level(Struct, frozen=True):
    price: Decimal
    quantity: Decimal


class Book:
    """One symbol's book. `move` costs a few operations; levels are made when somebody looks."""

    def __init__(self, instrument: Instrument, price: Decimal, depth: Depth) -> None:
        self.depth = depth
        self.updates = 1  # counts moves and takings: the update id
        self._sold = self._bought = 0  # lots taken since the last move
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

    def move(self, price: float) -> None:
        """The market is at `price` now, and the book is whole again."""
        self._ticks = max(1, round(price / float(self._tick)))
        self._sold = self._bought = 0
        self.updates += 1

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
        return got

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
