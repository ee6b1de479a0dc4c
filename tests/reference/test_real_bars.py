"""5,000 bars of real markets, crash included: exchange and ledger agree with the slow reference."""

import csv
import gzip
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from klined.domain import MarketKind
from klined.world.matching import Friction
from reference.driving import CASH, costs_of, drive, instrument
from reference.slow import SlowBar, recompute

BARS = 5_000
FILES = [
    ("ETHUSDT-1m_spot_2025-05_08", MarketKind.SPOT, 60_000),
    ("ETHUSDT-1m_spot_2021-05", MarketKind.SPOT, 37_900),  # 19 May 2021: the crash and the outage
    ("BTCUSDT-1m_um_2025-05", MarketKind.PERP, 10_000),
    ("ETHUSDT-1m_um_2025-05", MarketKind.PERP, 10_000),
]


def read_bars(path: Path, first: int) -> list[SlowBar]:
    with gzip.open(path, "rt") as lines:
        rows = list(csv.reader(lines))[1 + first : 1 + first + BARS]
    return [SlowBar(int(row[0]), *(Decimal(text) for text in row[1:6])) for row in rows]


def read_funding(path: Path, venue_symbol: str) -> dict[int, Decimal]:
    """Rates by the hour at which they fell due; the file's times are a few ms late."""
    with path.open() as lines:
        return {
            int(ms) // 1_000 * 1_000: Decimal(rate)
            for name, ms, rate in list(csv.reader(lines))[1:]
            if name == venue_symbol
        }


@pytest.mark.parametrize(("name", "kind", "first"), FILES, ids=[name for name, _, _ in FILES])
def test_real_bars_are_filled_and_valued_as_the_slow_reference(
    shared_data: Path, name: str, kind: MarketKind, first: int
) -> None:
    item = instrument(kind, name[:3], minutes=8 * 60)
    series = read_bars(shared_data / "small" / f"{name}.csv.gz", first)
    assert len(series) == BARS
    rates = {}
    if kind is MarketKind.PERP:
        rates = {item.symbol: read_funding(shared_data / "small/um_funding_BTC_ETH_2025-03_06.csv", f"{name[:3]}USDT")}
    friction = Friction(half_spread=0.0001, impact=1.0, participation=0.1)
    bars = [{item.symbol: bar} for bar in series]
    orders, fills, equity = drive([item], bars, friction, Random(7), rates)
    slow = recompute(bars, orders, {item.symbol: costs_of(item, friction)}, CASH, rates)
    assert fills == [(f.symbol, f.quantity, f.price, f.fee) for f in slow.fills]
    assert len(fills) > 500
    assert max(abs(ours - theirs) for ours, theirs in zip(equity, slow.equity, strict=True)) < Decimal("1e-6")
    assert (slow.funding != 0) == (kind is MarketKind.PERP)
