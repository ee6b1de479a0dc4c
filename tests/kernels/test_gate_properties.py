"""What no state of an account and no target may get past the gate, and that both builds agree to the byte."""

import math

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kernels.gate_world import NOW_MS, World
from klined.domain import MarketKind, Reason
from klined.kernels import jit
from klined.kernels import layout as at

TIGHTER_IS_SMALLER = (
    at.DAY_LOSS_MAX,
    at.WEEK_LOSS_MAX,
    at.DRAWDOWN_MAX,
    at.DRAWDOWN_HALT_MAX,
    at.LOSSES_MAX,
    at.TRADES_HOUR_MAX,
    at.TRADES_DAY_MAX,
    at.TURNOVER_DAY_MAX,
    at.FEES_DAY_MAX,
    at.LEVERAGE_MAX,
    at.GROSS_MAX,
    at.NET_MAX,
    at.SYMBOL_MAX,
    at.CLUSTER_MAX,
    at.NOTIONAL_ORDER_MAX,
    at.VOLUME_FRACTION_MAX,
    at.COLLAR_SIGMA,
    at.SPREAD_MAX,
    at.DEPTH_FRACTION_MAX,
    at.BAR_AGE_MAX_MS,
    at.CLOCK_SKEW_MAX_MS,
    at.OOD_MAX,
    at.ORDERS_MINUTE_MAX,
    at.MAX_EXPOSURE,
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Accounts in every state, healthy ones among them."""
    n = draw(st.integers(1, 3))
    kind = draw(st.sampled_from([MarketKind.PERP, MarketKind.SPOT]))
    world = World(n=n, kind=kind)
    some, rarely = st.floats(0.0, 2.0), st.sampled_from([0.0, 0.0, 0.0, 0.0, 1.0])
    a, p = world.a, world.p
    for slot in (at.EQUITY, at.CASH):
        a[slot] = 10_000 * draw(some)
    for slot in (at.PEAK, at.DAY_EQUITY, at.WEEK_EQUITY):
        a[slot] = max(a[at.EQUITY] * draw(st.floats(0.97, 1.07)), 1.0)
    for slot in (at.KILL, at.PAUSE, at.DESYNCED):
        a[slot] = draw(rarely)
    a[at.HALT] = 11.0 * draw(rarely)
    a[at.TRADES_HOUR] = draw(st.integers(0, 6))
    a[at.TURNOVER_DAY] = draw(st.floats(0.0, 2e5))
    for slot in (at.LEVERAGE_MAX, at.GROSS_MAX, at.NET_MAX, at.SYMBOL_MAX, at.CLUSTER_MAX):
        p[slot] = draw(st.floats(0.1, 3.0))
    p[at.MAX_EXPOSURE] = draw(st.floats(0.1, 4.0))
    p[at.DEADBAND] = draw(st.floats(0.0, 0.2))
    p[at.VOLUME_FRACTION_MAX] = 1.0
    for i, q in enumerate(world.Q.row):
        lots = draw(st.integers(0 if kind is MarketKind.SPOT else -8_000, 8_000))
        world.hold(float(draw(st.sampled_from([0, lots]))), i)
        q[at.WORKING] = float(draw(st.sampled_from([0, 0, 0, 500, -500, -3])))
        q[at.MARK] = draw(st.floats(50.0, 5_000.0))
        q[at.UNKNOWN], q[at.GAPPED], q[at.OOD] = draw(rarely), draw(rarely), draw(rarely) * 1.5
        q[at.EXIT] = draw(st.sampled_from([0.0, 0.0, 0.0, 2.0])) if q[at.LOTS] else 0.0
        for j in range(i):
            world.C.row[i][j] = world.C.row[j][i] = draw(st.floats(-1.0, 1.0))
    return world


TARGETS = st.one_of(st.floats(-1.2, 1.2), st.sampled_from([0.0, 1.0, -1.0, math.nan, math.inf]))


def opened(held: float, lots: float) -> float:
    """The part of `lots` that makes the position larger, on whichever side."""
    after = held + lots
    return abs(after) if held * after < 0 else max(abs(after) - abs(held), 0.0)


@given(world=worlds(), target=TARGETS)
@settings(deadline=None, max_examples=300)
def test_no_verdict_takes_exposure_beyond_a_limit(world: World, target: float) -> None:
    held, working = world.q[at.LOTS], world.q[at.WORKING]
    verdict = world.judge(target)
    if verdict not in {Reason.OK, Reason.EXIT}:
        assert world.lots == 0.0
        assert world.q[at.WORKING] == working
        return
    assert world.lots == int(world.lots) != 0
    if not opened(held, world.lots):
        return
    equity, unit = world.a[at.EQUITY], world.q[at.MARK] * world.m[at.LOT]
    after = abs(held + world.lots + (working if working * world.lots > 0 else 0.0)) * unit
    gross = after
    for j in range(1, world.n):
        other = world.Q.row[j]
        lots = max(abs(other[at.LOTS]), abs(other[at.LOTS] + other[at.WORKING]))
        gross += lots * other[at.MARK] * world.M.row[j][at.LOT]
    limits = world.p
    assert after <= min(limits[at.SYMBOL_MAX], limits[at.CLUSTER_MAX]) * equity * (1 + 1e-8)
    assert gross <= min(limits[at.GROSS_MAX], limits[at.LEVERAGE_MAX]) * equity * (1 + 1e-8)
    assert after <= limits[at.MAX_EXPOSURE] * equity * (1 + 1e-8)


@given(world=worlds(), target=TARGETS, flag=st.sampled_from([at.HALT, at.PAUSE, at.KILL, at.DESYNCED, at.REDUCING]))
@settings(deadline=None, max_examples=200)
def test_halted_paused_or_desynced_never_opens_or_increases(world: World, target: float, flag: int) -> None:
    world.a[flag] = 11.0
    if flag == at.REDUCING:
        world.a[at.PEAK] = world.a[at.EQUITY] * 1.05
        assume(world.a[at.EQUITY] > 0 and not world.a[at.DESYNCED])
    held, working = world.q[at.LOTS], world.q[at.WORKING]
    world.judge(target)
    assert opened(held, world.lots) == 0.0
    assert opened(held, world.lots + working) <= opened(held, working)


@given(world=worlds(), target=TARGETS)
@settings(deadline=None, max_examples=200)
def test_reduce_only_never_flips_whatever_fills(world: World, target: float) -> None:
    held, working = world.q[at.LOTS], world.q[at.WORKING]
    world.judge(target)
    if world.told(at.OUT_REDUCE):
        for filled in (world.lots, world.lots + min(working, 0.0), world.lots + max(working, 0.0)):
            assert (held + filled) * held >= 0.0 or abs(working) > abs(held)
        assert abs(held + world.lots) < abs(held)


@given(world=worlds(), target=TARGETS, slot=st.sampled_from(TIGHTER_IS_SMALLER), share=st.floats(0.05, 1.0))
@settings(deadline=None, max_examples=300)
def test_tighter_limits_never_open_more(world: World, target: float, slot: int, share: float) -> None:
    held, before = world.q[at.LOTS], world.dump()
    world.judge(target)
    loose = opened(held, world.lots)
    for block, raw in zip((world.A, world.Q, world.C, world.out), before, strict=True):
        block.load(raw)
    world.p[slot] *= share
    world.judge(target)
    assert opened(held, world.lots) <= loose


@given(world=worlds(), targets=st.lists(TARGETS, min_size=2, max_size=6), cut=st.integers(0, 5))
@settings(deadline=None, max_examples=100)
def test_restart_between_bars_changes_no_verdict(world: World, targets: list[float], cut: int) -> None:
    twin = World(n=world.n, kind=world.kind)
    for bar, target in enumerate(targets):
        if bar == min(cut, len(targets) - 1):
            twin.P.load(world.P.dump())
            for mine, theirs in ((twin.A, world.A), (twin.Q, world.Q), (twin.C, world.C), (twin.out, world.out)):
                mine.load(theirs.dump())
        now_ms = NOW_MS + bar * 60_000
        verdict = world.judge(target, now_ms=now_ms)
        if bar >= cut:
            assert twin.judge(target, now_ms=now_ms) is verdict
            assert twin.dump() == world.dump()
            twin.settle()
        world.settle()


def fuzzed(seed: int) -> tuple[World, float]:
    """A world with a few slots of every block set to something, sensible or not."""
    rng = np.random.default_rng(seed)
    world = World(n=int(rng.integers(1, 4)), kind=MarketKind.SPOT if rng.random() < 0.5 else MarketKind.PERP)
    for block, share in ((world.A, 0.15), (world.Q, 0.15), (world.P, 0.05), (world.M, 0.03)):
        array = block.array
        chosen = rng.random(array.shape) < share * rng.random()
        values = array * rng.choice([0.0, 0.5, 0.97, 1.02, 1.5, 2.0, -1.0], array.shape)
        values += rng.choice([0.0, 0.0, 1.0, -1.0, 500.0, NOW_MS], array.shape) * (rng.random(array.shape) < 0.3)
        array[chosen] = values[chosen]
    if rng.random() < 0.5:
        world.hold(float(rng.integers(-5_000, 5_000)))
    world.M.array[:, at.TIERS] = 2.0
    world.M.array[:, at.LOT] = 0.001
    np.maximum(world.M.array[:, at.TAKER], 0.0, out=world.M.array[:, at.TAKER])
    return world, float(rng.choice([rng.uniform(-1.1, 1.1), 0.0, 1.0, math.nan]))


def test_compiled_gate_equals_the_interpreted_one_byte_for_byte() -> None:
    compiled = jit.compiled(boundscheck=True)
    seen: set[Reason] = set()
    for seed in range(2_500):
        (plain, target), (fast, _) = fuzzed(seed), fuzzed(seed)
        verdict = plain.judge(target)
        assert fast.judge(target, build=compiled.gate) is verdict, seed
        assert fast.dump() == plain.dump(), seed
        seen.add(verdict)
    assert len(seen) > 25
