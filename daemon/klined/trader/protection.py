"""The stop that rests at the venue while a position is open: what it should be, and what to do until it is. Pure.

    position ─ no stop covers it ─▶ Rest(new) ─ working ─▶ Withdraw(old)      made before the old one is broken
       │                              └ refused twice, or it would trigger at once ─▶ Escape: close now
       └ none ─▶ Withdraw(all)

It protects when this process cannot. A stop covers a position when it is working, closes in the right direction, and is
at least as large; reduce-only makes one that is too large harmless. The time without cover is counted.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from msgspec import Struct

from klined.domain import ZERO

REFUSED_MAX = 2
DRIFT = Decimal("0.001")  # a stop is moved when its price is off by more than this fraction


class Stop(Struct, frozen=True):
    """A stop of ours that may still trade."""

    client_id: str
    quantity: Decimal  # signed
    price: Decimal
    working: bool  # the venue said so; otherwise its fate is open


class View(Struct, frozen=True):
    """One symbol at one moment."""

    quantity: Decimal  # of the position, signed
    entry: Decimal
    stops: tuple[Stop, ...]
    tick: Decimal


class Rest(Struct, frozen=True):
    """Place this stop."""

    quantity: Decimal
    price: Decimal


class Withdraw(Struct, frozen=True):
    """Cancel this stop; another covers the position, or there is none."""

    client_id: str


class Escape(Struct, frozen=True):
    """Close the position at once: no stop can be placed."""

    quantity: Decimal
    why: str


Wish = Rest | Withdraw | Escape


class Protection:
    """Watches over one symbol. `distance` is a fraction of the entry price, in (0, 1)."""

    def __init__(self, distance: Decimal) -> None:
        self.distance = distance
        self.refused = 0
        self.unprotected_ms = 0  # in all
        self._bare_since_ms = -1

    def step(self, view: View, now_ms: int) -> tuple[Wish, ...]:
        """What to do now; nothing when all is as it should be, or an answer is awaited."""
        covering = [stop for stop in view.stops if stop.working and covers(stop, view.quantity)]
        self._count(bare=bool(view.quantity) and not covering, now_ms=now_ms)
        if not view.quantity:
            self.refused = 0
            return tuple(Withdraw(stop.client_id) for stop in view.stops if stop.working)
        price = self.price(view)
        good = [stop for stop in covering if fits(stop, view.quantity, price)]
        if good:
            self.refused = 0
            return tuple(Withdraw(stop.client_id) for stop in view.stops if stop.working and stop is not good[0])
        if any(not stop.working for stop in view.stops):
            return ()
        if self.refused >= REFUSED_MAX and not covering:
            return (Escape(-view.quantity, f"a stop was refused {self.refused} times"),)
        if self.refused >= REFUSED_MAX:
            return ()  # the old one still covers it
        return (Rest(-view.quantity, price),)

    def deny(self, *, hopeless: bool = False) -> None:
        """A stop was refused for sure; `hopeless` when another try must fail too, since it would trigger at once."""
        self.refused = REFUSED_MAX if hopeless else self.refused + 1

    def price(self, view: View) -> Decimal:
        """Trigger of the stop, on the tick nearer to the entry."""
        long = view.quantity > 0
        raw = view.entry * (1 - self.distance if long else 1 + self.distance)
        ticks = (raw / view.tick).to_integral_value(ROUND_CEILING if long else ROUND_FLOOR)
        return ticks * view.tick

    def unprotected_s(self, now_ms: int) -> float:
        """Seconds of an open position without a working stop, in all."""
        bare_ms = now_ms - self._bare_since_ms if self._bare_since_ms >= 0 else 0
        return (self.unprotected_ms + bare_ms) / 1000

    def _count(self, *, bare: bool, now_ms: int) -> None:
        if bare and self._bare_since_ms < 0:
            self._bare_since_ms = now_ms
        elif not bare and self._bare_since_ms >= 0:
            self.unprotected_ms += max(0, now_ms - self._bare_since_ms)
            self._bare_since_ms = -1


def covers(stop: Stop, quantity: Decimal) -> bool:
    """Whether the stop closes all of a position."""
    return stop.quantity * quantity < ZERO and abs(stop.quantity) >= abs(quantity)


def fits(stop: Stop, quantity: Decimal, price: Decimal) -> bool:
    """Whether the stop is what would be placed now, to within what is not worth a replacement."""
    return stop.quantity == -quantity and abs(stop.price - price) <= DRIFT * price
