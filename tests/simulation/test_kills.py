"""Killed before every turn of the loop: every point recovers."""

import pytest

from klined.simulation.proof import FLATTENED, ORDER_LIFE, killed_everywhere
from klined.simulation.run import simulate
from simulation.mutants import journals_after_the_answer

ORDER_S, FLATTEN_S = (0.0, 330.0), (299.0, 345.0)


def test_what_is_killed_everywhere_is_an_order_life_and_a_flatten() -> None:
    plain, flattened = simulate(ORDER_LIFE), simulate(FLATTENED)
    sent = [line for line in plain.trace if line[1] == "post" and float(str(line[0])) < ORDER_S[1]]
    assert {line[-1] for line in sent} >= {"lost", "partial"}
    assert any("flatten" in line for line in flattened.trace if line[1] == "post")


def test_an_order_life_recovers_from_a_kill_at_some_turns() -> None:
    points, failed = killed_everywhere(ORDER_LIFE, 60.0, 61.0)
    assert points > 10
    assert failed == []


@pytest.mark.slow
def test_an_order_life_recovers_from_a_kill_before_every_turn() -> None:
    points, failed = killed_everywhere(ORDER_LIFE, *ORDER_S)
    assert points > 150
    assert [(turn, outcome.violations) for turn, outcome in failed] == []


@pytest.mark.slow
def test_a_flatten_recovers_from_a_kill_before_every_turn() -> None:
    points, failed = killed_everywhere(FLATTENED, *FLATTEN_S)
    assert points > 50
    assert [(turn, outcome.violations) for turn, outcome in failed] == []


def test_kill_at_every_turn_finds_a_journal_that_is_written_too_late() -> None:
    assert killed_everywhere(ORDER_LIFE, 60.0, 60.5, journals_after_the_answer)[1]
