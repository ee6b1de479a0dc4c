"""A journal that was restored from a backup, under an account that went on without it."""

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from klined.store.backup import backup, restore
from tiers.processes import Town, town


async def mode(place: Town) -> str:
    status = json.loads(await place.klined("--json", "status"))
    return f"{status['mode']}: {status['risk']['state']}"


def held(truth: Any) -> Decimal:
    return sum((Decimal(position["amount"]) for position in truth["perp"]["positions"].values()), Decimal(0))


@pytest.mark.slow
async def test_restored_backup_opens_nothing_until_a_person_accepts_the_exchange(tmp_path: Path) -> None:
    async with town(tmp_path, "perp", os.environ) as place:
        daemon = await place.daemon()
        await daemon.wait_event("order.filled")
        await daemon.kill()
        backup(place.state, tmp_path / "old.db")
        daemon = await place.daemon()
        await daemon.wait_event("order.filled", 2)
        await daemon.kill()
        restore(place.state, tmp_path / "old.db")

        daemon = await place.daemon()
        told = await daemon.wait_event("backup.restored")
        assert "--accept-exchange" in told["hint"]
        await daemon.wait_event("daemon.ready")
        assert "SAFE" in await mode(place)
        assert "restored backup" in await mode(place)
        before = held(await place.truth())
        await daemon.wait_event("account.reconciled", 3)  # minutes of market in which it decides and opens nothing
        after = held(await place.truth())
        assert abs(after) <= abs(before)
        assert after * before >= 0
        await daemon.kill()

        daemon = await place.daemon(words=("run", "--accept-exchange"))
        await daemon.wait_event("backup.accepted")
        await daemon.wait_event("order.filled", 2)
        assert await daemon.stop() == 0
        assert held(await place.truth()) == 0
        assert "restored" not in json.loads(await place.klined("--json", "state", "show"))["memory"]
