"""A process that lives faster than the machine, for rehearsals on a sandbox whose market is sped up.

Timers, time-outs and the clock all run `speed` times as fast, so what takes a minute at the exchange takes a minute
here, and every bound between the two keeps its proportion. What a computer really takes seems longer by as much.
"""

import asyncio
import math
import selectors
import time
from typing import Any

SELECT_S = 0.001  # the finest wait of an epoll


class HurriedSelector(selectors.DefaultSelector):
    """Waits a fraction of what it is asked to."""

    def __init__(self, speed: float) -> None:
        super().__init__()
        self._speed = speed

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is not None and timeout > 0.0:
            timeout = math.ceil(timeout / self._speed / SELECT_S) * SELECT_S
        return super().select(timeout)


class HurriedLoop(asyncio.SelectorEventLoop):
    """asyncio with real sockets and a time that runs `speed` times as fast."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        super().__init__(HurriedSelector(speed))

    def time(self) -> float:
        return time.monotonic() * self._speed
