"""Fills for a spreadsheet or a script, each with the order and the decision behind it."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from klined.domain import Record
from klined.store.export import Trade, trades, write_csv, write_jsonl
from klined.store.synchronous import SyncJournal


@pytest.fixture
async def filled(journal: Path, make: Callable[[int], Record]) -> Path:
    store = SyncJournal(journal)
    for n in range(1, 11):
        await store.commit(make(n), None)
    ours = make(5).fills[0]
    stranger = replace(ours, trade_id="x", client_id="autoclose-1", quantity=-ours.quantity, time_ms=99 * 60_000)
    await store.commit(Record(seq=999, time_ms=1, fills=(stranger,)), None)
    await store.flush()
    await store.close()
    return journal


def test_each_fill_carries_its_order_and_decision(filled: Path) -> None:
    first, _, stranger = trades(filled)
    assert first == Trade(
        time="1970-01-01T00:05:00.000+00:00",
        time_ms=300_000,
        symbol="ETH/USDT",
        side="buy",
        quantity="0.50",
        price="3412.10",
        fee="0.68",
        fee_asset="USDT",
        maker=False,
        trade_id="5",
        client_id="kl-7f3a-4",
        cause="policy",
        kind="market",
        ordered="0.50",
        bar_time_ms=240_000,
        target=0.004,
    )
    assert (stranger.side, stranger.quantity, stranger.cause, stranger.target) == ("sell", "0.50", None, None)


def test_csv_and_jsonl_hold_the_same_fills(filled: Path) -> None:
    sheet, lines = io.StringIO(newline=""), io.StringIO()
    assert write_csv(filled, sheet) == write_jsonl(filled, lines) == 3
    rows = list(csv.DictReader(io.StringIO(sheet.getvalue())))
    objects = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [row["trade_id"] for row in rows] == [o["trade_id"] for o in objects] == ["5", "9", "x"]
    assert rows[0].keys() == objects[0].keys()


def test_only_fills_since_a_time_are_written(filled: Path) -> None:
    assert [trade.trade_id for trade in trades(filled, since_ms=400_000)] == ["9", "x"]
