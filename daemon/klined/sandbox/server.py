"""The process: one aiohttp application on loopback, and the loop that lets time pass.

async with running(settings) as server: ... server.port ...
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from klined.errors import ConfigError
from klined.sandbox.control import Control
from klined.sandbox.exchange import SandboxExchange
from klined.sandbox.gate import Gate
from klined.sandbox.rest import BODY_MAX, Rest
from klined.sandbox.settings import SandboxSettings
from klined.sandbox.socket_api import SocketApi
from klined.sandbox.sockets import Sockets

STEP_MIN_S = 0.01


class SandboxServer:
    """The exchange with its sockets."""

    def __init__(self, settings: SandboxSettings) -> None:
        """Raises ConfigError or StateError when the exchange cannot be set up."""
        self.settings = settings
        self.exchange = SandboxExchange(settings)
        self._gate = Gate(self.exchange)
        self._rest = Rest(self._gate)
        self._runner = web.AppRunner(self._application(), access_log=None)
        self.port = settings.port
        self._clock: asyncio.Task[None] | None = None

    def _application(self) -> web.Application:
        sockets, api = Sockets(self.exchange), SocketApi(self.exchange, self._gate)
        application = web.Application(client_max_size=BODY_MAX)
        application.add_routes(
            [
                *Control(self.exchange).routes(),
                web.get("/stream/{form:ws|stream}", sockets.spot),
                web.get("/stream/{form:ws|stream}/{names:.*}", sockets.spot),
                web.get("/{form:ws|stream}", sockets.spot),
                web.get("/{form:ws|stream}/{names:.*}", sockets.spot),
                web.get("/{route:public|market|private}/{form:ws|stream}", sockets.futures),
                web.get("/{route:public|market|private}/{form:ws|stream}/{names:.*}", sockets.futures),
                web.get("/fstream/{route:public|market|private}/{form:ws|stream}", sockets.futures),
                web.get("/fstream/{route:public|market|private}/{form:ws|stream}/{names:.*}", sockets.futures),
                web.get("/fstream/{form:ws|stream}", sockets.former),
                web.get("/fstream/{form:ws|stream}/{names:.*}", sockets.former),
                web.get("/ws-api/v3", api.spot),
                web.get("/ws-fapi/v1", api.futures),
                web.route("*", "/{path:.*}", self._rest.serve),
            ]
        )
        return application

    async def start(self) -> None:
        """Listen; `port` is known afterwards.

        Raises:
            ConfigError: the port is taken.
        """
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.settings.host, self.settings.port, reuse_address=True)
        try:
            await site.start()
        except OSError as fault:
            await self._runner.cleanup()
            raise ConfigError(f"cannot listen on {self.settings.host}:{self.settings.port}: {fault}") from fault
        self.port = self._runner.addresses[0][1]
        self._clock = asyncio.get_running_loop().create_task(self.run())

    async def failed(self) -> None:
        """Wait until time stops passing, which is only by a fault; raises it."""
        if self._clock is not None:
            await self._clock

    async def run(self) -> None:
        """Let time pass, until cancelled."""
        exchange, settings = self.exchange, self.settings
        while True:
            to_close = exchange.market.closes_ms - exchange.clock.now_ms()
            pause_s = min(settings.step_ms / 1000, exchange.clock.wall_s(to_close))
            await asyncio.sleep(max(STEP_MIN_S, pause_s))
            exchange.step()

    async def stop(self) -> None:
        """Disconnect everybody and keep the state."""
        if self._clock is not None:
            self._clock.cancel()
        for kind in ("spot", "perp"):
            self.exchange.streams[kind].disconnect()
            self.exchange.users[kind].disconnect()
        await self._rest.close()
        await self._runner.cleanup()
        self.exchange.keep_time()
        self.exchange.store.close()


@asynccontextmanager
async def running(settings: SandboxSettings) -> AsyncIterator[SandboxServer]:
    """A sandbox for the time of the block; settings with port 0 find a free one."""
    server = SandboxServer(settings)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
