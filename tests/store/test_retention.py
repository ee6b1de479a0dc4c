"""What is old goes, a bounded piece at a time; what explains a trade or is needed to recover stays."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from klined.domain import Batch, Record
from klined.store.journal import AsyncJournal
from klined.store.reading import Reader
from klined.store.retention import Sweep
from klined.store.synchronous import SyncJournal

MINUTE = 60_000


@pytest.mark.parametrize("chunk", [1, 7, 1000])
async def test_old_rows_go_and_every_trade_keeps_its_story(
    journal: Path, make: Callable[[int], Record], chunk: int
) -> None:
    store = await AsyncJournal.open(journal)
    for n in range(1, 101):
        await store.commit(make(n), lambda: b"s")
    with Reader(journal.parent) as reader:
        before = [reader.chain(f"kl-7f3a-{n}") for n in range(4, 101, 4)]
        recovered = await store.recover()
    sweep = Sweep(before_ms=61 * MINUTE, chunk=chunk)
    while await store.perform(sweep.step):
        pass
    with Reader(journal.parent) as reader:
        assert [reader.chain(f"kl-7f3a-{n}") for n in range(4, 101, 4)] == before
        kept = [d.bar_time_ms // MINUTE for d in reader.decisions(last=999)]
        assert reader.events(last=1, since_ms=0)[0].time_ms // MINUTE >= 61
        counts = reader.show()["rows"]
    assert kept[::-1] == [*range(4, 61, 4), *range(61, 101)]
    assert sweep.deleted == {"inputs": 45, "decisions": 45, "events": 8}
    assert isinstance(counts, dict)
    assert counts["fills"] == 24
    assert await store.recover() == recovered
    await store.close()


async def test_inputs_after_the_snapshot_are_kept_however_old(journal: Path, make: Callable[[int], Record]) -> None:
    store = SyncJournal(journal, group=1)
    await store.commit(make(1), lambda: b"s")
    for n in (2, 3):
        await store.commit(make(n), None)
    sweep = Sweep(before_ms=1 << 60)
    while await store.perform(sweep.step):
        pass
    recovered = await store.recover()
    assert recovered.inputs == (*make(2).inputs, *make(3).inputs)
    assert recovered.seq == make(3).seq
    assert sweep.deleted["inputs"] == 1
    await store.close()


async def test_each_step_looks_at_no_more_rows_than_its_chunk(journal: Path, make: Callable[[int], Record]) -> None:
    store = SyncJournal(journal)
    for n in range(1, 201):
        await store.commit(make(n), lambda: b"s")
    await store.flush()
    sweep = Sweep(before_ms=1 << 60, chunk=10)
    totals = [0]
    while await store.perform(sweep.step):
        totals.append(sum(sweep.deleted.values()))
    assert max(then - before for before, then in pairwise(totals)) == 10
    await store.close()


async def test_empty_journal_is_swept_at_once(journal: Path, batch: Callable[[int], Batch]) -> None:
    store = SyncJournal(journal)
    sweep = Sweep(before_ms=1 << 60)
    assert [await store.perform(sweep.step) for _ in range(4)] == [True, True, False, False]
    await store.close()
