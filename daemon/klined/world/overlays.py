"""Trouble laid over a market: a flash crash, thin books, a trading halt, a gap. Bars in, bars out, by their number.

The overlay starts at bar `start` (counted from the first tradable bar) and lasts `bars`; outside it changes nothing.
"""

from enum import StrEnum
from math import pi, sin

from msgspec import Struct
from msgspec.structs import replace

from klined.domain import Bar


class Trouble(StrEnum):
    FLASH_CRASH = "flash_crash"  # down by `depth` and half of it back
    LOW_LIQUIDITY = "low_liquidity"  # a fiftieth of the volume, a thin and wide book
    HALT = "halt"  # no bars, orders refused, prices stand
    GAP = "gap"  # no bars, then another price


class Overlay(Struct, frozen=True, kw_only=True):
    """One trouble. `depth` is a fraction of the price: of the crash, or of the jump after a gap."""

    trouble: Trouble
    start: int
    bars: int
    depth: float = 0.2

    def covers(self, number: int) -> bool:
        return self.start <= number < self.start + self.bars

    def apply(self, bar: Bar, number: int) -> Bar | None:
        """The bar as it is under this overlay; None where there is none."""
        match self.trouble:
            case Trouble.FLASH_CRASH:
                return self._crashed(bar, number)
            case Trouble.LOW_LIQUIDITY:
                return replace(bar, volume=bar.volume * 0.02) if self.covers(number) else bar
            case Trouble.HALT:
                return None if self.covers(number) else bar
            case Trouble.GAP:
                if self.covers(number):
                    return None
                return _scaled(bar, 1.0 - self.depth, 1.0 - self.depth) if number >= self.start + self.bars else bar

    @property
    def liquidity(self) -> float:
        """Factor on the sizes of the book while it lasts."""
        return {Trouble.LOW_LIQUIDITY: 0.02, Trouble.FLASH_CRASH: 0.1}.get(self.trouble, 1.0)

    @property
    def spread(self) -> float:
        """Factor on spread and spacing of the book while it lasts."""
        return {Trouble.LOW_LIQUIDITY: 20.0, Trouble.FLASH_CRASH: 10.0}.get(self.trouble, 1.0)

    def _crashed(self, bar: Bar, number: int) -> Bar:
        """The fall is a sine that ends at half its depth and stays there."""
        if number < self.start:
            return bar
        return _scaled(bar, self._level(number), self._level(number + 1), 8.0 if self.covers(number) else 1.0)

    def _level(self, number: int) -> float:
        passed = min(1.0, (number - self.start) / self.bars)
        return 1.0 - self.depth * (sin(pi * passed) if passed < 0.5 else 0.5 + 0.5 * sin(pi * passed))


def _scaled(bar: Bar, at_open: float, at_close: float, volume: float = 1.0) -> Bar:
    open_, close = bar.open * at_open, bar.close * at_close
    low = min(open_, close, bar.low * min(at_open, at_close))
    high = max(
        open_, close, min(bar.high * max(at_open, at_close), max(open_, close) * bar.high / max(bar.open, bar.close))
    )
    return Bar(bar.symbol, bar.open_time_ms, open_, high, low, close, bar.volume * volume)
