"""Impact: the square root law is the kernel's, and schedules are the best there are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from klined.errors import ConfigError
from klined.kernels.fills import impact_now
from klined.kernels.layout import IMPACT, LOT, NM
from klined.world.impact import Impact, square_root

LINEAR = Impact(permanent=2e-4, temporary=5e-3, spread=0.02, sigma=0.4)


@given(st.floats(0.01, 1e3), st.floats(1e3, 1e6), st.floats(1e-5, 0.1), st.floats(0.1, 3.0))
def test_the_square_root_law_is_the_one_that_fills_bars(quantity: float, volume: float, sigma: float, y: float) -> None:
    m = memoryview(np.zeros(NM).data).cast("B").cast("d")
    m[LOT], m[IMPACT] = 0.01, y
    assert square_root(quantity, volume, sigma, y) == pytest.approx(impact_now(m, quantity / 0.01, sigma, volume))
    assert square_root(4.0 * quantity, volume, sigma) == pytest.approx(2.0 * square_root(quantity, volume, sigma))


@given(
    quantity=st.floats(-1e4, 1e4).filter(lambda q: abs(q) > 1e-3),
    periods=st.integers(2, 60),
    aversion=st.sampled_from([0.0, 1e-6, 1e-3, 0.1]),
    seed=st.integers(0, 99),
)
def test_no_other_schedule_is_cheaper_for_its_risk(quantity: float, periods: int, aversion: float, seed: int) -> None:
    best = LINEAR.schedule(quantity, periods, aversion)
    assert best.sum() == pytest.approx(quantity)
    other = best + np.random.default_rng(seed).normal(size=periods) * abs(quantity) / periods
    other += (quantity - other.sum()) / periods
    value, worse = (LINEAR.cost(t) + aversion * LINEAR.variance(t) for t in (best, other))
    assert value <= worse * (1.0 + 1e-9)


def test_the_more_risk_is_feared_the_earlier_is_traded() -> None:
    schedules = [LINEAR.schedule(1_000.0, 20, aversion) for aversion in (0.0, 1e-3, 0.1)]
    assert schedules[0] == pytest.approx(np.full(20, 50.0))
    firsts = [float(one[0]) for one in schedules]
    assert firsts == sorted(firsts)
    assert [LINEAR.variance(one) for one in schedules] == sorted(LINEAR.variance(one) for one in schedules)[::-1]
    assert [LINEAR.cost(one) for one in schedules] == sorted(LINEAR.cost(one) for one in schedules)


def test_permanent_impact_costs_the_same_however_it_is_spread() -> None:
    """Almgren and Chriss: gamma X^2 / 2 of it does not depend on the schedule."""
    flat = Impact(permanent=1e-3, temporary=1.0)
    for trades in (np.array([100.0]), np.full(50, 2.0)):
        curved = (1.0 - 0.5e-3) * float((trades**2).sum())
        assert flat.cost(trades) - curved == pytest.approx(0.5e-3 * 100.0**2)


@pytest.mark.parametrize("wrong", [{"permanent": 1.0, "temporary": 0.1}, {"permanent": -1.0, "temporary": 0.1}])
def test_impact_by_which_trading_would_pay_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="has to exceed half"):
        Impact(**wrong)
    with pytest.raises(ConfigError, match="0 periods"):
        LINEAR.schedule(1.0, 0)
    with pytest.raises(ConfigError, match="volume of 0"):
        square_root(1.0, 0.0, 0.01)
