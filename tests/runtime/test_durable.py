"""What survives kill -9 of the live daemon: pauses, halts, and every decision."""

import random
import signal
from pathlib import Path

from klined.store.digests import digest
from runtime.living import configure, memory, must_be_flat, rows, running

SEED = 11


def test_pause_survives_a_kill_and_ends_only_by_resume(tmp_path: Path) -> None:
    configure(tmp_path)
    with running(tmp_path) as daemon:
        daemon.reachable()
        assert daemon.ask("pause")["mode"] == "SAFE"
        assert daemon.end(signal.SIGKILL) == -signal.SIGKILL
    assert memory(tmp_path)["paused"] == "by hand"
    with running(tmp_path) as daemon:
        daemon.reachable()
        assert daemon.ask("status")["mode"] == "SAFE"
        assert daemon.ask("resume")["mode"] == "RUNNING"
        assert daemon.end(signal.SIGKILL) == -signal.SIGKILL
    with running(tmp_path) as daemon:
        daemon.reachable()
        assert daemon.ask("status")["mode"] == "RUNNING"
        assert daemon.end(signal.SIGTERM) == 0
    must_be_flat(tmp_path)


def test_halt_survives_a_kill_and_the_process_stays_reachable(tmp_path: Path) -> None:
    configure(tmp_path, max_drawdown=0.002)
    with running(tmp_path) as daemon:
        daemon.reachable()
        while daemon.ask("status")["mode"] != "HALTED":
            daemon.wait_for("order.filled")
        assert daemon.end(signal.SIGKILL) == -signal.SIGKILL
    with running(tmp_path) as daemon:
        daemon.reachable()
        told = daemon.ask("status")
        assert told["mode"] == "HALTED"
        assert "drawdown" in told["risk"]["state"]
        assert daemon.ask("resume")["mode"] == "RUNNING"
        assert daemon.end(signal.SIGTERM) == 0
    must_be_flat(tmp_path)


def test_live_daemon_killed_at_any_moment_decides_what_an_undisturbed_one_decides(tmp_path: Path) -> None:
    """The generated market stands still while nobody looks, so a killed run can be compared with a whole one."""
    rng = random.Random(SEED)
    folders = [tmp_path / name for name in ("whole", "killed")]
    for folder in folders:
        folder.mkdir()
        configure(folder, bars=1_500)
    with running(folders[0]) as daemon:
        assert daemon.end() == 0
    kills = 0
    for _ in range(6):
        with running(folders[1]) as daemon:
            daemon.wait_for("order.filled", rng.randrange(1, 8))
            if daemon.end(signal.SIGKILL) == -signal.SIGKILL:
                kills += 1
    with running(folders[1]) as daemon:
        assert daemon.end() == 0
    assert kills >= 4
    journals = [folder / "state" / "journal.db" for folder in folders]
    assert digest(journals[0]) == digest(journals[1])
    assert rows(folders[0], "SELECT count(*) FROM decisions") == [(1_500,)]
    for folder in folders:
        must_be_flat(folder)
