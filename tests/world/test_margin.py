"""Initial margin and funding."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from klined.domain import MarketKind
from klined.world.filters import default_instrument
from klined.world.margin import HOUR_MS, FundingTable, funding_times, initial_margin

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
