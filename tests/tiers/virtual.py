"""Real sockets code without sockets and without time: aiohttp, ccxt and websockets on an in-memory network.

async-solipsism gives the loop and the network; every clock that anybody reads is the loop's.
"""

import asyncio
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

import aiohappyeyeballs
import async_solipsism
import pytest
from async_solipsism import selector

BEGAN_NS = 1_700_000_040_000_000_000  # a minute begins


class Selector(selector.Selector):  # type: ignore[misc]  # the library has no types
    """The library's, without a look-up for every socket at every turn."""

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = []
        for key in vars(self)["_fd_to_key"].values():
            wanted, end = key.events, key.fd.socket
            events = (wanted & EVENT_READ) if wanted & EVENT_READ and end.read_ready() else 0
            if wanted & EVENT_WRITE and end.write_ready():
                events |= EVENT_WRITE
            if events:
                ready.append((key, events))
        if ready or timeout == 0:
            return ready
        return list(super().select(timeout))


class Loop(async_solipsism.EventLoop):  # type: ignore[misc]  # the library has no types
    """Takes signal handlers and never calls them: one process is not signalled here."""

    handlers: dict[int, Callable[[], object]]

    def __init__(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(selector, "Selector", Selector)
            super().__init__()
        self.handlers = {}

    def add_signal_handler(self, sig: int, callback: Callable[..., object], *args: object) -> Any:
        self.handlers[int(sig)] = lambda: callback(*args)

    def remove_signal_handler(self, sig: int) -> Any:
        return self.handlers.pop(int(sig), None) is not None

    def kill(self, sig: signal.Signals) -> None:
        """As the kernel would deliver it."""
        self.call_soon(self.handlers[int(sig)])


@contextmanager
def virtual_clocks(loop: Loop) -> Iterator[None]:
    """Let wall, monotonic and boot clock be the loop's."""

    def elapsed_ns() -> int:
        return int(loop.time() * 1_000_000) * 1000

    def wall_ns() -> int:
        return BEGAN_NS + elapsed_ns()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time_ns", wall_ns)
        patch.setattr(time, "time", lambda: wall_ns() / 1e9)
        patch.setattr(time, "monotonic", loop.time)
        patch.setattr(time, "clock_gettime", lambda which: wall_ns() / 1e9 if which == 0 else loop.time())
        patch.setattr(aiohappyeyeballs, "start_connection", async_solipsism.aiohappyeyeballs_start_connection)
        yield


def virtually(main: Callable[[Loop], Coroutine[Any, Any, Any]]) -> Any:
    """Run `main` to its end on a loop of its own."""
    loop = Loop()
    with virtual_clocks(loop), asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main(loop))
