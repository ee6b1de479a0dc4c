"""Many symbols on one connection, and a day at a time: hours of market between two real processes."""

from pathlib import Path
from typing import Any

import pytest

from wire.day import passed, resident, slope_kb
from wire.driver import assert_agree, daemon, exchange

FIFTY = tuple(f"S{k:02d}/USDT" for k in range(50))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("market", "symbols", "speed"),
    [("spot", FIFTY, 60), ("perp", tuple(f"{symbol}:USDT" for symbol in FIFTY[:5]), 120)],
)
async def test_hours_of_many_symbols_end_flat(
    market: str, symbols: tuple[str, ...], speed: float, tmp_path: Path
) -> None:
    size = {"size": 1.0}
    sets: dict[str, Any] = {"risk__max_exposure": 0.01, "risk__deadband": 0.0, "market__grace_ms": 30_000}
    async with (
        exchange(
            tmp_path, speed=speed, **{market: symbols, "spot_limits.orders_10s": 100_000, "spot_limits.orders_1d": 0}
        ) as there,
        daemon(tmp_path, there, market=market, symbols=symbols, options=size, **sets) as here,
    ):
        await here.told("daemon.ready")
        await passed(here, there, 2, seconds=300)
        assert await here.stop() == 0
        truth = await there.truth()
    traded = {trade["symbol"] for trade in truth[market]["trades"]}
    assert len(traded) > len(symbols) // 2
    assert_agree(here, truth, exposure=0.05)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_day_of_market_leaves_the_memory_as_it_was(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """24 hours in some two minutes; the slope of what is resident after the first third, in kB an hour."""
    resident_kb = await resident(tmp_path)
    slope = slope_kb(resident_kb)
    pytestconfig.get_terminal_writer().line(f"{resident_kb[-1]} kB resident, {slope:+.1f} kB an hour of market")
    assert abs(slope) < 200
