"""One hash over what was decided, to compare runs: equal digests mean equal decisions, orders and fills.

Rows are hashed as their `repr` in a fixed order: exact for integers, text, bytes and floats (shortest round trip).
"""

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

from klined.store.faults import guarding
from klined.store.migrations import open_reading

ROWS = 2000  # fetched and hashed at a time

# A flatten on a signal comes at a moment that no replay repeats: its fills are left out.
FILLS = (
    "SELECT f.symbol, f.trade_id, f.client_id, f.quantity, f.price, f.fee, f.fee_asset, f.time_ms, f.maker"
    " FROM fills f LEFT JOIN intents i USING (client_id)"
    " WHERE i.cause IS NOT 'flatten' ORDER BY f.time_ms, f.symbol, f.trade_id"
)
DECISIONS = "SELECT bar_time_ms, symbol, {observation}target, output, verdict, reason, detail, client_id FROM decisions"


def digest(path: Path, *, observations: bool = True) -> str:
    """SHA-256, hexadecimal, over decisions and fills in order.

    Without `observations` it depends on what was decided alone: features may differ in the last bits between libm and
    CPU classes.

    Raises:
        StateError: the journal cannot be read.
    """
    hasher = hashlib.sha256()
    with guarding(path), closing(open_reading(path)) as link:
        _feed(hasher, link, DECISIONS.format(observation="observation, " if observations else "") + " ORDER BY id")
        _feed(hasher, link, FILLS)
    return hasher.hexdigest()


def state_digest(path: Path) -> str:
    """SHA-256, hexadecimal, over every table but `runs`, which holds the process's own starts and stops.

    Raises:
        StateError: the journal cannot be read.
    """
    hasher = hashlib.sha256()
    with guarding(path), closing(open_reading(path)) as link:
        tables = link.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name <> 'runs'"
            " ORDER BY name"
        ).fetchall()
        for (table,) in tables:
            hasher.update(f"{table}\n".encode())
            keys = [name for _, name, _, _, _, key in link.execute(f"PRAGMA table_info({table})") if key]
            _feed(hasher, link, f"SELECT * FROM {table} ORDER BY {', '.join(keys)}")  # noqa: S608 # names of our schema
    return hasher.hexdigest()


def _feed(hasher: "hashlib._Hash", link: sqlite3.Connection, sql: str) -> None:
    cursor = link.execute(sql)
    while rows := cursor.fetchmany(ROWS):
        for row in rows:
            hasher.update(repr(row).encode())
