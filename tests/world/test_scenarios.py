"""Scenarios: what each does is measured; before its start it does nothing, and all bars stay bars."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from klined.domain import Bar
from klined.errors import ConfigError
from klined.feeds.columns import read_columns
from klined.world.generators import generate
from klined.world.laying import Laying, funded, lay, strains, tick_seen
from klined.world.scenarios import SCENARIOS, Scenario, parsed, scenario
from klined.world.tables import sound

MINUTE_MS = 60_000
ETH, BTC = "ETH/USDT", "BTC/USDT"
Bars = NDArray[np.float64]
BASE = generate("garch", [ETH, BTC], 1_500, seed=3)
CLEAN = [name for name in SCENARIOS if name != "bad_klines"]
QUIET = {"funding_spike", "latency_storm", "halt"}  # the bars that there are stay as they are


def laid(name: str, base: Bars = BASE[ETH], **parameters: Any) -> Bars:
    return lay({ETH: base}, [scenario(name, start=500, **parameters)])[ETH]


def flat(count: int = 1_500, price: float = 2_000.0) -> Bars:
    times = 1_735_689_600_000.0 + MINUTE_MS * np.arange(count)
    return np.column_stack((times, *[np.full(count, price)] * 4, np.full(count, 10.0)))


@pytest.mark.parametrize("name", CLEAN)
@given(start=st.integers(0, 800), bars=st.integers(0, 700), seed=st.integers(0, 9), price=st.floats(0.01, 90_000.0))
@settings(max_examples=8, deadline=None)
def test_every_scenario_makes_bars_on_ticks_and_changes_nothing_before_it_starts(
    name: str, start: int, bars: int, seed: int, price: float
) -> None:
    base = generate("market", [ETH], 900, seed=seed, prices={ETH: price})[ETH]
    one = scenario(name, start=start, bars=bars)
    found = lay({ETH: base}, [one])[ETH]
    assert sound(found).all()
    assert np.array_equal(found[:start], base[:start])
    assert np.array_equal(found, lay({ETH: base}, [one])[ETH])
    ticks = found[:, 1:5] / tick_seen(base)
    assert np.abs(ticks - np.round(ticks)).max() < 1e-3
    assert set(found[:, 0]) <= set(base[:, 0])
    if not bars:
        assert np.array_equal(found, base)


@pytest.mark.parametrize("name", CLEAN)
def test_bar_by_bar_it_is_the_same_as_over_the_whole_table(name: str) -> None:
    one = scenario(name, start=300, bars=400)
    laying = Laying(ETH, [one], tick=0.01)
    streamed = [laying.next(Bar(ETH, int(row[0]), *row[1:]), number) for number, row in enumerate(BASE[ETH].tolist())]
    found = [[bar.open_time_ms, bar.open, bar.high, bar.low, bar.close, bar.volume] for bar in streamed if bar]
    whole = lay({ETH: BASE[ETH]}, [one], ticks={ETH: 0.01})[ETH]
    assert np.array_equal(np.array(found), whole)


def test_scenarios_lie_over_one_another() -> None:
    both = lay({ETH: flat()}, [scenario("flash_crash", start=500), scenario("halt", start=700, bars=50)])[ETH]
    assert len(both) == 1_450
    assert both[:, 3].min() == pytest.approx(1_700.0)


def test_a_flash_crash_reaches_its_depth_and_gives_part_of_it_back() -> None:
    found = laid("flash_crash", flat(), bars=40, depth=0.2, fall=0.25, recovery=0.75)
    assert found[:, 3].min() == pytest.approx(1_600.0)
    assert int(found[:, 3].argmin()) in {509, 510}
    assert found[540:, 4] == pytest.approx(2_000.0 * (0.8 + 0.2 * 0.75))
    assert (found[500:540, 5] == 100.0).all()
    assert (found[540:, 5] == 10.0).all()
    assert np.array_equal(found[1:, 1], found[:-1, 4])  # a flat market stays without gaps
    real = laid("flash_crash", depth=0.2)
    assert real[500:530, 3].min() < 0.82 * BASE[ETH][500:530, 3].max()


def test_a_correlated_crash_takes_all_symbols_each_in_its_own_measure() -> None:
    crash = scenario("correlated_crash", start=500, depth=0.3)
    found = lay({ETH: flat(), BTC: flat(price=60_000.0)}, [crash])
    falls = [1.0 - found[symbol][:, 3].min() / found[symbol][0, 1] for symbol in (ETH, BTC)]
    assert all(0.24 <= fall <= 0.36 for fall in falls)
    assert falls[0] != falls[1]
    moves = lay(BASE, [crash])
    during = [np.diff(np.log(moves[symbol][500:740, 4])) for symbol in (ETH, BTC)]
    summed = [part.reshape(-1, 239).sum() for part in during]
    assert all(part < -0.15 for part in summed)


def test_low_liquidity_takes_volume_and_depth() -> None:
    found = laid("low_liquidity", bars=100, volume=0.1)
    assert found[500:600, 5] == pytest.approx(0.1 * BASE[ETH][500:600, 5])
    assert np.array_equal(found[:, :5], BASE[ETH][:, :5])
    told = strains([scenario("low_liquidity", start=500, bars=100)], 700)
    assert (told["spread"][500:600] == 5.0).all()
    assert (told["liquidity"][500:600] == 0.1).all()
    assert (told["spread"][600:] == 1.0).all()


@pytest.mark.parametrize(("side", "column", "sign"), [("down", 3, -1.0), ("up", 2, 1.0)])
def test_a_wick_reaches_far_and_closes_where_it_would_have(side: str, column: int, sign: float) -> None:
    found = laid("wick", bars=30, depth=0.06, side=side, every=10)
    base = BASE[ETH]
    assert np.array_equal(found[:, [1, 4, 5]], base[:, [1, 4, 5]])
    touched = np.flatnonzero(found[:, column] != base[:, column])
    assert touched.tolist() == [500, 510, 520]
    body = base[touched][:, [1, 4]]
    outer = body.min(axis=1) if side == "down" else body.max(axis=1)
    assert found[touched, column] == pytest.approx(outer * (1.0 + sign * 0.06), rel=1e-5)


def test_volatility_is_as_many_times_larger_as_it_is_told_and_the_price_does_not_jump_after() -> None:
    found = laid("volatility", bars=400, factor=3.0)
    before, after = (np.diff(np.log(bars[:, 4])) for bars in (BASE[ETH], found))
    assert after[500:899] == pytest.approx(3.0 * before[500:899], abs=2e-5)
    assert after[899:] == pytest.approx(before[899:], abs=2e-5)
    assert (laid("volatility", bars=400, factor=0.0)[500:900, 1:5] == BASE[ETH][499, 4]).all()


def test_a_whipsaw_turns_at_its_depth_and_ends_where_it_began() -> None:
    found = laid("whipsaw", flat(), bars=230, depth=0.05, period=40)
    assert found[:, 2].max() == pytest.approx(2_100.0)
    assert found[:, 3].min() == pytest.approx(1_900.0)
    turns = np.diff(np.sign(np.diff(found[500:700, 4])))
    assert (turns != 0).sum() == 10  # two a period, five periods
    assert (found[740:, 4] == 2_000.0).all()


def test_a_grind_goes_one_way_quietly() -> None:
    found = laid("grind", bars=600, drift=-0.0002, factor=0.25)
    before, after = (np.diff(np.log(bars[500:1_100, 4])) for bars in (BASE[ETH], found))
    assert after.mean() - 0.25 * before.mean() == pytest.approx(-0.0002, abs=2e-5)
    assert after.std() == pytest.approx(0.25 * before.std(), rel=0.05)


def test_an_outage_has_no_bars_and_reopens_elsewhere_and_a_halt_where_the_market_is() -> None:
    found = laid("outage", bars=30, depth=0.1)
    gap = np.flatnonzero(np.diff(found[:, 0]) > MINUTE_MS)
    assert gap.tolist() == [499]
    assert found[500, 0] - found[499, 0] == 31 * MINUTE_MS
    assert found[500:, 4] == pytest.approx(0.9 * BASE[ETH][530:, 4], abs=0.01)
    halted = laid("halt", bars=30)
    assert np.array_equal(halted, np.delete(BASE[ETH], np.s_[500:530], axis=0))
    assert strains([scenario("halt", start=2, bars=2)], 5)["refused"].tolist() == [0, 0, 1, 1, 0]


def test_a_depeg_lifts_all_prices_and_most_of_it_comes_back() -> None:
    found = laid("depeg", flat(), bars=500, depth=0.05, fall=0.2, recovery=0.9)
    assert found[:, 2].max() == pytest.approx(2_000.0 / 0.95, abs=0.5)
    assert int(found[:, 2].argmax()) in {599, 600}
    assert found[-1, 4] == pytest.approx(2_000.0 / (0.95 + 0.05 * 0.9), abs=0.5)


def test_a_funding_spike_is_paid_while_it_lasts_and_a_latency_storm_delays() -> None:
    spike = scenario("funding_spike", start=480, bars=960, rate=0.003)
    rates = funded(lambda _, __: 0.0001, [spike], 0, MINUTE_MS)
    assert [rates(ETH, hour * 3_600_000) for hour in (0, 8, 16, 24)] == [0.0001, 0.003, 0.003, 0.0001]
    told = strains([scenario("latency_storm", start=1, bars=2, latency_ms=500.0), spike], 4)
    assert told["latency_ms"].tolist() == [0.0, 500.0, 500.0, 0.0]
    assert np.isnan(told["funding_rate"]).all()
    for name in ("funding_spike", "latency_storm"):
        assert np.array_equal(laid(name), BASE[ETH])


def test_bad_klines_are_all_refused_by_the_feed_and_nothing_else_is(tmp_path: Path) -> None:
    spoilt = laid("bad_klines", bars=400, share=0.6)
    extra = len(spoilt) - len(BASE[ETH])
    assert extra > 200
    file = tmp_path / "ETHUSDT-1m.csv"
    file.write_text("".join(",".join(map(repr, row)) + "\n" for row in spoilt.tolist()))
    read = read_columns([ETH], MINUTE_MS, [file])[ETH]
    assert np.array_equal(np.column_stack((read.times.astype(np.float64), read.values)), BASE[ETH])
    assert sum(read.dropped.values()) == extra
    assert len([reason for reason, count in read.dropped.items() if count]) >= 5


def test_a_scenario_is_counted_from_the_bar_that_is_traded_first_and_by_time() -> None:
    one = scenario("outage", start=100, bars=10)
    base = np.delete(flat(), np.s_[50:60], axis=0)  # a gap of its own
    found = lay({ETH: base}, [one], first=200)[ETH]
    missing = set(base[:, 0]) - set(found[:, 0])
    assert missing == set(flat()[300:310, 0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("flashcrash", "no scenario is called 'flashcrash'; did you mean flash_crash"),
        ("flash_crash:dept=0.1", "no parameter of flash_crash is called 'dept'; did you mean depth"),
        ("flash_crash:depth=1.5", r"depth = 1.5 has to lie in 0 .. 0.95"),
        ("flash_crash:depth=deep", "Expected `float`"),
        ("halt:start=-1", "cannot start at bar -1"),
        ("wick:side=left", "down, up or both"),
        ("whipsaw:period=1", "two bars at least"),
        ("halt:60", "'60' is no parameter"),
    ],
)
def test_a_wrong_name_or_number_is_told_with_what_is_right(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parsed(text)


def test_only_clean_bars_are_laid_over_and_bad_ones_never_stream() -> None:
    broken = flat()
    broken[3, 4] = np.nan
    with pytest.raises(ConfigError, match="row 3 is no bar"):
        lay({ETH: broken}, [scenario("halt")])
    with pytest.raises(ConfigError, match="bad_frame"):
        Laying(ETH, [scenario("bad_klines")])


def test_every_scenario_explains_itself_and_has_an_effect() -> None:
    for name, kind in SCENARIOS.items():
        one = kind(start=500)
        assert kind.says
        changed = not np.array_equal(laid(name), BASE[ETH])
        assert changed or one.strain != Scenario().strain
        assert changed == (name not in QUIET or name == "halt")
