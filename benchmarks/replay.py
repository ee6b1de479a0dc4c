"""500,000 bars through `klined replay`: five stages, queues, journal on disk, features, gate, paper venue.

It is the command itself, in a process of its own, with durability as in production; its figure leaves out the start of
the interpreter and the reading of the file, as the baseline's does. Runs alternate with the baseline's, so that a busy
machine slows both.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import bars
from benchmarks.process import KLINED, TIMEOUT_S, Absent, peer
from benchmarks.table import Row, absent, row

RUNS = 3
SETTINGS = Path(__file__).with_name("replay.toml")
STATE = bars.FOLDER / "replay"


def replayed(policy: str) -> dict[str, Any]:
    """What `klined replay` says about one run of `policy` from an empty state directory.

    Raises:
        Absent: it failed; the message is its own.
    """
    shutil.rmtree(STATE, ignore_errors=True)
    where = ["-c", str(SETTINGS), "--state", str(STATE)]
    command = [KLINED, *where, "--json", "replay", str(bars.recorded()), "--policy", policy]
    done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=TIMEOUT_S)
    if done.returncode:
        raise Absent(f"klined replay --policy {policy} ended with {done.returncode}: {done.stderr.strip()[:200]}")
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return told


def rows() -> Iterator[Row]:
    ours, theirs, excuse = [], [], ""
    for _ in range(RUNS):
        ours.append(replayed("ema_cross"))
        try:
            theirs.append(peer("nautilus", "nautilus_ema_cross.py"))
        except Absent as why:
            excuse = str(why)
    baseline = f"nautilus_trader {theirs[0]['version']}" if theirs else "nautilus_trader"
    yield row(
        "replay.ema_cross",
        median(run["batches_per_s"] for run in ours),
        "bars/s",
        at_least=20_000,
        baseline=baseline,
        baseline_value=median(run["rate"] for run in theirs) if theirs else None,
        ratio_min=1.1,
        note=excuse or told(ours),
    )
    try:
        runs = [replayed("onnx") for _ in range(RUNS)]
    except Absent as why:
        yield absent("replay.onnx", "bars/s", str(why))
    else:
        rate = median(run["batches_per_s"] for run in runs)
        yield row("replay.onnx", rate, "bars/s", at_least=17_000, note=told(runs))
    shutil.rmtree(STATE, ignore_errors=True)


def told(runs: list[dict[str, Any]]) -> str:
    """What was decided; the same in every run, or the figure means nothing.

    Raises:
        Absent: the runs decided differently.
    """
    digests = {run["digest"] for run in runs}
    if len(digests) > 1:
        raise Absent(f"runs on the same bars decided differently: {', '.join(sorted(digests))}")
    return f"{runs[0]['trades']} fills, digest {digests.pop()[:12]}"
