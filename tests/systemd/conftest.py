"""A real systemd, booted once in namespaces of its own; what happens in it touches nothing outside.

The script that boots it is `$KLINED_SYSTEMD_SANDBOX`, or lies in shared/tools beside the repository.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from klined.simulation.proof import add_row
from systemd.machine import AGENT, BOOTED_S, Machine, prepare

ROOT = Path(__file__).parents[2]
SANDBOX = Path(os.environ.get("KLINED_SYSTEMD_SANDBOX", ROOT.parent / "shared" / "tools" / "systemd-sandbox"))
OWN_PLACES = ("/tmp", "/run", "/var/tmp")  # noqa: S108  # where the booted machine mounts its own


# The script starts systemd in a chroot, in which the kernel makes no user namespaces; this turns the chroot into the
# root of its mount namespace, and leaves behind what the script still asks for by the old path.
CHROOTED = 'exec chroot "$root" /lib/systemd/systemd '
PIVOTED = """mount --bind "$base" "$root$base" && ln -sfn / "$root$base/fs/root"
cd "$root" && pivot_root . . && umount -l . && cd /
exec /lib/systemd/systemd """


def unchrooted(folder: Path) -> Path:
    """The script with a root of its own for systemd; as it is where it is worded otherwise."""
    script = folder / "systemd-sandbox"
    script.write_text(SANDBOX.read_text().replace(CHROOTED, PIVOTED))
    script.chmod(0o700)
    return script


ROW = "systemd"
outcomes: Counter[str] = Counter()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Count what this folder's tests come to."""
    report = yield
    if report.when == "call" and not report.skipped:
        outcomes["runs"] += 1
        outcomes["violations"] += report.failed
    return report


def tell(machine: Machine, took_s: float) -> None:
    """Add to the table of proofs; another worker may have told its share already."""
    faults = Counter(machine.befell)
    kills, runs = faults.pop("kill", 0), outcomes["runs"]
    add_row(
        ROW,
        runs=runs,
        faults=faults,
        kills=kills,
        violations=outcomes["violations"],
        per_minute=60 * runs / took_s,
        adding=True,
    )


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Machine]:
    if not SANDBOX.is_file():
        pytest.skip(f"no {SANDBOX}; name a script that boots a systemd in $KLINED_SYSTEMD_SANDBOX")
    if os.getuid() != 0 or shutil.which("unshare") is None or not Path("/lib/systemd/systemd").exists():
        pytest.skip("booting a systemd needs root, unshare and systemd")
    if any(ROOT.is_relative_to(place) for place in OWN_PLACES):
        pytest.skip(f"the booted machine has {', '.join(OWN_PLACES)} of its own and does not see {ROOT}")
    ours, theirs = socket.socketpair()
    script = unchrooted(tmp_path_factory.mktemp("boot"))
    command = [str(script), "--seconds", str(BOOTED_S), "--", sys.executable, "-c", AGENT, str(theirs.fileno())]
    with subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=ROOT) as process, ours:
        theirs.close()
        ours.settimeout(BOOTED_S)
        booted = Machine(ours)
        prepare(booted)
        began_s = time.monotonic()
        yield booted
        if "not slow" not in str(pytestconfig.getoption("markexpr")):  # a whole proof
            tell(booted, time.monotonic() - began_s)
        ours.shutdown(socket.SHUT_RDWR)
        process.wait(30)
