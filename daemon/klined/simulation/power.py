"""A disk that may lose its power in the middle of a transaction: real files in SQLite's WAL mode, and their bytes.

    commit:  [WAL header] sync  [WAL frames] sync  [database, at a checkpoint] sync   ─▶ returns
    power:   what was synced is whole; of what was being written any part is there, in any order of sectors; the rest
             has not begun

At `synchronous = FULL` a commit that returned is on the disk, one under way is there or not. The bytes before and after
the transaction are compared, a seeded part of the change is kept, and SQLite recovers from it as after a power cut.
"""

import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from klined.simulation.disk import Disk
from klined.simulation.schedule import Timeline
from klined.simulation.world import World
from klined.store.migrations import open_database

SECTOR = 512  # bytes that a disk writes at once
WAL_HEADER = 32  # bytes; written and synced on its own when the log begins anew
CHECKPOINT_PAGES = 60  # a checkpoint every few records, so that power fails in them too
QUICK = Path("/dev/shm")  # noqa: S108  # nosec B108  # memory: a sync costs nothing
NAME = "klined.db"


class Image(NamedTuple):
    """The bytes of a database's two files."""

    database: bytes
    wal: bytes


class FileDisk(Disk):
    """As `Disk`, on files. `synced` False is a wrong disk, for a test that must catch it: commits do not wait."""

    def __init__(self, world: World, timeline: Timeline) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="klined-sim-", dir=QUICK if _writable(QUICK) else None))
        self.synced = True
        self._left = -1  # transactions before the one in which power fails; -1: it does not
        self._dies: Callable[[], None] = lambda: None
        self._torn: Image | None = None
        self._unsynced: Image | None = None  # what a disk that does not sync holds
        self._written = 0
        super().__init__(world, timeline)

    def crash(self) -> None:
        image = self._torn or read_image(self._folder / NAME)
        self.link.close()
        self.link = self._opened(image)
        self._torn = self._unsynced = None
        self._left, self._fault = -1, ""
        self.dark = self.failing = False

    def lose_power(self, after: int, dies: Callable[[], None]) -> None:
        """Power fails in the transaction that comes after so many."""
        if not self.dark:
            self._left, self._dies, self.failing = after, dies, True

    def before(self) -> Image | None:
        if self._unsynced is None and not self.synced:
            self._unsynced = read_image(self._folder / NAME)
        if self._left != 0:
            self._left -= self._left > 0
            return None
        return self._unsynced or read_image(self._folder / NAME)

    def after(self, before: object) -> bool:
        if not isinstance(before, Image):
            return False
        self._written += 1
        chance = partial(self._world.random, "power", self._written)
        self._torn = torn(before, read_image(self._folder / NAME), chance)
        self.dark = True
        self._world.note("disk.torn", len(self._torn.database), len(self._torn.wal))
        self._dies()
        return True

    def close(self) -> None:
        super().close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _begin(self) -> sqlite3.Connection:
        link = open_database(self._folder / NAME, "journal", "FULL", sqlite3.Connection)
        link.close()  # one file, complete in itself
        return self._opened(read_image(self._folder / NAME))

    def _opened(self, image: Image) -> sqlite3.Connection:
        """As a start after a power cut: the production code opens what the disk holds."""
        write_image(self._folder / NAME, image)
        link = open_database(self._folder / NAME, "journal", "FULL", sqlite3.Connection)
        link.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        link.execute("PRAGMA busy_timeout = 0")
        return link


def read_image(path: Path) -> Image:
    """What both files hold now; an absent one holds nothing."""
    wal = path.with_name(f"{path.name}-wal")
    return Image(path.read_bytes(), wal.read_bytes() if wal.exists() else b"")


def write_image(path: Path, image: Image) -> None:
    """Let the files hold just that; the index of the log is not durable, SQLite makes it anew."""
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    path.write_bytes(image.database)
    path.with_name(f"{path.name}-wal").write_bytes(image.wal)


def torn(before: Image, after: Image, chance: Callable[..., float]) -> Image:
    """What the disk holds when power fails while `before` becomes `after`; `chance(*key)` in [0, 1) chooses."""
    head = (
        after.wal[:WAL_HEADER] + before.wal[WAL_HEADER:] if before.wal[:WAL_HEADER] != after.wal[:WAL_HEADER] else b""
    )
    steps = [before.wal, head or before.wal, after.wal]
    phases = [k for k in (0, 1) if steps[k] != steps[k + 1]] + [2] * (before.database != after.database)
    if not phases:
        return after
    phase = phases[int(len(phases) * chance("phase"))]
    if phase == 2:  # the third step of the picture
        return Image(partly(before.database, after.database, chance), after.wal)
    return Image(before.database, partly(steps[phase], steps[phase + 1], chance))


def partly(before: bytes, after: bytes, chance: Callable[..., float]) -> bytes:
    """Some of the change: all of it, all up to some byte, or some of the sectors."""
    changed = [
        at
        for at in range(0, max(len(before), len(after)), SECTOR)
        if before[at : at + SECTOR] != after[at : at + SECTOR]
    ]
    way = chance("way")
    if not changed or way < 0.2:
        return after
    if way < 0.6:  # one of two
        first, last = changed[0], min(changed[-1] + SECTOR, len(after))
        cut = first + int((last - first) * chance("cut"))
        return after[:cut] + before[cut:]
    kept = bytearray(before)
    for at in changed:
        if chance("sector", at) < 0.5:  # one of two
            sector = after[at : at + SECTOR]
            kept.extend(b"\0" * (at + len(sector) - len(kept)))
            kept[at : at + len(sector)] = sector
    return bytes(kept)


def _writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
