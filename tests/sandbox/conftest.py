"""A sandbox of its own for every test: on a free port, with a clock that stands still unless a test lets it go."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from klined.sandbox.server import SandboxServer, running
from klined.sandbox.settings import SandboxSettings
from sandbox.wire import Wire


@pytest.fixture
def settings() -> SandboxSettings:
    """Time stands still; /sandbox/step lets it pass."""
    return SandboxSettings(port=0, speed=0.0, history=200)


@pytest.fixture
async def server(settings: SandboxSettings) -> AsyncIterator[SandboxServer]:
    async with running(settings) as started:
        yield started


@pytest.fixture
async def wire(server: SandboxServer) -> AsyncIterator[Wire]:
    async with aiohttp.ClientSession() as http:
        yield Wire(http, server)
