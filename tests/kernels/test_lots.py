"""Lots of an order: what is plainly enough needs no proof, and gets none that it would fail."""

from hypothesis import example, given
from hypothesis import strategies as st

from klined.kernels import layout as at
from klined.kernels.lots import entry_min, is_ample, sale_min
from klined.kernels.rows import Block

counts = st.integers(0, 10**12).map(float)
amounts = st.floats(0.0, 1e6)


@given(
    size=counts,
    mark=st.floats(1e-6, 1e6),
    lot=st.sampled_from((1e-8, 1e-4, 0.1, 1.0, 1000.0)),
    least=st.one_of(counts, st.floats(0.0, 100.0)),
    notional=amounts,
    fee=st.floats(-0.01, 0.5),
    sigma=amounts,
    stop=st.floats(0.0, 2.0),
    perpetual=st.sampled_from((0.0, 1.0)),
)
@example(size=51.0, mark=1.0, lot=1.0, least=0.0, notional=1.0, fee=0.5, sigma=1.0, stop=0.0, perpetual=0.0)
@example(size=10.0, mark=1.0, lot=1.0, least=0.0, notional=0.0, fee=0.5, sigma=0.0, stop=0.0, perpetual=1.0)
def test_an_ample_order_is_one_whose_exit_plan_would_have_been_proved(
    size: float, mark: float, lot: float, least: float, notional: float, fee: float, sigma: float, stop: float,
    perpetual: float,
) -> None:  # fmt: skip
    q, m, p = (Block(1, width).row[0] for width in (at.NQ, at.NM, at.NP))
    q[at.MARK], q[at.SIGMA], p[at.STOP_SIGMA], p[at.STOP_FIXED] = mark, sigma, 12.0, stop
    m[at.LOT], m[at.LOTS_MIN], m[at.NOTIONAL_MIN], m[at.TAKER], m[at.PERP] = lot, least, notional, fee, perpetual
    if is_ample(m, size, lot * mark):
        assert size >= entry_min(m, sale_min(q, m, p))


def test_most_orders_are_ample_and_small_ones_are_not() -> None:
    m = Block(1, at.NM).row[0]
    m[at.LOT], m[at.LOTS_MIN], m[at.NOTIONAL_MIN], m[at.TAKER] = 1e-4, 1.0, 5.0, 1e-3
    assert is_ample(m, 10_000.0, 1e-4 * 2_000.0)  # 2,000 USDT
    assert not is_ample(m, 500.0, 1e-4 * 2_000.0)  # 100 USDT
    assert not is_ample(m, float("nan"), 1.0)
