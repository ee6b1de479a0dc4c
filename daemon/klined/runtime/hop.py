"""The queue between two stages: asyncio's, without what a pipeline of single readers does not need.

`asyncio.Queue` counts unfinished tasks, looks up the running loop for every wait (a system call, for it asks the
process id) and serves many waiting writers. A hop has one reader, never waits to write, and costs a third as much: the
reader waits for a future that becomes the item itself, so neither side needs a coroutine of its own.
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
        self._reader: asyncio.Future[T] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def qsize(self) -> int:
        """Items that the reader has not been given yet."""
        return len(self._items)

    def put_nowait(self, item: T) -> None:
        """Raises: asyncio.QueueFull."""
        reader = self._reader
        if reader is not None:
            self._reader = None
            if not reader.done():  # done is only one that was cancelled
                reader.set_result(item)
                return
        if len(self._items) >= self._size:
            raise asyncio.QueueFull
        self._items.append(item)

    def get(self) -> "asyncio.Future[T]":
        """The oldest item, to be awaited at once. Cancelling the wait loses nothing that comes later."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        reader: asyncio.Future[T] = asyncio.Future(loop=loop)
        if self._items:
            reader.set_result(self._items.popleft())
        else:
            self._reader = reader
        return reader
