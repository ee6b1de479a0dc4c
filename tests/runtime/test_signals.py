"""What signals do to the real process: stop flat at any moment, reload, dump; and the stubborn exchange."""

import random
import signal
import sys
from pathlib import Path

import pytest

from runtime.living import Living, configure, held, memory, must_be_flat, rows, running, until

MOMENTS = random.Random(20_260_000)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_during_start_up_leaves_a_flat_book_and_exit_0(tmp_path: Path, number: signal.Signals) -> None:
    configure(tmp_path)
    with running(tmp_path) as daemon:
        until((tmp_path / "state" / "lock").exists)
        assert daemon.end(number) == 0
    must_be_flat(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_while_python_still_imports_trades_nothing_and_exits_0(tmp_path: Path, number: signal.Signals) -> None:
    configure(tmp_path)
    with running(tmp_path) as daemon:
        until(lambda: is_handled(daemon.process.pid, number))
        assert not (tmp_path / "state").exists()
        assert daemon.end(number) == 0
    must_be_flat(tmp_path)
    assert rows(tmp_path, "SELECT count(*) FROM decisions") == [(0,)]


def test_third_stop_while_python_still_imports_is_no_less_clean(tmp_path: Path) -> None:
    configure(tmp_path)
    with running(tmp_path) as daemon:
        until(lambda: is_handled(daemon.process.pid, signal.SIGTERM))
        for _ in range(2):
            daemon.process.send_signal(signal.SIGTERM)
        assert daemon.end(signal.SIGTERM) == 0
    must_be_flat(tmp_path)


def is_handled(pid: int, number: signal.Signals) -> bool:
    """Whether the process has a handler of its own for this signal."""
    told = Path(f"/proc/{pid}/status").read_text()
    mask = next(line.split()[1] for line in told.splitlines() if line.startswith("SigCgt"))
    ours = bool(int(mask, 16) >> (number - 1) & 1)
    return ours and bool(int(mask, 16) >> (signal.SIGTERM - 1) & 1)  # Python itself handles SIGINT from the start


@pytest.mark.parametrize("fills", sorted(MOMENTS.sample(range(1, 40), 4)))
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_while_trading_leaves_a_flat_book_and_exit_0(tmp_path: Path, number: signal.Signals, fills: int) -> None:
    configure(tmp_path)
    with running(tmp_path) as daemon:
        daemon.wait_for("order.filled", fills)
        assert daemon.end(number) == 0
        assert daemon.told("daemon.stopped")[0]["why"] == "signal"
    must_be_flat(tmp_path)
    assert len(list((tmp_path / "state" / "reports").iterdir())) == 2


def test_stop_with_a_position_sells_it(tmp_path: Path) -> None:
    configure(tmp_path, speed=10)  # slow enough to be caught with the position open
    with running(tmp_path) as daemon:
        while float(daemon.wait_for("order.filled")["quantity"]) < 0:
            pass
        assert daemon.end(signal.SIGTERM) == 0
    must_be_flat(tmp_path)
    assert rows(tmp_path, "SELECT count(*) FROM intents WHERE cause = 'flatten'") == [(1,)]


def test_stop_right_after_a_kill_flattens_what_the_dead_process_held(tmp_path: Path) -> None:
    configure(tmp_path, speed=10)
    with running(tmp_path) as daemon:
        while float(daemon.wait_for("order.filled")["quantity"]) < 0:
            pass
        assert daemon.end(signal.SIGKILL) == -signal.SIGKILL
    assert held(tmp_path)
    with running(tmp_path) as daemon:
        until(lambda: (tmp_path / "state" / "lock").read_text().strip() == str(daemon.process.pid))
        assert daemon.end(signal.SIGTERM) == 0
    must_be_flat(tmp_path)


STUBBORN = (sys.executable, Path(__file__).with_name("stubborn.py"), "klined.toml", "yield")
"""A daemon whose exchange says nothing of its account from the first flatten on, until the file `yield` is there."""


def begin_to_flatten(daemon: Living) -> None:
    while float(daemon.wait_for("order.filled")["quantity"]) < 0:
        pass
    daemon.send(signal.SIGTERM)
    daemon.wait_for("account.unanswered")


def test_second_signal_does_not_abort_the_flatten(tmp_path: Path) -> None:
    configure(tmp_path, speed=10)
    with running(tmp_path, STUBBORN) as daemon:
        begin_to_flatten(daemon)
        daemon.send(signal.SIGTERM)
        daemon.wait_for("stop.repeated")
        daemon.wait_for("account.unanswered")
        (tmp_path / "yield").touch()
        assert daemon.end() == 0
    must_be_flat(tmp_path)


def test_third_signal_gives_up_loudly_and_the_next_start_finishes_the_flatten(tmp_path: Path) -> None:
    configure(tmp_path, speed=10)
    with running(tmp_path, STUBBORN) as daemon:
        begin_to_flatten(daemon)
        daemon.send(signal.SIGINT)
        daemon.wait_for("stop.repeated")
        daemon.send(signal.SIGTERM)
        assert daemon.end() == 5
        assert daemon.told("stop.aborted")[0]["level"] == "error"
        assert daemon.told("stop.not_flat")
    assert memory(tmp_path)["flattening"] == "signal"
    with running(tmp_path) as daemon:
        daemon.wait_for("flatten.resumed")
        daemon.wait_for("daemon.ready")
        assert memory(tmp_path).get("flattening") is None
        assert daemon.end(signal.SIGTERM) == 0
    must_be_flat(tmp_path)


def test_deadline_ends_a_flatten_with_exit_5_and_the_flag(tmp_path: Path) -> None:
    configure(tmp_path, speed=10)
    path = tmp_path / "klined.toml"
    path.write_text(path.read_text().replace("flatten_deadline_s = 30", "flatten_deadline_s = 1"))
    with running(tmp_path, STUBBORN) as daemon:
        begin_to_flatten(daemon)
        assert daemon.end() == 5
        assert daemon.told("flatten.timed_out")
    assert memory(tmp_path)["flattening"] == "signal"


def test_hangup_reloads_limits_and_refuses_a_broken_file(tmp_path: Path) -> None:
    path = configure(tmp_path)
    with running(tmp_path) as daemon:
        daemon.wait_for("daemon.ready")
        path.write_text(path.read_text().replace("max_exposure = 0.5", "max_exposure = 0.25"))
        daemon.send(signal.SIGHUP)
        assert daemon.wait_for("reload.accepted")["keys"] == "risk.max_exposure"
        daemon.wait_for("settings.reloaded")
        path.write_text("[risk\n")
        daemon.send(signal.SIGHUP)
        assert "klined.toml" in daemon.wait_for("reload.failed")["why"]
        daemon.wait_for("order.filled")
        assert daemon.end(signal.SIGTERM) == 0
    configure(tmp_path)
    must_be_flat(tmp_path)


def test_user_signal_writes_the_state_to_the_log(tmp_path: Path) -> None:
    configure(tmp_path)
    with running(tmp_path) as daemon:
        daemon.wait_for("order.filled", 3)
        daemon.send(signal.SIGUSR1)
        told = daemon.wait_for("state.dumped")
        assert told["mode"] == "RUNNING"
        assert told["equity"] > 0
        assert daemon.end(signal.SIGTERM) == 0


def test_kept_stop_needs_a_resting_stop_for_its_position(tmp_path: Path) -> None:
    configure(tmp_path, speed=10, on_stop="keep")
    with running(tmp_path) as daemon:
        while float(daemon.wait_for("order.filled")["quantity"]) < 0:
            pass
        assert daemon.end(signal.SIGTERM) == 0
        assert "no resting stop" in daemon.told("stop.flattens")[0]["why"]
    must_be_flat(tmp_path)


def test_kept_stop_without_a_position_flattens_nothing(tmp_path: Path) -> None:
    configure(tmp_path, on_stop="keep")
    path = tmp_path / "klined.toml"
    path.write_text(path.read_text().replace("ema_cross", "flat"))
    with running(tmp_path) as daemon:
        daemon.wait_for("daemon.ready")
        assert daemon.end(signal.SIGTERM) == 0
        assert not daemon.told("stop.flattens")
    must_be_flat(tmp_path)
