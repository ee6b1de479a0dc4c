"""A policy that is somebody outside: one question at a time, answered, spared, or kept as it is when time is up."""

import asyncio

import numpy as np
import pytest

from klined.policies.hand import Hand
from klined.ports import Policy
from klined.trader.plans import PLANS

SEEN = np.zeros((1, 15), np.float32)
KEPT = [(0.25, ())]


def hand(patience_s: float | None = None) -> Hand:
    made = Hand(PLANS["eth15"])
    made.keep = lambda: list(KEPT)
    made.patience_s = lambda: patience_s
    return made


async def asked(one: Hand) -> "asyncio.Task[list[tuple[float, tuple[float, ...]]]]":
    """A question that is open."""
    opened = asyncio.Event()
    one.on_question = opened.set
    task = asyncio.create_task(one.deliberate(SEEN))
    await opened.wait()
    return task


def test_hand_is_a_policy_that_keeps_what_is_held_where_nobody_is_asked() -> None:
    one: Policy = hand()
    assert one.plan == "eth15"
    assert one.decide(SEEN) == KEPT
    one.restore(one.state())


async def test_answer_decides_and_counts_no_miss() -> None:
    one = hand()
    task = await asked(one)
    assert one.waiting
    one.answer([0.5])
    assert await task == [(0.5, (0.5,))]
    assert (one.asked, one.missed, one.waiting) == (1, 0, False)


async def test_patience_that_is_over_keeps_what_is_held_and_is_counted() -> None:
    one = hand(patience_s=0.0)
    assert await (await asked(one)) == KEPT
    assert one.missed == 1
    with pytest.raises(RuntimeError, match="no question"):
        one.answer([1.0])


async def test_spared_question_keeps_and_is_no_miss() -> None:
    one = hand()
    one.spare()  # nothing is asked yet
    task = await asked(one)
    one.spare()
    one.spare()
    assert await task == KEPT
    assert one.missed == 0


async def test_busy_hand_is_asked_nothing() -> None:
    one = hand()
    task = await asked(one)
    with one.busy():
        assert await task == KEPT
        assert await one.deliberate(SEEN) == KEPT
        assert one.asked == 1
    task = await asked(one)
    one.answer([0.0])
    assert await task == [(0.0, (0.0,))]


async def test_question_keeps_a_copy_of_what_was_seen() -> None:
    one, seen = hand(), SEEN.copy()
    opened = asyncio.Event()
    one.on_question = opened.set
    task = asyncio.create_task(one.deliberate(seen))
    await opened.wait()
    seen += 1.0
    assert (one.observations == SEEN).all()
    one.spare()
    await task
