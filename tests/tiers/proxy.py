"""The network between a daemon and an exchange, as bad as a test wants it: cut, stalled, dripping, or dark.

client ─▶ Proxy ─▶ exchange        REST and websockets alike: bytes are bytes
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

CHUNK = 1 << 16
DRIP_BYTES = 48


class Proxy:
    """Passes bytes on. `count` is what was done to them."""

    def __init__(self, target_port: int, host: str = "127.0.0.1") -> None:
        self.host, self.port, self.target_port = host, 0, target_port
        self.count: Counter[str] = Counter()
        self.dark = False  # connections are taken and dropped at once
        self.drip_s = 0.0  # between two small pieces
        self._flows = asyncio.Event()
        self._flows.set()
        self._healed = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self.heal()
        if self._server is not None:
            self._server.close()
        self._abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Reset every connection, in the middle of whatever it carries."""
        self.count["cut"] += 1
        self._abort()

    def stall(self) -> None:
        """Nothing arrives any more, and nothing says so."""
        self.count["stall"] += 1
        self._flows.clear()

    def go_dark(self) -> None:
        """Cut, and let nobody connect."""
        self.count["dark"] += 1
        self.dark = True
        self._abort()

    def drip(self, every_s: float) -> None:
        """From now on a few bytes at a time."""
        self.count["drip"] += 1
        self._healed.clear()
        self.drip_s = every_s

    def heal(self) -> None:
        """Everything flows; what was stalled arrives now, late."""
        self.dark, self.drip_s = False, 0.0
        self._flows.set()
        self._healed.set()

    def _abort(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._pass_on(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.dark:
            writer.transport.abort()
            return
        try:
            there, onward = await asyncio.open_connection(self.host, self.target_port)
        except OSError:
            writer.transport.abort()
            return
        mine = {writer, onward}
        self._writers |= mine
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, onward))
                group.create_task(self._pump(there, writer))
        finally:
            self._writers -= mine
            for each in mine:
                each.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                while data:
                    await self._flows.wait()
                    size = DRIP_BYTES if self.drip_s else len(data)
                    writer.write(data[:size])
                    await writer.drain()
                    data = data[size:]
                    if data:
                        await self._drop()
            writer.write_eof()

    async def _drop(self) -> None:
        """The time between two pieces, or less when it heals."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.drip_s):
                await self._healed.wait()


@asynccontextmanager
async def proxied(target_port: int) -> AsyncIterator[Proxy]:
    """A proxy for the time of the block."""
    proxy = Proxy(target_port)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.close()
