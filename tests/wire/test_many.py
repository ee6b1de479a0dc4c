"""Many symbols on one connection, and a day at a time: hours of market between two real processes."""

import statistics
from pathlib import Path
from typing import Any

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
    sets: dict[str, Any] = {"risk__max_exposure": 0.01, "risk__deadband": 0.0, "market__grace_ms": 30_000}
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


def _resident_kb(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0])


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_day_of_market_leaves_the_memory_as_it_was(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """24 hours in some two minutes; the slope of what is resident after the first third, in kB an hour."""
    sets: dict[str, Any] = {"market__grace_ms": 50_000, "risk__max_bar_age_s": 59}
    async with (
        exchange(tmp_path, speed=600, seed=3) as there,
        daemon(tmp_path, there, market="spot", **sets) as here,
    ):
        await here.told("daemon.ready")
        hours, resident_kb = [], []
        for hour in range(24):
            await _passed(here, there, 1, seconds=60)
            if hour >= 8:
                hours.append(hour)
                resident_kb.append(_resident_kb(here.pid))
        assert await here.stop() == 0
        assert_agree(here, await there.truth())
    slope_kb = statistics.linear_regression(hours, resident_kb).slope
    pytestconfig.get_terminal_writer().line(f"{resident_kb[-1]} kB resident, {slope_kb:+.1f} kB an hour of market")
    assert abs(slope_kb) < 200
