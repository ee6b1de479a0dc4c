"""The slow reference, the compiled-or-not kernels and the in-process exchange agree on fills and money."""

from dataclasses import replace
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from klined.domain import MarketKind
from klined.kernels import layout as at
from klined.kernels.account import account_mark, mark_step
from klined.kernels.fills import NOUT, ORDER, fill_step
from klined.kernels.rows import Block, write_market
from klined.world.matching import Friction
from reference.driving import CASH, MINUTE, T0, costs_of, drive, instrument, wanted_lots
from reference.slow import SlowAccount, SlowBar, recompute


def market(rng: Random, count: int, tick: Decimal) -> list[SlowBar]:
    """A random walk on the tick grid, with bars without volume."""
    price, bars = 200_000, []
    for t in range(count):
        path = [price]
        for _ in range(3):
            path.append(max(1_000, path[-1] + rng.randint(-300, 300)))
        price = max(1_000, path[-1] + rng.choice([0, 0, 1, -5, 40]))
        o, high, low, c = (tick * n for n in (path[0], max(path), min(path), path[-1]))
        volume = Decimal(rng.choice([0, rng.randint(1, 50_000)])) / 1000
        bars.append(SlowBar(T0 + t * MINUTE, o, high, low, c, volume))
    return bars


FRICTIONS = [
    Friction(half_spread=0.0001, impact=1.0, participation=0.1),
    Friction(half_spread=0.0, impact=0.0, participation=1.0),
    Friction(half_spread=0.0005, impact=0.5, participation=0.05, spread_sigma=0.2),
]
cases = given(st.integers(0, 2**32), st.sampled_from([MarketKind.SPOT, MarketKind.PERP]), st.sampled_from(FRICTIONS))


@settings(max_examples=60, deadline=None)
@cases
def test_kernels_fill_and_value_as_the_slow_reference(seed: int, kind: MarketKind, friction: Friction) -> None:
    rng, item = Random(seed), instrument(kind, "ETH")
    bars = market(rng, 80, item.tick)
    lots = [wanted_lots(rng) for _ in bars]
    rate = 0.0001 if kind is MarketKind.PERP else 0.0
    funding = {item.symbol: {ms: Decimal(repr(rate)) for ms in range(T0, T0 + 200 * MINUTE, 5 * MINUTE)}}
    orders = [{item.symbol: n * item.lot} for n in lots]
    slow = recompute([{item.symbol: b} for b in bars], orders, {item.symbol: costs_of(item, friction)}, CASH, funding)

    a, q, m, p, out = (Block(1, n) for n in (at.NA, at.NQ, at.NM, at.NP, NOUT))
    write_market(m.row[0], item, friction.half_spread, friction.impact, friction.participation, friction.spread_sigma)
    a.row[0][at.CASH], p.row[0][at.MAX_EXPOSURE] = float(CASH), 1.0
    fills: list[tuple[int, float, float]] = []
    waiting = 0
    for t, bar in enumerate(bars):
        o, high, low, c, v = (float(x) for x in (bar.open, bar.high, bar.low, bar.close, bar.volume))
        open_ms, close_ms = float(bar.open_time_ms), float(bar.open_time_ms + MINUTE)
        row = out.row[0]
        fill_step(
            a.row[0], q.row[0], m.row[0], float(waiting), 0.0, 0.0, rate, open_ms, close_ms, o, high, low, v, row
        )  # fmt: skip
        if row[ORDER]:
            fills.append((t, row[ORDER], row[ORDER + 1]))
        mark_step(q.row[0], close_ms, float(MINUTE), o, high, low, c, v)
        account_mark(a.row[0], q.row, m.row, p.row[0], 1, close_ms)
        assert a.row[0][at.EQUITY] == pytest.approx(float(slow.equity[t]), rel=1e-8)
        waiting = lots[t]
    assert fills == [(f.bar, float(f.quantity / item.lot), float(f.price / item.tick)) for f in slow.fills]
    assert a.row[0][at.FEES] == pytest.approx(float(slow.fees), rel=1e-8)
    assert a.row[0][at.FUNDING] == pytest.approx(float(slow.funding), rel=1e-8)
    assert a.row[0][at.REALISED] == pytest.approx(float(slow.realised), rel=1e-8, abs=1e-6)


@settings(max_examples=60, deadline=None)
@cases
def test_exchange_and_ledger_agree_with_the_slow_reference_over_two_symbols_and_gaps(
    seed: int, kind: MarketKind, friction: Friction
) -> None:
    rng, listed = Random(seed), [instrument(kind, "ETH"), instrument(kind, "BTC", "0.001")]
    series = [market(rng, 80, item.tick) for item in listed]
    bars = [
        {i.symbol: s[t] for i, s in zip(listed, series, strict=True) if rng.random() < 0.9}
        or {listed[0].symbol: series[0][t]}
        for t in range(80)
    ]
    funding = {}
    if kind is MarketKind.PERP:
        rates = {ms: Decimal("0.0001") for ms in range(T0, T0 + 200 * MINUTE, 5 * MINUTE)}
        funding = {item.symbol: rates for item in listed}
    orders, fills, equity = drive(listed, bars, friction, rng, funding)
    costs = {item.symbol: costs_of(item, friction) for item in listed}
    slow: SlowAccount = recompute(bars, orders, costs, CASH, funding)
    assert fills == [(f.symbol, f.quantity, f.price, f.fee) for f in slow.fills]
    for ours, theirs in zip(equity, slow.equity, strict=True):
        assert abs(ours - theirs) < Decimal("1e-6"), "funding is rounded to 1e-8, nothing else"


def test_reference_with_another_rule_is_told_apart() -> None:
    """The planted fault: agreement must fail when the reference follows another rule."""
    item, friction = instrument(MarketKind.PERP, "ETH"), FRICTIONS[0]
    bars = [{item.symbol: b} for b in market(Random(1), 80, item.tick)]
    orders, fills, _ = drive([item], bars, friction, Random(2))
    right = costs_of(item, friction)
    others = (
        replace(right, past_sigma=True),
        replace(right, half_spread=Decimal("0.0002")),
        replace(right, participation=Decimal("0.2")),
    )
    for other in others:
        slow = recompute(bars, orders, {item.symbol: other}, CASH)
        assert [(f.symbol, f.quantity, f.price, f.fee) for f in slow.fills] != fills
    slow = recompute(bars, orders, {item.symbol: right}, CASH)
    assert [(f.symbol, f.quantity, f.price, f.fee) for f in slow.fills] == fills
    assert len(fills) > 10
