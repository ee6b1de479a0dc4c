"""Bars by the thousand, of a named kind of market: for training, for tests, and as control for every claim.

    name, parameters ─▶ process ┐
    seed, symbol ─▶ dice ───────┼─▶ returns, volumes ─▶ tables.shaped ─▶ {symbol: bars (n, 6)}
    t-copula (all symbols) ─────┘
    real bars ─▶ stationary block bootstrap ─────────▶ {symbol: bars (n, 6)}

A seed says everything: chance is a hash of (seed, symbol, stream, bar). So a symbol is the same whatever other symbols
are there, and the first n bars are the same however many follow. Symbols crash together through a t-copula; `market` is
the richer made-up market of `world.markets`, which brings its own correlation. 100,000 bars take well under a second.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from klined.errors import ConfigError
from klined.world.dice import Dice, Floats
from klined.world.markets import CRYPTO, MINUTE_MS, Climate, Market, rhythm, start_price, tick_of
from klined.world.names import made, unknown
from klined.world.odds import copula
from klined.world.processes import PROCESSES, Process
from klined.world.tables import CLOSE, OPEN, VOLUME, checked, on_tick, shaped

START_MS = 1_735_689_600_000
"""2025-01-01 00:00 UTC, a Wednesday."""
RETURN_MAX = 0.9  # |log return| of one bar: whatever the parameters, a price does not leave the floats

SAYS: dict[str, str] = {
    "market": "regimes, slow volatility, jumps, weekly rhythm and a weak trend: what klined demo trades",
    **{name: kind.says for name, kind in PROCESSES.items()},
    "bootstrap": "stationary block bootstrap of real bars: needs files to draw from",
}
"""Every kind in a sentence."""


class Copula(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How symbols move together: `correlation` in [0, 1), and tails the more common the smaller `nu`."""

    correlation: float = 0.7
    nu: int = 4

    def __post_init__(self) -> None:
        if not 0.0 <= self.correlation < 1.0 or not 1 <= self.nu <= 64:
            raise ConfigError(f"correlation {self.correlation} has to be in [0, 1) and nu {self.nu} in 1 to 64")


class Bootstrap(Struct, frozen=True, kw_only=True):
    """Blocks of random start and geometric length, `mean_block` bars on average (Politis and Romano, 1994)."""

    mean_block: float = 240.0

    def __post_init__(self) -> None:
        if not self.mean_block >= 1.0:
            raise ConfigError(f"mean_block {self.mean_block}: a block has at least one bar")


class Course(Struct, frozen=True, eq=False):
    """Which bars are made: a count, a grid of times, and where prices begin."""

    count: int
    seed: int
    interval_ms: int
    start_ms: int
    prices: Mapping[str, float]
    ticks: Mapping[str, float]

    @property
    def opens_ms(self) -> NDArray[np.int64]:
        return self.start_ms + self.interval_ms * np.arange(self.count, dtype=np.int64)

    @property
    def minutes(self) -> float:
        return self.interval_ms / MINUTE_MS


def generate(
    kind: str,
    symbols: Sequence[str],
    count: int,
    *,
    seed: int,
    interval_ms: int = MINUTE_MS,
    start_ms: int = START_MS,
    prices: Mapping[str, float] | None = None,
    ticks: Mapping[str, float] | None = None,
    together: Copula | None = None,
    base: Mapping[str, Floats] | None = None,
    **parameters: Any,
) -> dict[str, Floats]:
    """`count` bars of every symbol, float64 (count, 6), columns `tables.COLUMNS`; the same for the same arguments.

    `base` holds real bars by symbol, for `bootstrap`; they are drawn at the same places for all symbols, which keeps
    what moves together together. `parameters` are the fields of the kind's struct in `world.processes` (of `Climate`
    for `market`, of `Bootstrap`).

    Raises:
        ConfigError: an unknown kind or parameter, with the nearest name; a value out of its range; no or bad bars.
    """
    if kind not in SAYS:
        raise unknown("generator", kind, SAYS)
    if count < 1 or not symbols or interval_ms < 1:
        raise ConfigError(f"{count} bars of {len(symbols)} symbols every {interval_ms} ms are nothing to make")
    course = Course(count, seed, interval_ms, start_ms, prices or {}, ticks or {})
    if kind == "market":
        climate = made("generator", {kind: Climate}, kind, {**msgspec.structs.asdict(CRYPTO), **parameters})
        market = Market(seed, symbols, interval_ms, start_ms, prices=prices, ticks=ticks, climate=climate)
        return market.arrays(count)
    if kind == "bootstrap":
        return _resampled(symbols, course, base or {}, made("generator", {kind: Bootstrap}, kind, parameters))
    process = made("generator", PROCESSES, kind, parameters)
    common = Dice(seed, "together", count)
    return {symbol: _walked(process, symbol, course, common, together or Copula()) for symbol in symbols}


def _walked(process: Process, symbol: str, course: Course, common: Dice, together: Copula) -> Floats:
    """One symbol of a process."""
    draw = Dice(course.seed, symbol, course.count)
    price, tick = start_price(symbol, course.prices), tick_of(symbol, course.prices, course.ticks)
    opens_ms, minutes = course.opens_ms, course.minutes
    moves = process.moves(copula(common, draw, together.correlation, together.nu), draw, minutes)
    season = rhythm(opens_ms, process.rhythm)
    returns = np.clip(moves.returns * season, -RETURN_MAX, RETURN_MAX)
    excited = process.reaction * np.minimum(np.abs(moves.returns) / moves.sigma, 6.0)
    noise = process.volume_noise * draw.normal(8, 0) - 0.5 * process.volume_noise**2
    volume = process.turnover * minutes / price * moves.activity * season * np.exp(excited + noise)
    closes = np.exp(np.clip(np.log(price) + np.cumsum(returns), np.log(tick), np.log(price) + 40.0))
    before = float(on_tick(np.array([price]), tick)[0])
    return shaped(opens_ms, before, closes, np.minimum(moves.sigma * season, RETURN_MAX), volume, tick, draw)


def _resampled(symbols: Sequence[str], course: Course, base: Mapping[str, Floats], way: Bootstrap) -> dict[str, Floats]:
    absent = [symbol for symbol in symbols if symbol not in base]
    if absent:
        raise ConfigError(f"bootstrap draws from real bars, and there are none of {', '.join(absent)}; give its files")
    tables = {symbol: checked(base[symbol], 2) for symbol in symbols}
    times = [table[:, 0] for table in tables.values()]
    if any(len(other) != len(times[0]) or (other != times[0]).any() for other in times):
        raise ConfigError("bootstrap of several symbols needs bars of the same times; cut the files to what is common")
    rows = _blocks(course, len(times[0]), way.mean_block)
    return {symbol: _retold(tables[symbol], rows, symbol, course) for symbol in symbols}


def _blocks(course: Course, length: int, mean_block: float) -> NDArray[np.int64]:
    """Which bar each made one is drawn from; blocks run on from the last bar to the first."""
    draw = Dice(course.seed, "blocks", course.count)
    jumps = draw.uniform(0, 0) < 1.0 / mean_block
    jumps[0] = True
    starts = np.floor(draw.uniform(1, 0) * length).astype(np.int64)
    latest = np.maximum.accumulate(np.where(jumps, np.arange(course.count), 0))
    return np.asarray((starts[latest] + np.arange(course.count) - latest) % length)


def _retold(table: Floats, rows: NDArray[np.int64], symbol: str, course: Course) -> Floats:
    """Those bars, each in proportion to the close before it; after a gap in the base, to its own open."""
    steps = np.diff(table[:, 0])
    whole = np.concatenate(([False], steps == np.median(steps)))
    before = np.where(whole, np.concatenate((table[:1, OPEN], table[:-1, CLOSE])), table[:, OPEN])
    shape = np.log(table[:, OPEN : CLOSE + 1] / before[:, None])[rows]
    price, tick = start_price(symbol, course.prices), tick_of(symbol, course.prices, course.ticks)
    level = np.log(price) + np.concatenate(([0.0], np.cumsum(shape[:-1, CLOSE - OPEN])))
    made_of = on_tick(np.exp(level[:, None] + shape), tick)  # monotone, so high and low still enclose
    times = course.opens_ms.astype(np.float64)
    return np.column_stack((times, made_of, table[rows, VOLUME]))
