"""Run klined with every clock of the process `SPEED` times faster: an hour of market in two minutes, on real sockets.

python hurried.py SPEED ORIGIN_NS klined-words...      processes with the same origin tell the same time
"""

import selectors
import sys
import time
from collections.abc import Callable
from typing import Any

CLOCK_REALTIME = time.CLOCK_REALTIME


def hurry(speed: float, origin_ns: int) -> None:
    """Let the process's clocks run faster from here on; what waits in a selector waits less."""
    real_ns, monotonic, gettime = time.time_ns, time.monotonic, time.clock_gettime

    def time_ns() -> int:
        return origin_ns + int((real_ns() - origin_ns) * speed)

    def clock_gettime(clock: int) -> float:
        return time_ns() / 1e9 if clock == CLOCK_REALTIME else gettime(clock) * speed

    time.time_ns, time.clock_gettime = time_ns, clock_gettime
    time.time = lambda: time_ns() / 1e9
    time.monotonic = lambda: monotonic() * speed
    select: Callable[..., Any] = selectors.EpollSelector.select

    def sooner(self: selectors.EpollSelector, timeout: float | None = None) -> Any:
        return select(self, timeout / speed if timeout is not None and timeout > 0 else timeout)

    selectors.EpollSelector.select = sooner  # type: ignore[method-assign]  # the one place where asyncio sleeps


if __name__ == "__main__":
    hurry(float(sys.argv[1]), int(sys.argv[2]))
    from klined.cli.main import main

    sys.exit(main(sys.argv[3:]))
