"""Quantiles and counts that generators draw by inversion."""

from math import exp, factorial
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from klined.world.dice import Dice
from klined.world.odds import copula, normal_quantile, poisson, student_quantile, student_tail

COUNT = 40_000


@given(st.floats(1e-11, 1.0 - 1e-11))
def test_the_normal_quantile_is_that_of_the_standard_library(u: float) -> None:
    assert normal_quantile(np.array([u]))[0] == pytest.approx(NormalDist().inv_cdf(u), rel=1e-9, abs=1e-12)


@given(t=st.floats(0.0, 20.0))
def test_the_tail_of_t_is_the_closed_form_where_there_is_one(t: float) -> None:
    at = np.array([t])
    assert student_tail(at, 1)[0] == pytest.approx(0.5 - np.arctan(t) / np.pi, abs=1e-12)
    assert student_tail(at, 2)[0] == pytest.approx(0.5 - t / (2.0 * np.sqrt(2.0 + t * t)), abs=1e-12)


@given(u=st.floats(1e-9, 1.0 - 1e-9), nu=st.sampled_from([3, 4, 5, 8, 30]))
def test_a_quantile_of_t_has_that_much_below_it(u: float, nu: int) -> None:
    t = student_quantile(np.array([u]), nu) / np.sqrt((nu - 2.0) / nu)
    tail = float(student_tail(np.abs(t), nu)[0])
    assert tail == pytest.approx(min(u, 1.0 - u), rel=2e-3)
    assert (t[0] < 0.0) == (u < 0.5) or u == 0.5


@pytest.mark.parametrize("nu", [5, 12])
def test_shocks_have_unit_variance_whatever_their_tails(nu: int) -> None:
    shocks = student_quantile(Dice(1, "x", COUNT).uniform(0, 0), nu)
    assert abs(shocks.mean()) < 0.02
    assert shocks.var() == pytest.approx(1.0, abs=0.08)


@pytest.mark.parametrize("mean", [0.5, 7.0])
def test_counts_are_those_of_poisson(mean: float) -> None:
    counts = np.array([poisson(mean, u, 0.0) for u in Dice(1, "x", COUNT).uniform(0, 0).tolist()])
    for k in range(4):
        assert (counts == k).mean() == pytest.approx(exp(-mean) * mean**k / factorial(k), abs=0.01)
    assert poisson(1_000.0, 0.5, 2.0) == 1_000 + 63


def test_a_copula_keeps_its_margins_and_joins_its_tails() -> None:
    def pair(correlation: float, nu: int) -> tuple[np.ndarray, np.ndarray]:
        common = Dice(1, "together", COUNT)
        first, second = (copula(common, Dice(1, name, COUNT), correlation, nu) for name in ("a", "b"))
        return first, second

    def both_fall(correlation: float, nu: int) -> float:
        first, second = pair(correlation, nu)
        return float(((first < 0.01) & (second < 0.01)).mean() / 0.01)

    first, second = pair(0.7, 4)
    for uniforms in (first, second):
        assert np.abs(np.quantile(uniforms, [0.01, 0.25, 0.5, 0.99]) - [0.01, 0.25, 0.5, 0.99]).max() < 0.01
    assert 0.6 < np.corrcoef(first, second)[0, 1] < 0.75
    assert both_fall(0.7, 3) > both_fall(0.7, 60) + 0.08  # common tails: what a normal copula lacks
    assert both_fall(0.0, 3) > 0.03  # together even when uncorrelated
