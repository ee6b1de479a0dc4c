"""The slow reference, given the orders that the journal says were decided, comes to the same fills and money.

5,000 bars of every real market, through the whole daemon with a large account, so that fills meet volume and impact.
"""

import asyncio
import csv
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec import Struct
from msgspec.structs import replace

from klined.config.settings import Settings
from klined.domain import Batch, Instrument
from klined.kernels import layout as at
from klined.runtime.assembly import assemble, make_instruments
from klined.runtime.loop import VirtualLoop
from klined.runtime.process import REPLAY_ID
from klined.store.synchronous import SyncJournal
from klined.world.filters import venue_symbol
from klined.world.matching import Friction
from reference.driving import costs_of
from reference.slow import SlowAccount, SlowBar, recompute
from replay.worlds import FUNDING, NAMES, WORLDS, World

BALANCE = Decimal(400_000)
LARGE = (
    f"paper.balance={BALANCE}",
    "risk.max_order_notional=1000000",
    "risk.max_volume_fraction=1",
    "costs.participation=0.05",
)
FRICTION = Friction(half_spread=0.0001, impact=1.0, participation=0.05)
FUNDING_LATE_MS = 1_000  # times in the file are a few ms late

FILLED = (
    "SELECT symbol, quantity, price, fee FROM fills WHERE client_id NOT IN"
    " (SELECT client_id FROM intents WHERE cause = 'flatten') ORDER BY CAST(trade_id AS INTEGER)"
)

Fills = list[tuple[str, Decimal, Decimal, Decimal]]


class Told(Struct, frozen=True):
    """What the daemon did: decided quantities by bar and symbol, fills in order, equity at every close."""

    orders: dict[tuple[int, str], Decimal]
    fills: Fills
    equity: list[float]


def told_by_the_daemon(settings: Settings) -> Told:
    equity: list[float] = []

    async def serve() -> None:
        settings.state_dir.mkdir()
        journal = SyncJournal(settings.state_dir / "journal.db")
        daemon = await assemble(settings, journal=journal, installation=REPLAY_ID)
        account = daemon.trader.book.A.row[0]

        def progress(_batch: Batch) -> None:
            equity.append(account[at.EQUITY])

        daemon.pipeline.progress = progress
        assert await daemon.serve() == 0
        await journal.close()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(serve())
    with closing(sqlite3.connect(settings.state_dir / "journal.db")) as link:
        decided = link.execute("SELECT bar_time_ms, symbol, quantity FROM intents WHERE cause <> 'flatten'")
        orders = {(time, symbol): Decimal(quantity) for time, symbol, quantity in decided}
        fills = [(s, Decimal(q), Decimal(p), Decimal(f)) for s, q, p, f in link.execute(FILLED)]
    return Told(orders, fills, equity)


def read_bars(settings: Settings) -> list[dict[str, SlowBar]]:
    """Bars as they stand in the files, by close; of a repeated time the first."""
    found: dict[int, dict[str, SlowBar]] = {}
    for symbol, path in zip(settings.market.symbols, settings.market.files, strict=True):
        with path.open() as lines:
            for row in list(csv.reader(lines))[1:]:
                bar = SlowBar(int(row[0]), *(Decimal(text) for text in row[1:6]))
                found.setdefault(bar.open_time_ms, {}).setdefault(symbol, bar)
    return [found[time] for time in sorted(found)]


def read_rates(data: Path, listed: Sequence[Instrument]) -> dict[str, dict[int, Decimal]]:
    rates: dict[str, dict[int, Decimal]] = {item.symbol: {} for item in listed}
    names = {venue_symbol(item.symbol): item.symbol for item in listed}
    with (data / FUNDING).open() as lines:
        for name, time, rate in list(csv.reader(lines))[1:]:
            if name in names:
                rates[names[name]][int(time) // FUNDING_LATE_MS * FUNDING_LATE_MS] = Decimal(rate)
    return rates


def second_opinion(data: Path, settings: Settings, told: Told, friction: Friction = FRICTION) -> SlowAccount:
    bars = read_bars(settings)
    orders = [
        {
            symbol: told.orders[bar.open_time_ms, symbol]
            for symbol, bar in row.items()
            if (bar.open_time_ms, symbol) in told.orders
        }
        for row in bars
    ]
    listed = make_instruments(settings)
    return recompute(
        bars,
        orders,
        {item.symbol: costs_of(item, friction) for item in listed},
        BALANCE,
        read_rates(data, listed) if settings.market.kind.value == "perp" else None,
        settings.market.interval_ms,
    )


def slow_fills(account: SlowAccount) -> Fills:
    return [(f.symbol, f.quantity, f.price, f.fee) for f in account.fills]


@pytest.mark.parametrize("world", WORLDS, ids=NAMES)
def test_fills_and_equity_are_those_of_the_slow_reference(shared_data: Path, tmp_path: Path, world: World) -> None:
    settings = replace(world, rows=5_000).settings(shared_data, tmp_path / "state", "ema_cross", LARGE)
    told = told_by_the_daemon(settings)
    slow = second_opinion(shared_data, settings, told)
    assert told.fills == slow_fills(slow), "lots and ticks exactly"
    assert len(told.fills) > 30
    assert len(told.equity) == len(slow.equity)
    for ours, theirs in zip(told.equity, slow.equity, strict=True):
        assert ours == pytest.approx(float(theirs), rel=1e-8)
    assert (slow.funding != 0) == (world.kind == "perp")


def test_reference_with_another_rule_disagrees(shared_data: Path, tmp_path: Path) -> None:
    """The planted fault."""
    world = World("short", WORLDS[0].files, rows=1_000)
    settings = world.settings(shared_data, tmp_path / "state", "ema_cross", LARGE)
    told = told_by_the_daemon(settings)
    assert told.fills == slow_fills(second_opinion(shared_data, settings, told))
    other = Friction(half_spread=0.0001, impact=1.01, participation=0.05)
    assert told.fills != slow_fills(second_opinion(shared_data, settings, told, other))
