"""Many symbols on one connection, and a day at a time: hours of market between two real processes."""

from pathlib import Path

import pytest

from wire.driver import Daemon, Exchange, assert_agree, daemon, exchange

HOUR_MS = 3_600_000
FIFTY = tuple(f"S{k:02d}/USDT" for k in range(50))


async def _passed(here: Daemon, there: Exchange, hours: float, *, seconds: float) -> None:
    """Let so many hours of market pass."""
    end_ms = await there.now_ms() + hours * HOUR_MS

    async def over() -> bool:
        return await there.now_ms() >= end_ms

    await here.until(over, f"{hours} hours of market", seconds=seconds)


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
    sets = {"risk__max_exposure": 0.01, "risk__deadband": 0.0, "market__grace_ms": 30_000}
    async with (
        exchange(
            tmp_path, speed=speed, **{market: symbols, "spot_limits.orders_10s": 100_000, "spot_limits.orders_1d": 0}
        ) as there,
        daemon(tmp_path, there, market=market, symbols=symbols, options=size, **sets) as here,
    ):
        await here.told("daemon.ready")
        await _passed(here, there, 2, seconds=300)
        assert await here.stop() == 0
        truth = await there.truth()
    traded = {trade["symbol"] for trade in truth[market]["trades"]}
    assert len(traded) > len(symbols) // 2
    assert_agree(here, truth, exposure=0.05)
