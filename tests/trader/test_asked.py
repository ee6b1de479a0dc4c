"""Orders that somebody asks for pass the same gate as a policy's, as they are or not at all, and leave no trace."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.gate_world import CLOSE_MS, NOW_MS, World
from kernels.test_gate import FIRST_TO_REFUSE
from klined.domain import Approved, Cause, Intent, OrderKind, Reason, Refused
from klined.kernels import layout as at
from klined.kernels.gate import latch_drawdown
from trader.test_risk import gate_of

BAR_MS, NOW, MINUTE_MS = int(CLOSE_MS) - 60_000, int(NOW_MS), 60_000
PACED = {Reason.DUPLICATE, Reason.STALE_BAR}  # one order a bar, soon after it: of a policy's pace, not of a person's


def asked(quantity: str, price: str | None = None) -> Intent:
    kind = OrderKind.MARKET if price is None else OrderKind.LIMIT
    return Intent(client_id="kl-7f3a9c-x-0-1", symbol="ETH/USDT", quantity=Decimal(quantity), bar_time_ms=BAR_MS,
                  kind=kind, price=None if price is None else Decimal(price), cause=Cause.HAND)  # fmt: skip


def rows(world: World) -> list[float]:
    return [*world.a, *world.Q.row[0], *world.p]


def test_order_goes_as_it_is_and_counts_as_working() -> None:
    world = World()
    order = asked("0.5")
    verdict = gate_of(world).order(0, order, NOW, MINUTE_MS)
    assert isinstance(verdict, Approved)
    assert verdict.intent == order
    assert world.Q.row[0][at.WORKING] > 0.0
    assert world.a[at.ORDERS_MINUTE] == 1.0


def test_policy_may_still_decide_the_bar_on_which_an_order_was_asked_for() -> None:
    world = World()
    gate = gate_of(world)
    assert isinstance(gate.order(0, asked("0.5"), NOW, MINUTE_MS), Approved)
    assert isinstance(gate.judge(0, 0.5, BAR_MS, NOW), Approved)


@pytest.mark.parametrize("reason", [r for r in FIRST_TO_REFUSE if r not in PACED], ids=lambda reason: reason.name)
def test_what_refuses_a_policy_refuses_a_person_and_changes_nothing(reason: Reason) -> None:
    world = World()
    FIRST_TO_REFUSE[reason](world)
    world.Q.row[0][at.WANTED] = 0.0
    before = rows(world)
    verdict = gate_of(world).order(0, asked("10" if reason is Reason.LIQUIDATION else "2"), NOW, MINUTE_MS)
    assert isinstance(verdict, Refused), reason
    world.a[at.REDUCING] = 0.0
    assert rows(world) == pytest.approx(before, nan_ok=True)


@given(peak=st.floats(5_000, 20_000), halt=st.sampled_from([0.0, 11.0]), desynced=st.sampled_from([0.0, 1.0]))
def test_latch_is_that_of_the_gates_own_step(peak: float, halt: float, desynced: float) -> None:
    worlds = World(), World()
    for world in worlds:
        world.a[at.PEAK], world.a[at.HALT], world.a[at.DESYNCED] = peak, halt, desynced
    worlds[0].judge(0.0)
    latch_drawdown(worlds[1].a, worlds[1].p)
    for slot in (at.REDUCING, at.HALT):
        assert worlds[0].a[slot] == worlds[1].a[slot]


def test_order_that_could_only_go_in_part_is_refused_whole() -> None:
    world = World()
    before = rows(world)
    verdict = gate_of(world).order(0, asked("400"), NOW, MINUTE_MS)
    assert isinstance(verdict, Refused)
    assert rows(world) == pytest.approx(before, nan_ok=True)


@pytest.mark.parametrize(
    ("order", "reason", "words"),
    [
        (asked("0.00000001"), Reason.LOT, "a quantity of 0.00000001 is not within"),
        (asked("0.5", "100"), Reason.PERCENT_PRICE, "a price of 100 is not within"),
    ],
)
def test_filter_says_its_numbers(order: Intent, reason: Reason, words: str) -> None:
    verdict = gate_of(World()).order(0, order, NOW, MINUTE_MS)
    assert isinstance(verdict, Refused)
    assert verdict.reason is reason
    assert verdict.detail.startswith(words), verdict.detail
