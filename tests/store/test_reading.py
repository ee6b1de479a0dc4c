"""What a person asks of the journal, read beside whoever writes it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from klined.domain import Approved, Batch, Held, Reason, Record, Refused
from klined.errors import StateError
from klined.store.bars import BarStore
from klined.store.reading import Reader
from klined.store.snapshots import Header, pack
from klined.store.synchronous import SyncJournal

SNAPSHOT = pack(Header(plan_hash="ab", kernel_abi=1, platform="p", last_open_time_ms=1), {"S": b"12345678"})


@pytest.fixture
async def state(journal: Path, make: Callable[[int], Record], batch: Callable[[int], Batch]) -> Path:
    """A state directory of 20 bars, its journal still open for writing."""
    store = SyncJournal(journal, group=1)
    bars = BarStore(journal.with_name("bars.db"))
    await store.begin_run(5)
    for n in range(1, 21):
        bars.add(batch(n))
        await store.commit(make(n), lambda: SNAPSHOT)
    bars.close()
    await store.close()
    return journal.parent


def test_last_decisions_come_newest_first_with_their_reasons(state: Path, make: Callable[[int], Record]) -> None:
    with Reader(state) as reader:
        found = reader.decisions(last=6)
        assert found == [make(n).decisions[0] for n in range(20, 14, -1)]
        assert [type(d.verdict) for d in found] == [Approved, Held, Held, Held, Approved, Refused]
        assert isinstance(found[5].verdict, Refused)
        assert found[5].verdict.reason is Reason.DAY_LOSS
        assert reader.decisions(last=3, symbol="BTC/USDT") == []
        assert len(reader.decisions(last=99, symbol="ETH/USDT")) == 20


def test_events_are_filtered_by_level_time_and_name(state: Path) -> None:
    with Reader(state) as reader:
        assert [e.data["seconds"] for e in reader.events(last=9)] == [7, 14]
        assert [e.data["seconds"] for e in reader.events(last=1)] == [14]
        assert [e.data["seconds"] for e in reader.events(last=9, since_ms=8 * 60_000)] == [14]
        assert len(reader.events(last=9, level="warning", name="feed")) == 2
        assert reader.events(last=9, level="error") == []
        assert reader.events(last=9, name="order") == []


def test_one_order_tells_its_whole_story_by_joins(
    state: Path, make: Callable[[int], Record], batch: Callable[[int], Batch]
) -> None:
    with Reader(state) as reader:
        story = reader.chain("kl-7f3a-8")
    assert story.bar == batch(8).bars[0]
    assert story.decision == make(8).decisions[0]
    assert story.intent == make(8).intents[0]
    assert [answer.body for answer in story.answers] == [b'{"type":"Accepted","client_id":"kl-7f3a-8"}']
    assert story.state == b'{"type":"Filled"}'
    assert story.fills == make(9).fills


def test_story_without_stored_bars_lacks_only_the_bar(state: Path) -> None:
    (state / "bars.db").unlink()
    with Reader(state) as reader:
        story = reader.chain("kl-7f3a-8")
    assert story.bar is None
    assert story.fills
    (state / "bars.db").write_bytes(b"no database" * 400)
    with Reader(state) as reader:
        assert reader.chain("kl-7f3a-8") == story


def test_answers_to_an_order_whose_id_begins_alike_are_not_taken_for_its_own(state: Path) -> None:
    with Reader(state) as reader:
        assert [a.seq for a in reader.chain("kl-7f3a-4").answers] == [9]
        assert [a.seq for a in reader.chain("kl-7f3a-16").answers] == [33]


def test_unknown_order_is_refused_with_the_way_to_find_one(state: Path) -> None:
    with Reader(state) as reader, pytest.raises(StateError, match=r"kl-0: no such order in .*klined trades"):
        reader.chain("kl-0")


def test_fills_come_oldest_first(state: Path) -> None:
    with Reader(state) as reader:
        assert [f.trade_id for f in reader.fills(last=3)] == ["9", "13", "17"]
        assert [f.trade_id for f in reader.fills(last=9, since_ms=13 * 60_000)] == ["13", "17"]


def test_show_counts_what_is_inside_and_describes_the_snapshot(state: Path) -> None:
    with Reader(state) as reader:
        shown = reader.show()
    assert shown["seq"] == 40
    assert shown["schema"] == 2
    assert shown["orders_open"] == ["kl-7f3a-20"]
    assert isinstance(shown["rows"], dict)
    assert shown["rows"]["decisions"] == 20
    assert isinstance(shown["snapshot"], dict)
    assert shown["snapshot"]["sections"] == {"S": 8}
    assert isinstance(shown["last_run"], dict)
    assert shown["last_run"]["ended_ms"] is None


async def test_reader_sees_each_commit_of_a_running_journal(journal: Path, make: Callable[[int], Record]) -> None:
    store = SyncJournal(journal, group=1)
    with Reader(journal.parent) as reader:
        for n in range(1, 4):
            await store.commit(make(n), None)
            assert reader.decisions(last=1) == list(make(n).decisions)
    await store.close()


def test_no_journal_is_refused_with_the_way_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="start klined once"):
        Reader(tmp_path)
