"""Orders that rest, on the sandbox: given new prices, never two of one decision, and safe to kill between two."""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from klined.domain import Mode
from klined.errors import Retryable
from klined.trader.styles import attempt
from klined.venues.ccxt import CcxtVenue
from venues.rehearsal import Wants, rehearsing

KINDS = pytest.mark.parametrize("kind", ["spot", "perp"])
PATIENT = {"orders.type": "post_only", "orders.offset_bps": "5", "orders.reprice_after_s": "0.15"}


def same(left: Decimal, right: Decimal) -> bool:
    """But for a fee that spot took in the base."""
    return abs(left - right) <= Decimal("0.002") * abs(right)


def named(order: dict[str, Any]) -> str:
    return str(order["client_id"])


@KINDS
async def test_a_resting_order_is_priced_anew_and_goes_at_the_market_in_the_end(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = {**PATIENT, "orders.reprices_max": "2"}
    async with rehearsing(tmp_path, monkeypatch, kind=kind, policy=Wants(0.5), **more) as here:
        await here.start(monkeypatch)
        await here.show()
        await here.until(lambda: here.position() > 0)
        orders = await here.orders()
        assert [attempt(named(order)) for order in orders] == [0, 1, 2, 3]
        assert [order["status"] for order in orders] == ["CANCELED"] * 3 + ["FILLED"]
        assert orders[-1]["type"] == "MARKET"
        assert len({order["quantity"] for order in orders}) == 1
        assert same(await here.held(), here.position())
        assert here.ear.names().count("order.repriced") == 3
        assert await here.stop() == 0
        assert await here.held() < Decimal("0.001")


@KINDS
async def test_what_nobody_takes_is_given_up_and_the_next_bar_decides_anew(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = {**PATIENT, "orders.reprices_max": "1", "orders.then": "give_up"}
    async with rehearsing(tmp_path, monkeypatch, kind=kind, policy=Wants(0.5), **more) as here:
        await here.start(monkeypatch)
        await here.show()
        await here.until(lambda: "order.given_up" in here.ear.names())
        assert len(await here.orders()) == 2
        assert await here.working() == []
        await here.show()
        assert len(await here.working()) == 1
        assert await here.stop() == 0
        assert await here.working() == []


@KINDS
async def test_a_part_is_booked_before_the_rest_goes_on(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = {**PATIENT, "orders.type": "limit", "orders.offset_bps": "-50"}
    async with rehearsing(tmp_path, monkeypatch, kind=kind, policy=Wants(0.5), **more) as here:
        await here.start(monkeypatch)
        await here.wire.arm("partial", value=0.4)  # the next order fills to 0.4 and expires
        await here.show()
        await here.until(lambda: here.position() > 0)
        (first,) = await here.orders()
        assert same(here.position(), Decimal(first["filled"]))
        await here.show()  # sized by what was filled
        second = (await here.orders())[-1]
        assert Decimal(first["filled"]) + Decimal(second["quantity"]) <= Decimal(first["quantity"]) * Decimal("1.01")
        assert await here.stop() == 0
        assert await here.held() < Decimal("0.001")


@KINDS
async def test_each_bar_withdraws_what_rests_before_it_decides(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rehearsing(
        tmp_path, monkeypatch, kind=kind, policy=Wants(0.5), **{**PATIENT, "orders.reprice_after_s": "0"}
    ) as here:
        await here.start(monkeypatch)
        for count in (1, 2):
            await here.show()
            assert len(await here.working()) == 1
            assert len(await here.orders()) == count
        await here.wire.shock(0.999)  # through the bid
        await here.until(lambda: here.position() > 0)
        assert here.position() == await here.held()
        assert all(trade["maker"] for trade in (await here.wire.truth())[kind]["trades"])
        assert await here.stop() == 0


@KINDS
async def test_a_kill_between_two_prices_loses_one_order_and_nothing_else(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, real = asyncio.Event(), CcxtVenue.quote

    async def hang(_venue: CcxtVenue, _symbol: str) -> tuple[Decimal, Decimal]:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    policy = Wants(0.5)
    async with rehearsing(tmp_path, monkeypatch, kind=kind, policy=policy, **PATIENT) as here:
        monkeypatch.setattr(CcxtVenue, "quote", hang)
        await here.start(monkeypatch)
        await here.show()
        await asked.wait()  # the first was cancelled, the second is not written yet
        await here.kill()
        assert await here.working() == []
        monkeypatch.setattr(CcxtVenue, "quote", real)
        await here.start(monkeypatch)
        assert here.daemon.trader.open_orders() == []
        await here.show()
        assert len(await here.working()) == 1
        names = [named(order) for order in await here.orders()]
        assert len(names) == len(set(names)) == 2
        assert await here.stop() == 0


@pytest.mark.parametrize(
    ("kind", "fault"), [("spot", "lost_answer"), ("perp", "unknown_executed"), ("spot", "late"), ("perp", "late")]
)
async def test_a_lost_answer_of_a_new_price_makes_no_second_order_at_work(
    kind: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rehearsing(tmp_path, monkeypatch, kind=kind, policy=Wants(0.5), **PATIENT) as here:
        await here.start(monkeypatch)
        await here.wire.arm(fault, where="POST .*/order", after=1, delay_ms=200)
        await here.show()
        worst = 0
        async with asyncio.timeout(10):
            while not here.position():
                worst = max(worst, len(await here.working()))
        assert worst == 1
        assert same(sum((Decimal(o["filled"]) for o in await here.orders()), Decimal(0)), await here.held())
        assert await here.stop() == 0
        assert await here.held() < Decimal("0.001")


async def test_a_pause_withdraws_what_would_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = {**PATIENT, "orders.reprice_after_s": "3600"}
    async with rehearsing(tmp_path, monkeypatch, kind="perp", policy=Wants(0.5), **more) as here:
        await here.start(monkeypatch)
        await here.show()
        assert len(await here.working()) == 1
        await here.daemon.pause("test")
        await here.daemon.outbox.commit()
        await here.until(lambda: not here.daemon.trader.open_orders())
        assert here.daemon.mode is Mode.SAFE
        assert await here.working() == []
        assert await here.stop() == 0


async def test_without_a_quote_the_last_close_gives_the_price(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def dark(_venue: CcxtVenue, _symbol: str) -> tuple[Decimal, Decimal]:
        raise Retryable("HTTP 502")

    monkeypatch.setattr(CcxtVenue, "quote", dark)
    async with rehearsing(tmp_path, monkeypatch, kind="spot", policy=Wants(0.5), **PATIENT) as here:
        await here.start(monkeypatch)
        await here.show()
        await here.until(lambda: "order.repriced" in here.ear.names())
        first, second = (await here.orders())[:2]
        assert first["price"] == second["price"]
        assert await here.stop() == 0
