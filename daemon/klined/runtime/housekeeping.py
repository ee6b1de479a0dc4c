"""Keeping the state directory in bounds: a backup a day, and forgetting what is older than the retention."""

import asyncio
import time
from pathlib import Path

import structlog

from klined.config.settings import Settings
from klined.errors import KlinedError
from klined.store.backup import backup
from klined.store.bars import BarStore
from klined.store.journal import AsyncJournal
from klined.store.retention import Sweep

FIRST_S = 600.0  # after a start, when the market has settled
EVERY_S = 86_400.0
DAY_MS = 86_400_000
FOLDER = "backups"

log = structlog.get_logger()


async def keep_house(settings: Settings, journal: AsyncJournal, bars: BarStore) -> None:
    """Until cancelled. A fault is told and tried again a day later; it is never in trading's way."""
    wait_s = FIRST_S
    while True:
        await asyncio.sleep(wait_s)
        wait_s = EVERY_S
        try:
            path = await asyncio.to_thread(_backup, settings)
            deleted = await _forget(settings, journal, bars)
        except (KlinedError, OSError) as error:
            log.error("house.neglected", why=str(error))  # noqa: TRY400  # one sentence
        else:
            log.info("house.kept", backup=str(path), **deleted)


def _backup(settings: Settings) -> Path:
    """A copy of the journal by SQLite's own means; the oldest beyond `store.backups` go."""
    folder = settings.state_dir / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"journal-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}.db"
    backup(settings.state_dir, path)
    for old in sorted(folder.glob("journal-*.db"))[: -settings.store.backups]:
        old.unlink()
    return path


async def _forget(settings: Settings, journal: AsyncJournal, bars: BarStore) -> dict[str, int]:
    """Rows deleted by table, a bounded piece at a time with the loop free between."""
    before_ms = int(time.time() * 1000) - settings.store.retention_days * DAY_MS
    sweep = Sweep(before_ms)
    while await journal.perform(sweep.step):  # noqa: ASYNC110  # not a wait for something: work in small pieces
        await asyncio.sleep(0)
    pruned = 0
    while gone := bars.prune(before_ms):
        pruned += gone
        await asyncio.sleep(0)
    return {**sweep.deleted, "bars": pruned}
