"""One websocket connection from the exchange's side: a bounded queue to send from, pings, an end after a while.

Whoever reads too slowly is disconnected when `QUEUED_MAX` messages wait, as the exchange does.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable

from aiohttp import ClientConnectionResetError, WSMsgType, web

QUEUED_MAX = 20_000
Hear = Callable[[str], Awaitable[None]]


class Channel:
    """Send without waiting; `run` does the rest until the connection ends."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        ip: str,
        *,
        combined: bool = False,
        route: str = "",
        messages_per_s: int = 0,
    ) -> None:
        """`route`: public, market or private on futures. More than `messages_per_s` coming in end it; 0: no limit."""
        self.socket, self.ip, self.combined, self.route = socket, ip, combined, route
        self.streams: dict[str, None] = {}
        self._heard: deque[float] = deque(maxlen=messages_per_s + 1) if messages_per_s else deque(maxlen=1)
        self._limited = bool(messages_per_s)
        self._pong = True
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUED_MAX)

    def send(self, message: bytes) -> None:
        """Queue one message; a connection that cannot take it is closed."""
        try:
            self._queue.put_nowait(message)
        except asyncio.QueueFull:
            self.close()

    def close(self) -> None:
        """End the connection once what is queued has been sent, or at once when it cannot be."""
        with contextlib.suppress(asyncio.QueueFull):
            self._queue.put_nowait(None)
            return
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(None)

    async def run(self, ping_s: float, pong_s: float, lifetime_s: float, hear: Hear) -> None:
        """Serve until either side ends it; `hear(text)` is called with every message."""
        async with asyncio.TaskGroup() as group:
            chores = [group.create_task(self._write()), group.create_task(self._ping(ping_s, pong_s))]
            try:
                async with asyncio.timeout(lifetime_s):
                    await self._read(hear)
            except TimeoutError:
                await self.socket.close(code=1001, message=b"24 hours are over")
            for chore in chores:
                chore.cancel()

    async def _read(self, hear: Hear) -> None:
        async for message in self.socket:
            if self._too_many():
                await self.socket.close(code=1008, message=b"Too many requests")
                return
            if message.type is WSMsgType.TEXT:
                await hear(message.data)
            elif message.type is WSMsgType.PING:
                await self.socket.pong(message.data)
            elif message.type is WSMsgType.PONG:
                self._pong = True
            elif message.type is WSMsgType.BINARY:
                await hear(message.data.decode(errors="replace"))

    def _too_many(self) -> bool:
        """Whether this message is one too many within a second; pings and pongs count."""
        now = time.monotonic()
        self._heard.append(now)
        return self._limited and len(self._heard) == self._heard.maxlen and now - self._heard[0] < 1.0

    async def _write(self) -> None:
        while (message := await self._queue.get()) is not None:
            try:
                await self.socket.send_str(message.decode())
            except (ClientConnectionResetError, ConnectionError):
                return
        await self.socket.close(code=1001)

    async def _ping(self, ping_s: float, pong_s: float) -> None:
        """Who does not answer within `pong_s` is gone."""
        waited_s = 0.0
        while True:
            await asyncio.sleep(ping_s)
            waited_s = 0.0 if self._pong else waited_s + ping_s
            if waited_s >= pong_s:
                await self.socket.close(code=1008, message=b"Pong timeout")
                return
            self._pong = False
            try:
                await self.socket.ping()
            except (ClientConnectionResetError, ConnectionError):
                return
