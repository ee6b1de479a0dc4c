"""What the last process left, read back at start, and the table of starts and stops."""

import hashlib
import os
import sqlite3
from pathlib import Path

import klined
from klined.domain import Cause, Input, Recovered
from klined.errors import StateError

FLATTENS = "SELECT client_id FROM intents WHERE cause = ? ORDER BY bar_time_ms DESC LIMIT 1000"


def recover(link: sqlite3.Connection, path: Path) -> Recovered:
    """The newest record, the snapshot, the inputs told after it, the orders still open and the durable flags.

    Raises:
        StateError: the snapshot does not match its checksum.
    """
    head = link.execute("SELECT seq FROM head").fetchone()
    found = link.execute("SELECT seq, sha256, blob FROM snapshot").fetchone()
    at, checksum, blob = found if found is not None else (0, b"", None)
    if blob is not None and hashlib.sha256(blob).digest() != checksum:
        raise StateError(
            f"{path}: the snapshot at input {at} does not match its checksum; the file was left as it is: "
            "restore a backup with `klined state restore FILE`"
        )
    told = link.execute("SELECT seq, time_ms, kind, body FROM inputs WHERE seq > ? ORDER BY seq", (at,))
    return Recovered(
        seq=0 if head is None else head[0],
        snapshot=blob,
        orders=tuple(link.execute("SELECT client_id, state FROM orders WHERE open ORDER BY client_id")),
        memory=dict(link.execute("SELECT key, value FROM memory ORDER BY key").fetchall()),
        inputs=tuple(Input(*row) for row in told),
        flattens=tuple(name for (name,) in link.execute(FLATTENS, (Cause.FLATTEN,))),
    )


def venue_rows(link: sqlite3.Connection) -> tuple[tuple[str, bytes], ...]:
    """The in-process exchange's ledger, in key order."""
    return tuple(link.execute("SELECT key, value FROM venue ORDER BY key"))


def begin_run(link: sqlite3.Connection, time_ms: int) -> int:
    """Note that this process started; the id is for `end_run`."""
    row = link.execute(
        "INSERT INTO runs (started_ms, pid, version) VALUES (?, ?, ?) RETURNING id",
        (time_ms, os.getpid(), klined.__version__),
    ).fetchone()
    return int(row[0])


def end_run(link: sqlite3.Connection, run: int, time_ms: int, outcome: str) -> None:
    """Note how it ended; a killed process leaves the row open."""
    link.execute("UPDATE runs SET ended_ms = ?, outcome = ? WHERE id = ?", (time_ms, outcome, run))
