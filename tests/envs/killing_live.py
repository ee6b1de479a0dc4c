"""An agent's process that dies inside `step`.

python -m envs.killing_live FOLDER BASE MARKET SPEED STEPS [POINT HITS]

Whatever the bar is, the agent wants the same on it, so that a life that was cut short can be compared with a whole one.
POINT is `<call>.before` or `<call>.after` of commit, submit and write; at its HITS-th hit after the first bar was shown
the process kills itself. BASE is a sandbox's address, or - for the market inside the process.
"""

import asyncio
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

from klined.config.settings import Settings
from klined.runtime import log
from klined.runtime.process import loop_of
from klined_models.envs.live import LiveTradingEnv
from klined_models.envs.switches import changed


def wanted(time_ms: int) -> float:
    """Flat, half or all, by the bar alone."""
    return random.Random(time_ms).choice((0.0, 0.5, 1.0))


def armed(env: LiveTradingEnv, point: str, hits: int) -> None:
    """Die at the `hits`-th hit of `point` from now on."""
    daemon: Any = env._seat.daemon
    call, _, phase = point.partition(".")
    owner, name = {
        "commit": (daemon.journal, "commit"),
        "submit": (daemon.venue, "submit"),
        "write": (daemon.outbox, "_write"),
    }[call]
    real, left = getattr(owner, name), [hits]

    def hit() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    async def fatal(*words: Any) -> Any:
        if phase == "before":
            hit()
        answer = await real(*words)
        if phase == "after":
            hit()
        return answer

    setattr(owner, name, fatal)


async def live(settings: Settings, steps: int, point: str, hits: int, *, inside: bool) -> None:
    async with LiveTradingEnv(settings, test_mode=inside) as env:
        _, info = await env.reset()
        if point:
            armed(env, point, hits)
        for _ in range(steps):
            *_, over, info = await env.step([wanted(info["time_ms"])])
            if over:
                break


def main(folder: str, base: str, market: str, speed: str, steps: str, point: str = "", hits: str = "1") -> None:
    log.configure("warning", "json")
    if base == "-":
        settings = changed(changed(Settings(), "store", dir=Path(folder) / "state"), "market", bars=int(steps))
    else:
        from envs.living import settings_at

        settings = settings_at(Path(folder), base, float(speed), market)
    with asyncio.Runner(loop_factory=loop_of(settings)) as runner:
        runner.run(live(settings, int(steps), point, int(hits), inside=base == "-"))


if __name__ == "__main__":
    main(*sys.argv[1:])
