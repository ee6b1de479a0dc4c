"""The simulated market: one price path a symbol, as bars for the feed and as a price at any moment for the exchange."""

from decimal import Decimal

from klined.domain import Bar, Instrument
from klined.feeds.frames import frame_of
from klined.simulation.schedule import BAR_S
from klined.simulation.world import EPOCH_MS, World

BAR_MS = int(BAR_S * 1000)
FIRST = 80  # bars before time 0, for warm-up
STARTS = {"ETH": 2_000.0, "BTC": 40_000.0}
STEP = 0.0012  # of one bar, fraction of price: each twelfth uniform in +- STEP
FEW = 6  # uniforms summed into one step


class Market:
    """Bars by number: bar k opens at k minutes; a few before 0 exist too. Paths are made as they are asked for."""

    def __init__(self, world: World, instruments: list[Instrument], *, wild: bool) -> None:
        self.instruments = {instrument.symbol: instrument for instrument in instruments}
        self._world = world
        self._step = STEP * (4.0 if wild else 1.0)
        self._closes = {i.symbol: [STARTS.get(i.base, 100.0)] for i in instruments}
        self._frames: dict[tuple[str, int], str] = {}
        self._bars: dict[tuple[str, int], Bar] = {}

    def bar(self, symbol: str, k: int) -> Bar:
        """Bar `k` of `symbol`, k >= -FIRST."""
        found = self._bars.get((symbol, k))
        if found is None:
            opened, close = self._close(symbol, k - 1), self._close(symbol, k)
            wick = abs(close - opened) * 0.5 + 0.05
            high, low = round(max(opened, close) + wick, 2), round(min(opened, close) - wick, 2)
            volume = 500.0 + 1_000.0 * self._world.random("volume", symbol, k)
            found = Bar(symbol, EPOCH_MS + k * BAR_MS, opened, high, low, close, round(volume, 3))
            self._bars[symbol, k] = found
        return found

    def frame(self, symbol: str, k: int) -> str:
        """The stream's message of the closed bar."""
        found = self._frames.get((symbol, k))
        if found is None:
            found = self._frames[symbol, k] = frame_of(self.bar(symbol, k), BAR_MS).decode()
        return found

    def price(self, symbol: str, time_s: float) -> Decimal:
        """Last price at that moment, on a tick."""
        k = int(time_s // BAR_S)
        opened, close = self._close(symbol, k - 1), self._close(symbol, k)
        now = opened + (close - opened) * (time_s / BAR_S - k)
        return Decimal(repr(round(now, 2)))

    def _close(self, symbol: str, k: int) -> float:
        closes = self._closes[symbol]
        while len(closes) <= k + FIRST + 1:
            n = len(closes)
            move = self._world.between(-1.0, 1.0, "move", symbol, n) + self._world.between(-1.0, 1.0, "turn", symbol, n)
            closes.append(round(closes[-1] * (1.0 + move * self._step), 2))
        return closes[k + FIRST + 1]
