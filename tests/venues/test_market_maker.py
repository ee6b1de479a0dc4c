"""The market maker on the sandbox: two orders at work, through gate, journal and executor like every other."""

from decimal import Decimal
from pathlib import Path

import pytest

from klined.domain import Mode
from klined.policies.maker import MarketMaker
from venues.rehearsal import rehearsing

WIDE = {
    "risk.deadband": "0.01",
    "risk.max_trades_hour": "1000",
    "risk.max_trades_day": "1000",
    "policy.name": "market_maker",
}


async def test_two_orders_rest_and_each_bar_replaces_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maker = MarketMaker(size=0.1, inventory=0.3, width_min=0.5)
    async with rehearsing(tmp_path, monkeypatch, kind="perp", policy=maker, **WIDE) as here:
        await here.start(monkeypatch)
        price = await here.price()
        await here.show()
        bid, ask = sorted(await here.working(), key=lambda order: Decimal(order["price"]))
        assert (bid["buy"], ask["buy"]) == (True, False)
        assert Decimal(bid["price"]) < Decimal(repr(price)) < Decimal(ask["price"])
        assert Decimal(bid["quantity"]) * Decimal(repr(price)) <= Decimal("1000.01")
        assert [str(each["client_id"])[-2:] for each in (bid, ask)] == ["-b", "-a"]

        await here.wire.shock(float(Decimal(bid["price"]) * Decimal("0.9999")) / price)  # through the bid
        await here.until(lambda: here.position() > 0)
        assert here.position() == await here.held() == Decimal(bid["quantity"])
        (rests,) = await here.working()
        assert rests["client_id"] == ask["client_id"]

        last = await here.price()
        await here.show()
        orders = sorted(await here.working(), key=lambda order: Decimal(order["price"]))
        assert len(orders) == 2
        assert {order["client_id"] for order in orders}.isdisjoint({bid["client_id"], ask["client_id"]})
        below, above = last - float(orders[0]["price"]), float(orders[1]["price"]) - last
        assert below > above  # long, so it would rather sell
        trades = (await here.wire.truth())["perp"]["trades"]
        assert all(trade["maker"] for trade in trades)
        assert here.daemon.trader.book.ledger.cash == Decimal((await here.wire.truth())["perp"]["wallets"]["USDT"])
        assert await here.stop() == 0
        assert await here.held() == 0
        assert await here.working() == []


async def test_on_spot_it_offers_no_more_than_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with rehearsing(tmp_path, monkeypatch, kind="spot", policy=MarketMaker(), **WIDE) as here:
        await here.start(monkeypatch)
        await here.show()
        (bid,) = await here.working()
        assert bid["buy"]
        await here.wire.shock(0.995)
        await here.until(lambda: here.position() > 0)
        await here.show()
        asks = [order for order in await here.working() if not order["buy"]]
        assert sum((Decimal(order["quantity"]) for order in asks), Decimal(0)) <= await here.held()
        assert asks
        assert await here.stop() == 0


async def test_a_kill_leaves_two_orders_that_the_next_start_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rehearsing(tmp_path, monkeypatch, kind="perp", policy=MarketMaker(), **WIDE) as here:
        await here.start(monkeypatch)
        await here.show()
        before = {order["client_id"] for order in await here.working()}
        assert len(before) == 2
        await here.kill()
        await here.start(monkeypatch)
        assert set(here.daemon.trader.open_orders()) == before
        await here.show()
        after = {order["client_id"] for order in await here.working()}
        assert len(after) == 2
        assert after.isdisjoint(before)
        assert await here.stop() == 0
        assert await here.working() == []


async def test_a_pause_takes_both_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with rehearsing(tmp_path, monkeypatch, kind="perp", policy=MarketMaker(), **WIDE) as here:
        await here.start(monkeypatch)
        await here.show()
        await here.daemon.pause("test")
        await here.daemon.outbox.commit()
        await here.until(lambda: not here.daemon.trader.open_orders())
        assert here.daemon.mode is Mode.SAFE
        await here.show()
        assert await here.working() == []
        assert await here.stop() == 0
