"""The daemon in a world with faults and kills: no invariant is broken, and a seed is the same everywhere."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from klined.feeds.frames import FrameParser, frame_of
from klined.simulation.life import Whim, instruments_of
from klined.simulation.market import BAR_MS, Market
from klined.simulation.pool import simulate_seeds
from klined.simulation.run import simulate
from klined.simulation.schedule import BAR_S, CALM_BARS, CHANNELS, Fault, Schedule, Timeline, make_schedule
from klined.simulation.world import World

HASHES = (
    "from klined.simulation.run import simulate, quiet; from klined.simulation.schedule import make_schedule; quiet();"
)


@pytest.mark.parametrize("seed", range(40))
def test_no_invariant_is_broken_by_faults_and_kills(seed: int) -> None:
    outcome = simulate(make_schedule(seed))
    assert outcome.violations == ()
    assert 2 <= outcome.kills <= 3  # one that finds no process falls on the next, unless the calm has come
    assert outcome.lives > outcome.kills


@pytest.mark.parametrize("seed", [42, 77, 105])
@pytest.mark.parametrize("orders", ["limit", "post_only"])
def test_no_new_price_goes_out_for_a_bar_of_long_ago(seed: int, orders: str) -> None:
    """The machine slept, or answers took a minute, while an order rested that was to be given a new price."""
    assert simulate(replace(make_schedule(seed), orders=orders)).violations == ()


@pytest.mark.parametrize("seed", [383, 1033, 1457, 1472, 5252, 5499])
def test_seed_that_once_failed_passes(seed: int) -> None:
    assert simulate(make_schedule(seed)).violations == ()


@pytest.mark.slow
def test_no_invariant_is_broken_in_a_thousand_seeds() -> None:
    tally = simulate_seeds(range(1_000))
    assert [(outcome.seed, outcome.violations) for outcome in tally.failed] == []
    assert tally.kills > 2_000


def test_seeds_between_them_meet_every_fault_and_trade() -> None:
    met = {fault.name for seed in range(60) for fault in make_schedule(seed).faults}
    assert met == {f"{channel}.{what}" for channel, kinds in CHANNELS.items() for what in kinds}
    outcome = simulate(make_schedule(1))
    assert outcome.orders > 20


def test_same_seed_makes_the_same_trace_in_this_process() -> None:
    first, again = simulate(make_schedule(7)), simulate(make_schedule(7))
    assert first.trace == again.trace
    assert first.hash == again.hash != simulate(make_schedule(8)).hash


def test_same_seed_makes_the_same_trace_in_other_processes_and_hash_seeds() -> None:
    told = {
        subprocess.run(
            [sys.executable, "-c", HASHES + "print([simulate(make_schedule(s)).hash for s in (3, 5)])"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for hash_seed in ("1", "4242")
    }
    assert told == {str([simulate(make_schedule(seed)).hash for seed in (3, 5)])}


def test_nothing_goes_wrong_in_the_calm_at_the_end() -> None:
    for seed in range(100):
        schedule = make_schedule(seed)
        assert all(fault.at_s + fault.for_s <= schedule.calm_s for fault in schedule.faults)
        assert schedule.calm_s == (schedule.bars - CALM_BARS) * BAR_S


def test_too_few_bars_for_a_calm_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 40"):
        make_schedule(1, bars=39)


def test_leaving_a_fault_out_moves_no_random_number() -> None:
    world, other = World(5), World(5)
    world.random("something", "else")
    assert world.random("way", 3) == other.random("way", 3)
    assert world.random("way", 3) != World(6).random("way", 3)


def test_timeline_tells_the_newest_fault_that_holds() -> None:
    line = Timeline((Fault(10.0, "post", "lost", 20.0), Fault(15.0, "post", "done", 2.0), Fault(1.0, "kill", "kill")))
    assert [line.at("post", t) and line.at("post", t).what for t in (9.0, 12.0, 16.0, 18.0)] == [  # type: ignore[union-attr]
        None,
        "lost",
        "done",
        None,
    ]
    assert [fault.channel for fault in line.instants] == ["kill"]


def test_whims_policy_continues_from_its_state() -> None:
    import numpy as np

    whim, seen = Whim(World(1), 2), np.zeros((2, 15), np.float32)
    for _ in range(9):
        whim.decide(seen)
    other = Whim(World(1), 2)
    other.restore(whim.state())
    assert repr(other.decide(seen)) == repr(whim.decide(seen))


def test_a_day_without_faults_has_no_violation_and_one_life() -> None:
    outcome = simulate(Schedule(3, 60, ("ETH/USDT",), tight=False, faults=()))
    assert (outcome.violations, outcome.lives, outcome.kills) == ((), 2, 0)  # the second is the last start


def test_kill_at_the_same_turn_is_the_same_kill() -> None:
    schedule = replace(make_schedule(2), faults=())
    first, again = simulate(schedule, turn_last=150), simulate(schedule, turn_last=150)
    assert first.hash == again.hash
    assert first.kills == 1


def test_frames_of_the_market_are_those_of_the_exchange() -> None:
    for symbols in (("ETH/USDT",), ("ETH/USDT:USDT", "BTC/USDT:USDT")):
        market = Market(World(3), list(instruments_of(symbols)), wild=False)
        for k in (-5, 0, 7):
            for symbol in symbols:
                assert market.frame(symbol, k).encode() == frame_of(market.bar(symbol, k), BAR_MS)
                assert FrameParser(symbols, BAR_MS).parse(market.frame(symbol, k)) == market.bar(symbol, k)


def test_prices_are_the_same_in_whatever_order_they_are_asked_for() -> None:
    first, other = (Market(World(4), list(instruments_of(("ETH/USDT",))), wild=False) for _ in range(2))
    assert first.bar("ETH/USDT", 30) == [other.bar("ETH/USDT", k) for k in range(31)][-1]
    assert first.price("ETH/USDT", 90.0) == other.price("ETH/USDT", 90.0)


@given(
    lasting=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), max_size=8),
    moments=st.lists(st.floats(0.0, 80.0), min_size=1, max_size=20),
)
def test_timeline_tells_what_a_search_through_all_faults_tells(
    lasting: list[tuple[int, int]], moments: list[float]
) -> None:
    faults = [Fault(float(at), "read", "lag", float(for_s), float(n)) for n, (at, for_s) in enumerate(lasting)]
    line = Timeline(faults)
    for now_s in moments:
        begun = [fault for fault in sorted(faults) if fault.at_s <= now_s]
        expected = begun[-1] if begun and now_s < begun[-1].at_s + begun[-1].for_s else None
        assert line.at("read", now_s) == expected


def test_a_clock_that_is_set_back_while_an_order_is_on_its_way_makes_no_bar_an_open_one() -> None:
    for at_s in (120.05, 120.4, 120.8, 121.2):
        faults = (Fault(100.0, "disk", "slow", 60.0, 2.0), Fault(at_s, "clock", "step", 0.0, -5_000.0))
        outcome = simulate(Schedule(11, 41, ("ETH/USDT:USDT",), tight=False, faults=faults))
        assert outcome.violations == ()
