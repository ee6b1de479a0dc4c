"""What a person or the service manager says by signal.

SIGTERM, SIGINT   stop: first flattens; the second changes nothing; the third gives up, loudly
SIGHUP            reload settings and policy
SIGUSR1           write the state to the log
"""

import asyncio
import signal
from collections.abc import Callable

import structlog

from klined.runtime.stops import STOPS, early, keep

log = structlog.get_logger()

Handler = Callable[[], None]


class Signals:
    """Counts the stops; `on_stop` is called once, `on_abort` at the third signal."""

    def __init__(self, *, on_stop: Handler, on_abort: Handler, on_reload: Handler, on_dump: Handler) -> None:
        self._on_stop, self._on_abort = on_stop, on_abort
        self._handlers: dict[signal.Signals, Handler] = {
            signal.SIGTERM: self._stop,
            signal.SIGINT: self._stop,
            signal.SIGHUP: on_reload,
            signal.SIGUSR1: on_dump,
        }
        self._stops = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._deferred = False

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        """Handlers run in the loop, between two of its callbacks, never inside one."""
        for number, handler in self._handlers.items():
            self._deferred |= signal.getsignal(number) is keep
            loop.add_signal_handler(number, handler)
        self._loop = loop
        for _ in range(early()):
            self._stop()

    def remove(self) -> None:
        if self._loop is not None:
            for number in self._handlers:
                self._loop.remove_signal_handler(number)
                if self._deferred and number in STOPS:
                    signal.signal(number, keep)
            self._loop = None

    def _stop(self) -> None:
        self._stops += 1
        if self._stops == 1:
            self._on_stop()
        elif self._stops == 2:
            log.warning("stop.repeated", hint="already stopping: cancel, flatten, snapshot; once more gives up")
        else:
            log.error("stop.aborted", hint="the next start finishes the flatten")
            self._on_abort()
