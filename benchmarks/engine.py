"""One bar's worth of features, interpreted as in the daemon and compiled as in training."""

import time
from collections.abc import Iterator
from statistics import median

import numpy as np

from benchmarks import bars
from benchmarks.process import Absent, peer
from benchmarks.table import Row, row
from klined.domain import Bar
from klined.kernels import features, jit, layout, tapes
from klined.kernels.rows import Block
from klined.trader.engine import Engine
from klined.trader.plans import ETH15, ETH44, Plan
from klined.trader.stepper import stepper

RUNS = 5
INTERPRETED_BARS = 50_000
FORTY_BARS = 10_000
SYMBOLS = 500
BURST_WARM, BURST_CLOSES = 100, 40


def interpreted_us() -> float:
    """Microseconds of one `eth15` step over plain floats, as the daemon runs it."""
    history = [tuple(map(float, bar)) for bar in np.load(bars.stored())[:INTERPRETED_BARS]]
    step = features.eth15_step
    times = []
    for _ in range(RUNS):
        state, out = Block(1, features.ETH15_SIZE).row[0], Block(1, features.MARKET).row[0]
        begun = time.perf_counter()
        for bar in history:
            step(state, bar, out)
        times.append(time.perf_counter() - begun)
    return median(times) / len(history) * 1e6


def compiled_us() -> float:
    """Microseconds of the same step in a compiled loop, after compilation."""
    history = np.load(bars.stored())
    replayed = jit.compiled().features.eth15_history
    times = []
    for run in range(RUNS + 1):
        state, out = Block(1, features.ETH15_SIZE), np.empty((len(history), features.MARKET))
        begun = time.perf_counter()
        replayed(state.array[0], history, out)
        if run:
            times.append(time.perf_counter() - begun)
    return median(times) / len(history) * 1e6


def forty_interpreted_us() -> float:
    """Microseconds of one `eth44` step, from declarations to 53 market features, as the daemon runs it."""
    program = ETH44.program
    assert program is not None  # noqa: S101 - it is declared
    history = [tuple(map(float, bar)) for bar in np.load(bars.stored())[:FORTY_BARS]]
    step, times = stepper(program), []
    for _ in range(RUNS):
        state, out = Block(1, ETH44.state_size).row[0], Block(1, ETH44.market_dim).row[0]
        begun = time.perf_counter()
        for bar in history:
            step(state, bar, out)
        times.append(time.perf_counter() - begun)
    return median(times) / len(history) * 1e6


def forty_compiled_us() -> float:
    """Microseconds of the same program by the compiled interpreter, after compilation."""
    program = ETH44.program
    assert program is not None  # noqa: S101 - it is declared
    code, constants = np.array(program.code, dtype=np.int64), np.array(program.constants)
    history = np.load(bars.stored())[: 10 * FORTY_BARS]
    replayed = jit.compiled().program.plan_history
    times = []
    for run in range(RUNS + 1):
        state, out = np.zeros(ETH44.state_size), np.empty((len(history), ETH44.market_dim))
        begun = time.perf_counter()
        replayed(code, constants, state, history, out)
        if run:
            times.append(time.perf_counter() - begun)
    return median(times) / len(history) * 1e6


def burst_ms(plan: Plan) -> float:
    """Milliseconds for one close of 500 symbols, from bars to observations, as the daemon's stages do it; median.

    Every symbol has its own state, so that this is not the time of one symbol in a warm cache.
    """
    closes = [tuple(map(float, bar)) for bar in np.load(bars.stored())[: BURST_WARM + BURST_CLOSES + SYMBOLS]]
    engine, rows = Engine(plan, SYMBOLS), Block(SYMBOLS, layout.NQ).row
    times = []
    for t in range(BURST_WARM + BURST_CLOSES):
        prices = [closes[t + i][1:] for i in range(SYMBOLS)]
        batch = [Bar(str(i), int(closes[t][0]), o, up, down, c, v) for i, (o, up, down, c, v) in enumerate(prices)]
        begun = time.perf_counter()
        for i, bar in enumerate(batch):
            engine.step(i, bar)
        for i, account in enumerate(rows):
            engine.observe(i, account, 0.0)
        times.append(time.perf_counter() - begun)
    return median(times[BURST_WARM:]) * 1e3


def symbol_bytes(plan: Plan) -> int:
    """What the engine remembers of one symbol: state, features, observation."""
    return 8 * plan.state_size + 8 * plan.market_dim + 4 * plan.dim


def lane_bytes(plan: Plan) -> int:
    """Rows of one lane of one symbol, its tapes left out; lanes that share features need no state of their own."""
    numbers = layout.NA + layout.NP + tapes.NW + layout.NQ + layout.NM + 1 + plan.market_dim
    return 8 * numbers + 4 * plan.dim


def forty_baseline() -> tuple[str, float | None, str]:
    """The faster of the streaming libraries over what it has of the set, and what the other took."""
    told, notes = {}, []
    for name in ("talib", "talipp"):
        try:
            answer = peer("vectorbt", "streaming_forty.py", name)
            told[name] = float(answer["us"])
            notes.append(f"{name} {told[name]:.1f} us for {answer['count']}, raw")
        except Absent as why:
            notes.append(str(why))
    if not told:
        return "", None, "; ".join(notes)
    best = min(told, key=lambda name: told[name])
    return {"talib": "talib.stream handles", "talipp": "talipp"}[best], told[best], "; ".join(notes)


def best_baseline() -> tuple[str, float | None, str]:
    """The faster of the streaming libraries, its microseconds, and what the other took."""
    told: dict[str, float] = {}
    excuses = []
    for name in ("talib", "talipp"):
        try:
            told[name] = float(peer("vectorbt", "streaming_indicators.py", name)["us"])
        except Absent as why:
            excuses.append(str(why))
    if not told:
        return "", None, "; ".join(excuses)
    best = min(told, key=lambda name: told[name])
    others = [f"{name} {us:.1f} us" for name, us in told.items() if name != best]
    return {"talib": "talib.stream", "talipp": "talipp"}[best], told[best], "; ".join(others + excuses)


def rows() -> Iterator[Row]:
    baseline, us, note = best_baseline()
    yield row("engine.interpreted", interpreted_us(), "us", at_most=10, baseline=baseline, baseline_value=us, note=note)
    yield row("engine.compiled", compiled_us(), "us", at_most=0.3, baseline=baseline, baseline_value=us, note=note)
    baseline, us, note = forty_baseline()
    yield row("engine44.interpreted", forty_interpreted_us(), "us", at_most=60, baseline=baseline, baseline_value=us,
              note=note)  # fmt: skip
    yield row("engine44.compiled", forty_compiled_us(), "us", at_most=1.5, baseline=baseline, baseline_value=us,
              ratio_min=1.0, note=note)  # fmt: skip
    for plan in (ETH15, ETH44):
        size = f"{symbol_bytes(plan):,} bytes a symbol, {lane_bytes(plan):,} a lane beside shared features"
        yield row(f"engine.burst_500.{plan.name}", burst_ms(plan), "ms", at_most=30, note=size)
