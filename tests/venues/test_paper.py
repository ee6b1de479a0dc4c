"""The paper venue is the exchange behind the port, and adds nothing."""

import asyncio
from decimal import Decimal

import pytest

from klined.domain import Accepted, Bar, Batch, Intent, MarketKind, Traded, Unsent
from klined.errors import ConfigError
from klined.ports import Venue
from klined.venues.paper import PaperVenue
from klined.world.filters import default_instrument

SYMBOL = "ETH/USDT"
BUY = Intent(client_id="kl-1", symbol=SYMBOL, quantity=Decimal(1), bar_time_ms=0)


def venue() -> PaperVenue:
    return PaperVenue([default_instrument(SYMBOL, MarketKind.SPOT)], {"USDT": Decimal(10_000)})


def batch(minute: int) -> Batch:
    return Batch((minute + 1) * 60_000, (Bar(SYMBOL, minute * 60_000, 2_000.0, 2_001.0, 1_999.0, 2_000.0, 500.0),))


async def test_an_order_goes_through_the_port_and_comes_back_as_news() -> None:
    paper: Venue = venue()
    assert paper.in_process
    paper.on_batch(batch(0))
    assert await paper.query("kl-1", SYMBOL) == [Unsent("kl-1")]
    assert await paper.submit(BUY) == [Accepted("kl-1", "1")]
    (traded,) = paper.on_batch(batch(1))
    assert isinstance(traded, Traded)
    assert (await paper.query("kl-1", SYMBOL))[1] == traded
    assert await paper.cancel("kl-1", SYMBOL) == await paper.query("kl-1", SYMBOL)
    account = await paper.account()
    assert account.balances["ETH"] == 1
    await paper.close()


async def test_its_rows_bring_another_process_to_the_same_account() -> None:
    paper, other = venue(), venue()
    paper.on_batch(batch(0))
    await paper.submit(BUY)
    paper.on_batch(batch(1))
    other.load(paper.dump())
    assert await other.account() == await paper.account()
    assert paper.dump() == []


async def test_instruments_are_those_the_account_was_opened_with() -> None:
    paper = venue()
    assert list(await paper.instruments([SYMBOL])) == [SYMBOL]
    with pytest.raises(ConfigError, match="does not list BTC/USDT"):
        await paper.instruments([SYMBOL, "BTC/USDT"])


async def test_its_user_stream_never_speaks() -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(venue().news(), timeout=0.01)
