"""Daemon and exchange as processes of their own: killed, stopped, cut off, restarted, out of room.

Clocks run thirty times faster, so two seconds are a minute of market. At the end the exchange's own ledger is compared
with the journal.
"""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tiers.ledgers import findings
from tiers.processes import CANARY_KEY, CANARY_SECRET, SPEED, Process, Town, town


async def settled(place: Town, daemon: Process) -> None:
    """Stop the daemon and compare the books."""
    assert await daemon.stop() == 0
    assert findings(place.state / "journal.db", await place.truth(), place.market) == []


async def test_daemon_killed_stopped_and_cut_off_ends_with_the_exchanges_own_books(tmp_path: Path) -> None:
    async with town(tmp_path, "perp", os.environ) as place:
        daemon = await place.daemon()
        await daemon.wait_event("order.filled", 2)
        daemon.signal(signal.SIGKILL)
        await daemon.end()
        daemon = await place.daemon()
        await daemon.wait_event("daemon.ready")
        await daemon.wait_event("order.filled")
        await settled(place, daemon)
