"""The control socket: for its owner alone, its verbs, and what it says to nonsense."""

import asyncio
import json
import signal
import socket
import stat
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from klined.cli.client import Declined
from klined.errors import NotFlat, Rejected
from klined.runtime.control import LINE_MAX, Control
from runtime.living import configure, memory, must_be_flat, rows, running


async def hello(request: Mapping[str, Any]) -> object:
    return {"hello": request.get("name", "you")}


async def refuse(_request: Mapping[str, Any]) -> object:
    raise Rejected("not today")


async def unflat(_request: Mapping[str, Any]) -> object:
    raise NotFlat("not flat: ETH/USDT")


@pytest.fixture
async def path(tmp_path: Path) -> AsyncIterator[Path]:
    control = Control(tmp_path / "control.sock", {"hello": hello, "refuse": refuse, "unflat": unflat})
    await control.start()
    yield control.path
    await control.close()
    assert not control.path.exists()


async def exchange(path: Path, line: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(line)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_socket_belongs_to_its_owner_alone(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600  # noqa: ASYNC240 # one stat


async def test_verb_is_answered_by_one_line(path: Path) -> None:
    answer = await exchange(path, b'{"verb": "hello", "name": "klined"}\n')
    assert answer == b'{"ok": true, "data": {"hello": "klined"}}\n'


@pytest.mark.parametrize(
    "line", [b"\n", b"hello\n", b"[]\n", b"7\n", b'"verb"\n', b'{"word": 1}\n', b"\xff\xfe\n", b'{"verb": "hello"', b""]
)
async def test_nonsense_is_answered_by_a_sentence_and_code_2_or_nothing(path: Path, line: bytes) -> None:
    answer = await exchange(path, line)
    told = json.loads(answer)
    assert not told["ok"]
    assert told["code"] == 2
    assert '{"verb": "status"}' in told["error"]


async def test_unknown_verb_is_told_the_known_ones(path: Path) -> None:
    told = json.loads(await exchange(path, b'{"verb": "nap"}\n'))
    assert told == {"ok": False, "error": "unknown verb nap; known: hello, refuse, unflat", "code": 2}


async def test_refusals_bring_their_sentence_and_exit_code(path: Path) -> None:
    assert json.loads(await exchange(path, b'{"verb": "refuse"}\n')) == {"ok": False, "error": "not today", "code": 1}
    assert json.loads(await exchange(path, b'{"verb": "unflat"}\n'))["code"] == 5


async def test_line_that_is_too_long_is_dropped_and_the_next_is_served(path: Path) -> None:
    assert await exchange(path, b"x" * (LINE_MAX + 100)) == b""
    assert json.loads(await exchange(path, b'{"verb": "hello"}\n'))["ok"]


async def test_client_that_hangs_up_harms_nobody(path: Path) -> None:
    _, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b'{"verb"')
    writer.close()
    await writer.wait_closed()
    assert json.loads(await exchange(path, b'{"verb": "hello"}\n'))["ok"]


async def test_socket_of_a_killed_daemon_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    control = Control(path, {"hello": hello})
    await control.start()
    assert json.loads(await exchange(path, b'{"verb": "hello"}\n'))["ok"]
    await control.close()


def test_running_daemon_answers_every_verb(tmp_path: Path) -> None:
    configure(tmp_path)
    with running(tmp_path) as daemon:
        daemon.reachable()
        assert stat.S_IMODE((daemon.state / "control.sock").stat().st_mode) == 0o600
        daemon.wait_for("order.filled", 2)
        status = daemon.ask("status")
        assert status["mode"] == "RUNNING"
        assert status["symbols"] == ["ETH/USDT"]
        assert status["equity"]["value"] > 0
        reasons = daemon.ask("why", last=5)["decisions"]
        assert len(reasons) == 5
        assert {decision["symbol"] for decision in reasons} == {"ETH/USDT"}
        assert daemon.ask("dump")["mode"] == "RUNNING"
        assert daemon.ask("pause")["mode"] == "SAFE"
        assert daemon.ask("resume")["mode"] == "RUNNING"
        assert daemon.ask("flatten") == {"flat": True, "mode": "SAFE"}
        assert memory(tmp_path)["paused"]
        assert daemon.ask("status")["positions"][0]["quantity"] == 0
        with pytest.raises(Declined, match="no such file"):
            daemon.ask("reload", model="absent.onnx")
        with pytest.raises(Declined, match="unknown verb nap"):
            daemon.ask("nap")
        assert daemon.end(signal.SIGTERM) == 0
    must_be_flat(tmp_path)


def test_nothing_is_opened_between_pause_and_resume(tmp_path: Path) -> None:
    configure(tmp_path)
    with running(tmp_path) as daemon:
        daemon.reachable()
        daemon.ask("flatten")
        before = rows(tmp_path, "SELECT count(*) FROM intents")
        seen = daemon.ask("dump")["seq"]
        while daemon.ask("dump")["seq"] < seen + 300:
            pass
        assert rows(tmp_path, "SELECT count(*) FROM intents") == before
        daemon.ask("resume")
        daemon.wait_for("order.filled")
        assert daemon.end(signal.SIGTERM) == 0
    must_be_flat(tmp_path)
