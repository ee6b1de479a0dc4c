"""How a record becomes rows: one SQL text for both adapters.

On the replay's hot path a record is one batch and its decisions. Their columns go into flat lists, and the lists go to
SQLite in statements of many rows each: a third cheaper than a statement a row. NaN becomes NULL in SQLite.
"""

import hashlib
import sqlite3
import struct
from collections.abc import Callable

import msgspec

from klined.domain import Approved, Decision, Held, Record

HELD, REFUSED, APPROVED = 0, 1, 2  # decisions.verdict
CHUNKS = (64, 8, 1)  # rows of one INSERT: most in the largest statements, what is left in smaller ones
PLACES = 1024  # decisions of one record, so symbols; more would collide with the next record and be refused
ENDED = (b'{"type":"Filled"', b'{"type":"Closed"')  # how orders that will trade no more begin
PACK: tuple[Callable[..., bytes], ...] = tuple(struct.Struct(f"<{n}d").pack for n in range(17))

INPUT = "INSERT INTO inputs (seq, time_ms, kind, body) VALUES (?, ?, ?, ?)"
DECISION = (
    "INSERT INTO decisions (id, bar_time_ms, symbol, observation, target, output, verdict, reason, detail, client_id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
INTENT = (
    "INSERT INTO intents (client_id, seq, symbol, quantity, bar_time_ms, kind, price, reduce_only, cause)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
ORDER = (
    "INSERT INTO orders (client_id, seq, open, state) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (client_id) DO UPDATE SET seq = excluded.seq, open = excluded.open, state = excluded.state"
)
FILL = (  # a venue may repeat a fill, and recovery may hear again what was booked: the first stays
    "INSERT INTO fills (symbol, trade_id, client_id, seq, quantity, price, fee, fee_asset, time_ms, maker)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (symbol, trade_id) DO NOTHING"
)
EVENT = "INSERT INTO events (seq, time_ms, level, name, data) VALUES (?, ?, ?, ?, ?)"
VENUE = "INSERT INTO venue (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
VENUE_GONE = "DELETE FROM venue WHERE key = ?"
HEAD = (
    "INSERT INTO head (id, seq, time_ms) VALUES (0, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, time_ms = excluded.time_ms"
)
SNAPSHOT = (
    "INSERT INTO snapshot (id, seq, sha256, blob) VALUES (0, ?, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, sha256 = excluded.sha256, blob = excluded.blob"
)
REMEMBER = "INSERT INTO memory (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
FORGET = "DELETE FROM memory WHERE key = ?"

Flat = list[int | float | str | bytes]


class Many:
    """An INSERT run over a flat list of parameters; each statement takes one of `CHUNKS` rows."""

    __slots__ = ("statements",)

    def __init__(self, head: str, row: str) -> None:
        width = row.count("?")
        self.statements = [(width * rows, f"{head} VALUES {', '.join([row] * rows)}") for rows in CHUNKS]

    def insert(self, link: sqlite3.Connection, flat: Flat) -> None:
        begin = 0
        for step, statement in self.statements:
            end = len(flat) - (len(flat) - begin) % step
            if begin < end:
                link.executemany(statement, [flat[i : i + step] for i in range(begin, end, step)])
            begin = end


BATCHES = Many("INSERT INTO inputs (seq, time_ms, kind, body)", "(?, ?, 'batch', ?)")
HOLDS = Many(
    "INSERT INTO decisions (id, bar_time_ms, symbol, observation, target, output, reason, verdict, detail, client_id)",
    f"(?, ?, ?, ?, ?, ?, ?, {HELD}, NULL, NULL)",
)


_json = msgspec.json.Encoder()


class Rows:
    """Records waiting for their transaction."""

    __slots__ = ("batches", "decisions", "forgotten", "held", "lists", "orders", "records", "seq", "time_ms", "venue")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.records = self.seq = self.time_ms = 0
        self.batches: Flat = []
        self.held: Flat = []
        self.decisions: list[tuple[object, ...]] = []  # those that are not held
        self.lists: dict[str, list[tuple[object, ...]]] = {sql: [] for sql in (INPUT, INTENT, FILL, EVENT)}
        self.orders: dict[str, tuple[object, ...]] = {}  # only the newest state of each is worth a row
        self.venue: dict[str, bytes] = {}  # as orders
        self.forgotten: set[str] = set()  # flags to delete together with the records before

    def add(self, record: Record) -> None:
        """Take `record` in. O(1) for each of its parts."""
        seq = record.seq
        self.records += 1
        self.seq = seq
        self.time_ms = record.time_ms
        for item in record.inputs:
            if item.kind == "batch":
                self.batches += (item.seq, item.time_ms, item.body)
            else:
                self.lists[INPUT].append((item.seq, item.time_ms, item.kind, item.body))
        for number, d in enumerate(record.decisions, seq * PLACES):
            verdict = d.verdict
            if type(verdict) is Held:
                output = d.output
                n = len(output)
                packed = PACK[n](*output) if n <= 16 else struct.pack(f"<{n}d", *output)
                self.held += (number, d.bar_time_ms, d.symbol, d.observation, d.target, packed, int(verdict.reason))
            else:
                self.decisions.append(_row(number, d))
        if record.intents or record.orders or record.fills or record.events or record.venue:
            self._add_rare(record)

    def write(self, link: sqlite3.Connection, snapshot: bytes | None) -> None:
        """All of it, and `snapshot` as of the newest record, in one transaction: durable, or nothing.

        Raises:
            sqlite3.Error: nothing was stored.
        """
        link.execute("BEGIN IMMEDIATE")
        try:
            BATCHES.insert(link, self.batches)
            HOLDS.insert(link, self.held)
            if self.decisions:
                link.executemany(DECISION, self.decisions)
            for sql, rows in self.lists.items():
                if rows:
                    link.executemany(sql, rows)
            if self.orders:
                link.executemany(ORDER, self.orders.values())
            for key, value in self.venue.items():
                link.execute(VENUE if value else VENUE_GONE, (key, value) if value else (key,))
            link.executemany(FORGET, [(key,) for key in sorted(self.forgotten)])
            link.execute(HEAD, (self.seq, self.time_ms))
            if snapshot is not None:
                link.execute(SNAPSHOT, (self.seq, hashlib.sha256(snapshot).digest(), snapshot))
            link.execute("COMMIT")
        except BaseException:
            if link.in_transaction:
                link.execute("ROLLBACK")
            raise

    def _add_rare(self, record: Record) -> None:
        seq = record.seq
        for i in record.intents:
            price = None if i.price is None else str(i.price)
            self.lists[INTENT].append((i.client_id, seq, i.symbol, str(i.quantity), i.bar_time_ms, i.kind.value, price,
                                       int(i.reduce_only), i.cause.value))  # fmt: skip
        for client_id, state in record.orders:
            self.orders[client_id] = (client_id, seq, int(not state.startswith(ENDED)), state)
        for f in record.fills:
            self.lists[FILL].append((f.symbol, f.trade_id, f.client_id, seq, str(f.quantity), str(f.price), str(f.fee),
                                     f.fee_asset, f.time_ms, int(f.maker)))  # fmt: skip
        for e in record.events:
            self.lists[EVENT].append((seq, e.time_ms, e.level, e.name, _json.encode(e.data).decode()))
        self.venue.update(record.venue)


def remember(link: sqlite3.Connection, key: str, value: str | None) -> None:
    """Set a durable flag, or delete it; a transaction of its own."""
    if value is None:
        link.execute(FORGET, (key,))
    else:
        link.execute(REMEMBER, (key, value))


def _row(number: int, d: Decision) -> tuple[object, ...]:
    output = struct.pack(f"<{len(d.output)}d", *d.output)
    front = (number, d.bar_time_ms, d.symbol, d.observation, d.target, output)
    verdict = d.verdict
    if isinstance(verdict, Approved):
        return (*front, APPROVED, 0, verdict.note or None, verdict.intent.client_id)
    if isinstance(verdict, Held):
        return (*front, HELD, int(verdict.reason), None, None)
    return (*front, REFUSED, int(verdict.reason), verdict.detail, None)
