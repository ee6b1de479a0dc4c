"""How the price moves within a bar: open ─▶ one extreme ─▶ the other ─▶ close, so that no step can miss an extreme.

A rising bar sees its low first, a falling one its high, as most do. When the extremes come is a hash of the bar's time.
"""

from msgspec import Struct

from klined.domain import Bar


class Point(Struct, frozen=True):
    """A place on the way: `fraction` of the bar that has passed, in [0, 1], and the price there."""

    fraction: float
    price: float


class Path:
    """The way of one bar."""

    def __init__(self, bar: Bar, seed: int = 0) -> None:
        mixed = (bar.open_time_ms // 1000 * 0x9E3779B1 + seed * 0x85EBCA6B) & 0xFFFFFFFF
        first = 0.1 + 0.35 * (mixed & 0xFFFF) / 65536.0
        second = 0.55 + 0.35 * (mixed >> 16) / 65536.0
        extremes = (bar.low, bar.high) if bar.close >= bar.open else (bar.high, bar.low)
        self.bar = bar
        self._knots = (
            Point(0.0, bar.open),
            Point(first, extremes[0]),
            Point(second, extremes[1]),
            Point(1.0, bar.close),
        )

    def price(self, fraction: float) -> float:
        """Where the price is after `fraction` of the bar."""
        before = self._knots[0]
        for knot in self._knots[1:]:
            if fraction < knot.fraction:
                share = (fraction - before.fraction) / (knot.fraction - before.fraction)
                return before.price + share * (knot.price - before.price)
            before = knot
        return before.price

    def between(self, after: float, until: float) -> list[Point]:
        """Turning points in (after, until], and the end of the way; empty when no time has passed."""
        if until <= after:
            return []
        points = [knot for knot in self._knots if after < knot.fraction <= until]
        if not points or points[-1].fraction < until:
            points.append(Point(until, self.price(until)))
        return points
