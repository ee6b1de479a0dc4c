"""What a replay came to, in a few comparable numbers, and the file that holds what it must come to.

`make bless` (KLINED_BLESS=1) writes the file anew; nothing else does.
"""

import hashlib
import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from klined.store.digests import FILLS, digest

STORED = Path(__file__).parents[1] / "data" / "digests.json"
BLESS = "KLINED_BLESS"

ACTS = (
    "SELECT bar_time_ms, symbol, verdict, reason, client_id FROM decisions ORDER BY id",
    (
        "SELECT client_id, symbol, quantity, bar_time_ms, kind, price, reduce_only, cause FROM intents"
        " WHERE cause <> 'flatten' ORDER BY seq, client_id"
    ),
    FILLS,
)

Outcome = dict[str, str | int | float]


def acts(journal: Path) -> str:
    """SHA-256 over verdicts, orders and fills alone: a network's outputs differ in last digits between CPU classes."""
    hasher = hashlib.sha256()
    with closing(sqlite3.connect(journal)) as link:
        for sql in ACTS:
            for row in link.execute(sql):
                hasher.update(repr(row).encode())
    return hasher.hexdigest()


def outcome(journal: Path, equity: float, *, network: bool = False) -> Outcome:
    """Counts for the reader of a diff, and the digest that decides."""
    with closing(sqlite3.connect(journal)) as link:
        counted = {
            table: int(link.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 # constants
            for table in ("decisions", "intents", "fills")
        }
    decided = acts(journal) if network else digest(journal, observations=False)
    return {**counted, "equity": round(equity, 4), "digest": decided}


def expected(name: str, found: Outcome) -> Outcome:
    """The stored outcome of `name`; when blessing, `found` is stored first. Empty when there is none."""
    stored: dict[str, Outcome] = json.loads(STORED.read_text()) if STORED.exists() else {}
    if os.environ.get(BLESS):
        stored[name] = found
        STORED.parent.mkdir(exist_ok=True)
        STORED.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n")
    return stored.get(name, {})
