"""Other users of the machine get nothing from a daemon's control socket."""

import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from klined.runtime.control import Control

ASK = """
import os, socket, sys
os.setgid(65534); os.setuid(65534)
link = socket.socket(socket.AF_UNIX)
try:
    link.connect(sys.argv[1])
except PermissionError:
    sys.exit(13)
link.sendall(b'{"verb": "status"}\\n')
sys.exit(0 if link.recv(100) else 1)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, so that only the socket's own mode keeps them out."""
    if os.getuid() != 0:
        pytest.skip("becoming another user needs root")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path


async def asked_by_nobody(socket: Path) -> int:
    process = await asyncio.create_subprocess_exec("/usr/bin/env", sys.executable, "-c", ASK, str(socket))
    return await process.wait()


async def test_control_socket_refuses_other_users_and_an_open_one_would_be_noticed(open_folder: Path) -> None:
    async def status(_request: object) -> object:
        return {}

    path = open_folder / "control.sock"
    control = Control(path, {"status": status})
    await control.start()
    assert await asked_by_nobody(path) == 13
    path.chmod(0o666)
    assert await asked_by_nobody(path) == 0
    await control.close()
