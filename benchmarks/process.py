"""Other processes: baselines in environments of their own, and klined as a person starts it."""

import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import bars

PEERS = Path("build/peers")
SCRIPTS = Path(__file__).parent / "peers"
TIMEOUT_S = 900
KLINED = str(Path(sys.executable).with_name("klined"))


class Absent(Exception):
    """A baseline cannot run here; the message says why."""


def peer(environment: str, script: str, *arguments: str) -> dict[str, Any]:
    """What a baseline's script printed about the common bars.

    Raises:
        Absent: it could not be installed or did not run.
    """
    python = PEERS / environment / "bin" / "python"
    excuse = PEERS / environment / "absent"
    if excuse.exists():
        raise Absent(f"{environment} could not be installed: {excuse.read_text().strip()}")
    if not python.exists():
        raise Absent(f"{environment} is not installed: make bench-peers")
    done = subprocess.run(
        [python, SCRIPTS / script, bars.stored(), *arguments],
        capture_output=True,
        check=False,
        text=True,
        timeout=TIMEOUT_S,
    )
    if done.returncode:
        raise Absent(f"{script} ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return told


def wall_s(command: list[str], runs: int, accept: tuple[int, ...] = (0,)) -> float:
    """Median seconds of `runs` runs, after one that warms the disk cache.

    Raises:
        Absent: the command ended with an exit code not in `accept`.
    """
    times = []
    for _ in range(runs + 1):
        begun = time.perf_counter()
        done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=60)
        times.append(time.perf_counter() - begun)
        if done.returncode not in accept:
            raise Absent(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()[-200:]}")
    return median(times[1:])
