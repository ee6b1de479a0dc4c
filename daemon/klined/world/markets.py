"""A made-up market that behaves like one: for the offline demo, for tests, and beside real bars for training.

    seed ─ counter-based hash ─▶ uniforms ─▶ regimes, slow volatility, jumps, trend ─▶ returns ─▶ bars

What it has: volatility that switches between calm, normal and stormy, and clusters over minutes and hours; jumps, some
common to all symbols; volume that rises with volatility and with the size of the move; a week's rhythm by the minute; a
market factor that correlates symbols; and a weak trend that lasts for hours, so that there is something to learn. What
it lacks: an order book, reaction to our orders, and any promise that real markets do the same.

Deterministic: noise is a hash of (seed, symbol, stream, bar) and of nothing else, so a symbol's own noise is the same
whatever other symbols are there. Bars are made in blocks of `BLOCK`. As with kernels, equal bytes are promised per libm
and CPU class.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from math import exp, log, pi, sqrt

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from klined.domain import Bar, Batch, MarketKind
from klined.world.dice import Dice, Floats
from klined.world.filters import default_instrument, typical_price
from klined.world.tables import CLOSE, on_tick, shaped

BLOCK = 1024  # bars made at a time
MINUTE_MS = 60_000
WEEK_MINUTES = 7 * 24 * 60
MONDAY_MINUTES = 4 * 24 * 60  # the epoch began on a Thursday


class Climate(Struct, frozen=True, kw_only=True):
    """The character of a market, per minute; other intervals scale from it. Half-lives in minutes."""

    sigma: float = 0.0007  # standard deviation of a normal minute's log return
    regimes: tuple[float, ...] = (0.6, 1.0, 2.4)  # factors on sigma
    regime_minutes: tuple[float, ...] = (720.0, 480.0, 90.0)  # mean stay
    fast_sigma: float = 0.35  # standard deviation of log volatility, by the minutes
    fast_half_life: float = 25.0
    slow_sigma: float = 0.35  # and by the hours
    slow_half_life: float = 600.0
    jumps_per_day: float = 3.0
    jump_sigmas: float = 6.0  # mean size of a jump, in a minute's sigmas
    trend: float = 0.05  # standard deviation of the drift over sigma
    trend_half_life: float = 240.0
    correlation: float = 0.75  # of returns between symbols
    rhythm: float = 1.0  # strength of the weekly seasonality
    coupling: float = 0.9  # exponent of volatility in volume
    reaction: float = 0.4  # log volume added per sigma of the move
    volume_noise: float = 0.45  # standard deviation of log volume by itself
    turnover: float = 400_000.0  # quote traded in a normal minute
    pull_days: float = 60.0  # half-life of the pull to the start price, so that no market dies or explodes


CRYPTO = Climate()
GBM = Climate(
    regimes=(1.0,), regime_minutes=(1.0,), fast_sigma=0.0, slow_sigma=0.0, jumps_per_day=0.0, trend=0.0,
    rhythm=0.0, coupling=0.0, reaction=0.0,
)  # fmt: skip
"""Geometric Brownian motion: the control that must fail every stylised fact."""


class Market:
    """Endless bars of `symbols`, the first opening at `start_ms`.

    `prices` and `ticks` may name start price and price step per symbol; both default to what is typical of the coin.
    """

    def __init__(
        self,
        seed: int,
        symbols: Sequence[str],
        interval_ms: int,
        start_ms: int,
        *,
        prices: Mapping[str, float] | None = None,
        ticks: Mapping[str, float] | None = None,
        climate: Climate = CRYPTO,
    ) -> None:
        self.symbols = tuple(symbols)
        self.interval_ms, self.start_ms = interval_ms, start_ms
        self._climate = climate
        self._weather = _Weather(seed, interval_ms, climate)
        self._paths = [
            _Path(seed, symbol, interval_ms, start_price(symbol, prices), tick_of(symbol, prices, ticks), climate)
            for symbol in self.symbols
        ]
        self._blocks = 0
        self._stream = self._batches()

    def next(self) -> Batch:
        """The next bar of every symbol; never ends. Some 2 µs a bar, block-wise."""
        return next(self._stream)

    def arrays(self, count: int) -> dict[str, Floats]:
        """The first `count` bars of each symbol, shape (count, 6), columns `tables.COLUMNS`; of a market not yet begun.

        Raises:
            RuntimeError: bars were already taken; make a new Market with the same seed.
        """
        if self._blocks:
            raise RuntimeError("this market has begun; make a new one with the same seed to have its bars as arrays")
        blocks = [self._block() for _ in range(-(-count // BLOCK))]
        return {symbol: np.concatenate([block[i] for block in blocks])[:count] for i, symbol in enumerate(self.symbols)}

    def _batches(self) -> Iterator[Batch]:
        interval_ms, symbols = self.interval_ms, self.symbols
        while True:
            columns = [table.tolist() for table in self._block()]
            for rows in zip(*columns, strict=True):
                open_ms = int(rows[0][0])
                yield Batch(
                    open_ms + interval_ms,
                    tuple(
                        Bar(symbol, open_ms, row[1], row[2], row[3], row[4], row[5])
                        for symbol, row in zip(symbols, rows, strict=True)
                    ),
                )

    def _block(self) -> list[Floats]:
        first = self._blocks * BLOCK
        self._blocks += 1
        opens_ms = self.start_ms + self.interval_ms * np.arange(first, first + BLOCK, dtype=np.int64)
        weather = self._weather.block(first, opens_ms)
        return [path.block(first, opens_ms, weather) for path in self._paths]


class _Sky(Struct, frozen=True, eq=False):
    """What is common to all symbols in a block, each of shape (BLOCK,)."""

    sigma: Floats  # volatility of a bar, before a symbol's own share
    factor: Floats  # standard normal: the market's move
    jump: Floats  # in sigmas, mostly 0
    activity: Floats  # factor on volume


class _Weather:
    """Regime, slow volatility and the market factor."""

    def __init__(self, seed: int, interval_ms: int, climate: Climate) -> None:
        self._draw = Dice(seed, "weather", BLOCK)
        self._climate = climate
        self._minutes = interval_ms / MINUTE_MS
        self._regime = min(1, len(climate.regimes) - 1)
        self._slow = 0.0

    def block(self, first: int, opens_ms: NDArray[np.int64]) -> _Sky:
        climate, draw = self._climate, self._draw
        regime = self._regimes(draw.uniform(0, first).tolist(), draw.uniform(1, first).tolist())
        slow, self._slow = _persistent(
            draw.normal(2, first), self._slow, climate.slow_sigma, climate.slow_half_life / self._minutes
        )
        season = rhythm(opens_ms, climate.rhythm)
        level = regime * np.exp(slow) * season
        jump = _jumps(climate, self._minutes, draw.uniform(4, first), draw.uniform(5, first))
        sigma = climate.sigma * sqrt(self._minutes) * level
        return _Sky(sigma, draw.normal(6, first), jump, level**climate.coupling * season)

    def _regimes(self, leave: list[float], whither: list[float]) -> Floats:
        """A Markov chain: stay for a mean of `regime_minutes`, then any of the others alike."""
        climate = self._climate
        count = len(climate.regimes)
        quit_at = [min(0.5, self._minutes / minutes) for minutes in climate.regime_minutes]
        factors, now = [], self._regime
        for a, b in zip(leave, whither, strict=True):
            if count > 1 and a < quit_at[now]:
                now = (now + 1 + int(b * (count - 1))) % count
            factors.append(climate.regimes[now])
        self._regime = now
        return np.array(factors)


class _Path:
    """One symbol's own way through the common weather."""

    def __init__(self, seed: int, symbol: str, interval_ms: int, price: float, tick: float, climate: Climate) -> None:
        self._draw = Dice(seed, symbol, BLOCK)
        self._climate = climate
        self._minutes = interval_ms / MINUTE_MS
        self._tick = tick
        self._start, self._away = log(price), 0.0
        self._close = on_tick(np.array([price]), tick)[0]
        self._fast = self._trend = 0.0
        self._volume = climate.turnover * self._minutes / price

    def block(self, first: int, opens_ms: NDArray[np.int64], sky: _Sky) -> Floats:
        climate, draw, minutes = self._climate, self._draw, self._minutes
        fast, self._fast = _persistent(
            draw.normal(0, first), self._fast, climate.fast_sigma, climate.fast_half_life / minutes
        )
        trend, self._trend = _persistent(
            draw.normal(2, first), self._trend, climate.trend, climate.trend_half_life / minutes
        )
        sigma = sky.sigma * np.exp(fast)
        own = sqrt(1.0 - climate.correlation)
        shock = sqrt(climate.correlation) * sky.factor + own * draw.normal(4, first)
        shock += sky.jump + _jumps(climate, minutes, draw.uniform(6, first), draw.uniform(7, first))
        pull = 2.0 ** (-minutes / (climate.pull_days * 1440.0))
        steps = (sigma * (shock + trend)).tolist()
        away = list(accumulate(steps, lambda y, step: pull * y + step, initial=self._away))[1:]
        self._away = away[-1]
        excited = climate.coupling * fast + climate.reaction * np.minimum(np.abs(shock), 8.0)
        volume = self._volume * sky.activity * np.exp(excited + climate.volume_noise * draw.normal(8, first))
        prices = np.exp(self._start + np.array(away))
        bars = shaped(opens_ms, self._close, prices, sigma, volume, self._tick, draw, first)
        self._close = float(bars[-1, CLOSE])
        return bars


def _persistent(shocks: Floats, before: float, sigma: float, half_life: float) -> tuple[Floats, float]:
    """AR(1) of stationary standard deviation `sigma` that halves in `half_life` bars; the block and its last value."""
    phi = exp(-log(2.0) / half_life)
    scale = sigma * sqrt(1.0 - phi * phi)
    values = list(accumulate((scale * shocks).tolist(), lambda y, shock: phi * y + shock, initial=before))[1:]
    return np.array(values), values[-1]


def _jumps(climate: Climate, minutes: float, whether: Floats, size: Floats) -> Floats:
    """Half of the jumps (the others are the other level's), two-sided exponential, in sigmas of the bar; mostly 0."""
    centred = size - 0.5
    laplace = -np.sign(centred) * np.log(1.0 - 2.0 * np.abs(centred))
    happens = whether < min(0.5, 0.5 * climate.jumps_per_day * minutes / 1440.0)
    return np.where(happens, climate.jump_sigmas / sqrt(minutes) * laplace, 0.0)


def rhythm(opens_ms: NDArray[np.int64], strength: float) -> Floats:
    """Volatility by minute of the UTC week, mean about 1: two humps a day, quiet weekends."""
    minute = ((opens_ms // MINUTE_MS - MONDAY_MINUTES) % WEEK_MINUTES).astype(np.float64)
    day = 2.0 * pi * minute / 1440.0
    humps = 0.30 * np.cos(day - 2.0 * pi * 15.0 / 24.0) + 0.12 * np.cos(2.0 * day - 4.0 * pi * 8.5 / 24.0)
    weekend = np.where(minute >= 5 * 1440.0, -0.25, 0.1)
    return 1.0 + strength * (humps + weekend)


def start_price(symbol: str, prices: Mapping[str, float] | None) -> float:
    return (prices or {}).get(symbol) or typical_price(symbol)


def tick_of(symbol: str, prices: Mapping[str, float] | None, ticks: Mapping[str, float] | None) -> float:
    given = (ticks or {}).get(symbol)
    if given is not None:
        return given
    kind = MarketKind.PERP if ":" in symbol else MarketKind.SPOT
    return float(default_instrument(symbol, kind, start_price(symbol, prices)).tick)


def generated_funding(seed: int) -> Callable[[str, int], float]:
    """Made-up funding rates, around +1 bp a funding as in quiet markets, by symbol and time."""

    def rate(symbol: str, time_ms: int) -> float:
        digest = hashlib.sha256(f"{seed}/{symbol}/{time_ms}".encode()).digest()
        noise = sum(int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4)) / 2.0**32 - 2.0
        return round(0.0001 + 0.0002 * noise, 8)

    return rate
