"""The machine that a script boots, and one instance of the unit on it.

Commands go in and results come out through a socket that the script inherits, so tests read like tests and the machine
is booted once.
"""

import json
import socket
import subprocess
import sys
from collections import Counter
from typing import Any

BOOTED_S = 240
WAIT_S = 40

AGENT = """
import json, socket, subprocess, sys
link = socket.socket(fileno=int(sys.argv[1])).makefile("rw")
for line in link:
    asked = json.loads(line)
    try:
        told = {"input": asked["input"], "timeout": asked["timeout_s"]}
        done = subprocess.run(asked["argv"], capture_output=True, text=True, **told)
        link.write(json.dumps([done.returncode, done.stdout, done.stderr]) + "\\n")
    except subprocess.TimeoutExpired:
        link.write(json.dumps([124, "", "timed out"]) + "\\n")
    link.flush()
"""

# Found by name through entry points, as any plugin is; knows the ways in which a daemon can hang.
PLUGIN = '''
import asyncio, time
from pathlib import Path
from klined.domain import Cause, Denied
from klined.feeds.generated import GeneratedFeed
from klined.venues.paper import PaperVenue

class StallingFeed(GeneratedFeed):
    """Gives ten bars, then nothing, for ever, and says nothing about it."""
    given = 0
    async def next(self):
        self.given += 1
        if self.given > 10:
            await asyncio.Event().wait()
        return await super().next()

class Greedy:
    """Holds as much as it may."""
    name, plan = "greedy", "eth15"
    def decide(self, observations):
        return [(1.0, (1.0,)) for _ in observations]
    def state(self):
        return b""
    def restore(self, state):
        pass

class Restless:
    """Infers as the shipped policy does, and then wants another side at every bar."""
    name = "restless"
    asked = 0
    def __init__(self):
        from klined.policies.registry import load_policy
        from klined.runtime.assembly import shipped
        self._inner = load_policy(shipped(), {})
    def __getattr__(self, name):
        return getattr(self._inner, name)
    def decide(self, observations):
        self.asked += 1
        return [((-1) ** self.asked * 0.8, output) for _, output in self._inner.decide(observations)]

class Blocking(Greedy):
    """Blocks the event loop at its tenth decision."""
    name = "blocking"
    asked = 0
    def decide(self, observations):
        self.asked += 1
        if self.asked > 10:
            time.sleep(3600)
        return super().decide(observations)

class Stubborn(Greedy):
    """At a venue that closes nothing while /run/stubborn exists."""
    name = "stubborn"
    def __init__(self):
        PaperVenue.submit = self.submit(PaperVenue.submit)
    @staticmethod
    def submit(really):
        async def refusing(venue, intent):
            if intent.cause is Cause.FLATTEN and Path("/run/stubborn").exists():
                return (Denied(intent.client_id, "the venue closes nothing today"),)
            return await really(venue, intent)
        return refusing
'''
ENTRY_POINTS = """
[klined.feeds]
stalling = plug:StallingFeed
[klined.policies]
greedy = plug:Greedy
restless = plug:Restless
blocking = plug:Blocking
stubborn = plug:Stubborn
"""
PLUGIN_DIR = "/usr/local/lib/klined-plugin"

# Restarts are quicker here.
DROP_IN = f"""
[Service]
RestartSec=200ms
Environment=PYTHONPATH={PLUGIN_DIR}
"""
SETTINGS = """
[market]
symbols = ["ETH/USDT"]
speed = 50
"""


class Machine:
    """The booted machine, as somebody with root on it sees it."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link.makefile("rw")
        self.befell: Counter[str] = Counter()  # what tests did to it

    def run(self, *argv: str, text: str | None = None, timeout_s: float = WAIT_S) -> subprocess.CompletedProcess[str]:
        """The command's result, whatever it is."""
        self._link.write(json.dumps({"argv": argv, "input": text, "timeout_s": timeout_s}) + "\n")
        self._link.flush()
        answer = self._link.readline()
        assert answer, f"the machine is gone; it was asked for {argv}"
        code, out, err = json.loads(answer)
        return subprocess.CompletedProcess(argv, code, out, err)

    def do(self, *argv: str, text: str | None = None) -> str:
        """What a command that must succeed prints."""
        done = self.run(*argv, text=text)
        assert done.returncode == 0, f"{argv}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def write(self, path: str, text: str, mode: str = "644") -> None:
        self.do("install", "-D", "-m", mode, "/dev/stdin", path, text=text)

    def wait_for_log(self, unit: str, pattern: str, times: int = 1) -> None:
        """Until the log of any unit has that many lines like this, from the manager too."""
        found = f"grep -m{times} -c -- '{pattern}' <(journalctl -f -n all -o cat -u {unit} 2>/dev/null)"
        done = self.run("bash", "-c", found)
        assert done.stdout.strip() == str(times), self.do("journalctl", "-u", unit, "-o", "cat", "--no-pager")

    def service(self, name: str, settings: str = "", drop_in: str = "", *, whole: bool = False) -> "Unit":
        """The instance klined@name, not yet started; its settings are `whole`, or beside those of a quick market."""
        self.write(f"/etc/klined/{name}.toml", settings if whole else SETTINGS + settings)
        self.write(f"/etc/systemd/system/klined@{name}.service.d/test.conf", DROP_IN + drop_in)
        self.do("systemctl", "daemon-reload")
        return Unit(self, name)


class Unit:
    """One instance of the unit."""

    def __init__(self, machine: Machine, name: str) -> None:
        self.machine, self.name, self.unit = machine, name, f"klined@{name}.service"
        self.state = f"/var/lib/klined/{name}"

    def systemctl(self, verb: str) -> subprocess.CompletedProcess[str]:
        return self.machine.run("systemctl", verb, self.unit)

    def start(self) -> None:
        """Start, and return when it is READY."""
        done = self.systemctl("start")
        assert done.returncode == 0, self.log()

    def stop(self) -> None:
        assert self.systemctl("stop").returncode == 0

    def kill(self, pid: str = "") -> None:
        """SIGKILL of the main process."""
        self.machine.befell["kill"] += 1
        self.machine.do("kill", "-9", pid or self.show("MainPID"))

    def show(self, key: str) -> str:
        return self.machine.do("systemctl", "show", "-P", key, self.unit)

    def log(self) -> str:
        return self.machine.do("journalctl", "-u", self.unit, "-o", "cat", "--no-pager")

    def wait_for(self, pattern: str, times: int = 1) -> None:
        """Until the log has that many lines like this."""
        self.machine.wait_for_log(self.unit, pattern, times)

    def klined(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.machine.run(sys.executable, "-m", "klined.cli.main", "--state", self.state, *words)

    def told(self, *words: str) -> Any:
        """What klined answers, as JSON."""
        done = self.klined("--json", *words)
        assert done.returncode == 0, f"{words}: {done.stdout} {done.stderr}"
        return json.loads(done.stdout)


def prepare(machine: Machine) -> None:
    """Credentials travel by mounts, which spread only from a shared root; klined puts its units in place itself."""
    machine.do("mount", "--make-rshared", "/")
    machine.write(f"{PLUGIN_DIR}/plug.py", PLUGIN)
    machine.write(f"{PLUGIN_DIR}/plug-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: plug\nVersion: 1.0\n")
    machine.write(f"{PLUGIN_DIR}/plug-1.0.dist-info/entry_points.txt", ENTRY_POINTS)
    machine.do(sys.executable, "-m", "klined.cli.main", "service", "install")
