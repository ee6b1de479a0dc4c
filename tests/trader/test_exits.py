"""Protective exits as the daemon sees them: bars in, causes out."""

from kernels.gate_world import CLOSE_MS, World
from klined.domain import Bar, Cause
from klined.kernels import exits
from klined.kernels import layout as at
from klined.trader.exits import CAUSES, show_bars, under_way
from klined.trader.limits import Limits


def bar(low: float) -> Bar:
    return Bar("ETH/USDT", int(CLOSE_MS) - 60_000, 2500.0, 2500.0, low, 2500.0, 10.0)


def test_bar_through_the_stop_puts_the_exit_under_way() -> None:
    world = World(n=2, limits=Limits(stop_fixed=0.02)).hold(1_000, 1)
    show_bars(world.Q.row, world.p, world.M.row, [bar(2000.0), bar(2449.0)])
    assert under_way(world.Q.row[0]) is None
    assert under_way(world.Q.row[1]) is Cause.STOP_FIXED


def test_symbol_without_a_bar_keeps_its_stops_as_they_were() -> None:
    world = World(limits=Limits(stop_fixed=0.02)).hold(1_000)
    show_bars(world.Q.row, world.p, world.M.row, [None])
    assert under_way(world.q) is None
    assert world.q[at.STOP_OF] == 0.0


def test_every_code_of_the_kernel_is_the_cause_of_its_name() -> None:
    assert [
        CAUSES[int(code)] for code in (exits.FIXED, exits.TRAIL, exits.BREAK_EVEN, exits.TIME, exits.VOLATILITY)
    ] == [
        Cause.STOP_FIXED,
        Cause.STOP_TRAIL,
        Cause.STOP_BREAK_EVEN,
        Cause.STOP_TIME,
        Cause.STOP_VOLATILITY,
    ]
