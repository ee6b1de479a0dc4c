"""Features are the same bytes in every build, know nothing of the future, and forget where they began."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from klined.kernels import features as kernel
from klined.kernels import jit
from klined.kernels.rows import Block
from klined.trader.plans import FIXED, PLANS, Plan

Floats = NDArray[np.float64]
BUILDS = {"compiled": jit.compiled, "checked": lambda: jit.compiled(boundscheck=True)}


@pytest.fixture(params=FIXED, ids=lambda plan: plan.name)
def plan(request: pytest.FixtureRequest) -> Plan:
    fixed: Plan = request.param
    return fixed


def interpreted(plan: Plan, bars: Floats) -> tuple[Floats, bytes]:
    """Features of every bar and the final state, by the build that the daemon runs."""
    state, features = Block(1, plan.state_size), Block(len(bars), plan.market_dim)
    getattr(kernel, plan.history)(state.row[0], bars.tolist(), features.row)
    return features.array, state.dump()


def built(plan: Plan, bars: Floats, build: Callable[[], Any] = jit.compiled) -> tuple[Floats, bytes]:
    state, features = np.zeros(plan.state_size), np.zeros((len(bars), plan.market_dim))
    getattr(build().features, plan.history)(state, bars, features)
    return features, state.tobytes()


@pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS)
def test_compiled_features_and_state_are_the_interpreted_bytes(plan: Plan, bars: Floats, build: Any) -> None:
    ours, state = interpreted(plan, bars)
    theirs, their_state = built(plan, bars, build)
    assert ours.tobytes() == theirs.tobytes()
    assert state == their_state


@st.composite
def wild_bars(draw: st.DrawFn) -> Floats:
    """Up to 130 bars whose closes and volumes jump over many orders of magnitude, repeat and stand still."""
    price = st.one_of(st.sampled_from([100.0, 100.01, 1e-7, 1e12, 1e15]), st.floats(1e-9, 1e15))
    volume = st.one_of(st.sampled_from([0.0, 1.0, 1e15]), st.floats(0.0, 1e12))
    pairs = draw(st.lists(st.tuples(price, volume, st.integers(1, 12)), min_size=12, max_size=40))
    rows = [(close, size) for close, size, repeats in pairs for _ in range(repeats)][:130]
    out, previous = [], rows[0][0]
    for i, (close, size) in enumerate(rows):
        out.append((i * 60_000.0, previous, max(previous, close), min(previous, close), close, size))
        previous = close
    return np.array(out)


@settings(max_examples=60, deadline=None)
@given(bars=wild_bars())
def test_builds_agree_and_stay_finite_on_bars_no_market_ever_made(bars: Floats) -> None:
    for plan in FIXED:
        ours, state = interpreted(plan, bars)
        assert np.isfinite(ours[plan.first_bar :]).all()
        for build in BUILDS.values():
            theirs, their_state = built(plan, bars, build)
            assert (ours.tobytes(), state) == (theirs.tobytes(), their_state)


def test_lane_of_many_is_the_lane_alone(plan: Plan, bars: Floats, walk: Floats) -> None:
    lanes, mine = 5, 3
    states, features = np.zeros((lanes, plan.state_size)), np.zeros((lanes, plan.market_dim))
    step = getattr(jit.compiled().features, plan.step)
    alone, final = interpreted(plan, bars)
    for t, bar in enumerate(bars):
        for lane in range(lanes):
            step(states[lane], bar if lane == mine else walk[(t + lane) % len(walk)], features[lane])
        assert features[mine].tobytes() == alone[t].tobytes()
    assert states[mine].tobytes() == final


def test_restored_state_continues_byte_for_byte_at_every_bar(plan: Plan, bars: Floats) -> None:
    step = getattr(kernel, plan.step)
    running, features = Block(1, plan.state_size), Block(1, plan.market_dim)
    for bar in bars.tolist():
        restored, again = Block(1, plan.state_size), Block(1, plan.market_dim)
        restored.load(running.dump())
        step(running.row[0], bar, features.row[0])
        step(restored.row[0], bar, again.row[0])
        assert (running.dump(), features.dump()) == (restored.dump(), again.dump())


def looks_ahead(history: Callable[[Floats, Floats, Floats], None], plan: Plan, bars: Floats) -> list[tuple[int, int]]:
    """(bar, feature) that differ between all bars, the bars up to it, and the bars up to it followed by poison."""

    def run(some: Floats) -> Floats:
        out = np.zeros((len(some), plan.market_dim))
        history(np.zeros(plan.state_size), some, out)
        return out

    whole, found = run(bars), []
    for t in range(len(bars)):
        poisoned = bars.copy()
        poisoned[t + 1 :] = np.nan if t % 2 else 1e9
        for other in (run(bars[: t + 1])[t:], run(poisoned)[: t + 1]):
            same = whole[t + 1 - len(other) : t + 1].view(np.int64) == other.view(np.int64)
            found += [(t, int(column)) for column in np.flatnonzero(~same.all(axis=0))]
    return found


def test_no_feature_of_any_bar_knows_the_future(plan: Plan, bars: Floats) -> None:
    assert looks_ahead(getattr(jit.compiled().features, plan.history), plan, bars[:1200]) == []


def test_a_feature_that_peeks_one_bar_ahead_is_caught(plan: Plan, walk: Floats) -> None:
    honest = getattr(jit.compiled().features, plan.history)

    def peeks(state: Floats, bars: Floats, out: Floats) -> None:
        honest(state, bars, out)
        out[:-1, 7] += bars[1:, 4] > bars[:-1, 4]

    assert {column for _, column in looks_ahead(peeks, plan, walk[:120])} == {7}


def test_rows_are_finite_from_the_first_bar_on_and_in_range(plan: Plan, bars: Floats) -> None:
    out, _ = built(plan, bars)
    assert np.isnan(out[: plan.first_bar]).all()
    assert np.isfinite(out[plan.first_bar :]).all()
    for column, feature in enumerate(f for f in plan.features if f.source == "market"):
        values = out[plan.first_bar :, column]
        assert feature.low is None or values.min() >= feature.low, feature.name
        assert feature.high is None or values.max() <= feature.high, feature.name


def test_start_is_forgotten_to_1e_8_when_the_plan_says_so(plan: Plan, recorded: Floats) -> None:
    whole, _ = built(plan, recorded)
    market = [feature for feature in plan.features if feature.source == "market"]
    assert max(feature.stable_bars or 0 for feature in market) == plan.warmup_bars
    for start in range(1000, len(recorded) - 1000, 487):
        late, _ = built(plan, recorded[start : start + plan.warmup_bars + 50])
        for column, feature in enumerate(market):
            if feature.stable_bars is not None:
                settled = max(feature.stable_bars, plan.first_bar + 1) - 1
                then = whole[start + settled : start + len(late), column]
                gap = np.abs(late[settled:, column] - then) / np.maximum(1.0, np.abs(then))
                assert gap.max() <= 1e-8, (feature.name, start)


def test_dead_market_shows_nothing_whatever_came_before(walk: Floats) -> None:
    dead = np.repeat(walk[-1:], 2000, axis=0)
    dead[:, 1:5], dead[:, 5] = walk[-1, 4], 0.0
    out, _ = built(PLANS["eth15"], np.concatenate((walk, dead)))
    rsi = out[-1, 7]  # Wilder's averages fade together, so their ratio outlives the moves
    assert abs(rsi) < 1.0
    assert np.abs(np.delete(out[-1], 7)).max() < 1e-5


def batch_eth15(bars: Floats) -> Floats:
    """The table of eth15 by TA-Lib and numpy, apart from the kernels."""
    high, low, close, volume = (np.ascontiguousarray(bars[:, i]) for i in (2, 3, 4, 5))
    spread = close - talib.SMA(close, 20)
    z = np.full(len(bars), np.nan)
    window = sliding_window_view(spread[19:], 60)
    z[78:] = (window[:, -1] - window.mean(axis=1)) / window.std(axis=1)
    move = np.diff(np.log(close), prepend=np.nan)
    variance, momentum = float(np.mean(move[1:21] ** 2)), np.full(len(bars), np.nan)
    for t in range(21, len(bars)):
        momentum[t] = move[t] / math.sqrt(variance)
        variance += 0.07 * (move[t] ** 2 - variance)
    atr = talib.ATR(high, low, close, 14)
    upper, middle, lower = talib.BBANDS(close, 20, 2.0, 2.0)
    direction = np.sign(np.diff(close, prepend=close[0]))
    flow = talib.SUM(direction * volume, 20) / talib.SUM(volume, 20)
    macd = [line / atr for line in talib.MACD(close)]
    bounded = [x / (1.0 + np.abs(x)) for x in (*macd[:2], 3.0 * macd[2])]
    bands = [x / atr / (1.0 + np.abs(x / atr)) for x in (close - middle, upper - close, close - lower)]
    zone = np.select([z > 1.5, z > 0.5, z >= -0.5, z >= -1.5], [1.0, 0.5, 0.0, -0.5], -1.0)
    swing = np.diff(z, prepend=np.nan)
    first = (np.clip(z, -5, 5) / 5, zone, np.clip(momentum, -5, 5) / 5, np.clip(swing, -2, 2) / 2)
    return np.column_stack((*first, *bounded, talib.RSI(close, 14) / 50 - 1, *bands, flow))


def test_eth15_is_its_table_computed_in_batch(recorded: Floats) -> None:
    bars = recorded[:20_000]
    ours, _ = built(PLANS["eth15"], bars)
    theirs = batch_eth15(bars)[79:]
    assert np.abs(ours[79:] - theirs).max() <= 1e-9


def live_original(bars: Floats) -> Floats:
    """The live engine of the original told anew with growing lists: slow, and free of our windows."""
    closes: list[float] = []
    spreads: list[float] = []
    out: list[tuple[float, ...]] = []
    z1 = obv = 0.0
    fast = slow = signal = gains = losses = 0.0
    for t, (_, _, _, _, close, volume) in enumerate(bars.tolist()):
        change = close - closes[-1] if t else 0.0
        closes.append(close)
        mean, spread = float(np.mean(closes[-20:])), float(np.std(closes[-20:]))
        spreads.append(close - mean)
        z = float((spreads[-1] - np.mean(spreads[-60:])) / (np.std(spreads[-60:]) + 1e-8))
        fast = fast + (close - fast) * 2 / 13 if t else close
        slow = slow + (close - slow) * 2 / 27 if t else close
        signal = signal + (fast - slow - signal) * 2 / 10 if t else fast - slow
        up, down = max(change, 0.0), max(-change, 0.0)
        gains = (gains * 13 + up) / 14 if t > 1 else up
        losses = (losses * 13 + down) / 14 if t > 1 else down
        rsi = 1 - 1 / (1 + gains / losses) if losses else 0.0
        obv += volume * (change > 0) - volume * (change < 0)
        zone = 1.0 if z > 1.5 else 0.5 if z > 0.5 else 0.0 if z >= -0.5 else -0.5 if z >= -1.5 else -1.0
        momentum, swing = (float(np.clip(change / closes[-2], -0.1, 0.1)), z - z1) if t else (0.0, 0.0)
        head = (z, zone, momentum, float(np.clip(swing, -2, 2)), fast - slow, signal, fast - slow - signal, rsi)
        out.append((*head, mean, mean + 2 * spread, mean - 2 * spread, obv))
        z1 = z
    return np.array(out)


def test_original_is_what_its_live_engine_computed(recorded: Floats) -> None:
    bars = recorded[:3_000]
    ours, _ = built(PLANS["original"], bars)
    theirs = live_original(bars)
    assert (np.abs(ours - theirs) <= 1e-9 * np.maximum(1.0, np.abs(theirs))).all()
