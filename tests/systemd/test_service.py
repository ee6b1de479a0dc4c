"""The real unit in a real systemd: what it promises about starting, hanging, dying, stopping, and who may read what."""

import json
from collections.abc import Iterator
from decimal import Decimal

import pytest

from systemd.machine import Machine, Unit

KEY, SECRET = "CANARYKEY4f1c9b", "CANARYSECRET77d2e"
GREEDY = '[policy]\nname = "greedy"\n'
HASTY = "[Service]\nWatchdogSec=3\nTimeoutAbortSec=5\n"


@pytest.fixture(scope="module")
def hanging(machine: Machine) -> Iterator[dict[str, Unit]]:
    """Two that will hang, started first and looked at last, since a watchdog takes its time."""
    stalls = machine.service(
        "stalls",
        'timeframe = "1s"\nfeed = "stalling"\ngrace_ms = 0\n[policy]\nname = "flat"\n[runtime]\nstage_deadline_s = 1\n',
        HASTY,
    )
    blocks = machine.service("blocks", '[policy]\nname = "blocking"\n', HASTY)
    units = {"stalls": stalls, "blocks": blocks}
    for unit in units.values():
        unit.start()
    yield units
    for unit in units.values():
        unit.systemctl("kill")


@pytest.fixture(scope="module")
def trading(machine: Machine, hanging: dict[str, Unit]) -> Iterator[Unit]:
    """The shipped policy on a generated market, with keys that nobody but it may read."""
    machine.write("/etc/credstore/klined.trading.api_key", KEY, "600")
    machine.write("/etc/credstore/klined.trading.api_secret", SECRET, "600")
    unit = machine.service("trading")
    unit.start()
    yield unit
    unit.systemctl("stop")


def position(unit: Unit) -> Decimal:
    done = unit.klined("trades", "--jsonl")
    trades = [json.loads(line) for line in done.stdout.splitlines()]
    assert trades
    return sum((Decimal(t["quantity"]) * (1 if t["side"] == "buy" else -1) for t in trades), Decimal(0))


def test_shipped_policy_infers_and_trades_under_the_units_own_hardening(trading: Unit) -> None:
    trading.wait_for("order.filled", 3)
    status = trading.told("status")
    assert status["mode"] == "RUNNING"
    assert status["policy"]["name"] not in {"flat", "ema_cross"}
    kernel = trading.machine.do("cat", f"/proc/{trading.show('MainPID')}/status")
    assert "NoNewPrivs:\t1" in kernel
    assert "Seccomp:\t2" in kernel
    assert "CapEff:\t0000000000000000" in kernel
    assert "Uid:\t0\t" not in kernel
    assert "cpuinfo" not in trading.log(), "the inference engine misses something the sandbox hides"


def test_log_lines_are_json_with_a_priority_and_no_second_time_stamp(trading: Unit) -> None:
    shown = trading.machine.do(
        "journalctl", "-u", trading.unit, "-o", "json", "--no-pager", "SYSLOG_IDENTIFIER=klined-trading"
    )
    lines = [json.loads(line) for line in shown.splitlines()]
    spoken = [line for line in lines if isinstance(line["MESSAGE"], str) and line["MESSAGE"].startswith("{")]
    events = {json.loads(line["MESSAGE"])["event"]: line for line in spoken}
    assert {"daemon.ready", "order.filled"} <= set(events)
    line = events["daemon.ready"]
    told = json.loads(line["MESSAGE"])
    assert line["PRIORITY"] == "6"
    assert told["mode"] == "RUNNING"
    assert "timestamp" not in told


def test_credentials_are_read_by_the_unit_alone_and_appear_nowhere(trading: Unit) -> None:
    machine, place = trading.machine, f"/run/credentials/{trading.unit}/klined_exchange__api_secret"
    owner = machine.do("stat", "-c", "%U %a", place)
    assert owner == "klined-trading 400"
    assert machine.run("setpriv", "--reuid", "nobody", "--clear-groups", "cat", place).returncode != 0
    uid = machine.do("id", "-u", "klined-trading")
    assert machine.do("setpriv", "--reuid", uid, "--clear-groups", "cat", place) == SECRET
    pid = trading.show("MainPID")
    for canary in (KEY, SECRET):
        found = machine.run("grep", "-rla", canary, "/var/lib/private/klined", "/var/log", f"/proc/{pid}/environ")
        assert found.stdout == ""
        assert canary not in trading.log() + machine.do("cat", f"/proc/{pid}/cmdline") + json.dumps(
            trading.told("status")
        )
    assert "secret.exposed" not in trading.log()


def test_control_socket_and_state_refuse_other_users(trading: Unit) -> None:
    machine = trading.machine
    assert machine.do("stat", "-c", "%a", f"{trading.state}/control.sock") == "600"
    assert machine.do("stat", "-L", "-c", "%a", trading.state) == "700"
    listed = machine.do("find", "/var/lib/private/klined/trading", "-type", "f", "-perm", "/077")
    assert listed == ""
    ask = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    someone = ("setpriv", "--reuid", "nobody", "--clear-groups", "/usr/bin/python3", "-c", ask)
    assert "PermissionError" in machine.run(*someone, "/var/lib/private/klined/trading/control.sock").stderr


def test_reload_by_systemctl_takes_over_a_limit(trading: Unit) -> None:
    machine = trading.machine
    settings = machine.do("cat", "/etc/klined/trading.toml") + "\n[risk]\nmax_day_loss = 0.019\n"
    machine.write("/etc/klined/trading.toml", settings)
    assert trading.systemctl("reload").returncode == 0
    trading.wait_for("settings.reloaded")


def test_kill_nine_is_followed_by_a_start_that_goes_on(trading: Unit) -> None:
    before = trading.told("state", "show")["seq"]
    trading.kill()
    trading.wait_for("daemon.ready", 2)
    assert trading.show("NRestarts") == "1"
    ready = [json.loads(line) for line in trading.log().splitlines() if "daemon.ready" in line]
    assert ready[0]["seq"] == 0
    assert ready[1]["seq"] >= before


def test_halted_daemon_stays_up_and_answers_until_it_is_resumed(trading: Unit) -> None:
    pid = trading.show("MainPID")
    trading.machine.befell["halt"] += 1
    trading.machine.do("touch", f"{trading.state}/KILL")
    trading.wait_for("order.filled", 1)
    while trading.told("status")["mode"] != "HALTED":
        pass
    trading.machine.do("rm", f"{trading.state}/KILL")
    trading.told("resume")
    while trading.told("status")["mode"] != "RUNNING":
        pass
    assert trading.show("MainPID") == pid


def test_report_of_the_day_is_written_as_the_daemons_own_user(trading: Unit) -> None:
    machine = trading.machine
    hurry = "[Timer]\nOnCalendar=\nOnActiveSec=100ms\nAccuracySec=1ms\nRandomizedDelaySec=0\n"
    machine.write("/etc/systemd/system/klined-report@.timer.d/test.conf", hurry)
    machine.do("systemctl", "daemon-reload")
    machine.do("systemctl", "start", "klined-report@trading.timer")
    machine.wait_for_log("klined-report@trading.service", "/reports/day-")
    owner = machine.do("sh", "-c", f"stat -c '%U %a' {trading.state}/reports/day-*.json")
    assert owner == "klined-trading 600"
    told = json.loads(machine.do("sh", "-c", f"cat {trading.state}/reports/day-*.json"))
    assert told["day"] == machine.do("date", "-u", "-d", "yesterday", "+%F")


def test_stop_leaves_the_account_flat_and_says_so(trading: Unit) -> None:
    trading.stop()
    assert trading.show("ExecMainStatus") == "0"
    assert '"exit_code": 0' in trading.log().splitlines()[-1]
    assert position(trading) == 0


def test_not_flat_at_the_deadline_is_exit_five_and_the_next_start_finishes_it(machine: Machine) -> None:
    machine.befell["not flat at the deadline"] += 1
    unit = machine.service("stubborn", '[policy]\nname = "stubborn"\n[runtime]\nflatten_deadline_s = 1\n')
    machine.do("touch", "/run/stubborn")
    unit.start()
    unit.wait_for("order.filled")
    unit.stop()
    assert unit.show("ExecMainStatus") == "5"
    assert position(unit) > 0
    assert "flattening" in unit.told("state", "show")["memory"]
    machine.do("rm", "/run/stubborn")
    unit.start()
    unit.wait_for("flatten.resumed")
    assert "flattening" not in unit.told("state", "show")["memory"]
    unit.stop()
    assert unit.show("ExecMainStatus") == "0"
    assert position(unit) == 0


def test_wrong_settings_are_exit_two_and_no_restart(machine: Machine) -> None:
    machine.befell["wrong settings"] += 1
    unit = machine.service("wrong", "[risk]\nmax_day_loss = 7\n")
    assert unit.systemctl("start").returncode != 0
    assert (unit.show("ActiveState"), unit.show("ExecMainStatus"), unit.show("NRestarts")) == ("failed", "2", "0")
    assert "max_day_loss" in unit.log()


def test_feed_that_stalls_for_ever_is_told_and_the_watchdog_starts_the_daemon_anew(hanging: dict[str, Unit]) -> None:
    unit = hanging["stalls"]
    unit.machine.befell["stalled feed"] += 1
    unit.wait_for("watchdog.starved")
    unit.wait_for("daemon.ready", 2)
    assert "no progress" in unit.log()
    assert "Fatal Python error: Aborted" in unit.log()
    assert int(unit.show("NRestarts")) >= 1


def test_blocked_loop_is_ended_by_the_watchdog_with_the_stack_that_blocked_it(hanging: dict[str, Unit]) -> None:
    unit = hanging["blocks"]
    unit.machine.befell["blocked loop"] += 1
    unit.wait_for("daemon.ready", 2)
    assert "Fatal Python error: Aborted" in unit.log()
    assert "in decide" in unit.log()
    assert int(unit.show("NRestarts")) >= 1
