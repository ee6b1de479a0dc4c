"""A journal that was restored from a backup, under an account that went on without it; in virtual time."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from klined.domain import Mode
from klined.runtime import assembly
from klined.runtime.daemon import Daemon
from klined.sandbox.server import SandboxServer, running
from klined.store.backup import backup, restore
from klined.store.synchronous import SyncJournal
from tiers.virtual import Loop, virtually
from tiers.whim import Whim
from tiers.wire import daemon_on, daemon_settings, exchange_settings


async def life(daemon: Daemon, journal: SyncJournal, server: SandboxServer, fills: int) -> None:
    """Until the exchange has seen so many more trades; then it dies, without a word."""
    trades = server.exchange.perp.memory.trades
    wanted = len(trades) + fills
    enough = asyncio.Event()
    told = server.exchange.users["perp"].tell

    def tell(*args: object) -> None:
        told(*args)  # type: ignore[arg-type]  # whatever it was called with
        if len(trades) >= wanted:
            enough.set()

    server.exchange.users["perp"].tell = tell  # type: ignore[method-assign]
    serving = asyncio.create_task(daemon.serve())
    async with asyncio.timeout(3600):
        await enough.wait()
    daemon.flatten.run = refuse  # type: ignore[method-assign]
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    await journal.close()


async def refuse(_why: str, _deadline_s: float) -> bool:
    return False


def held(server: SandboxServer) -> Decimal:
    return sum((held.amount for held in server.exchange.perp.holdings.positions()), Decimal(0))


def test_restored_backup_opens_nothing_until_a_person_accepts_the_exchange(
    tmp_path: Path, said: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assembly, "make_policy", lambda _: Whim())

    async def main(_loop: Loop) -> None:
        async with running(exchange_settings("perp", [])) as server:
            settings = daemon_settings("perp", server.port, tmp_path / "state")
            await life(*await daemon_on(settings), server, 2)
            backup(settings.state_dir, tmp_path / "old.db")
            await life(*await daemon_on(settings), server, 3)
            before = held(server)
            assert before
            restore(settings.state_dir, tmp_path / "old.db")

            daemon, journal = await daemon_on(settings)
            asyncio.get_running_loop().call_later(1800, daemon.stop, "test")
            watched: list[tuple[Mode, str, Decimal]] = []
            for minute in range(3, 28):
                asyncio.get_running_loop().call_later(
                    60 * minute, lambda: watched.append((daemon.mode, daemon.mode_why, held(server)))
                )
            assert await daemon.serve() == 0
            await journal.close()
            assert {mode for mode, _, _ in watched} == {Mode.SAFE}
            assert all("--accept-exchange" in why for _, why, _ in watched)
            assert all(0 <= now * before <= before * before for _, _, now in watched), "exposure was opened"

            daemon, journal = await daemon_on(settings)
            daemon.accept_exchange = True
            fills = len(server.exchange.perp.memory.trades)
            asyncio.get_running_loop().call_later(1800, daemon.stop, "test")
            assert await daemon.serve() == 0
            assert "restored" not in (await journal.recover()).memory
            await journal.close()
            assert len(server.exchange.perp.memory.trades) > fills + 3
            assert held(server) == 0

    virtually(main)
    assert "backup.restored" in said.read_text()
    assert "backup.accepted" in said.read_text()
