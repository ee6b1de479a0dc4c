"""How observers hear of decisions and events without ever touching trading.

Each observer has a bounded queue that drops its oldest item when full, and a task of its own: one that is slow loses
items, one that crashes is logged and dropped, and neither can hold up a batch.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import structlog

from klined.domain import Decision, Event
from klined.ports import Observer

QUEUE_MAX = 1024
CLOSE_S = 10.0


@runtime_checkable
class Lively(Protocol):
    """What an observer may add when it works in the background."""

    def start(self) -> None: ...

    async def close(self) -> None: ...


log = structlog.get_logger()


class Watcher:
    """One observer behind its queue; `dropped` counts what it was too slow for."""

    def __init__(self, observer: Observer) -> None:
        self.observer = observer
        self.items: deque[Decision | Event] = deque(maxlen=QUEUE_MAX)
        self.dropped = 0
        self._more = asyncio.Event()

    def put(self, item: Decision | Event) -> None:
        if len(self.items) == QUEUE_MAX:
            self.dropped += 1
        self.items.append(item)
        self._more.set()

    async def run(self) -> None:
        """Until cancelled, or until the observer fails."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self.items:
                try:
                    self.observer.observe(self.items.popleft())
                except Exception as error:
                    log.exception("observer.crashed", observer=type(self.observer).__name__, why=repr(error))
                    return
            await asyncio.sleep(0)


class Bus:
    """Hands every item to every watcher; nothing happens when there is none."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self.watchers = [Watcher(observer) for observer in observers]
        self._tasks: list[asyncio.Task[None]] = []

    def add(self, observer: Observer) -> None:
        """One more, before the start."""
        self.watchers.append(Watcher(observer))

    def start(self) -> None:
        self._tasks = [asyncio.create_task(watcher.run()) for watcher in self.watchers]
        for observer in self._lively():
            observer.start()

    def publish(self, items: Sequence[Decision | Event]) -> None:
        for watcher in self.watchers:
            for item in items:
                watcher.put(item)

    async def close(self) -> None:
        """Let each observer see what is left, for a moment, then end."""
        for _ in range(QUEUE_MAX):
            if not any(watcher.items for watcher in self.watchers):
                break
            await asyncio.sleep(0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for observer in self._lively():
            try:
                async with asyncio.timeout(CLOSE_S):
                    await observer.close()
            except TimeoutError:
                log.warning("observer.stuck", observer=type(observer).__name__)

    def _lively(self) -> list[Lively]:
        return [watcher.observer for watcher in self.watchers if isinstance(watcher.observer, Lively)]
