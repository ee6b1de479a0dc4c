"""The engine steps, observes, dumps and continues; a plan says what its observation means."""

import hashlib
import math
from dataclasses import dataclass

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels.declared import compiled
from klined.domain import Bar
from klined.kernels import jit
from klined.kernels import layout as at
from klined.kernels.observe import FLOAT32_MAX
from klined.kernels.rows import Block
from klined.trader.engine import Engine
from klined.trader.plans import ACCOUNT, FIXED, MARKET, ORIGINAL, PLANS, SENTIMENT, Plan

SYMBOLS = ("ETH/USDT", "BTC/USDT", "ADA/USDT")


@pytest.fixture(params=sorted(PLANS))
def plan(request: pytest.FixtureRequest) -> Plan:
    return PLANS[request.param]


def walk(seed: int, count: int) -> list[Bar]:
    rng = np.random.default_rng(seed)
    close = np.round(100.0 * np.exp(np.cumsum(rng.normal(size=count)) * 1e-3), 2).tolist()
    volume = np.round(rng.exponential(50.0, size=count), 3).tolist()
    opened = close[:1] + close[:-1]
    return [
        Bar(SYMBOLS[seed % 3], t * 60_000, o, max(o, c) + 0.01, min(o, c) - 0.01, c, v)
        for t, (o, c, v) in enumerate(zip(opened, close, volume, strict=True))
    ]


def account(exposure: float = 0.25, change: float = -0.5) -> Block:
    block = Block(1, at.NQ)
    block.row[0][at.EXPOSURE], block.row[0][at.CHANGE] = exposure, change
    return block


def history(plan: Plan, bars: list[Bar]) -> NDArray[np.float64]:
    """Features of all bars by the compiled build."""
    rows = np.array([(b.open_time_ms, b.open, b.high, b.low, b.close, b.volume) for b in bars])
    out = np.zeros((len(bars), plan.market_dim))
    if plan.program is None:
        getattr(jit.compiled().features, plan.history)(np.zeros(plan.state_size), rows, out)
        return out
    return compiled(plan.program, rows)[0]


def test_each_symbol_gets_the_features_of_its_own_bars(plan: Plan) -> None:
    markets = [walk(seed, 120) for seed in range(3)]
    expected = [history(plan, market) for market in markets]
    engine = Engine(plan, 3)
    for t in range(120):
        for i, market in enumerate(markets):
            engine.step(i, market[t])
        assert engine.features.dump() == np.array([rows[t] for rows in expected]).tobytes()
    assert engine.bars == [120, 120, 120]


def test_engine_restored_at_any_bar_continues_byte_for_byte(plan: Plan) -> None:
    bars, q = walk(1, 130), account().row[0]
    running = Engine(plan, 2)
    for bar in bars:
        restored = Engine(plan, 2)
        restored.load(running.dump())
        assert restored.bars == running.bars
        for engine in (running, restored):
            engine.step(1, bar)
            engine.observe(1, q, 0.5)
        assert restored.dump() == running.dump()
        assert restored.observations.tobytes() == running.observations.tobytes()


def test_loaded_engine_observes_without_a_new_bar(plan: Plan) -> None:
    running, restored, q = Engine(plan, 1), Engine(plan, 1), account().row[0]
    for bar in walk(2, 100):
        running.step(0, bar)
    restored.load(running.dump())
    running.observe(0, q, 0.0)
    restored.observe(0, q, 0.0)
    assert restored.observations.tobytes() == running.observations.tobytes()


def test_state_of_another_plan_or_another_number_of_symbols_is_refused_and_changes_nothing(plan: Plan) -> None:
    engine = Engine(plan, 2)
    engine.step(0, walk(0, 1)[0])
    before = engine.dump()
    other = next(p for p in PLANS.values() if p is not plan)
    for raw in (Engine(other, 2).dump(), Engine(plan, 3).dump(), b"", before[:-1], before + b"\0"):
        with pytest.raises(ValueError, match=f"does not fit plan {plan.name}"):
            engine.load(raw)
        assert engine.dump() == before


def test_reset_forgets_one_symbol_and_only_that(plan: Plan) -> None:
    engine, fresh = Engine(plan, 2), Engine(plan, 2)
    first, second = walk(0, 100), walk(1, 100)
    for a, b in zip(first, second, strict=True):
        engine.step(0, a)
        engine.step(1, b)
        fresh.step(1, b)
    engine.reset(0)
    assert engine.dump() == fresh.dump()
    assert engine.bars == [0, 100]


@dataclass(frozen=True)
class Observed:
    values: dict[str, float]
    ok: float


def observed(plan: Plan, q: Block, sentiment: float, count: int = 100) -> Observed:
    engine = Engine(plan, 1)
    for bar in walk(0, count):
        engine.step(0, bar)
    engine.observe(0, q.row[0], sentiment)
    assert engine.observations.shape == (1, plan.dim)
    assert engine.observations.dtype == np.float32
    return Observed(dict(zip(plan.names, engine.observations[0].tolist(), strict=True)), q.row[0][at.OBS_OK])


def test_every_value_stands_in_the_slot_that_the_plan_names(plan: Plan) -> None:
    count = plan.first_bar + 20
    seen = observed(plan, account(0.25, -0.5), 0.125, count)
    assert (seen.values["position"], seen.values["position_change"], seen.values["sentiment_score"]) == (
        0.25,
        -0.25,
        0.125,
    )
    market = history(plan, walk(0, count))[-1]
    names = [feature.name for feature in plan.features if feature.source == MARKET]
    assert [seen.values[name] for name in names] == market.astype(np.float32).tolist()
    assert seen.ok == 1.0


def test_slots_have_the_order_of_the_original() -> None:
    order = (
        "position z_score zone_norm price_momentum z_score_momentum position_change macd_norm macd_signal_norm "
        "macd_diff_norm rsi_norm bb_mid_norm bb_high_norm bb_low_norm obv_norm sentiment_score"
    )
    for plan in FIXED:
        assert " ".join(plan.names) == order
        sources = [feature.source for feature in plan.features]
        assert [i for i, source in enumerate(sources) if source == ACCOUNT] == [0, 5]
        assert [i for i, source in enumerate(sources) if source == SENTIMENT] == [14]


def test_position_beyond_the_limit_and_full_reversal_stay_in_range(plan: Plan) -> None:
    seen = observed(plan, account(-1.3, 2.6), 0.0)
    assert (seen.values["position"], seen.values["position_change"]) == (-1.0, 1.0)


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_observation_that_is_not_finite_is_marked(plan: Plan, poison: float) -> None:
    assert observed(plan, account(), poison).ok == 0.0
    assert observed(plan, account(exposure=math.nan), 0.0).ok == 0.0
    assert observed(PLANS["eth15"], account(), 0.0, count=79).ok == 0.0  # before the first complete row
    assert observed(PLANS["eth15"], account(), 0.0, count=80).ok == 1.0


def test_value_too_large_for_float32_is_marked() -> None:
    engine, q = Engine(ORIGINAL, 1), account()
    engine.step(0, Bar("A/B", 0, 1.0, 1.0, 1.0, 1.0, 0.0))
    engine.step(0, Bar("A/B", 60_000, 1.0, 2.0, 1.0, 2.0, 1e39))
    engine.observe(0, q.row[0], 0.0)
    assert q.row[0][at.OBS_OK] == 0.0


@settings(deadline=None)  # the first example compiles
@given(
    market=st.lists(st.floats(-FLOAT32_MAX / 20, FLOAT32_MAX / 20), min_size=12, max_size=12),
    exposure=st.floats(-2.0, 2.0),
    change=st.floats(-3.0, 3.0),
    sentiment=st.floats(-1.0, 1.0),
)
def test_float32_rounding_is_the_same_in_both_builds(
    market: list[float], exposure: float, change: float, sentiment: float
) -> None:
    q, features, out = account(exposure, change), Block(1, 12), np.zeros((2, 15), dtype=np.float32)
    features.array[0] = market
    plain = jit.interpreted().observe.observe(
        features.row[0], q.row[0], sentiment, memoryview(out[0]).cast("B").cast("f")
    )
    for boundscheck in (False, True):
        twin = jit.compiled(boundscheck=boundscheck).observe.observe
        assert twin(features.array[0], q.array[0], sentiment, out[1]) == plain == 1.0
        assert out[0].tobytes() == out[1].tobytes()


def test_plan_has_one_canonical_form_that_reads_back(plan: Plan) -> None:
    raw = plan.canonical()
    assert msgspec.json.decode(raw, type=Plan) == plan
    assert msgspec.json.decode(raw, type=Plan).canonical() == raw
    assert msgspec.json.encode(msgspec.json.decode(raw), order="sorted") == raw
    assert len({hashlib.sha256(p.canonical()).digest() for p in PLANS.values()}) == len(PLANS)


def test_warm_up_covers_every_feature_that_forgets_its_start(plan: Plan) -> None:
    assert plan.warmup_bars == ({"eth44": 760, "eth44-mtf": 37 * 60 - 1}.get(plan.name, 300))
    assert plan.first_bar == max(feature.first_bar for feature in plan.features)
    for feature in plan.features:
        assert feature.stable_bars is None or feature.stable_bars <= plan.warmup_bars
    assert [f.name for f in plan.features if f.stable_bars is None] == (["obv_norm"] if plan is ORIGINAL else [])
