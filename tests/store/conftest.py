"""Records as the trader makes them, and a state directory to keep them in."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from klined.domain import (
    Approved,
    Bar,
    Batch,
    Decision,
    Event,
    Fill,
    Held,
    Input,
    Intent,
    Reason,
    Record,
    Refused,
)

MINUTE = 60_000


@pytest.fixture
def make() -> Callable[[int], Record]:
    """Record number `n` (from 1): every fourth sends an order, every fifth is refused, the others hold."""
    return record


def record(n: int) -> Record:
    time_ms = n * MINUTE
    symbol = "ETH/USDT"
    intent = Intent(client_id=f"kl-7f3a-{n}", symbol=symbol, quantity=Decimal("0.50"), bar_time_ms=time_ms)
    sends = n % 4 == 0
    verdict = (
        Approved(intent)
        if sends
        else Refused(symbol, Reason.DAY_LOSS, f"day loss {n} over 2")
        if n % 5 == 0
        else Held(symbol, Reason.HOLD_DEADBAND)
    )
    sent = f"kl-7f3a-{n - 1}" if n % 4 == 1 and n > 1 else None
    inputs = [Input(2 * n, time_ms, "batch", b"")]
    if sent is not None:
        inputs.insert(0, Input(2 * n - 1, time_ms, "news", b'{"type":"Accepted","client_id":"%b"}' % sent.encode()))
    orders: list[tuple[str, bytes]] = []
    if sends:
        orders.append((intent.client_id, b'{"type":"Intended"}'))
    if sent is not None:
        orders.append((sent, b'{"type":"Filled"}'))
    fill = Fill(
        trade_id=str(n),
        client_id=sent or "",
        symbol=symbol,
        quantity=Decimal("0.50"),
        price=Decimal("3412.10"),
        fee=Decimal("0.68"),
        fee_asset="USDT",
        time_ms=time_ms,
    )
    return Record(
        seq=2 * n,
        time_ms=time_ms + MINUTE,
        inputs=tuple(inputs),
        decisions=(Decision(time_ms, symbol, n.to_bytes(60, "little"), n / 1000, (n / 1000, 0.25), verdict),),
        intents=(intent,) if sends else (),
        orders=tuple(orders),
        fills=(fill,) if sent is not None else (),
        events=(Event(time_ms, "warning", "feed.silent", {"seconds": n}),) if n % 7 == 0 else (),
        venue=(("books", str(n).encode()),),
    )


@pytest.fixture
def batch() -> Callable[[int], Batch]:
    """Batch number `n` of one symbol."""

    def at(n: int) -> Batch:
        bar = Bar("ETH/USDT", n * MINUTE, 100.0, 101.0, 99.0, 100.0 + n / 1000, float(n))
        return Batch((n + 1) * MINUTE, (bar, None))

    return at


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Where the journal of this test lies."""
    return tmp_path / "journal.db"
