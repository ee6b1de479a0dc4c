"""What a person asks of the journal: the last decisions and why, events, one order's whole story, what is inside.

Read-only, beside a running daemon. `klined status | why | explain | logs | state show` print the values.
"""

import os
import sqlite3
import struct
from contextlib import suppress
from decimal import Decimal
from math import nan
from pathlib import Path
from typing import Any, Self

import msgspec
from msgspec import Struct

from klined.domain import (
    Approved,
    Bar,
    Cause,
    Decision,
    Event,
    Fill,
    Held,
    Input,
    Intent,
    OrderKind,
    Reason,
    Refused,
    Verdict,
)
from klined.errors import StateError
from klined.store import snapshots
from klined.store.faults import guarding
from klined.store.migrations import open_reading
from klined.store.rows import APPROVED, HELD

LEVELS = ("debug", "info", "warning", "error")
INTENT = "i.client_id, i.symbol, i.quantity, i.bar_time_ms, i.kind, i.price, i.reduce_only, i.cause"
DECISION = (
    "d.bar_time_ms, d.symbol, d.observation, d.target, d.output, d.verdict, d.reason, d.detail, d.client_id,"
    f" {INTENT} FROM decisions d LEFT JOIN intents i USING (client_id)"
)
FILL = "trade_id, client_id, symbol, quantity, price, fee, fee_asset, time_ms, maker FROM fills"
STORY = (
    f"SELECT {INTENT}, i.seq, o.state, b.symbol, b.open_time_ms, b.open, b.high, b.low, b.close, b.volume"  # noqa: S608 # constants
    " FROM intents i LEFT JOIN orders o USING (client_id)"
    " LEFT JOIN market.bars b ON b.symbol = i.symbol AND b.open_time_ms = i.bar_time_ms WHERE i.client_id = ?"
)
ANSWERS = (
    "SELECT seq, time_ms, kind, body FROM inputs WHERE kind <> 'batch' AND seq >= ? AND instr(body, ?) ORDER BY seq"
)


class Chain(Struct, frozen=True):
    """bar -> observation -> output -> verdict -> intent -> answers -> fills; None where the order had no such link."""

    client_id: str
    bar: Bar | None  # None: no longer stored
    decision: Decision | None  # None: flatten or exit outside a decision
    intent: Intent
    answers: tuple[Input, ...]  # what the trader was told of it, in order; the body is JSON
    state: bytes | None  # the order's latest state, JSON
    fills: tuple[Fill, ...]


class Reader:
    """The journal of `state_dir`, and its bars when they are there.

    Raises:
        StateError: no journal, or not readable.
    """

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / "journal.db"
        bars = state_dir / "bars.db"
        self._link = open_reading(self.path)
        with guarding(self.path):
            market = f"{bars.absolute().as_uri()}?mode=ro"
            with suppress(sqlite3.Error):  # missing or damaged: it is only a cache
                self._link.execute("ATTACH ? AS market", (market if bars.is_file() else ":memory:",))
                self._link.execute("SELECT open_time_ms FROM market.bars LIMIT 1")
                return
            with suppress(sqlite3.Error):
                self._link.execute("DETACH market")
            self._link.execute("ATTACH ':memory:' AS market")
            self._link.execute("CREATE TABLE market.bars (symbol, open_time_ms, open, high, low, close, volume)")

    def decisions(self, last: int, symbol: str | None = None) -> list[Decision]:
        """The newest `last` decisions, newest first, each with its reason."""
        where, values = ("", ()) if symbol is None else (" WHERE d.symbol = ?", (symbol,))
        rows = self._all(f"SELECT {DECISION}{where} ORDER BY d.id DESC LIMIT ?", (*values, last))  # constants
        return [decision(row) for row in rows]

    def events(self, last: int, *, level: str = "debug", since_ms: int = 0, name: str = "") -> list[Event]:
        """The newest `last` events at or above `level`, not older than `since_ms`, whose name begins with `name`.

        Oldest first.
        """
        rows = self._all(
            "SELECT time_ms, level, name, data FROM events WHERE time_ms >= ? AND substr(name, 1, ?) = ?"
            " AND level IN (SELECT value FROM json_each(?)) ORDER BY id DESC LIMIT ?",
            (since_ms, len(name), name, msgspec.json.encode(LEVELS[LEVELS.index(level) :]).decode(), last),
        )
        return [Event(time_ms, of, what, msgspec.json.decode(data)) for time_ms, of, what, data in reversed(rows)]

    def fills(self, last: int, since_ms: int = 0) -> list[Fill]:
        """The newest `last` fills not older than `since_ms`, oldest first."""
        sql = f"SELECT {FILL} WHERE time_ms >= ? ORDER BY time_ms DESC, symbol DESC, trade_id DESC LIMIT ?"  # constant
        return [fill(row) for row in reversed(self._all(sql, (since_ms, last)))]

    def chain(self, client_id: str) -> Chain:
        """Why this order was sent, and what became of it.

        Raises:
            StateError: no such order.
        """
        story = self._all(STORY, (client_id,))
        if not story:
            raise StateError(f"{client_id}: no such order in {self.path}; `klined trades` lists client ids")
        row = story[0]
        decided = self._all(f"SELECT {DECISION} WHERE d.client_id = ?", (client_id,))  # constant
        quoted = msgspec.json.encode(client_id)
        return Chain(
            client_id=client_id,
            bar=None if row[10] is None else Bar(*row[10:17]),
            decision=decision(decided[0]) if decided else None,
            intent=intent(row),
            answers=tuple(Input(*answer) for answer in self._all(ANSWERS, (row[8], quoted))),
            state=row[9],
            fills=tuple(
                fill(row)
                for row in self._all(
                    f"SELECT {FILL} WHERE client_id = ? ORDER BY time_ms, trade_id",  # constant
                    (client_id,),
                )
            ),
        )

    def show(self) -> dict[str, object]:
        """What is inside, as plain values for --json."""
        tables = ("inputs", "decisions", "intents", "orders", "fills", "events", "runs", "venue")
        counts = {t: self._all(f"SELECT count(*) FROM {t}", ())[0][0] for t in tables}  # noqa: S608 # constants
        head = self._all("SELECT seq, time_ms FROM head", ())
        runs = self._all("SELECT started_ms, pid, version, ended_ms, outcome FROM runs ORDER BY id DESC LIMIT 1", ())
        wal = self.path.with_name(self.path.name + "-wal")
        return {
            "path": str(self.path),
            "bytes": self.path.stat().st_size,
            "wal_bytes": wal.stat().st_size if wal.is_file() else 0,
            "schema": self._all("PRAGMA user_version", ())[0][0],
            "seq": head[0][0] if head else 0,
            "time_ms": head[0][1] if head else None,
            "rows": counts,
            "orders_open": [r[0] for r in self._all("SELECT client_id FROM orders WHERE open ORDER BY client_id", ())],
            "memory": dict(self._all("SELECT key, value FROM memory ORDER BY key", ())),
            "snapshot": self._snapshot(),
            "last_run": dict(zip(("started_ms", "pid", "version", "ended_ms", "outcome"), runs[0], strict=True))
            if runs
            else None,
        }

    def close(self) -> None:
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _snapshot(self) -> dict[str, object] | None:
        found = self._all("SELECT seq, blob FROM snapshot", ())
        if not found:
            return None
        seq, blob = found[0]
        shown: dict[str, object] = {"seq": seq, "bytes": len(blob)}
        with suppress(StateError):  # a snapshot in another container is shown by its size alone
            header, sections = snapshots.unpack(blob)
            shown["header"] = msgspec.to_builtins(header)
            shown["sections"] = {name: len(body) for name, body in sections.items()}
        return shown

    def _all(self, sql: str, parameters: tuple[object, ...]) -> list[tuple[Any, ...]]:
        with guarding(self.path):
            return self._link.execute(sql, parameters).fetchall()


def decision(row: tuple[Any, ...]) -> Decision:
    """The columns of `DECISION` as the value that was recorded."""
    time_ms, symbol, observation, target, output, kind, reason, detail, client_id = row[:9]
    verdict: Verdict
    if kind == HELD:
        verdict = Held(symbol, Reason(reason))
    elif kind == APPROVED:
        if row[9] is None:
            raise StateError(f"decision on {symbol} at {time_ms} approves {client_id}, an intent that is not stored")
        verdict = Approved(intent(row[9:]), detail or "")
    else:
        verdict = Refused(symbol, Reason(reason), detail)
    numbers = struct.unpack(f"<{len(output) // 8}d", output)
    return Decision(time_ms, symbol, observation, nan if target is None else target, numbers, verdict)


def intent(row: tuple[Any, ...]) -> Intent:
    """The columns of `INTENT` as the value that was recorded."""
    client_id, symbol, quantity, bar_time_ms, kind, price, reduce_only, cause = row[:8]
    return Intent(
        client_id=client_id,
        symbol=symbol,
        quantity=Decimal(quantity),
        bar_time_ms=bar_time_ms,
        kind=OrderKind(kind),
        price=None if price is None else Decimal(price),
        reduce_only=bool(reduce_only),
        cause=Cause(cause),
    )


def fill(row: tuple[Any, ...]) -> Fill:
    """The columns of `FILL` as the value that was recorded."""
    trade_id, client_id, symbol, quantity, price, fee, fee_asset, time_ms, maker = row
    return Fill(
        trade_id=trade_id,
        client_id=client_id,
        symbol=symbol,
        quantity=Decimal(quantity),
        price=Decimal(price),
        fee=Decimal(fee),
        fee_asset=fee_asset,
        time_ms=time_ms,
        maker=bool(maker),
    )


def running_pid(state_dir: Path) -> int | None:
    """Pid in the lock file, when such a process exists; a hint for messages, not a lock."""
    with suppress(OSError, ValueError):
        pid = int((state_dir / "lock").read_text("ascii"))
        os.kill(pid, 0)
        return pid
    return None
