"""What of an episode can be drawn: bars, fills, equity beside buying and holding, and the fall from the peak.

TradingEnv ─ begin, add ─▶ Film ─ view(bars) ─▶ View ─▶ envs.picture
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from klined.kernels import layout as at
from klined.kernels import tapes
from klined_models.envs.lanes import FILLS_KEPT, Lanes

Floats = NDArray[np.float64]


class Mark(NamedTuple):
    """One fill."""

    bar: int  # index in the scene
    symbol: int
    price: float
    lots: float  # signed
    liquidated: bool


class View(NamedTuple):
    """Bars `first` to `first + m - 1` of a scene, and what the account did there."""

    symbols: tuple[str, ...]
    interval: str
    first: int
    start: int  # bar of the reset
    times: NDArray[np.int64]  # (m,) open times, ms
    bars: Floats  # (n, m, 6)
    marks: tuple[Mark, ...]
    equity: Floats  # (m,) quote at the close, NaN before the reset
    hold: Floats  # (m,) of equal parts bought at the reset
    fall: Floats  # (m,) fraction from the peak, 0 or less
    balance: float
    exposure: float  # now, net notional over equity
    fills: int  # of the whole episode


class Film:
    """Equity of lane 0 at every bar since the reset; all else the lanes keep themselves."""

    def __init__(self, lanes: Lanes) -> None:
        self.lanes = lanes
        self.start = 0
        self.equity: list[float] = []

    def begin(self, bar: int) -> None:
        """A new episode, at the reset."""
        self.start, self.equity = bar, []
        self.add()

    def add(self) -> None:
        """One step more."""
        self.equity.append(float(self.lanes.A[0, at.EQUITY]))

    def view(self, bars: int) -> View:
        """The last `bars` bars up to now, with what came before the reset where there is room; 0 is the episode."""
        lanes, scene = self.lanes, self.lanes.scene
        now = self.start + len(self.equity) - 1
        begun = max(begin for begin, _ in scene.spans if begin <= self.start)
        first = self.start if bars == 0 else max(begun, now - bars + 1)
        lived = np.array(self.equity)
        fall = lived / np.maximum.accumulate(lived) - 1.0
        closes = scene.bars[:, self.start : now + 1, 4]
        hold = scene.settings.balance * (closes / closes[:, :1]).mean(axis=0)
        return View(
            symbols=tuple(each.symbol for each in scene.instruments),
            interval=scene.settings.interval,
            first=first,
            start=self.start,
            times=scene.times[first : now + 1],
            bars=scene.bars[:, first : now + 1],
            marks=tuple(mark for mark in self._marks() if mark.bar >= first),
            equity=self._shown(lived, first, now),
            hold=self._shown(hold, first, now),
            fall=self._shown(fall, first, now),
            balance=scene.settings.balance,
            exposure=float(lanes.A[0, at.NET_NOTIONAL] / lived[-1]) if lived[-1] > 0.0 else 0.0,
            fills=int(lanes.W[0, tapes.FILLS]),
        )

    def _shown(self, lived: Floats, first: int, now: int) -> Floats:
        """Values since the reset as those of bars `first` to `now`."""
        told = np.full(now + 1 - first, np.nan)
        since = max(first, self.start)
        told[since - first :] = lived[since - self.start :]
        return told

    def _marks(self) -> list[Mark]:
        ticks = [float(each.tick) for each in self.lanes.scene.instruments]
        count = min(int(self.lanes.W[0, tapes.FILLS]), FILLS_KEPT)
        marks = []
        for row in self.lanes.fills[0, :count].tolist():
            i = int(row[tapes.FILL_SYMBOL])
            price = row[tapes.FILL_TICKS] * ticks[i]
            liquidated = row[tapes.FILL_KIND] != 0.0
            marks.append(Mark(int(row[tapes.FILL_BAR]), i, price, row[tapes.FILL_LOTS], liquidated))
        return marks
