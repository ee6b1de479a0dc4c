"""The unit for one's own account, in a user's own service manager."""

import json
import sys

import pytest

from systemd.machine import Machine

HOME, RUNTIME = "/root", "/run/user/0"


def test_users_own_unit_trades_stops_flat_and_writes_the_report_of_the_day(machine: Machine) -> None:
    started = machine.run("systemctl", "start", "user@0.service")
    if started.returncode:
        pytest.skip(f"no user manager here: {started.stderr}")
    env = ("env", f"HOME={HOME}", f"XDG_RUNTIME_DIR={RUNTIME}")
    klined = (*env, sys.executable, "-m", "klined.cli.main")
    state = f"{HOME}/.local/state/klined/lap"
    machine.write(f"{HOME}/.config/klined/lap.toml", '[market]\nspeed = 50\n[policy]\nname = "ema_cross"\n', "600")
    machine.do(*klined, "service", "install", "--user", "lap")
    machine.do(*env, "systemctl", "--user", "daemon-reload")
    machine.do(*env, "systemctl", "--user", "start", "klined@lap")
    status = json.loads(machine.do(*klined, "--state", state, "--json", "status"))
    assert status["mode"] == "RUNNING"
    kernel = machine.do(
        "cat", "/proc/" + machine.do(*env, "systemctl", "--user", "show", "-P", "MainPID", "klined@lap") + "/status"
    )
    assert "NoNewPrivs:\t1" in kernel
    machine.do(*env, "systemctl", "--user", "stop", "klined@lap")
    shown = machine.do(*env, "systemctl", "--user", "show", "-p", "ExecMainStatus,Result", "klined@lap")
    assert "ExecMainStatus=0" in shown
    assert "Result=success" in shown
    machine.do(*env, "systemctl", "--user", "start", "klined-report@lap.service")
    assert machine.do("sh", "-c", f"stat -c %a {state}/reports/day-*.json") == "600"
    assert machine.do("stat", "-c", "%a", state) == "700"
