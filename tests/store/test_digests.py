"""A digest that misses a change proves nothing: each column of a decision and of a fill is changed once."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from klined.domain import Record
from klined.store.digests import digest, state_digest
from klined.store.synchronous import SyncJournal

CHANGES = {
    "bar_time_ms": "UPDATE decisions SET bar_time_ms = bar_time_ms + 1 WHERE id = {id}",
    "symbol": "UPDATE decisions SET symbol = 'BTC/USDT' WHERE id = {id}",
    "target": "UPDATE decisions SET target = target + 1e-15 WHERE id = {id}",
    "NaN": "UPDATE decisions SET target = NULL WHERE id = {id}",
    "output": "UPDATE decisions SET output = x'00' WHERE id = {id}",
    "verdict": "UPDATE decisions SET verdict = 1 - verdict WHERE id = {id}",
    "reason": "UPDATE decisions SET reason = reason + 1 WHERE id = {id}",
    "detail": "UPDATE decisions SET detail = 'other' WHERE id = {id}",
    "client_id": "UPDATE decisions SET client_id = 'other' WHERE id = {id}",
    "missing": "DELETE FROM decisions WHERE id = {id}",
    "fill price": "UPDATE fills SET price = '3412.11' WHERE trade_id = '5'",
    "fill quantity": "UPDATE fills SET quantity = '0.5' WHERE trade_id = '5'",
    "fill fee": "UPDATE fills SET fee = '0.69' WHERE trade_id = '5'",
    "fill missing": "DELETE FROM fills WHERE trade_id = '5'",
}


@pytest.fixture
async def filled(journal: Path, make: Callable[[int], Record]) -> Path:
    store = SyncJournal(journal)
    for n in range(1, 11):
        await store.commit(make(n), lambda: b"s")
    await store.flush()
    await store.close()
    return journal


def change(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as link, link:
        assert link.execute(sql).rowcount == 1


@pytest.mark.parametrize("fault", CHANGES)
@pytest.mark.parametrize("n", [1, 6, 10])
def test_any_change_of_a_decision_or_a_fill_changes_the_digests(filled: Path, fault: str, n: int) -> None:
    before = digest(filled), digest(filled, observations=False), state_digest(filled)
    change(filled, CHANGES[fault].format(id=2 * n * 1024))
    after = digest(filled), digest(filled, observations=False), state_digest(filled)
    assert all(a != b for a, b in zip(after, before, strict=True))


def test_observation_counts_only_where_asked_for(filled: Path) -> None:
    before = digest(filled), digest(filled, observations=False)
    change(filled, "UPDATE decisions SET observation = x'01' WHERE id = 2048")
    assert digest(filled) != before[0]
    assert digest(filled, observations=False) == before[1]


def test_fill_of_a_flatten_lies_outside_the_replay_digest_but_inside_the_state(filled: Path) -> None:
    change(filled, "UPDATE intents SET cause = 'flatten' WHERE client_id = 'kl-7f3a-4'")
    before = digest(filled), state_digest(filled)
    change(filled, CHANGES["fill price"])
    assert digest(filled) == before[0]
    assert state_digest(filled) != before[1]


@pytest.mark.parametrize("table", ["inputs", "intents", "orders", "events", "snapshot", "head", "venue"])
def test_every_other_table_is_part_of_the_state_digest(filled: Path, table: str) -> None:
    before = state_digest(filled)
    with closing(sqlite3.connect(filled)) as link, link:
        assert link.execute(f"DELETE FROM {table}").rowcount > 0  # noqa: S608 # a table of the list above
    assert state_digest(filled) != before
