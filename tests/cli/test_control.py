"""Verbs over the control socket: what is sent, what is printed, which exit code."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from klined.cli.client import ask
from klined.cli.main import main
from klined.cli.status import render_status
from klined.errors import KlinedError, NotRunning

Daemon = Callable[[dict[str, Any] | bytes], list[dict[str, Any]]]

STATUS = {
    "version": "0.1.0",
    "mode": "RUNNING",
    "live": False,
    "up_s": 3 * 86_400 + 4 * 3_600,
    "symbols": ["ETH/USDT"],
    "timeframe": "1m",
    "exchange": "sim",
    "policy": {"name": "bc-eth15", "sha": "4f1c2a9d00"},
    "last_bar": {"close_time_ms": 1_747_744_860_000, "age_s": 3.1, "lag_ms": 57, "gaps_today": 1},
    "positions": [
        {"symbol": "ETH/USDT", "quantity": "1.412", "entry": 3402.1, "mark": 3431.8, "pnl": 41.9, "exposure": 0.48}
    ],
    "equity": {"value": 10212.4, "today": 0.0041, "week": 0.019, "drawdown": -0.012, "drawdown_max": 0.05},
    "risk": {"state": "ok", "used": [{"name": "day loss", "used": "0.0", "limit": "2.0%"}]},
    "last_act": {"time_ms": 1_747_744_860_000, "text": "hold: change below the deadband"},
    "queues": {"feed": 0, "policy": 1},
    "step_ms_p99": 1.9,
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """Something that listens where a daemon would, gives one scripted answer to each, and notes what it was asked."""
    asked: list[dict[str, Any]] = []
    listener = socket.socket(socket.AF_UNIX)
    threads: list[threading.Thread] = []

    def start(answer: dict[str, Any] | bytes) -> list[dict[str, Any]]:
        path = Path("state/klined/control.sock")
        path.parent.mkdir(parents=True)
        listener.bind(str(path))
        listener.listen()
        line = answer if isinstance(answer, bytes) else json.dumps(answer).encode() + b"\n"
        threads.append(threading.Thread(target=_serve, args=(listener, line, asked)))
        threads[0].start()
        return asked

    yield start
    if threads:
        listener.shutdown(socket.SHUT_RDWR)
        threads[0].join()
    listener.close()


def _serve(listener: socket.socket, line: bytes, asked: list[dict[str, Any]]) -> None:
    while True:
        try:
            link, _ = listener.accept()
        except OSError:
            return
        with link, link.makefile("rb") as request:
            asked.append(json.loads(request.readline()))
            link.sendall(line)


def test_status_is_a_page_a_person_can_read(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    asked = daemon({"ok": True, "data": STATUS})
    assert main(["status"]) == 0
    assert asked == [{"verb": "status"}]
    assert capsys.readouterr().out == (
        "klined 0.1.0  RUNNING  paper  up 3d 04h   ETH/USDT 1m  sim   policy bc-eth15 (sha 4f1c2a9)\n"
        "  last bar   2025-05-20 12:41:00  age 3.1 s  lag 57 ms  gaps today 1\n"
        "  position   LONG 1.412 ETH  entry 3,402.10  mark 3,431.80  +41.90   exposure 48%\n"
        "  equity     10,212.40   today +0.41%   7 d +1.9%   drawdown -1.2% (limit -5.0%)\n"
        "  risk       ok  day loss 0.0/2.0%\n"
        "  last act   2025-05-20 12:41:00 hold: change below the deadband\n"
        "  pipeline   feed 0 · policy 1 queued   p99 1.9 ms\n"
    )


def test_status_as_json_is_what_the_daemon_said(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    daemon({"ok": True, "data": STATUS})
    assert main(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == STATUS


@pytest.mark.parametrize("missing", STATUS)
def test_status_shows_what_is_there_when_a_part_is_missing(missing: str) -> None:
    assert render_status({key: value for key, value in STATUS.items() if key != missing})
    assert "policy -" in render_status({})


def test_no_daemon_is_exit_three_with_the_next_step(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("status", "pause", "resume", "reload"):
        assert main([verb]) == 3
        assert "no daemon on state/klined/control.sock. Start one: klined run" in capsys.readouterr().err


def test_socket_left_by_a_killed_daemon_is_no_daemon() -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind("dead.sock")
    with pytest.raises(NotRunning):
        ask(Path("dead.sock"), {"verb": "status"})


def test_refusal_keeps_the_daemons_sentence_and_code(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    daemon({"ok": False, "error": "an order is unknown; the policy stays", "code": 1})
    assert main(["reload", "--model", "new.onnx"]) == 1
    assert capsys.readouterr().err == "klined: an order is unknown; the policy stays\n"


def test_reload_names_the_model_by_its_whole_path(daemon: Daemon, tmp_path: Path) -> None:
    asked = daemon({"ok": True, "data": {"changed": ["policy.model"]}})
    assert main(["reload", "--model", "new.onnx"]) == 0
    assert asked == [{"verb": "reload", "model": str(tmp_path / "new.onnx")}]


@pytest.mark.parametrize("garbage", [b"", b"\n", b"nonsense\n", b"[1]\n", b'{"data": 1}\n', b'{"ok": true'])
def test_garbage_from_the_socket_is_a_sentence(daemon: Daemon, garbage: bytes) -> None:
    daemon(garbage)
    with pytest.raises(KlinedError, match="nothing useful"):
        ask(Path("state/klined/control.sock"), {"verb": "status"})


def test_daemon_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind("silent.sock")
        silent.listen()
        with pytest.raises(KlinedError, match=r"does not answer within 0\.05 s"):
            ask(Path("silent.sock"), {"verb": "status"}, timeout_s=0.05)


def test_flatten_asks_nobody_without_a_terminal(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    asked = daemon({"ok": True, "data": {"flat": True}})
    assert main(["flatten"]) == 2
    assert "--yes" in capsys.readouterr().err
    assert asked == []


@pytest.mark.parametrize(("flat", "code"), [(True, 0), (False, 5)])
def test_flatten_tells_by_its_exit_code_whether_it_is_flat(daemon: Daemon, flat: bool, code: int) -> None:  # noqa: FBT001
    asked = daemon({"ok": True, "data": {"flat": flat}})
    assert main(["flatten", "--yes"]) == code
    assert asked == [{"verb": "flatten"}]


def test_why_lists_decisions_and_their_reasons(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    decision = {
        "bar_time_ms": 1_747_744_860_000,
        "symbol": "ETH/USDT",
        "target": 0.48,
        "verdict": "refused",
        "reason": "turnover",
        "detail": "7th fill in 1 h (limit 6)",
    }
    asked = daemon({"ok": True, "data": {"decisions": [decision]}})
    assert main(["why", "--last", "1"]) == 0
    assert asked == [{"verb": "why", "last": 1, "symbol": None}]
    out = capsys.readouterr().out
    assert out == "2025-05-20 12:41:00  ETH/USDT       target +0.48  refused  7th fill in 1 h (limit 6)\n"


def test_demo_is_found_when_no_file_says_where_else_to_look(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    daemon({"ok": True, "data": STATUS})
    Path("state/klined").rename("state/demo")
    assert main(["status"]) == 0
    Path("klined.toml").write_text("", encoding="utf-8")
    assert main(["status"]) == 3
