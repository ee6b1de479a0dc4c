"""Each kernel that TA-Lib has too gives TA-Lib's values from the same bar on; the others hold what they promise."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import talib
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from klined.kernels import jit
from klined.kernels.averages import ema_step, macd_step, variance_step, wilder_step
from klined.kernels.oscillators import clip, rsi_step, squash, true_range, zone
from klined.kernels.rows import Block
from klined.kernels.windows import bands_step, flow_size, flow_step, moments_size, moments_step, sma_step

Floats = NDArray[np.float64]
Kernel = Callable[..., float | tuple[float, ...]]
SIZE = 256
TOLERANCE = 1e-9  # of max(1, |value|)


def run(kernel: Kernel, params: Sequence[float], *inputs: Floats, at: int = 0) -> Floats:
    """Outputs of a kernel over its inputs, shape (T, outputs)."""
    row = Block(1, SIZE).row[0]
    return np.array(
        [kernel(row, at, *params, *now) for now in zip(*(x.tolist() for x in inputs), strict=True)]
    ).reshape(len(inputs[0]), -1)


def agrees(ours: Floats, theirs: Sequence[Floats], late: int = 0) -> bool:
    """Same first bar and same values; `late` when the kernel's first input is that much later than TA-Lib's."""
    for ours_now, column in zip(ours.T, theirs, strict=True):
        oracle = column[late:]
        if not np.array_equal(np.isnan(ours_now), np.isnan(oracle)):
            return False
        valid = ~np.isnan(oracle)
        gap = np.abs(ours_now[valid] - oracle[valid])
        if not (gap <= TOLERANCE * np.maximum(1.0, np.abs(oracle[valid]))).all():
            return False
    return True


def columns(bars: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    high, low, close, volume = (np.ascontiguousarray(bars[:, i]) for i in (2, 3, 4, 5))
    return high, low, close, volume


@pytest.mark.parametrize("n", [2, 14, 20, 60])
def test_averages_are_those_of_ta_lib_from_the_same_bar_on(bars: Floats, n: int) -> None:
    high, low, close, _ = columns(bars)
    previous = close[:-1]
    ranges = np.array([true_range(*now) for now in zip(high[1:], low[1:], previous, strict=True)])
    assert agrees(run(ema_step, (n,), close), [talib.EMA(close, n)])
    assert agrees(ranges.reshape(-1, 1), [talib.TRANGE(high, low, close)], late=1)
    assert agrees(run(wilder_step, (n,), ranges), [talib.ATR(high, low, close, n)], late=1)


@pytest.mark.parametrize(("fast", "slow", "signal"), [(12, 26, 9), (5, 35, 5), (3, 10, 16)])
def test_macd_is_that_of_ta_lib_from_the_same_bar_on(bars: Floats, fast: int, slow: int, signal: int) -> None:
    close = columns(bars)[2]
    lines = run(macd_step, (fast, slow, signal), close)
    ours = np.column_stack((lines, lines[:, 0] - lines[:, 1]))
    assert agrees(ours, talib.MACD(close, fast, slow, signal))


def shaken(bars: Floats) -> bool:
    """An outlier has passed, after which TA-Lib's own running sums are wrong for good."""
    return bool(bars[:, 4].max() / np.median(bars[:, 4]) > 1e9 or bars[:, 5].max() >= 1e15)


@pytest.mark.parametrize("n", [2, 14, 20, 60])
def test_windows_are_those_of_ta_lib_from_the_same_bar_on(bars: Floats, n: int) -> None:
    if shaken(bars):
        bars = bars[:300]
    _, _, close, volume = columns(bars)
    assert agrees(run(sma_step, (n,), close), [talib.SMA(close, n)])
    assert agrees(run(bands_step, (n, 2.0), close), talib.BBANDS(close, n, 2.0, 2.0))
    obv = talib.OBV(close, volume)
    net = np.concatenate((np.full(n - 1, np.nan), obv[n:] - obv[:-n]))
    gross = talib.SUM(volume, n)[1:] if n > 1 else volume[1:]
    gross[: n - 1] = np.nan
    flow = run(flow_step, (n,), np.diff(close), volume[1:])
    scale = float(np.abs(obv).max()) or 1.0  # OBV itself carries the rounding of its whole history
    assert agrees(flow / scale, [net / scale, gross / scale])


@pytest.mark.parametrize("n", [2, 14, 21])
def test_rsi_is_that_of_ta_lib_from_the_same_bar_on(bars: Floats, n: int) -> None:
    close = columns(bars)[2]
    ours = run(rsi_step, (n, 0.0), np.diff(close))
    theirs = talib.RSI(close, n)[1:]
    # TA-Lib calls averages below 1e-14 nothing, which is wrong for cheap coins and for markets that went quiet
    up, down = np.maximum(np.diff(close), 0.0), np.maximum(-np.diff(close), 0.0)
    loud = (run(wilder_step, (n,), up) + run(wilder_step, (n,), down))[:, 0] > 1e-13
    assert np.array_equal(np.isnan(ours[:, 0]), np.isnan(theirs))
    gap = np.abs(ours[:, 0] - theirs) / np.maximum(1.0, np.abs(theirs))
    assert loud.any() or not np.diff(close).any()
    assert np.nanmax(gap[loud], initial=0.0) <= TOLERANCE


def test_rsi_of_a_market_that_never_moved_is_what_the_caller_says() -> None:
    still = np.zeros(40)
    assert run(rsi_step, (14, 50.0), still)[-1, 0] == 50.0
    assert run(rsi_step, (14, 0.0), still)[-1, 0] == 0.0


def test_comparison_with_ta_lib_sees_a_late_start_and_a_small_error(walk: Floats) -> None:
    close = columns(walk)[2]
    ours = run(sma_step, (20,), close)
    late, off = ours.copy(), ours.copy()
    late[19] = np.nan
    off[400] += 1e-5
    oracle = [talib.SMA(close, 20)]
    assert agrees(ours, oracle)
    assert not agrees(late, oracle)
    assert not agrees(off, oracle)
    assert not agrees(run(sma_step, (20,), close[1:]), [oracle[0][:-1]])


def exact_moments(x: Floats, n: int) -> tuple[Floats, Floats]:
    """Mean and population variance of every full window, summed without rounding."""
    means, variances = [], []
    for window in sliding_window_view(x, n):
        mean = math.fsum(window) / n
        means.append(mean)
        variances.append(math.fsum((window - mean) ** 2) / n)
    return np.array(means), np.array(variances)


def test_outlier_is_forgotten_as_soon_as_it_left_the_window(outliers: dict[str, Floats]) -> None:
    n, gone = 20, 320
    for name, column in (("price_outlier", 4), ("volume_outlier", 5)):
        x = np.ascontiguousarray(outliers[name][:, column])
        ours = run(moments_step, (n,), x)[n - 1 :]
        mean, variance = exact_moments(x, n)
        after = slice(gone - n + 1, None)
        assert np.abs(ours[after, 0] / mean[after] - 1.0).max() < 1e-13
        assert np.abs(ours[after, 1] / variance[after] - 1.0).max() < 1e-9
        assert np.nanmax(np.abs(talib.SMA(x, n)[gone:] / mean[after] - 1.0)) > 1e-9  # the planted fault: naive sums
    change = np.diff(outliers["volume_outlier"][:, 4])
    volume = outliers["volume_outlier"][1:, 5]
    flow = run(flow_step, (n,), change, np.ascontiguousarray(volume))
    gross = np.array([math.fsum(window) for window in sliding_window_view(volume, n)])
    assert np.abs(flow[gone:, 1] / gross[gone - n + 1 :] - 1.0).max() < 1e-13


def test_sums_do_not_drift_over_a_hundred_thousand_bars(recorded: Floats) -> None:
    close = np.ascontiguousarray(recorded[:, 4]) + 1e5  # dear price, small moves: where naive squares lose 1e-5
    state, out = np.zeros(moments_size(20)), np.zeros((len(close), 2))
    step = jit.compiled().windows.moments_step
    for t, x in enumerate(close):
        out[t] = step(state, 0, 20, x)
    mean, variance = exact_moments(close[-5000:], 20)
    assert np.abs(out[-len(mean) :, 0] / mean - 1.0).max() < 1e-14
    assert np.abs(np.sqrt(out[-len(mean) :, 1]) - np.sqrt(variance)).max() < 1e-9


def test_variance_before_the_jump_does_not_know_the_jump() -> None:
    calm = np.full(100, 0.001)
    jump = np.append(calm, 0.5)
    assert run(variance_step, (20, 0.07), jump)[-1, 0] == pytest.approx(1e-6)
    assert np.isnan(run(variance_step, (20, 0.07), jump)[:20, 0]).all()


def test_state_elsewhere_in_the_row_gives_the_same_bytes_and_touches_nothing_else(walk: Floats) -> None:
    high, low, close, volume = columns(walk)
    cases: list[tuple[Kernel, tuple[float, ...], int, tuple[Floats, ...]]] = [
        (ema_step, (20,), 2, (close,)),
        (wilder_step, (14,), 2, (high - low,)),
        (macd_step, (12, 26, 9), 4, (close,)),
        (variance_step, (20, 0.07), 2, (np.diff(close),)),
        (moments_step, (20,), moments_size(20), (close,)),
        (flow_step, (20,), flow_size(20), (np.diff(close), volume[1:])),
        (rsi_step, (14, 50.0), 3, (np.diff(close),)),
    ]
    for kernel, params, size, inputs in cases:
        row = Block(1, SIZE)
        row.array[0, :] = 7.0
        row.array[0, 5 : 5 + size] = 0.0
        moved = [kernel(row.row[0], 5, *params, *now) for now in zip(*(x.tolist() for x in inputs), strict=True)]
        assert np.array(moved).reshape(len(moved), -1).tobytes() == run(kernel, params, *inputs).tobytes()
        assert (np.delete(row.array[0], np.s_[5 : 5 + size]) == 7.0).all(), kernel


def test_single_kernels_are_the_same_bytes_compiled(bars: Floats) -> None:
    _, _, close, volume = columns(bars)
    twins = jit.compiled(boundscheck=True)
    cases: list[tuple[str, Kernel, tuple[float, ...], tuple[Floats, ...]]] = [
        ("averages", ema_step, (20,), (close,)),
        ("averages", macd_step, (12, 26, 9), (close,)),
        ("windows", bands_step, (20, 2.0), (close,)),
        ("windows", flow_step, (20,), (np.diff(close), volume[1:])),
        ("oscillators", rsi_step, (14, 50.0), (np.diff(close),)),
    ]
    for noun, kernel, params, inputs in cases:
        row = np.zeros(SIZE)
        twin = getattr(getattr(twins, noun), kernel.__name__)
        theirs = [twin(row, 0, *params, *now) for now in zip(*inputs, strict=True)]
        ours = run(kernel, params, *inputs)
        assert ours.tobytes() == np.array(theirs).reshape(ours.shape).tobytes(), kernel


def test_bounded_forms_are_odd_and_keep_their_bounds() -> None:
    for x in (0.0, 1e-300, 0.3, 1.0, 5.0, 1e18, 1e308):
        assert 0.0 <= squash(x) <= 1.0
        assert squash(-x) == -squash(x)
        assert clip(x, 2.0) == min(x, 2.0) == -clip(-x, 2.0)
    assert [zone(z, 1.5, 0.5) for z in (-9, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 9)] == [
        -1.0, -0.5, -0.5, 0.0, 0.0, 0.0, 0.5, 0.5, 1.0,
    ]  # fmt: skip
