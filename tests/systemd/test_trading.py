"""The unit at an exchange: klined sandbox on loopback in the same machine, its minutes a second long."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from systemd.machine import PLUGIN_DIR, Machine, Unit

SPEED = 60
KEY, SECRET = "CANARYKEYexchange31", "CANARYSECRETexchange31"
PORT = 9931
AT_EXCHANGE = f"""
[market]
exchange = "binance"
kind = "perp"
symbols = ["ETH/USDT:USDT"]
stream_url = "ws://127.0.0.1:{PORT}/market/stream"
rest_url = "http://127.0.0.1:{PORT}"
[exchange]
rest_url = "http://127.0.0.1:{PORT}"
user_stream_url = "ws://127.0.0.1:{PORT}/private/ws"
[mode]
paper = false
[policy]
name = "restless"
[runtime]
uvloop = false
[risk]
max_drawdown = 0.9
max_day_loss = 0.9
max_week_loss = 0.9
max_losses = 1000
max_trades_hour = 10000
max_trades_day = 10000
max_fees_day = 1.0
max_turnover_day = 10000
max_bar_age_s = 60
max_ood = 1e6
"""
EXCHANGE = f"""
port = {PORT}
spot = []
perp = ["ETH/USDT:USDT"]
history = 800
step_ms = 2000
kline_perp_ms = 5000
state = "/var/lib/exchange"
[[keys]]
key = "{KEY}"
secret = "{SECRET}"
"""
HURRIED = Path(__file__).parents[1] / "tiers" / "hurried.py"
ORIGIN_NS = time.time_ns()
HURRY = f"Environment=PYTHONUNBUFFERED=1 PYTHONPATH={PLUGIN_DIR}:/usr/local/lib/hurried"
START = f"\n\nhurry({SPEED}, {ORIGIN_NS})\n"
EXCHANGE_UNIT = """
[Service]
{hurry}
ExecStart={python} -m klined.cli.main sandbox /etc/exchange.toml
"""


@pytest.fixture(scope="module")
def exchange(machine: Machine) -> Iterator[Machine]:
    text = HURRIED.read_text()
    machine.write("/usr/local/lib/hurried/sitecustomize.py", text[: text.index("if __name__")] + START)
    machine.write("/etc/exchange.toml", EXCHANGE, "600")
    machine.write("/etc/systemd/system/exchange.service", EXCHANGE_UNIT.format(python=sys.executable, hurry=HURRY))
    machine.do("systemctl", "daemon-reload")
    machine.do("systemctl", "start", "exchange")
    machine.wait_for_log("exchange", "truth")
    yield machine
    machine.do("systemctl", "stop", "exchange")


@pytest.fixture(scope="module")
def unit(exchange: Machine) -> Iterator[Unit]:
    """A policy that infers as the shipped one and trades at every bar, on the sandbox, with credentials."""
    exchange.write("/etc/credstore/klined.venue.api_key", KEY, "600")
    exchange.write("/etc/credstore/klined.venue.api_secret", SECRET, "600")
    unit = exchange.service("venue", AT_EXCHANGE, f"[Service]\n{HURRY}\n", whole=True)
    unit.start()
    yield unit
    unit.systemctl("stop")


def ledger(machine: Machine) -> Any:
    return json.loads(machine.do("curl", "-s", f"http://127.0.0.1:{PORT}/sandbox/ledger"))["perp"]


def held(machine: Machine) -> float:
    return sum(float(position["amount"]) for position in ledger(machine)["positions"].values())


def test_shipped_policy_infers_and_trades_on_the_sandbox_in_user_namespaces(unit: Unit) -> None:
    unit.wait_for("order.filled", 2)
    status = unit.told("status")
    assert status["mode"] == "RUNNING"
    pid = unit.show("MainPID")
    outside = unit.machine.do("readlink", "/proc/1/ns/user")
    assert unit.machine.do("readlink", f"/proc/{pid}/ns/user") != outside
    assert "Seccomp:\t2" in unit.machine.do("cat", f"/proc/{pid}/status")
    loaded = unit.machine.do("cat", f"/proc/{pid}/maps")
    assert "onnxruntime" in loaded
    assert "numpy" in loaded


@pytest.mark.parametrize("minutes", [8, pytest.param(60, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_maintenance_of_the_exchange_leaves_it_up_telling_and_trading_again(unit: Unit, minutes: int) -> None:
    machine, pid = unit.machine, unit.show("MainPID")
    told = unit.log().count("wait.supervised")
    machine.befell["exchange away"] += 1
    machine.do("systemctl", "stop", "exchange")
    machine.run("sleep", str(60 * minutes / SPEED), timeout_s=120)
    assert unit.told("status")["mode"] == "SAFE"
    assert "waiting" in unit.show("StatusText")
    assert unit.log().count("wait.supervised") > told
    machine.do("systemctl", "start", "exchange")
    unit.wait_for("order.filled", unit.log().count("order.filled") + 1)
    assert (unit.show("MainPID"), unit.show("NRestarts")) == (pid, "0")
    assert "watchdog.starved" not in unit.log()


def test_position_is_never_stranded_by_a_start_limit(unit: Unit) -> None:
    machine, ready = unit.machine, unit.log().count("daemon.ready")
    while held(machine) == 0:  # it opens and closes all the time
        pass
    for life in range(1, 8):  # more often than systemd's own limit of five starts in ten seconds
        while (pid := unit.show("MainPID")) == "0":
            pass
        unit.kill(pid)
        while unit.show("NRestarts") != str(life):
            pass
    unit.wait_for("daemon.ready", ready + 1)
    unit.systemctl("stop")
    assert unit.show("ExecMainStatus") == "0"
    assert held(machine) == 0
    trades = [json.loads(line)["trade_id"] for line in unit.klined("trades", "--jsonl").stdout.splitlines()]
    assert sorted(map(int, trades)) == sorted(trade["number"] for trade in ledger(machine)["trades"])


def test_nothing_that_it_wrote_or_said_has_a_secret_in_it(unit: Unit) -> None:
    for canary in (KEY, SECRET):
        assert (
            unit.machine.run("grep", "-rla", canary, "/var/lib/private/klined", "/var/log/journal", "/run/log").stdout
            == ""
        )
        assert canary not in unit.log()
