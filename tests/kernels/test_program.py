"""Programs of every feature there is: the same bytes in every build, nothing of the future, nothing of the far past."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels.conftest import bars_of
from kernels.declared import alone, by_table, coded, compiled, interpreted, values
from klined.kernels import jit
from klined.kernels.rows import Block
from klined.trader.functions import ALIASES
from klined.trader.indicators import INDICATORS
from klined.trader.programs import Program, build
from klined.trader.stepper import stepper

Floats = NDArray[np.float64]
NEEDED = {"sma": "(20)", "ema": "(20)"}
HIDDEN = "0.5, 0.5, 0.95, 0.05, 0.1, 0.9, 0, 0, 0.25, 4"  # start, transitions, means, variances of two states
EVERY = [
    f"{name}{'.' + output.name if output.name else ''}"
    for name, indicator in INDICATORS.items()
    for output in indicator.outputs
] + list(ALIASES)
JOINED = [
    "natr(14)",
    "pct(close, ema(20))",
    "zscore(volume, 40)",
    "clip(zscore(close - sma(20), 60), 5) / 5",
    "squash(3 * per(macd.hist, atr))",
    "per(mom(10), atr) + 1",
    "2 / sqrt(abs(log(close / open)) + 1)",
    "rank(sigma(30), 240)",
    "diff(rsi(14)) * 0.5 - -1",
    "ema(diff(ema(volume, 5)), 9)",
    "rsi(ema(5), 14, flat=50)",
    f"hmm(change / atr, {HIDDEN}).p1",
    "close - open * high + low / (volume + 1)",
]
FRAMED = ["rsi(7)@5m / 100", "ema(close, 3)@15m - close", "squash(per(macd(3, 6, 3).hist, atr(5)))@5m", "volume@1h"]


@pytest.fixture(scope="module")
def everything() -> Program:
    return build([*EVERY, *JOINED, *FRAMED])


@pytest.fixture(scope="module")
def one_timeframe() -> Program:
    return build([*EVERY, *JOINED])


def test_every_build_gives_the_same_bytes_and_leaves_the_same_state(bars: Floats, everything: Program) -> None:
    expected = by_table(everything, bars)
    for name, found in (
        ("interpreted", interpreted(everything, bars)),
        ("compiled", compiled(everything, bars)),
        ("checked", compiled(everything, bars, boundscheck=True)),
    ):
        differing = {everything.results[k].name for k in np.flatnonzero((expected[0] != found[0]).any(axis=0))} - {
            everything.results[k].name for k in np.flatnonzero(np.isnan(expected[0]).all(axis=0))
        }
        assert expected[0].tobytes() == found[0].tobytes(), (name, differing)
        assert expected[1] == found[1], name
    assert np.isfinite(expected[0][everything.first_bar :]).all()


@st.composite
def wild_bars(draw: st.DrawFn) -> Floats:
    """Up to 260 bars whose closes and volumes jump over many orders of magnitude, repeat and stand still."""
    price = st.one_of(st.sampled_from([100.0, 100.01, 1e-7, 1e12, 1e15]), st.floats(1e-9, 1e15))
    volume = st.one_of(st.sampled_from([0.0, 1.0, 1e15]), st.floats(1e-6, 1e12))
    pairs = draw(st.lists(st.tuples(price, volume, st.integers(1, 16)), min_size=16, max_size=50))
    rows = [(close, size) for close, size, repeats in pairs for _ in range(repeats)][:260]
    out, previous = [], rows[0][0]
    for i, (close, size) in enumerate(rows):
        out.append((i * 60_000.0, previous, max(previous, close), min(previous, close), close, size))
        previous = close
    return np.array(out)


@settings(max_examples=25, deadline=None)
@given(bars=wild_bars())
def test_builds_agree_and_stay_finite_on_bars_no_market_ever_made(bars: Floats) -> None:
    program = build([*EVERY, *JOINED])
    expected = by_table(program, bars)
    assert np.isfinite(expected[0][program.first_bar :]).all()
    for found in (compiled(program, bars), compiled(program, bars, boundscheck=True)):
        assert (expected[0].tobytes(), expected[1]) == (found[0].tobytes(), found[1])


def test_lane_of_many_is_the_lane_alone(bars: Floats, walk: Floats, everything: Program) -> None:
    lanes, mine = 3, 1
    step, (code, constants) = jit.compiled().program.plan_step, coded(everything)
    states, out = np.zeros((lanes, everything.state_size)), np.zeros((lanes, len(everything.results)))
    expected, final = compiled(everything, bars)
    for t, bar in enumerate(bars):
        for lane in range(lanes):
            step(code, constants, states[lane], bar if lane == mine else walk[(t + lane) % len(walk)], out[lane])
        assert out[mine].tobytes() == expected[t].tobytes()
    assert states[mine].tobytes() == final


def test_restored_state_continues_byte_for_byte_at_every_bar(walk: Floats, everything: Program) -> None:
    step, width = stepper(everything), len(everything.results)
    running, out = Block(1, everything.state_size), Block(1, width)
    for bar in walk[:400].tolist():
        restored, again = Block(1, everything.state_size), Block(1, width)
        restored.load(running.dump())
        step(running.row[0], bar, out.row[0])
        stepper(everything)(restored.row[0], bar, again.row[0])
        assert (running.dump(), out.dump()) == (restored.dump(), again.dump())


def test_no_feature_of_any_bar_knows_the_future(bars: Floats, everything: Program) -> None:
    bars = bars[:700]
    whole = compiled(everything, bars)[0]
    for t in range(130, len(bars), 7):
        poisoned = bars.copy()
        poisoned[t + 1 :, 1:] = np.nan if t % 2 else 1e9
        for other in (compiled(everything, bars[: t + 1])[0], compiled(everything, poisoned)[0][: t + 1]):
            assert whole[: t + 1].tobytes() == other.tobytes(), t


def test_first_bar_is_the_one_that_was_told(walk: Floats) -> None:
    for declared in (*EVERY, *JOINED):
        program = build([declared])
        out = compiled(program, walk)[0][:, 0]
        assert np.isnan(out[: program.first_bar]).all(), declared
        assert np.isfinite(out[program.first_bar :]).all(), declared


def test_values_stay_within_the_bounds_that_were_told(bars: Floats, one_timeframe: Program) -> None:
    out = compiled(one_timeframe, bars)[0][one_timeframe.first_bar :]
    for k, result in enumerate(one_timeframe.results):
        slack = 1e-9 * max(1.0, abs(result.low or 0.0))
        assert result.low is None or out[:, k].min() >= result.low - slack, result.name
        assert result.high is None or out[:, k].max() <= result.high + slack, result.name


def test_start_is_forgotten_to_1e_8_when_the_registry_says_so(recorded: Floats, everything: Program) -> None:
    path_dependent = {"sar", "supertrend.value", "supertrend.way"}  # they meet at a turn, whenever it comes
    whole = compiled(everything, recorded[:40_000])[0]
    for start in (1_003, 5_017, 9_999, 20_001):
        late = compiled(everything, recorded[start : start + everything.stable_bars + 40])[0]
        for k, result in enumerate(everything.results):
            if result.stable_bars is None or result.name in path_dependent:
                continue
            settled = max(result.stable_bars - 1, everything.first_bar)
            then = whole[start + settled : start + len(late), k]
            gap = np.abs(late[settled:, k] - then) / np.maximum(1.0, np.abs(then).max())
            assert gap.max() <= 1e-8, (result.name, start, settled, gap.max())


def test_cumulative_sums_are_said_never_to_forget(walk: Floats) -> None:
    for name in ("obv", "ad", "vwap"):
        assert build([name]).results[0].stable_bars is None
        assert abs(alone(walk[100:], [name])[-1, 0] - alone(walk, [name])[-1, 0]) > 1e-6


def test_prices_in_another_unit_change_levels_exactly_and_ratios_not_at_all(walk: Floats) -> None:
    unit = 2.0**-40
    other = walk.copy()
    other[:, 1:5] *= unit
    levels = ("sma(20)", "kama", "t3", "macd.hist", "linearreg.slope", "bbands.upper", "keltner.lower", "atr", "sar",
              "supertrend.value", "donchian.middle", "ao", "vwma", "hma(20)", "efi")  # fmt: skip
    for declared in levels:
        assert (alone(walk, [declared]) * unit).tobytes() == alone(other, [declared]).tobytes(), declared
    ratios = (
        "rsi", "cmo", "stoch.d", "kdj.j", "willr", "cci", "mfi", "ultosc", "bop", "trix", "tsi", "adx", "aroon.osc",
              "vortex.plus", "correl", "er", "natr", "squash(per(macd.hist, atr))", "zscore(close, 60)",
    )  # fmt: skip
    for declared in ratios:
        assert alone(walk, [declared]).tobytes() == alone(other, [declared]).tobytes(), declared


@pytest.mark.parametrize("column", [4, 5])
def test_one_outlier_of_1e15_is_forgotten(column: int) -> None:
    rng = np.random.default_rng(8)
    close = 2500.0 * np.exp(np.cumsum(rng.normal(size=9_000) * 6e-4))
    bars = bars_of(close, np.exp(rng.normal(5.0, 1.0, size=9_000)), rng, 3e-4)
    bars[300, column] = bars[300, 2] = 1e15
    for declared in (*EVERY, "zscore(close, 60)", "natr(14)"):
        program = build([declared])
        stable = program.results[0].stable_bars
        if stable is None:
            continue
        # what fades by 1e-8 in `stable` bars needs three times as many for 1e15 among 1e3
        gone = 301 + 3 * stable
        ours, fresh = compiled(program, bars)[0][gone:, 0], compiled(program, bars[302:])[0][gone - 302 :, 0]
        gap = np.abs(ours - fresh) / np.maximum(1.0, np.abs(fresh))
        assert gap.max() <= 1e-9, (declared, column, gap.max())


def resampled(bars: Floats, minutes: int) -> Floats:
    """Whole bars of `minutes` by grouping, apart from the kernel."""
    groups = bars[:, 0] // (minutes * 60_000)
    out = []
    for group in np.unique(groups):
        part = bars[groups == group]
        out.append([group * minutes * 60_000.0, part[0, 1], part[:, 2].max(), part[:, 3].min(), part[-1, 4],
                    np.add.accumulate(part[:, 5])[-1]])  # fmt: skip
    return np.array(out)


@pytest.mark.parametrize("minutes", [5, 15, 60])
def test_longer_bars_are_those_of_the_minutes_and_show_only_when_closed(walk: Floats, minutes: int) -> None:
    longer = resampled(walk, minutes)
    for declared in ("close", "high", "low", "open", "volume", "rsi(5)", "atr(4)"):
        expected = alone(longer, [declared])[:, 0]
        found = values(walk, f"{declared}@{minutes}m")[:, 0]
        for t in range(len(walk)):
            closed = (t + 1) // minutes
            known = expected[closed - 1] if closed else np.nan
            assert found[t] == known or (np.isnan(found[t]) and np.isnan(known)), (declared, t)


def test_longer_bars_joined_in_the_middle_are_left_out_and_gaps_close_them_late(walk: Floats) -> None:
    bars = np.delete(walk[3:200], [10, 11, 40, 41, 42, 43, 44, 45, 46, 47], axis=0)
    longer = resampled(bars, 5)[1:]  # the first began before we looked
    shown = values(bars, "close@5m")[:, 0]
    assert not np.isnan(shown).all()
    for t, bar in enumerate(bars):
        over = longer[:, 0] + 300_000.0 <= bar[0] + 60_000.0
        seen = over & np.array([(bars[: t + 1, 0] >= start + 240_000.0).any() for start in longer[:, 0]])
        if seen.any() and not np.isnan(shown[t]):
            assert shown[t] in longer[seen, 4]
    pairs = zip(shown[1:], shown[:-1], strict=True)
    seen_all = [value for value, before in pairs if value != before and not np.isnan(value)]
    closes = [row[4] for row in longer if row[0] + 300_000.0 <= bars[-1, 0] + 60_000.0]
    assert seen_all == [value for k, value in enumerate(closes) if k == 0 or value != closes[k - 1]]


@pytest.mark.slow
def test_nothing_drifts_over_a_million_bars(recorded: Floats, capsys: pytest.CaptureFixture[str]) -> None:
    program = build([*EVERY, *JOINED])
    laps = 1_000_000 // len(recorded) + 1
    bars = np.tile(recorded, (laps, 1))[:1_000_000]
    bars[:, 0] = recorded[0, 0] + np.arange(len(bars)) * 60_000.0
    bars[:, 1:5] += 1e5  # dear prices, small moves: where naive sums of squares lose 1e-5
    whole, _ = compiled(program, bars)
    start = len(bars) - 20_000
    fresh, _ = compiled(program, bars[start:])
    worst = {}
    for k, result in enumerate(program.results):
        if result.stable_bars is None or result.name.startswith(("sar", "supertrend")):
            continue
        settled = max(3 * result.stable_bars, program.first_bar)
        gap = np.abs(whole[start + settled :, k] - fresh[settled:, k]) / np.maximum(1.0, np.abs(fresh[settled:, k]))
        worst[result.name] = float(gap.max())
    largest = sorted(worst.items(), key=lambda item: -item[1])[:12]
    with capsys.disabled():
        told = "".join(f"\n    drift after a million bars: {name:<28} {gap:.1e}" for name, gap in largest)
        sys.stdout.write(f"{told}\n")
    assert largest[0][1] <= 1e-9
