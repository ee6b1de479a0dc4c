"""The resting stop: made before the old one is broken, and an exit when none can be had."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from klined.trader.protection import Escape, Protection, Rest, Stop, View, Wish, Withdraw

LONG = Decimal("2.5")
TICK = Decimal("0.01")


def view(quantity: Decimal, *stops: Stop, entry: str = "2000") -> View:
    return View(quantity, Decimal(entry), stops, TICK)


def stop(name: str, quantity: str, price: str, *, working: bool = True) -> Stop:
    return Stop(name, Decimal(quantity), Decimal(price), working)


def test_an_open_position_gets_a_stop_on_the_losing_side() -> None:
    assert Protection(Decimal("0.05")).step(view(LONG), 0) == (Rest(Decimal("-2.5"), Decimal(1900)),)
    assert Protection(Decimal("0.05")).step(view(-LONG), 0) == (Rest(LONG, Decimal(2100)),)


def test_the_old_stop_is_withdrawn_only_when_the_new_one_works() -> None:
    protection = Protection(Decimal("0.05"))
    old = stop("old", "-1", "1900")
    assert protection.step(view(LONG, old), 0) == (Rest(Decimal("-2.5"), Decimal(1900)),)
    assert protection.step(view(LONG, old, stop("new", "-2.5", "1900", working=False)), 1) == ()
    assert protection.step(view(LONG, old, stop("new", "-2.5", "1900")), 2) == (Withdraw("old"),)
    assert protection.step(view(LONG, stop("new", "-2.5", "1900")), 3) == ()


def test_no_position_needs_no_stop() -> None:
    assert Protection(Decimal("0.05")).step(view(Decimal(0), stop("old", "-1", "1900")), 0) == (Withdraw("old"),)


def test_two_refusals_close_the_position() -> None:
    protection = Protection(Decimal("0.05"))
    protection.deny()
    assert isinstance(protection.step(view(LONG), 0)[0], Rest)
    protection.deny()
    (escape,) = protection.step(view(LONG), 0)
    assert isinstance(escape, Escape)
    assert escape.quantity == -LONG


def test_a_stop_that_would_trigger_at_once_is_not_tried_again() -> None:
    protection = Protection(Decimal("0.05"))
    protection.deny(hopeless=True)
    assert isinstance(protection.step(view(LONG), 0)[0], Escape)


def test_refused_replacements_leave_an_old_stop_that_still_covers() -> None:
    protection = Protection(Decimal("0.05"))
    protection.deny(hopeless=True)
    assert protection.step(view(Decimal(1), stop("old", "-2.5", "1850")), 0) == ()


def test_seconds_without_a_stop_are_counted() -> None:
    protection = Protection(Decimal("0.05"))
    protection.step(view(LONG), 1_000)
    assert protection.unprotected_s(4_000) == 3.0
    protection.step(view(LONG, stop("a", "-2.5", "1900")), 5_000)
    assert protection.unprotected_s(60_000) == 4.0


@given(st.lists(st.sampled_from(["grow", "shrink", "flip", "close", "refuse", "answer"]), max_size=40))
def test_a_working_stop_is_never_given_up_before_another_covers(moves: list[str]) -> None:
    protection = Protection(Decimal("0.05"))
    held, serial = Decimal(1), 0
    stops: list[Stop] = []
    for now_ms, move in enumerate(moves):
        held = {"grow": held + 1, "shrink": held / 2, "flip": -held, "close": Decimal(0)}.get(move, held)
        wishes: tuple[Wish, ...] = protection.step(view(held, *stops), now_ms)
        for wish in wishes:
            match wish:
                case Withdraw(name):
                    left = [s for s in stops if s.client_id != name]
                    assert not held or any(s.working and s.quantity == -held for s in left)
                    stops = left
                case Rest(quantity, price) if move == "refuse":
                    assert quantity * held < 0
                    assert price > 0
                    protection.deny()
                case Rest(quantity, price):
                    serial += 1
                    stops.append(Stop(str(serial), quantity, price, working=move == "answer"))
                case Escape():
                    held = Decimal(0)
        if move == "answer":
            stops = [Stop(s.client_id, s.quantity, s.price, working=True) for s in stops]
