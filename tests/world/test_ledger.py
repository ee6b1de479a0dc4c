"""The Decimal ledger and the float kernel keep the same account."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klined.domain import MarketKind
from klined.errors import ConfigError
from klined.kernels import layout as at
from klined.kernels.account import apply_fill
from klined.kernels.rows import Block, write_market
from klined.world.filters import default_instrument
from klined.world.ledger import Ledger

SPOT = default_instrument("ETH/USDT", MarketKind.SPOT)
PERP = default_instrument("ETH/USDT:USDT", MarketKind.PERP)
trades = st.lists(
    st.tuples(st.integers(-5_000, 5_000).filter(bool), st.integers(1, 500_000), st.integers(0, 500)), max_size=40
)


@pytest.mark.parametrize("instrument", [SPOT, PERP], ids=["spot", "perp"])
@given(trades=trades)
def test_ledger_and_kernel_agree(instrument: object, trades: list[tuple[int, int, int]]) -> None:
    assert isinstance(instrument, type(SPOT))
    ledger = Ledger([instrument], {"USDT": Decimal(10_000)})
    account, position, market = Block(1, at.NA), Block(1, at.NQ), Block(1, at.NM)
    a, q, m = account.row[0], position.row[0], market.row[0]
    write_market(m, instrument, 0.0, 0.0, 1.0)
    a[at.CASH] = 10_000.0
    for lots, ticks, cents in trades:
        price, fee = ticks * instrument.tick, Decimal(cents) / 100
        ledger.trade(0, lots * instrument.lot, price, fee)
        apply_fill(a, q, m, float(lots), float(price), float(fee), 0.0)
    assert float(ledger.cash) == pytest.approx(a[at.CASH], rel=1e-9, abs=1e-6)
    assert float(ledger.quantity(0) / instrument.lot) == q[at.LOTS]
    if not ledger.spot:
        assert float(ledger.entry(0)) == pytest.approx(q[at.ENTRY], rel=1e-9)


@given(trades=trades)
def test_buying_and_selling_everything_back_costs_the_fees_and_the_difference(
    trades: list[tuple[int, int, int]],
) -> None:
    for instrument in (SPOT, PERP):
        ledger = Ledger([instrument], {"USDT": Decimal(0)})
        paid = Decimal(0)
        for lots, ticks, cents in trades:
            quantity, price, fee = lots * instrument.lot, ticks * instrument.tick, Decimal(cents) / 100
            ledger.trade(0, quantity, price, fee)
            paid += quantity * price + fee
        rest = -ledger.quantity(0)
        if rest:
            ledger.trade(0, rest, Decimal(100), Decimal(0))
            paid += rest * 100
        assert ledger.quantity(0) == 0
        assert abs(ledger.cash + paid) < Decimal("1e-15")


def test_an_account_has_one_kind_and_one_quote() -> None:
    for instruments in ([SPOT, PERP], [SPOT, default_instrument("ETH/BTC", MarketKind.SPOT)], []):
        with pytest.raises(ConfigError, match="one kind with one quote"):
            Ledger(instruments, {})
