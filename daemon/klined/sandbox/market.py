"""The market that is traded: pairs whose prices walk through their bars as the clock goes.

    recorded bars, or made-up ones ─▶ scenarios ─▶ path within the bar ─▶ Move ─▶ venues
                                                                      └▶ Closed (a finished candle)

Spot and perpetual of one pair share its price. Recorded bars are told again as if they were now: their times are moved
by whole intervals, so that the first after the history opens with the interval in which the sandbox starts.
"""

from collections.abc import Iterator
from pathlib import Path as File

import numpy as np
from msgspec import Struct

from klined.domain import Bar
from klined.errors import ConfigError
from klined.feeds.columns import read_columns
from klined.feeds.timeframe import TIMEFRAMES_MS
from klined.sandbox.candles import Candle, History, candle_of, trades_in
from klined.sandbox.settings import SandboxSettings
from klined.world.laying import Laying
from klined.world.markets import Market as MadeUp
from klined.world.path import Path
from klined.world.scenarios import Strain, parsed, strain_now


class Move(Struct, frozen=True):
    """A pair's price went to `price`, `volume` (base) was traded on the way; `jump`: nothing in between."""

    pair: str
    price: float
    volume: float
    time_ms: int
    jump: bool = False
    trade: int = 0  # number of the last trade


class Closed(Struct, frozen=True):
    pair: str
    candle: Candle
    time_ms: int


Bars = Iterator[tuple[Bar | None, ...]]


class Market:
    """All pairs, moving together bar by bar."""

    def __init__(self, settings: SandboxSettings, start_ms: int) -> None:
        """Raises ConfigError when the files do not hold the pairs."""
        self.interval_ms = TIMEFRAMES_MS[settings.timeframe]
        symbols = [*settings.spot, *settings.perp]
        self.pairs = tuple(dict.fromkeys(symbol.partition(":")[0] for symbol in symbols))
        self.scenarios = tuple(map(parsed, settings.scenarios))
        self._layings = {pair: Laying(pair, self.scenarios) for pair in self.pairs}
        self.histories = {pair: History(self.interval_ms) for pair in self.pairs}
        self.shocks = dict.fromkeys(self.pairs, 1.0)
        self.prices: dict[str, float] = {}
        self._seed = settings.seed
        self._open_ms = start_ms // self.interval_ms * self.interval_ms
        self._number = 0  # of the bar that is forming
        self._trades = dict.fromkeys(self.pairs, 0)
        first_ms = self._open_ms - settings.history * self.interval_ms
        self._bars = self._recorded(settings, first_ms) if settings.files else self._made_up(settings, first_ms)
        for _ in range(settings.history):
            self._remember(self._next())
        self._begin()
        absent = [pair for pair in self.pairs if pair not in self.prices]
        if absent:
            raise ConfigError(f"no bars of {', '.join(absent)} at the start; give files that begin together")

    @property
    def closes_ms(self) -> int:
        """When the bar that is forming ends."""
        return self._open_ms + self.interval_ms

    def shock(self, pair: str, factor: float) -> None:
        """From now on every price of the pair is `factor` times what it would be."""
        self.shocks[pair] *= factor

    def advance(self, now_ms: int) -> Iterator[Move | Closed]:
        """Everything that happens up to `now_ms`, in the order of time."""
        while now_ms >= self.closes_ms:
            yield from self._walk(1.0)
            yield from self._close()
            self._open_ms += self.interval_ms
            self._number += 1
            self._begin()
        yield from self._walk((now_ms - self._open_ms) / self.interval_ms)

    # --- within a bar -------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        bars = self._next()
        self._paths = {bar.symbol: Path(bar, self._seed) for bar in bars if bar is not None}
        self._passed = -1.0
        for pair, path in self._paths.items():
            self.prices.setdefault(pair, path.bar.open)

    def _walk(self, fraction: float) -> Iterator[Move]:
        began = self._passed
        if fraction <= began:
            return
        self._passed = fraction
        for pair, path in self._paths.items():
            before = began
            for point in path.between(before, fraction):
                share = point.fraction - max(before, 0.0)
                time_ms = self._open_ms + int(point.fraction * self.interval_ms)
                yield self._moved(pair, path.bar, point.fraction, point.price, share, time_ms)
                before = point.fraction

    def _moved(self, pair: str, bar: Bar, fraction: float, price: float, share: float, time_ms: int) -> Move:
        """Book one point of the way in the forming candle."""
        price *= self.shocks[pair]
        volume = bar.volume * max(0.0, share)
        history = self.histories[pair]
        candle = history.forming
        jump = candle is None
        if candle is None:
            candle = history.forming = Candle(
                bar.open_time_ms, price, price, price, price, first=self._trades[pair] + 1
            )
        candle.high, candle.low, candle.close = max(candle.high, price), min(candle.low, price), price
        candle.volume = bar.volume * fraction
        candle.quote += volume * price
        candle.trades = max(1, trades_in(candle.quote))
        candle.trades = max(candle.trades, self._trades[pair] + bool(volume) - candle.first + 1)  # each move is one
        self._trades[pair] = candle.first + candle.trades - 1
        self.prices[pair] = price
        return Move(pair, price, volume, time_ms, jump, self._trades[pair])

    def _close(self) -> Iterator[Closed]:
        for pair, history in self.histories.items():
            candle = history.forming
            if candle is None:
                continue
            if self.shocks[pair] == 1.0:  # to the byte what the bar was
                bar = self._paths[pair].bar
                candle.open, candle.high, candle.low, candle.close = bar.open, bar.high, bar.low, bar.close
                candle.volume = bar.volume
            history.forming = None
            history.append(candle)
            yield Closed(pair, candle, self.closes_ms)

    # --- bars ---------------------------------------------------------------------------------------------------------

    def _next(self) -> tuple[Bar | None, ...]:
        return next(self._bars)

    def _remember(self, bars: tuple[Bar | None, ...]) -> None:
        for bar in bars:
            if bar is None:
                continue
            candle = candle_of(bar, self._trades[bar.symbol] + 1)
            self._trades[bar.symbol] += candle.trades
            self.histories[bar.symbol].append(candle)
            self.prices[bar.symbol] = bar.close

    def _made_up(self, settings: SandboxSettings, first_ms: int) -> Bars:
        market = MadeUp(settings.seed, self.pairs, self.interval_ms, first_ms)
        number = -settings.history
        while True:
            yield tuple(None if bar is None else self._overlaid(bar, number) for bar in market.next().bars)
            number += 1

    def _recorded(self, settings: SandboxSettings, first_ms: int) -> Bars:
        """The files' bars from the beginning, endlessly: after the last comes the first, where the price jumps."""
        columns = read_columns(self.pairs, self.interval_ms, [File(name) for name in settings.files])
        times = np.unique(np.concatenate([column.times for column in columns.values()]))
        start, steps = int(times[0]), int((times[-1] - times[0]) // self.interval_ms) + 1
        number = -settings.history
        while True:
            for step in range(steps):
                shift = first_ms + (number + settings.history - step) * self.interval_ms - start
                row = (self._at(columns, pair, start + step * self.interval_ms, shift) for pair in self.pairs)
                yield tuple(None if bar is None else self._overlaid(bar, number) for bar in row)
                number += 1

    @staticmethod
    def _at(columns: dict, pair: str, time_ms: int, shift_ms: int) -> Bar | None:  # type: ignore[type-arg]
        column = columns[pair]
        place = int(np.searchsorted(column.times, time_ms))
        if place == len(column.times) or column.times[place] != time_ms:
            return None
        return Bar(pair, time_ms + shift_ms, *column.values[place].tolist())

    def _overlaid(self, bar: Bar, number: int) -> Bar | None:
        return self._layings[bar.symbol].next(bar, number) if number >= 0 else bar

    def strain(self) -> Strain:
        """What the scenarios that cover the bar that is forming do to books."""
        return strain_now(self.scenarios, self._number)
