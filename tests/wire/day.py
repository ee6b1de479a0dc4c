"""A day of market between two real processes, and what the daemon's memory does meanwhile.

The test and the benchmark of the same name both live through it.
"""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wire.driver import Daemon, Exchange, assert_agree, daemon, exchange

HOUR_MS = 3_600_000
HOURS, WARM_HOURS = 24, 8
PATIENT: dict[str, Any] = {"market__grace_ms": 50_000, "risk__max_bar_age_s": 59}


async def passed(here: Daemon, there: Exchange, hours: float, *, seconds: float) -> None:
    """Let so many hours of market pass."""
    end_ms = await there.now_ms() + hours * HOUR_MS

    async def over() -> bool:
        return await there.now_ms() >= end_ms

    await here.until(over, f"{hours} hours of market", seconds=seconds)


async def resident(folder: Path, *, speed: float = 600) -> list[int]:
    """What the daemon holds at the end of each hour after the warm-up, kB; its books are compared at the end."""
    resident_kb = []
    async with exchange(folder, speed=speed, seed=3) as there, daemon(folder, there, market="spot", **PATIENT) as here:
        await here.told("daemon.ready")
        for hour in range(HOURS):
            await passed(here, there, 1, seconds=60)
            if hour >= WARM_HOURS:
                resident_kb.append(_resident_kb(here.pid))
        assert await here.stop() == 0
        assert_agree(here, await there.truth())
    return resident_kb


def slope_kb(resident_kb: Sequence[int]) -> float:
    """An hour of market's growth."""
    return statistics.linear_regression(range(len(resident_kb)), resident_kb).slope


def _resident_kb(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0])
