"""Regimes and the calendar: ranks are those of the last whole block, waves are nearly those of trigonometry."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels.declared import values
from klined.kernels import jit
from klined.kernels import layout as at
from klined.kernels.assembly import SENTIMENT, assemble
from klined.kernels.regimes import THURSDAY_MS, WEEK_MS, wave
from klined.kernels.rows import Block
from klined.trader.plans import ACCOUNT, ETH44

Floats = NDArray[np.float64]


def bars_with(volume: Floats, start_ms: float = 0.0) -> Floats:
    bars = np.ones((len(volume), 6))
    bars[:, 0] = start_ms + np.arange(len(volume)) * 60_000.0
    bars[:, 5] = volume
    return bars


def test_rank_is_nearly_the_share_of_the_last_whole_block_that_lies_below() -> None:
    rng = np.random.default_rng(4)
    volume = rng.uniform(size=2_400) * np.repeat([1.0, 5.0, 0.5, 2.0, 1.0], 480)
    ranks = values(bars_with(volume), "rank(volume, 240)")[:, 0]
    assert (ranks[:480] == 0.5).all()  # the first block may have been joined in its middle
    errors = [
        ranks[t] - (volume[(t // 240 - 1) * 240 : t // 240 * 240] < volume[t]).mean() for t in range(480, len(volume))
    ]
    assert np.abs(errors).mean() < 0.04
    assert np.abs(errors).max() < 0.15  # five markers know the ends, and nearly the quarters


def test_rank_forgets_where_it_was_joined() -> None:
    volume = np.random.default_rng(7).exponential(size=1_500)
    whole = values(bars_with(volume), "rank(volume, 60)")[:, 0]
    joined = values(bars_with(volume[37:], 37 * 60_000.0), "rank(volume, 60)")[:, 0]
    assert joined[180:].tobytes() == whole[37 + 180 :].tobytes()


@given(st.floats(0.0, 1.0, exclude_max=True))
def test_wave_is_nearly_a_sine(phase: float) -> None:
    assert abs(wave(phase) - math.sin(2.0 * math.pi * phase)) < 0.002


def test_calendar_counts_from_monday_and_to_the_next_funding() -> None:
    monday = 1_704_067_200_000.0  # 2024-01-01 00:00 UTC
    assert (monday + THURSDAY_MS) % WEEK_MS == 0.0
    bars = bars_with(np.ones(10_080), monday - 60_000.0)  # the first closes at midnight
    sine, cosine, until = values(bars, "week_sin", "week_cos", "until(8)").T
    assert (sine[0], until[0]) == (0.0, 1.0)
    assert cosine[0] == pytest.approx(1.0)
    assert sine[2_520] == pytest.approx(1.0)
    assert until[479] == pytest.approx(1.0 / 480.0)
    assert until[480] == 1.0
    day_sine, day_cosine = values(bars, "day_sin", "day_cos").T
    assert (day_sine[0], day_sine[1_440], day_cosine[360]) == (0.0, 0.0, 0.0)
    assert (day_sine[360], day_cosine[1_440], day_cosine[720]) == pytest.approx((1.0, 1.0, -1.0))


@settings(deadline=None)
@given(
    lots=st.sampled_from([-3.0, 0.0, 2.0]),
    entry=st.floats(50.0, 150.0),
    best=st.floats(50.0, 150.0),
    age_ms=st.floats(0.0, 1e9),
    target=st.sampled_from([-1.0, 0.5, math.nan]),
)
def test_account_slots_are_bounded_and_the_same_in_both_builds(
    lots: float, entry: float, best: float, age_ms: float, target: float
) -> None:
    q, features, out = Block(1, at.NQ), Block(1, ETH44.market_dim), np.zeros((2, ETH44.dim), dtype=np.float32)
    q.array[0, [at.LOTS, at.ENTRY, at.EXTREME, at.MARK, at.ATR]] = lots, entry, best, 100.0, 1.5
    q.array[0, [at.BAR_CLOSE, at.LAST_TARGET, at.EXPOSURE, at.CHANGE]] = age_ms, target, 1.7, -0.5
    plain = assemble(ETH44.slots, features.row[0], q.row[0], 0.25, memoryview(out[0]).cast("B").cast("f"))
    twin = jit.compiled(boundscheck=True).assembly.assemble
    assert twin(np.array(ETH44.slots), features.array[0], q.array[0], 0.25, out[1]) == plain == 1.0
    assert out[0].tobytes() == out[1].tobytes()
    seen = dict(zip(ETH44.names, out[0].tolist(), strict=True))
    assert (seen["position"], seen["position_change"], seen["sentiment_score"]) == (1.0, -0.25, 0.25)
    assert ETH44.slots[-1] == SENTIMENT
    assert all(abs(seen[f.name]) <= 1.0 for f in ETH44.features if f.source == ACCOUNT)
    if lots == 0.0:
        assert seen["open_profit"] == seen["held"] == seen["retreat"] == 0.0
    else:
        assert math.copysign(1.0, seen["open_profit"]) == math.copysign(1.0, (100.0 - entry) * lots) or entry == 100.0
