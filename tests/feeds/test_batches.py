"""Batches: all symbols of one close in configured order, in time, each once; and what follows what."""

from hypothesis import given
from hypothesis import strategies as st

from klined.domain import Bar, Batch
from klined.feeds.batches import BatchAssembler
from klined.feeds.gaps import Continuity, Seen, Step, follows

MINUTE_MS = 60_000
GRACE_MS = 3_000
SYMBOLS = ("A/USDT", "B/USDT", "C/USDT")


def bar(symbol: str, minute: int) -> Bar:
    return Bar(symbol, minute * MINUTE_MS, 1.0, 1.0, 1.0, 1.0, 1.0)


def assembler() -> BatchAssembler:
    return BatchAssembler(SYMBOLS, MINUTE_MS, GRACE_MS)


def test_batch_leaves_when_complete_in_configured_order() -> None:
    made = assembler()
    assert made.add(bar("C/USDT", 1)) == []
    assert made.add(bar("A/USDT", 1)) == []
    assert made.add(bar("B/USDT", 1)) == [Batch(2 * MINUTE_MS, tuple(bar(s, 1) for s in SYMBOLS))]
    assert made.due_ms() is None


def test_batch_leaves_incomplete_after_its_grace_and_not_before() -> None:
    made = assembler()
    made.add(bar("B/USDT", 1))
    assert made.due_ms() == 2 * MINUTE_MS + GRACE_MS
    assert made.due(2 * MINUTE_MS + GRACE_MS - 1) == []
    assert made.due(2 * MINUTE_MS + GRACE_MS) == [Batch(2 * MINUTE_MS, (None, bar("B/USDT", 1), None))]


def test_complete_batch_does_not_overtake_an_older_one() -> None:
    made = assembler()
    made.add(bar("A/USDT", 1))
    made.add(bar("A/USDT", 2))
    made.add(bar("B/USDT", 2))
    left = made.add(bar("C/USDT", 2))
    assert [batch.close_time_ms for batch in left] == [2 * MINUTE_MS, 3 * MINUTE_MS]
    assert left[0].bars == (bar("A/USDT", 1), None, None)


def test_bar_that_comes_after_its_batch_left_is_counted_and_held_back() -> None:
    made = assembler()
    made.add(bar("A/USDT", 1))
    made.due(3 * MINUTE_MS)
    assert made.add(bar("B/USDT", 1)) == []
    assert made.late == 1


@given(st.permutations([(symbol, minute) for symbol in SYMBOLS for minute in range(4)]), st.integers(1, 12))
def test_every_bar_leaves_once_or_is_late_and_batches_ascend(arrivals: list[tuple[str, int]], pause: int) -> None:
    made = assembler()
    left: list[Batch] = []
    for count, (symbol, minute) in enumerate(arrivals):
        left += made.add(bar(symbol, minute))
        if count == pause:
            left += made.due(2 * MINUTE_MS + GRACE_MS)
    left += made.due(10 * MINUTE_MS)
    closes = [batch.close_time_ms for batch in left]
    assert closes == sorted(set(closes))
    assert sum(one is not None for batch in left for one in batch.bars) + made.late == len(arrivals)
    assert all(one is None or one.symbol == SYMBOLS[slot] for batch in left for slot, one in enumerate(batch.bars))


def test_steps_between_bars_are_named() -> None:
    assert follows(None, 0, MINUTE_MS) == Seen(Step.FIRST)
    assert follows(0, MINUTE_MS, MINUTE_MS) == Seen(Step.NEXT)
    assert follows(0, 5 * MINUTE_MS, MINUTE_MS) == Seen(Step.GAP, 4)
    assert follows(MINUTE_MS, MINUTE_MS, MINUTE_MS) == Seen(Step.DUPLICATE)
    assert follows(MINUTE_MS, 0, MINUTE_MS) == Seen(Step.OLDER)


@given(st.lists(st.integers(0, 50), max_size=60))
def test_only_newer_bars_are_fresh_and_gaps_add_up(minutes: list[int]) -> None:
    line = Continuity(MINUTE_MS)
    fresh = [minute for minute in minutes if line.see("A/USDT", minute * MINUTE_MS).fresh]
    assert fresh == sorted(set(fresh))
    assert sum(line.counts.values()) == len(minutes)
    if fresh:
        assert fresh[-1] == max(minutes)
        assert line.missing == fresh[-1] - fresh[0] + 1 - len(fresh)


def test_symbols_do_not_disturb_each_other() -> None:
    line = Continuity(MINUTE_MS)
    line.see("A/USDT", 5 * MINUTE_MS)
    assert line.see("B/USDT", 0).step is Step.FIRST
