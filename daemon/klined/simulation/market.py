"""The simulated market: one price path a symbol, as bars for the feed and as a price at any moment for the exchange."""

import random
from decimal import Decimal

from klined.domain import Bar, Instrument
from klined.feeds.timeframe import timeframe_name
from klined.simulation.schedule import BAR_S
from klined.simulation.world import EPOCH_MS, World
from klined.world.filters import venue_symbol

BAR_MS = int(BAR_S * 1000)
INTERVAL = timeframe_name(BAR_MS)
FIRST = 80  # bars before time 0, for warm-up
STARTS = {"ETH": 2_000.0, "BTC": 40_000.0}
STEP = 0.0012  # of one bar, fraction of price: two uniforms in +- STEP
FRAME = (  # as klined.feeds.frames.frame_of writes it; a test holds it to that
    '{{"stream":"{stream}@kline_{interval}","data":{{"e":"kline","E":{end},"s":"{name}","k":{{"t":{t},"T":{last},'
    '"s":"{name}","i":"{interval}","x":true,"o":"{o!r}","c":"{c!r}","h":"{h!r}","l":"{l!r}","v":"{v!r}"}}}}}}'
)


class Path:
    """One symbol's prices, made as they are asked for: the n-th are the same whenever that is."""

    def __init__(self, symbol: str, start: float, seed: int, step: float) -> None:
        self.symbol, self._step = symbol, step
        self._chance = random.Random(f"klined/{seed}/{symbol}").random
        self._closes = [start]  # of bar -FIRST - 1, ...
        self._bars: list[Bar] = []  # bar -FIRST, ...

    def close(self, k: int) -> float:
        if k + FIRST >= len(self._bars):
            self.bar(k)
        return self._closes[k + FIRST + 1]

    def bar(self, k: int) -> Bar:
        bars, chance = self._bars, self._chance
        while len(bars) <= k + FIRST:
            opened = self._closes[-1]
            close = round(opened * (1.0 + 2.0 * (chance() + chance() - 1.0) * self._step), 2)
            wick = abs(close - opened) * 0.5 + 0.05
            high, low = round(max(opened, close) + wick, 2), round(min(opened, close) - wick, 2)
            time_ms = EPOCH_MS + (len(bars) - FIRST) * BAR_MS
            bars.append(Bar(self.symbol, time_ms, opened, high, low, close, round(500.0 + 1_000.0 * chance(), 3)))
            self._closes.append(close)
        return bars[k + FIRST]


class Market:
    """Bars by number: bar k opens at k minutes; a few before 0 exist too."""

    def __init__(self, world: World, instruments: list[Instrument], *, wild: bool) -> None:
        self.instruments = {instrument.symbol: instrument for instrument in instruments}
        step = STEP * (4.0 if wild else 1.0)
        self._paths = {i.symbol: Path(i.symbol, STARTS.get(i.base, 100.0), world.seed, step) for i in instruments}
        self._names = {symbol: venue_symbol(symbol) for symbol in self.instruments}

    def bar(self, symbol: str, k: int) -> Bar:
        """Bar `k` of `symbol`, k >= -FIRST."""
        return self._paths[symbol].bar(k)

    def frame(self, symbol: str, k: int) -> str:
        """The stream's message of the closed bar."""
        return self.frame_of(self._paths[symbol].bar(k))

    def frame_of(self, bar: Bar) -> str:
        name, end_ms = self._names[bar.symbol], bar.open_time_ms + BAR_MS
        return FRAME.format(
            stream=name.lower(), name=name, interval=INTERVAL, t=bar.open_time_ms, last=end_ms - 1, end=end_ms,
            o=bar.open, c=bar.close, h=bar.high, l=bar.low, v=bar.volume,
        )  # fmt: skip

    def price(self, symbol: str, time_s: float) -> Decimal:
        """Last price at that moment, on a tick."""
        k = int(time_s // BAR_S)
        path = self._paths[symbol]
        opened, close = path.close(k - 1), path.close(k)
        now = opened + (close - opened) * (time_s / BAR_S - k)
        return Decimal(repr(round(now, 2)))
