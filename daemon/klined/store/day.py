"""One UTC day of a journal: what was decided, traded, paid and complained about, as the journal alone knows it."""

from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import msgspec
from msgspec import Struct

from klined.domain import Reason
from klined.store.faults import guarding
from klined.store.migrations import open_reading
from klined.store.rows import APPROVED, HELD

DAY_MS = 86_400_000
TROUBLE = ("warning", "error")

DECIDED = "SELECT verdict, reason, count(*) FROM decisions WHERE bar_time_ms >= ? AND bar_time_ms < ? GROUP BY 1, 2"
FILLED = "SELECT symbol, quantity, price, fee, fee_asset FROM fills WHERE time_ms >= ? AND time_ms < ?"
TOLD = "SELECT level, name, data FROM events WHERE time_ms >= ? AND time_ms < ? ORDER BY id"
RAN = (
    "SELECT started_ms, ended_ms, outcome FROM runs WHERE started_ms < ?2 AND coalesce(ended_ms, started_ms) >= ?1"
    " ORDER BY id"
)


class Traded(Struct, frozen=True):
    """What was traded of one symbol; quantities in base, the rest in quote."""

    fills: int
    bought: Decimal
    sold: Decimal
    notional: Decimal


class Run(Struct, frozen=True):
    """A process that lived on that day; without an end it was killed, or still runs."""

    started_ms: int
    ended_ms: int | None
    outcome: str | None


class Day(Struct, frozen=True):
    """The summary. Money is exact; `equity` is that after the first and the last fill, None on a day without."""

    day: str
    decisions: int
    approved: int
    held: dict[str, int]
    refused: dict[str, int]
    traded: dict[str, Traded]
    fees: dict[str, Decimal]
    realised: Decimal
    equity: tuple[float, float] | None
    trouble: dict[str, int]
    runs: tuple[Run, ...]


def summary(journal: Path, day: date) -> Day:
    """The day by the journal at `journal`.

    Raises:
        StateError: no journal, or not readable.
    """
    since_ms = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000
    span = (since_ms, since_ms + DAY_MS)
    with closing(open_reading(journal)) as link, guarding(journal):
        decided = link.execute(DECIDED, span).fetchall()
        fills = link.execute(FILLED, span).fetchall()
        told = link.execute(TOLD, span).fetchall()
        ran = link.execute(RAN, span).fetchall()
    spoken = [msgspec.json.decode(data) for _, name, data in told if name == "order.filled"]
    equities = [told["equity"] for told in spoken if told.get("equity") is not None]
    return Day(
        day=day.isoformat(),
        decisions=sum(count for _, _, count in decided),
        approved=sum(count for verdict, _, count in decided if verdict == APPROVED),
        held={Reason(reason).name.lower(): count for verdict, reason, count in decided if verdict == HELD},
        refused={
            Reason(reason).name.lower(): count for verdict, reason, count in decided if verdict not in {APPROVED, HELD}
        },
        traded={symbol: _traded(fills, symbol) for symbol in sorted({row[0] for row in fills})},
        fees={asset: _sum(row[3] for row in fills if row[4] == asset) for asset in sorted({row[4] for row in fills})},
        realised=_sum(told.get("realised", "0") for told in spoken),
        equity=(equities[0], equities[-1]) if equities else None,
        trouble=dict(Counter(name for level, name, _ in told if level in TROUBLE).most_common()),
        runs=tuple(Run(*row) for row in ran),
    )


def _traded(fills: list[tuple[str, str, str, str, str]], symbol: str) -> Traded:
    own = [(Decimal(quantity), Decimal(price)) for of, quantity, price, _, _ in fills if of == symbol]
    return Traded(
        fills=len(own),
        bought=_sum(quantity for quantity, _ in own if quantity > 0),
        sold=_sum(-quantity for quantity, _ in own if quantity < 0),
        notional=_sum(abs(quantity) * price for quantity, price in own),
    )


def _sum(amounts: Iterable[Decimal | str]) -> Decimal:
    return sum((Decimal(amount) for amount in amounts), Decimal(0))
