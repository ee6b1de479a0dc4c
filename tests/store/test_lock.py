"""One daemon a state directory."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from klined.errors import StateError
from klined.store.lock import StateLock
from klined.store.reading import running_pid

HOLDER = """
import sys, time
from pathlib import Path
from klined.store.lock import StateLock
lock = StateLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_second_daemon_is_refused_and_told_the_pid_until_the_first_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert running_pid(tmp_path) == holder.pid
        with pytest.raises(StateError, match=f"state directory is used by pid {holder.pid}; stop that daemon"):
            StateLock(tmp_path)
        holder.send_signal(signal.SIGKILL)
    with StateLock(tmp_path) as lock:
        assert lock.path.read_text() == f"{os.getpid()}\n"


def test_released_lock_may_be_taken_again_and_releasing_twice_is_harmless(tmp_path: Path) -> None:
    lock = StateLock(tmp_path / "new" / "state")
    with pytest.raises(StateError, match=f"used by pid {os.getpid()}"):
        StateLock(tmp_path / "new" / "state")
    lock.release()
    lock.release()
    StateLock(tmp_path / "new" / "state").release()


def test_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="file/state: state directory cannot be written"):
        StateLock(tmp_path / "file" / "state")


def test_no_lock_file_means_nobody_runs(tmp_path: Path) -> None:
    assert running_pid(tmp_path) is None
