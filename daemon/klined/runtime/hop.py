"""The queue between two stages: asyncio's, without what a pipeline of single readers does not need.

`asyncio.Queue` counts unfinished tasks, looks up the running loop for every wait (a system call, for it asks the
process id) and serves many waiting writers. A hop has one reader, never waits to write, and costs half as much.
"""

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Hop(Generic[T]):
    """A bounded queue with one reader. A full one raises `asyncio.QueueFull`: the stages promise that it never is."""

    __slots__ = ("_items", "_loop", "_reader", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: deque[T] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def qsize(self) -> int:
        return len(self._items)

    def put_nowait(self, item: T) -> None:
        """Raises: asyncio.QueueFull."""
        if len(self._items) >= self._size:
            raise asyncio.QueueFull
        self._items.append(item)
        reader = self._reader
        if reader is not None:
            self._reader = None
            if not reader.done():
                reader.set_result(None)

    async def get(self) -> T:
        """The oldest item, waiting for it; cancelling the wait loses nothing."""
        while not self._items:
            loop = self._loop
            if loop is None:
                loop = self._loop = asyncio.get_running_loop()
            self._reader = reader = loop.create_future()
            await reader
        return self._items.popleft()
