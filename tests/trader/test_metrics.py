"""Streaming metrics equal their batch formulas, survive a restart, and cost next to nothing."""

import math
import timeit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from klined.trader.metrics import RING, Metrics, Performance

MINUTE = 60_000
equities = st.lists(st.floats(50.0, 200.0), min_size=3, max_size=200)


def run(values: list[float], interval_ms: int = MINUTE) -> Metrics:
    metrics = Metrics(values[0], interval_ms)
    for value in values[1:]:
        metrics.bar(value, 0.0)
    return metrics


@given(equities, st.sampled_from([MINUTE, 5 * MINUTE, 60 * MINUTE, 24 * 60 * MINUTE]))
def test_ratios_equal_their_batch_formulas_for_any_interval(values: list[float], interval_ms: int) -> None:
    got = run(values, interval_ms).summary()
    series = np.array(values)
    returns = series[1:] / series[:-1] - 1.0
    year = math.sqrt(365 * 86_400_000 / interval_ms)
    deviation, downside = returns.std(ddof=1), math.sqrt((np.minimum(returns, 0.0) ** 2).mean())
    if deviation > 1e-9:
        assert got.sharpe == pytest.approx(returns.mean() / deviation * year, rel=1e-9, abs=1e-9)
    if downside > 1e-9:
        assert got.sortino == pytest.approx(returns.mean() / downside * year, rel=1e-9, abs=1e-9)
    peaks = np.maximum.accumulate(series)
    assert got.drawdown_max == pytest.approx((1.0 - series / peaks).max(), abs=1e-12)
    assert got.drawdown == pytest.approx(1.0 - series[-1] / peaks[-1], abs=1e-12)
    assert got.growth == pytest.approx(series[-1] / series[0] - 1.0, abs=1e-9)
    assert got.bars == len(returns)


@given(equities)
def test_tail_equals_the_worst_returns_of_the_batch(values: list[float]) -> None:
    got = run(values).summary()
    series = np.array(values)
    returns = np.sort(series[1:] / series[:-1] - 1.0)
    for hundredth, var, cvar in ((5, got.var_95, got.cvar_95), (1, got.var_99, got.cvar_99)):
        worst = returns[: max(1, len(returns) * hundredth // 100)]
        assert var == pytest.approx(-worst[-1], abs=1e-12)
        assert cvar == pytest.approx(-worst.mean(), abs=1e-12)


def test_tail_looks_back_no_further_than_the_ring() -> None:
    metrics = Metrics(100.0, MINUTE)
    metrics.bar(1.0, 0.0)
    for _ in range(RING):
        metrics.bar(1.0, 0.0)
    assert metrics.summary().cvar_99 == 0.0
    assert metrics.summary().drawdown_max == 0.99


def test_trades_round_trips_orders_and_costs_are_counted() -> None:
    metrics = Metrics(100.0, MINUTE)
    for profit in (3.0, -1.0, 2.0, -1.5):
        metrics.trip(profit)
    metrics.trade(50.0, 0.5)
    metrics.trade(25.0, 0.25)
    metrics.fund(-0.1)
    metrics.fund(0.3)
    metrics.ended(1.0)
    metrics.ended(0.5)
    metrics.bar(101.0, 50.0)
    metrics.bar(101.0, 0.0)
    got = metrics.summary()
    assert got.win_fraction == 0.5
    assert got.profit_factor == 2.0
    assert (got.trips, got.trades) == (4, 2)
    assert (got.turnover, got.fees) == (75.0, 0.75)
    assert got.funding == pytest.approx(0.2)
    assert got.fill_fraction == 0.75
    assert got.exposure_fraction == 0.5


def test_nothing_to_divide_by_is_none_and_not_a_number() -> None:
    got = Metrics(100.0, MINUTE).summary()
    undefined = {name for name in Performance.__struct_fields__ if getattr(got, name) is None}
    tail = {"var_95", "cvar_95", "var_99", "cvar_99"}
    assert undefined == tail | {
        "sharpe",
        "sortino",
        "win_fraction",
        "profit_factor",
        "exposure_fraction",
        "fill_fraction",
    }
    assert run([100.0, 100.0, 100.0]).summary().sharpe is None


@given(equities, st.floats(-40.0, 1e6))
def test_transfers_are_neither_return_nor_drawdown(values: list[float], amount: float) -> None:
    plain, moved = run(values), run(values)
    moved.moved(amount)
    assert moved.summary().drawdown == pytest.approx(plain.summary().drawdown, abs=1e-9)
    moved.bar(moved.equity * 1.01, 0.0)
    plain.bar(plain.equity * 1.01, 0.0)
    assert moved.summary().growth == pytest.approx(plain.summary().growth)
    assert moved.summary().sharpe == pytest.approx(plain.summary().sharpe)


def test_after_total_loss_nothing_is_counted() -> None:
    metrics = run([100.0, 50.0, -1.0, 70.0, 90.0])
    assert metrics.summary().bars == 2
    assert metrics.summary().growth == pytest.approx(-1.01)


@given(equities, st.integers(0, 200))
def test_metrics_dumped_and_loaded_at_any_bar_go_on_the_same(values: list[float], cut: int) -> None:
    whole, part = Metrics(values[0], MINUTE), Metrics(values[0], MINUTE)
    for i, value in enumerate(values[1:]):
        if i == cut:
            raw, part = part.dump(), Metrics(1.0, MINUTE)
            part.load(raw)
        for metrics in (whole, part):
            metrics.bar(value, 1.0)
            metrics.trade(value, 0.1)
            metrics.trip(value - 100.0)
    assert part.dump() == whole.dump()
    assert part.summary() == whole.summary()


@pytest.mark.parametrize("raw", [b"", b"x" * 8, b"\x00" * 400])
def test_dump_of_another_size_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        Metrics(1.0, MINUTE).load(raw)


def test_bar_costs_next_to_nothing() -> None:
    metrics = Metrics(100.0, MINUTE)
    values = [100.0 + math.sin(i) for i in range(1000)]

    def work() -> None:
        for value in values:
            metrics.bar(value, 1.0)

    def nothing() -> None:
        for value in values:
            math.sqrt(value)

    ours, baseline = (min(timeit.repeat(f, number=5, repeat=7)) for f in (work, nothing))
    assert ours < 60 * baseline, "about 1 µs where a call of sqrt takes 0.05 µs"
