"""SIGKILL while committing: what was acknowledged is there, and nothing is half there."""

import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from klined.store.backup import check
from klined.store.digests import state_digest
from klined.store.synchronous import SyncJournal

# Prints the number of each record once its commit has returned (of a group: once it is on disk).
WRITER = """
import asyncio, sys
from pathlib import Path
from klined.domain import Decision, Held, Input, Reason, Record
from klined.store.journal import AsyncJournal
from klined.store.synchronous import SyncJournal

def record(n):
    held = Held("ETH/USDT", Reason.HOLD_DEADBAND)
    return Record(
        seq=n, time_ms=n, inputs=(Input(n, n, "batch", b"i" * 200),),
        decisions=(Decision(n, "ETH/USDT", b"o" * 60, 0.5, (0.5,), held),),
        venue=(("books", str(n).encode()),),
    )

async def main(path, group):
    store = SyncJournal(path, group) if group else await AsyncJournal.open(path)
    n = (await store.recover()).seq
    while True:
        n += 1
        await store.commit(record(n), lambda: str(n).encode() * 500)
        if n % max(group, 1) == 0:
            print(n, flush=True)

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""


@pytest.mark.parametrize("group", [0, 1, 8], ids=["live", "replay", "replay in groups"])
def test_every_acknowledged_commit_survives_a_kill_and_nothing_is_half_there(journal: Path, group: int) -> None:
    rng = random.Random(group)
    for _ in range(4):
        acknowledged = run_and_kill(journal, group, after=rng.randrange(1, 120))
        check(journal)
        with closing(sqlite3.connect(journal)) as link:
            seq = link.execute("SELECT seq FROM head").fetchone()[0]
            assert seq >= acknowledged
            assert seq % max(group, 1) == 0
            for table, key in (("inputs", "seq"), ("decisions", "seq")):
                counted = link.execute(f"SELECT count(*), min({key}), max({key}) FROM {table}").fetchone()  # noqa: S608 # constants
                assert counted == (seq, 1, seq)
            assert link.execute("SELECT value FROM venue").fetchone() == (str(seq).encode(),)
            assert link.execute("SELECT seq, blob FROM snapshot").fetchone() == (seq, str(seq).encode() * 500)


async def test_killed_and_continued_journal_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    for _ in range(3):
        run_and_kill(tmp_path / "killed.db", 4, after=20)
    store = SyncJournal(tmp_path / "killed.db", 4)
    seq = (await store.recover()).seq
    await store.close()
    script: dict[str, object] = {}
    exec(WRITER.split("async def main", maxsplit=1)[0], script)  # noqa: S102 # the same records, without a kill
    whole = SyncJournal(tmp_path / "whole.db", 4)
    for n in range(1, seq + 1):
        await whole.commit(script["record"](n), lambda n=n: str(n).encode() * 500)  # type: ignore[operator]  # from the script
    await whole.close()
    assert state_digest(tmp_path / "killed.db") == state_digest(tmp_path / "whole.db")


def run_and_kill(journal: Path, group: int, after: int) -> int:
    """The number acknowledged last when the writer was killed, `after` acknowledgements after its start."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(journal), str(group)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process, process.stdout as acknowledgements:
        last = 0
        for _ in range(after):
            last = int(acknowledgements.readline())
        process.send_signal(signal.SIGKILL)
        rest = acknowledgements.read().split("\n")[:-1]  # a last line without its end may be cut
        return int(rest[-1]) if rest else last
