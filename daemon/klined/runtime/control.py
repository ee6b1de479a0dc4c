"""The control socket: one JSON line in, one JSON line out. The file's mode (0600) is the authentication.

{"verb": "status"}  ─▶  {"ok": true, "data": {...}}
{"verb": "nap"}     ─▶  {"ok": false, "error": "unknown verb nap; known: ...", "code": 2}
"""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

from klined.config.masks import masked
from klined.errors import KlinedError

LINE_MAX = 64 * 1024
REQUEST_TIMEOUT_S = 10.0

Verb = Callable[[Mapping[str, Any]], Awaitable[object]]

log = structlog.get_logger()


class Control:
    """Serves `verbs` on a unix socket for the user who runs the daemon, and nobody else."""

    def __init__(self, path: Path, verbs: Mapping[str, Verb]) -> None:
        self.path = path
        self._verbs = verbs
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. A socket left by a killed daemon is replaced: the state lock has proven nobody lives behind it."""
        self.path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        mask = os.umask(0o177)  # the file is 0600 from its first moment
        try:
            listener.bind(str(self.path))
        finally:
            os.umask(mask)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=LINE_MAX)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self.path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                line = await reader.readline()
            answer = await self._answer(line)
            writer.write(masked(json.dumps(answer, default=str)).encode() + b"\n")
            await writer.drain()
        except (TimeoutError, ValueError, ConnectionError) as error:
            log.debug("control.dropped", why=str(error))
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, line: bytes) -> dict[str, object]:
        try:
            request = json.loads(line)
            name = str(request["verb"])
        except (ValueError, KeyError, TypeError):
            return {"ok": False, "error": 'a request is one JSON line like {"verb": "status"}', "code": 2}
        verb = self._verbs.get(name)
        if verb is None:
            return {"ok": False, "error": f"unknown verb {name}; known: {', '.join(sorted(self._verbs))}", "code": 2}
        try:
            return {"ok": True, "data": await verb(request)}
        except KlinedError as error:
            return {"ok": False, "error": str(error), "code": error.exit_code}
