"""Initial margin, liquidation prices and funding."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from klined.domain import MarketKind, Tier
from klined.world.book import Depth
from klined.world.filters import default_instrument
from klined.world.holdings import bracket, liquidation_price
from klined.world.margin import HOUR_MS, FundingTable, funding_times, initial_margin, tiers_from_brackets
from klined.world.perpetual import PerpetualVenue
from klined.world.tickets import OrderType, Ticket

PERP = default_instrument("ADA/USDT:USDT", MarketKind.PERP)


def test_large_positions_are_allowed_less_leverage() -> None:
    assert initial_margin(PERP, Decimal(1_000), Decimal(20)) == Decimal(50)
    assert initial_margin(PERP, Decimal(1_000_000), Decimal(50)) == Decimal(50_000)  # the bracket allows 20


def test_a_funding_that_was_stamped_late_is_found_at_its_hour() -> None:
    table = FundingTable([("ETH", 8 * HOUR_MS + 1, 0.0001), ("ETH", 16 * HOUR_MS - 3, -0.0002)])
    assert table("ETH", 8 * HOUR_MS) == 0.0001
    assert table("ETH", 16 * HOUR_MS) == -0.0002
    assert table("ETH", 24 * HOUR_MS) is None
    assert table("BTC", 8 * HOUR_MS) is None
    assert len(table) == 2


@given(after=st.integers(0, 10**5), length=st.integers(0, 10**5), every=st.integers(1, 10**4))
def test_funding_times_are_the_multiples_in_the_half_open_interval(after: int, length: int, every: int) -> None:
    expected = [time for time in range(after, after + length) if time % every == 0]
    assert list(funding_times(every, after, after + length)) == expected


def brackets(shared: Path) -> dict[str, tuple[Tier, ...]]:
    return tiers_from_brackets(json.loads((shared / "small" / "um_leverage_tiers_small.json").read_text()))


@given(data=st.data())
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_at_the_liquidation_price_margin_balance_is_maintenance_margin(data: st.DataObject, shared_data: Path) -> None:
    """Over real brackets, long and short, whatever tier holds at that price; isolated margin or what cross lends."""
    symbol, tiers = data.draw(st.sampled_from(sorted(brackets(shared_data).items())))
    notional = data.draw(st.floats(10.0, 0.9 * float(tiers[-1].notional_min) * 1.5))
    entry = Decimal(repr(data.draw(st.floats(0.01, 1e5))))
    amount = Decimal(repr(notional)) / entry * data.draw(st.sampled_from([1, -1]))
    margin = Decimal(repr(notional * data.draw(st.floats(0.02, 0.9))))
    price = liquidation_price(tiers, amount, entry, margin)
    if not price:
        assert amount > 0, symbol
        return
    tier = bracket(tiers, abs(amount) * price)
    maintenance = abs(amount) * price * Decimal(repr(tier.mmr)) - Decimal(repr(tier.cum))
    assert abs(margin + amount * (price - entry) - maintenance) <= Decimal("1e-9") * max(
        abs(amount) * price, Decimal(1)
    )


@pytest.mark.parametrize("isolated", [True, False])
@pytest.mark.parametrize("size", ["0.5", "40", "900", "9000"])
@pytest.mark.parametrize("buy", [True, False])
def test_a_venue_liquidates_at_that_price_and_not_a_tick_before(
    *, isolated: bool, size: str, buy: bool, shared_data: Path
) -> None:
    tiers = brackets(shared_data)["ETH/USDT:USDT"]
    item = replace(
        default_instrument("ETH/USDT:USDT", MarketKind.PERP), tiers=tiers, taker_fee=Decimal(0),
        quantity_max=Decimal(10**6),
    )  # fmt: skip
    wallet = Decimal(size) * 2_000 / 5
    depth = Depth(level_quote=1e12)
    venue = PerpetualVenue([item], {"ETHUSDT": Decimal(2_000)}, {"USDT": wallet * 2}, depth=depth, leverage=5)
    venue.holdings.ledger.isolated["ETHUSDT"] = isolated
    venue.place(Ticket(client_id="a", symbol="ETHUSDT", buy=buy, type=OrderType.MARKET, quantity=Decimal(size)), 0)
    held = venue.holdings.position("ETHUSDT")
    price = venue.holdings.liquidation_price(held)
    assert (price < held.entry) is buy
    tick = item.tick if buy else -item.tick
    near = price // item.tick * item.tick
    venue.move("ETHUSDT", float(near + 2 * tick), 1.0, 1)
    assert venue.holdings.position("ETHUSDT").amount
    venue.move("ETHUSDT", float(near - tick), 1.0, 2)
    assert not venue.holdings.position("ETHUSDT").amount
    assert venue.holdings.ledger.wallets["USDT"] >= 0
