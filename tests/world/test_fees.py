"""Fee tiers follow the turnover of the thirty days before."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klined.domain import MarketKind
from klined.errors import ConfigError
from klined.world.fees import DAY_MS, Fees, FeeTier
from klined.world.filters import default_instrument
from klined.world.perpetual import PerpetualVenue
from klined.world.tickets import OrderType, Ticket

TIERS = tuple(
    FeeTier(volume=Decimal(volume), maker=Decimal(maker), taker=Decimal(taker))
    for volume, maker, taker in ((0, "0.0002", "0.0005"), (15_000, "0.00016", "0.0004"), (50_000, "0", "0.00035"))
)


@given(st.lists(st.tuples(st.integers(0, 70), st.integers(1, 9_000)), max_size=40))
def test_the_volume_is_that_of_thirty_whole_days_before_today(trades: list[tuple[int, int]]) -> None:
    fees = Fees(TIERS)
    for day, notional in sorted(trades):
        fees.add(Decimal(notional), day * DAY_MS + 5)
    today = max((day for day, _ in trades), default=0) + 1
    expected = sum(notional for day, notional in trades if today - 30 <= day < today)
    assert fees.volume(today * DAY_MS) == expected
    tier = fees.tier(today * DAY_MS)
    assert tier == max((tier for tier in TIERS if tier.volume <= expected), key=lambda tier: tier.volume)


def test_who_traded_much_pays_less_from_the_next_day_on_and_after_a_restart_too() -> None:
    item = default_instrument("ETH/USDT:USDT", MarketKind.PERP)
    wallets, prices = {"USDT": Decimal(100_000)}, {"ETHUSDT": Decimal(2_000)}
    venue = PerpetualVenue([item], prices, wallets, fee_tiers=TIERS)

    def fee(client_id: str, now_ms: int) -> Decimal:
        ticket = Ticket(client_id=client_id, symbol="ETHUSDT", buy=True, type=OrderType.MARKET, quantity=Decimal(10))
        venue.place(ticket, now_ms)
        trades = list(venue.memory.trades.values())
        return trades[-1].fee / (trades[-1].price * trades[-1].quantity)

    assert fee("a", 5) == pytest.approx(Decimal("0.0005"), rel=Decimal("1e-6"))
    assert fee("b", 6) == pytest.approx(Decimal("0.0005"), rel=Decimal("1e-6"))  # today's trades count tomorrow
    assert fee("c", DAY_MS + 1) == pytest.approx(Decimal("0.0004"), rel=Decimal("1e-6"))
    again = PerpetualVenue([item], prices, wallets, fee_tiers=TIERS)
    again.memory.load([(key, row) for key, row in venue.memory.dump() if row is not None])
    again.recount()
    assert again.fee_rate("ETHUSDT", DAY_MS + 1, maker=False) == Decimal("0.0004")
    assert again.fee_rate("ETHUSDT", 40 * DAY_MS, maker=False) == Decimal("0.0005")
    plain = PerpetualVenue([item], prices, wallets)
    assert plain.fee_rate("ETHUSDT", 0, maker=True) == item.maker_fee


def test_tiers_that_do_not_ascend_from_zero_are_refused() -> None:
    for tiers in (TIERS[1:], TIERS[::-1], (*TIERS, TIERS[-1])):
        with pytest.raises(ConfigError, match="begin at volume 0 and ascend"):
            Fees(tiers)
