"""A sandbox of its own for every test: on a free port, with a clock that stands still unless a test lets it go."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from klined.sandbox.server import SandboxServer, running
from klined.sandbox.settings import SandboxSettings
from sandbox.wire import Wire

START_MS = 1_763_740_000_000


@pytest.fixture
def settings() -> SandboxSettings:
    """Time stands still; /sandbox/step lets it pass. It is always the same time, so always the same market."""
    return SandboxSettings(port=0, speed=0.0, history=200, start_ms=START_MS)


@pytest.fixture
async def server(settings: SandboxSettings) -> AsyncIterator[SandboxServer]:
    async with running(settings) as started:
        yield started


@pytest.fixture
async def wire(server: SandboxServer) -> AsyncIterator[Wire]:
    async with aiohttp.ClientSession() as http:
        yield Wire(http, server)


@pytest.fixture(scope="session")
def documented(shared_data: Path) -> dict[str, list[Any]]:
    """Examples of the spot documentation by section."""
    path = shared_data / "fixtures/binance_docs/spot_docs_json_examples.json"
    found: dict[str, list[Any]] = {}
    for document, entries in json.loads(path.read_text()).items():
        for entry in entries if document != "web-socket-api.md" else ():  # the same answers, wrapped
            found.setdefault(entry["section"], []).append(entry["example"])
    return found
