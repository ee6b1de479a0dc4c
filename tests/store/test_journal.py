"""Both journals: what goes in comes out, whole, in order, by the same rows; what cannot be stored is not half there."""

import asyncio
import math
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from klined.domain import (
    Approved,
    Cause,
    Decision,
    Event,
    Fill,
    Held,
    Input,
    Intent,
    OrderKind,
    Reason,
    Record,
    Refused,
    Verdict,
)
from klined.errors import StateError
from klined.ports import Journal
from klined.store.digests import digest, state_digest
from klined.store.journal import AsyncJournal
from klined.store.reading import Reader
from klined.store.synchronous import SyncJournal

Make = Callable[[int], Record]

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
ids = st.text("abcXYZ019._-/:", min_size=1, max_size=36)
times = st.integers(0, 2**53)
numbers = st.decimals(allow_nan=False, allow_infinity=False)
floats = st.floats()
ORDERS = ("Intended", "InFlight", "Unknown", "Working", "Filled", "Closed")


@st.composite
def intents(draw: st.DrawFn) -> Intent:
    return Intent(
        client_id=draw(ids),
        symbol=draw(text),
        quantity=draw(numbers),
        bar_time_ms=draw(times),
        kind=draw(st.sampled_from(OrderKind)),
        price=draw(st.none() | numbers),
        reduce_only=draw(st.booleans()),
        cause=draw(st.sampled_from(Cause)),
    )


@st.composite
def records(draw: st.DrawFn) -> Record:
    """One record with anything in every field; approvals are of its own intents, each at most once."""
    wanted = draw(st.lists(intents(), max_size=3, unique_by=lambda i: i.client_id))
    verdicts: list[Verdict] = [Approved(i, draw(text)) for i in wanted if draw(st.booleans())]
    reasons = st.sampled_from(Reason)
    verdicts += draw(st.lists(st.builds(Held, text, reasons) | st.builds(Refused, text, reasons, text), max_size=70))
    decisions = [
        Decision(
            draw(times),
            verdict.intent.symbol if isinstance(verdict, Approved) else verdict.symbol,
            draw(st.binary(max_size=80)),
            draw(floats) + 0.0,  # SQLite keeps no minus zero; the raw output does
            tuple(draw(st.lists(floats, max_size=20))),
            verdict,
        )
        for verdict in verdicts
    ]
    seq = draw(st.integers(1, 2**40))
    kinds = st.sampled_from(["batch", "news", "command", "timer"])
    inputs = [Input(n, draw(times), draw(kinds), draw(st.binary(max_size=50))) for n in range(max(1, seq - 3), seq + 1)]
    states = st.sampled_from([b'{"type":"%b","intent":{}}' % name.encode() for name in ORDERS])
    fill = st.builds(
        Fill,
        trade_id=ids,
        client_id=ids,
        symbol=text,
        quantity=numbers,
        price=numbers,
        fee=numbers,
        fee_asset=text,
        time_ms=times,
        maker=st.booleans(),
    )
    values = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | text | st.floats(-1e300, 1e300)
    data = st.dictionaries(text, values, max_size=3)
    return Record(
        seq=seq,
        time_ms=draw(times),
        inputs=tuple(inputs),
        decisions=tuple(decisions),
        intents=tuple(wanted),
        orders=tuple(draw(st.dictionaries(ids, states, max_size=3)).items()),
        fills=tuple(draw(st.lists(fill, max_size=3, unique_by=lambda f: (f.symbol, f.trade_id)))),
        events=tuple(
            draw(st.lists(st.builds(Event, times, st.sampled_from(["debug", "info", "error"]), text, data), max_size=3))
        ),
        venue=tuple(draw(st.dictionaries(text, st.binary(min_size=1, max_size=20), max_size=3)).items()),
    )


@pytest.fixture(params=["live", "replay"])
async def store(request: pytest.FixtureRequest, journal: Path) -> AsyncIterator[Journal]:
    """Each adapter in turn, every record its own transaction."""
    opened = await AsyncJournal.open(journal) if request.param == "live" else SyncJournal(journal, group=1)
    yield opened
    await opened.close()


@settings(max_examples=60, deadline=None)
@given(given_record=records(), blob=st.none() | st.binary(max_size=300), live=st.booleans())
async def test_every_field_of_a_record_comes_back(given_record: Record, blob: bytes | None, *, live: bool) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "journal.db"
        store = await AsyncJournal.open(path) if live else SyncJournal(path, group=1)
        await store.commit(given_record, None if blob is None else lambda: blob)
        recovered = await store.recover()
        venue = await store.venue_rows()
        await store.close()
        with Reader(Path(folder)) as reader:
            decisions = reader.decisions(last=1000)[::-1]
            fills = reader.fills(last=1000)
            events = reader.events(last=1000)
        with closing(sqlite3.connect(path)) as link:
            inputs = [Input(*row) for row in link.execute("SELECT seq, time_ms, kind, body FROM inputs ORDER BY seq")]
            stored = {row[0]: row[1] for row in link.execute("SELECT client_id, state FROM orders")}
            known = link.execute("SELECT client_id FROM intents ORDER BY client_id").fetchall()
    assert [repr(d) for d in decisions] == [repr(d) for d in given_record.decisions]  # repr: NaN equals NaN
    assert tuple(inputs) == given_record.inputs
    assert sorted(fills, key=repr) == sorted(given_record.fills, key=repr)
    assert [repr(f.price) for f in sorted(fills, key=repr)] == [
        repr(f.price) for f in sorted(given_record.fills, key=repr)
    ]
    assert tuple(events) == given_record.events
    assert stored == dict(given_record.orders)
    assert [row[0] for row in known] == sorted(i.client_id for i in given_record.intents)
    assert venue == tuple(sorted(given_record.venue, key=lambda row: row[0].encode()))
    assert recovered.seq == given_record.seq
    assert recovered.snapshot == blob
    assert recovered.inputs == (given_record.inputs if blob is None else ())
    ended = ("Filled", "Closed")
    assert dict(recovered.orders) == {
        key: state for key, state in given_record.orders if not any(name.encode() in state for name in ended)
    }


@pytest.mark.parametrize("group", [1, 7, 256])
async def test_live_and_replay_write_identical_files(tmp_path: Path, make: Make, group: int) -> None:
    replayed = SyncJournal(tmp_path / "a.db", group)
    live = await AsyncJournal.open(tmp_path / "b.db")
    for store in (replayed, live):
        for n in range(1, 300):
            await store.commit(make(n), lambda n=n: b"snapshot %d" % n)
        await store.remember("paused", "by hand")
        await store.flush()
        await store.begin_run(1)
        await store.close()
    assert state_digest(tmp_path / "a.db") == state_digest(tmp_path / "b.db")
    assert digest(tmp_path / "a.db") == digest(tmp_path / "b.db")


async def test_runs_are_the_only_table_a_state_digest_leaves_out(store: Journal, journal: Path, make: Make) -> None:
    assert isinstance(store, AsyncJournal | SyncJournal)
    await store.commit(make(1), None)
    before = state_digest(journal)
    run = await store.begin_run(5)
    await store.end_run(run, 9, "flat")
    assert state_digest(journal) == before
    await store.remember("installation", "7f3a")
    assert state_digest(journal) != before


async def test_new_journal_knows_nothing(store: Journal) -> None:
    recovered = await store.recover()
    assert (recovered.seq, recovered.snapshot, recovered.orders, recovered.memory) == (0, None, (), {})


async def test_flags_are_set_replaced_and_deleted(store: Journal) -> None:
    await store.remember("pause", "a")
    await store.remember("pause", "b")
    await store.remember("halt", "drawdown")
    await store.remember("halt", None)
    assert (await store.recover()).memory == {"pause": "b"}


async def test_snapshot_is_replaced_and_later_inputs_are_told_again(store: Journal, make: Make) -> None:
    await store.commit(make(1), lambda: b"one")
    await store.commit(make(2), lambda: b"two")
    await store.commit(make(3), None)
    recovered = await store.recover()
    assert recovered.snapshot == b"two"
    assert recovered.inputs == make(3).inputs
    assert recovered.seq == make(3).seq


async def test_order_leaves_recovery_when_it_ends_and_a_repeated_fill_is_stored_once(
    store: Journal, journal: Path, make: Make
) -> None:
    await store.commit(make(4), None)
    assert [client_id for client_id, _ in (await store.recover()).orders] == ["kl-7f3a-4"]
    filled = make(5)
    again = Record(seq=99, time_ms=1, fills=filled.fills)
    await store.commit(filled, None)
    await store.commit(again, None)
    assert (await store.recover()).orders == ()
    with closing(sqlite3.connect(journal)) as link:
        assert link.execute("SELECT count(*), max(seq) FROM fills").fetchone() == (1, filled.seq)


async def test_empty_venue_value_deletes_the_key(store: Journal, make: Make) -> None:
    assert isinstance(store, AsyncJournal | SyncJournal)
    await store.commit(make(1), None)
    await store.commit(Record(seq=9, time_ms=9, venue=(("books", b""), ("order/1", b"x"))), None)
    assert await store.venue_rows() == (("order/1", b"x"),)


async def test_client_id_is_never_used_twice_and_nothing_of_that_record_is_stored(
    store: Journal, journal: Path, make: Make
) -> None:
    await store.commit(make(4), None)
    before = state_digest(journal)
    twice = Record(seq=99, time_ms=99, inputs=(Input(99, 99, "batch", b""),), intents=make(4).intents)
    with pytest.raises(StateError, match=r"journal\.db: a record contradicts.*intents\.client_id"):
        await store.commit(twice, lambda: b"never")
    assert state_digest(journal) == before
    await store.commit(make(5), None)  # the journal goes on


async def test_full_disk_stores_nothing_of_the_record_and_says_what_to_do(
    store: Journal, journal: Path, make: Make
) -> None:
    assert isinstance(store, AsyncJournal | SyncJournal)
    await store.commit(make(1), None)
    before = state_digest(journal)
    await store.perform(lambda link: link.execute(f"PRAGMA max_page_count = {_pages(link)}").fetchall())
    big = Record(seq=99, time_ms=99, inputs=(Input(99, 99, "batch", bytes(100_000)),), intents=make(4).intents)
    with pytest.raises(StateError, match=r"journal\.db: the disk is full: free space"):
        await store.commit(big, lambda: b"never")
    assert state_digest(journal) == before
    await store.perform(lambda link: link.execute("PRAGMA max_page_count = 1000000").fetchall())
    await store.commit(big, lambda: b"now")
    assert (await store.recover()).snapshot == b"now"


async def test_read_only_file_stores_nothing_and_says_what_to_do(store: Journal, make: Make) -> None:
    assert isinstance(store, AsyncJournal | SyncJournal)
    await store.perform(lambda link: link.execute("PRAGMA query_only = ON").fetchall())
    with pytest.raises(StateError, match=r"journal\.db: it cannot be written: check its owner and mode"):
        await store.commit(make(1), None)
    await store.perform(lambda link: link.execute("PRAGMA query_only = OFF").fetchall())
    assert (await store.recover()).seq == 0


async def test_writer_that_keeps_the_file_locked_is_named_as_the_fault(
    store: Journal, journal: Path, make: Make
) -> None:
    assert isinstance(store, AsyncJournal | SyncJournal)
    await store.perform(lambda link: link.execute("PRAGMA busy_timeout = 10").fetchall())
    with closing(sqlite3.connect(journal, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateError, match=r"journal\.db: another process keeps it locked"):
            await store.commit(make(1), None)
        other.execute("ROLLBACK")
    await store.commit(make(1), None)


async def test_reader_never_delays_a_commit(store: Journal, journal: Path, make: Make) -> None:
    await store.commit(make(1), None)
    with closing(sqlite3.connect(journal, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM decisions").fetchall()
        await store.commit(make(2), None)
        assert reader.execute("SELECT count(*) FROM decisions").fetchone() == (1,)


async def test_group_takes_the_snapshot_of_its_last_moment_only(journal: Path, make: Make) -> None:
    store = SyncJournal(journal, group=3)
    taken: list[int] = []

    def snapshot(n: int) -> bytes:
        taken.append(n)
        return str(n).encode()

    for n in range(1, 6):
        await store.commit(make(n), lambda n=n: snapshot(n))
    assert taken == [3]
    assert (await store.recover()).snapshot == b"3"
    await store.flush()
    assert taken == [3, 5]
    await store.close()


async def test_unfinished_group_is_lost_whole_as_by_a_kill(journal: Path, make: Make) -> None:
    store = SyncJournal(journal, group=4)
    for n in range(1, 7):
        await store.commit(make(n), lambda n=n: str(n).encode())
    await store.close()
    again = SyncJournal(journal, group=4)
    recovered = await again.recover()
    assert (recovered.seq, recovered.snapshot) == (make(4).seq, b"4")
    assert await again.venue_rows() == (("books", b"4"),)
    await again.close()


async def test_flag_is_set_ahead_of_an_unfinished_group_and_deleted_with_it(journal: Path, make: Make) -> None:
    store = SyncJournal(journal, group=4)
    await store.commit(make(1), None)
    await store.remember("flattening", "SIGTERM")
    await store.remember("flattening", None)
    assert (await store.recover()).memory == {"flattening": "SIGTERM"}
    await store.remember("flattening", "again")  # the waiting deletion is overtaken
    await store.flush()
    assert (await store.recover()).memory == {"flattening": "again"}
    await store.commit(make(2), None)
    await store.remember("flattening", None)
    await store.flush()
    assert (await store.recover()).memory == {}
    await store.close()


async def test_group_that_failed_closes_the_journal_rather_than_leave_a_hole(journal: Path, make: Make) -> None:
    store = SyncJournal(journal, group=2)
    await store.perform(lambda link: link.execute("PRAGMA query_only = ON").fetchall())
    await store.commit(make(1), None)
    with pytest.raises(StateError):
        await store.commit(make(2), None)
    await store.perform(lambda link: link.execute("PRAGMA query_only = OFF").fetchall())
    for _ in range(3):
        with pytest.raises(StateError, match="cannot be written"):
            await store.commit(make(3), None)
    with pytest.raises(StateError):
        await store.flush()
    assert (await store.recover()).seq == 0
    await store.close()


def test_replay_journal_never_suspends(journal: Path, make: Make) -> None:
    store = SyncJournal(journal, group=1)
    for step in (store.commit(make(1), lambda: b"x"), store.recover(), store.flush(), store.close()):
        with pytest.raises(StopIteration):
            step.send(None)


async def test_nan_target_comes_back_as_nan(store: Journal, journal: Path) -> None:
    held = Held("ETH/USDT", Reason.MODEL)
    decision = Decision(1, "ETH/USDT", b"", math.nan, (math.nan, -0.0), held)
    await store.commit(Record(seq=1, time_ms=1, decisions=(decision,)), None)
    with Reader(journal.parent) as reader:
        found = reader.decisions(last=1)[0]
    assert math.isnan(found.target)
    assert repr(found.output) == "(nan, -0.0)"


async def test_journal_runs_with_full_durability(store: Journal) -> None:
    assert isinstance(store, AsyncJournal | SyncJournal)
    assert await store.perform(lambda link: link.execute("PRAGMA synchronous").fetchone()) == (2,)
    assert await store.perform(lambda link: link.execute("PRAGMA journal_mode").fetchone()) == ("wal",)


async def test_cancelled_commit_does_not_disturb_the_next(journal: Path, make: Make) -> None:
    store = await AsyncJournal.open(journal)
    first = asyncio.create_task(store.commit(make(1), None))
    await asyncio.sleep(0)
    first.cancel()
    await store.commit(make(2), None)
    with pytest.raises(asyncio.CancelledError):
        await first
    recovered = await store.recover()
    assert recovered.inputs == (*make(1).inputs, *make(2).inputs)
    await store.close()


def _pages(link: sqlite3.Connection) -> int:
    return int(link.execute("PRAGMA page_count").fetchone()[0])
