"""Fills with the order and the decision behind each, for a spreadsheet or a script. Profit is the ledger's business."""

import csv
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TextIO

import msgspec
from msgspec import Struct

from klined.store.faults import guarding
from klined.store.migrations import open_reading

ROWS = 1000
TRADES = (
    "SELECT f.time_ms, f.symbol, f.quantity, f.price, f.fee, f.fee_asset, f.maker, f.trade_id, f.client_id,"
    " i.cause, i.kind, i.quantity, i.bar_time_ms, d.target"
    " FROM fills f LEFT JOIN intents i USING (client_id) LEFT JOIN decisions d USING (client_id)"
    " WHERE f.time_ms >= ? ORDER BY f.time_ms, f.symbol, f.trade_id"
)


class Trade(Struct, frozen=True):
    """One fill; the last five are None for an order that was not ours, such as a liquidation."""

    time: str  # UTC, ISO 8601
    time_ms: int
    symbol: str
    side: str
    quantity: str  # base, > 0
    price: str
    fee: str
    fee_asset: str
    maker: bool
    trade_id: str
    client_id: str
    cause: str | None
    kind: str | None
    ordered: str | None  # base, signed
    bar_time_ms: int | None
    target: float | None  # also None outside a decision


def trades(journal: Path, since_ms: int = 0) -> Iterator[Trade]:
    """Every fill not older than `since_ms`, oldest first.

    Raises:
        StateError: the journal cannot be read.
    """
    with guarding(journal), closing(open_reading(journal)) as link:
        cursor = link.execute(TRADES, (since_ms,))
        while rows := cursor.fetchmany(ROWS):
            for time_ms, symbol, quantity, price, fee, fee_asset, maker, *rest in rows:
                signed = Decimal(quantity)
                yield Trade(
                    datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds"),
                    time_ms,
                    symbol,
                    "buy" if signed > 0 else "sell",
                    str(abs(signed)),
                    price,
                    fee,
                    fee_asset,
                    bool(maker),
                    *rest,
                )


def write_csv(journal: Path, out: TextIO, since_ms: int = 0) -> int:
    """A header and one line a fill; how many fills."""
    writer = csv.writer(out)
    writer.writerow(Trade.__struct_fields__)
    count = 0
    for count, trade in enumerate(trades(journal, since_ms), start=1):  # noqa: B007 # the count is the answer
        writer.writerow(msgspec.structs.astuple(trade))
    return count


def write_jsonl(journal: Path, out: TextIO, since_ms: int = 0) -> int:
    """One JSON object a line; how many fills."""
    count = 0
    for count, trade in enumerate(trades(journal, since_ms), start=1):  # noqa: B007 # the count is the answer
        out.write(msgspec.json.encode(trade).decode() + "\n")
    return count
