"""A copy of the journal that can be kept, and the way back from one.

`backup` may run beside the daemon; `restore` needs the state directory for itself, checks the copy first, and keeps the
journal it replaces. Bars are not copied: they are rebuilt.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from klined.errors import StateError
from klined.store import recovery
from klined.store.faults import guarding
from klined.store.lock import StateLock
from klined.store.migrations import copy, damage, open_reading, schema, steps, sync
from klined.store.rows import remember

RESTORED = "restored"  # durable flag: orders may exist at the venue that this journal does not know


def backup(state_dir: Path, target: Path) -> int:
    """Copy the journal to the file `target`, whole and checked; its size in bytes.

    Raises:
        StateError: nothing to copy, `target` exists, or it cannot be written.
    """
    if target.exists():
        raise StateError(f"{target}: exists; name a new file, or delete this one")
    with guarding(target), closing(open_reading(state_dir / "journal.db")) as link:
        _copy(link, target)
    check(target)
    return target.stat().st_size


def check(source: Path) -> None:
    """Whether `source` could be the journal.

    Raises:
        StateError: missing, damaged, not klined's, newer than this klined, or its snapshot is not whole.
    """
    with guarding(source), closing(open_reading(source)) as link:
        found = damage(link, thorough=True)
        if found is not None:
            raise StateError(f"{source}: damaged ({found}); use another backup")
        schema(link, source, len(steps("journal")))
        recovery.recover(link, source)


def restore(state_dir: Path, source: Path) -> Path | None:
    """Put the backup `source` in the journal's place; where the replaced journal was kept, None when there was none.

    The durable flag `restored` is set: the venue may know newer orders of ours, which the next start must reconcile.

    Raises:
        StateError: a daemon uses the directory, or `source` fails the check; the journal is as it was.
    """
    check(source)
    with StateLock(state_dir):
        journal = state_dir / "journal.db"
        fresh = state_dir / "journal.db.restoring"
        with guarding(source), closing(open_reading(source)) as link:
            _copy(link, fresh)
        with guarding(fresh), closing(sqlite3.connect(fresh, isolation_level=None)) as link:
            remember(link, RESTORED, source.name)
        sync(fresh)
        kept = _set_aside(journal) if journal.exists() else None
        fresh.replace(journal)
        sync(state_dir)
        return kept


def _set_aside(journal: Path) -> Path:
    """Keep `journal` and its log under a free name; `journal` itself stays until it is replaced."""
    number = 1
    while (kept := journal.with_name(f"{journal.name}.before-restore-{number}")).exists():
        number += 1
    try:
        with closing(sqlite3.connect(journal)) as link:  # closing the last connection brings the log into the file
            busy = link.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.Error:
        busy = 0  # damaged: file and log are kept as they are
    if busy:
        raise StateError(f"{journal}: another process reads it; end that process, then restore again")
    for suffix in ("-wal", "-shm"):
        part = journal.with_name(journal.name + suffix)
        if part.exists():
            part.replace(kept.with_name(kept.name + suffix))
    os.link(journal, kept)
    return kept


def _copy(link: sqlite3.Connection, target: Path) -> None:
    try:
        copy(link, target)
    except OSError as fault:
        raise StateError(f"{target}: cannot be written ({fault.strerror}); choose another place") from fault
