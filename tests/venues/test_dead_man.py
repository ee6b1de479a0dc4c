"""The dead-man switch on the sandbox: armed while the daemon lives, off after a clean stop, fired by a kill."""

from pathlib import Path

import pytest

from klined.policies.maker import MarketMaker
from venues.rehearsal import rehearsing

MORE = {"risk.deadband": "0.01", "policy.name": "market_maker", "exchange.countdown_s": "20"}


async def test_it_fires_for_a_killed_process_and_leaves_a_living_one_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rehearsing(tmp_path, monkeypatch, kind="perp", policy=MarketMaker(), **MORE) as here:
        await here.start(monkeypatch)
        await here.show()
        await here.wire.step(5_000)
        assert len(await here.working()) == 2
        await here.kill()
        assert len(await here.working()) == 2
        await here.wire.step(21_000)
        assert await here.working() == []


async def test_a_clean_stop_switches_it_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with rehearsing(tmp_path, monkeypatch, kind="perp", policy=MarketMaker(), **MORE) as here:
        await here.start(monkeypatch)
        await here.show()
        assert await here.stop() == 0
        await here.wire.limit("BUY", "0.5", "2400", perp=True, newClientOrderId="by-hand")
        await here.wire.step(60_000)
        assert [order["client_id"] for order in await here.working()] == ["by-hand"]
