"""What happened on the market, as lanes read it: bars of all symbols side by side and the fundings that fell due.

files ─▶ feeds.columns ─▶ History.bars (n, T, 6), a row of NaN where a symbol had no bar
                          History.rates (n, T, 2), rate of the funding at a bar's open, and of those within it
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from klined.domain import Instrument
from klined.feeds.columns import Columns
from klined.world.exchange import Rates
from klined.world.margin import funding_times

Floats = NDArray[np.float64]


class History(Struct, frozen=True, eq=False, dict=True):
    """`n` symbols through `T` bar times, oldest first; times without a bar of any symbol are left out."""

    interval_ms: int
    bars: Floats  # (n, T, 6): open time in ms, open, high, low, close, volume; NaN where none came
    rates: Floats  # (n, T, 2), 0 where no funding was due; (n, 0, 2) where none ever is
    times: NDArray[np.int64]  # (T,) open times in ms

    @cached_property
    def is_whole(self) -> bool:
        """Whether every symbol has a bar at every time."""
        return bool((self.bars[..., 4] > 0.0).all())

    def sha256(self) -> str:
        """Of interval, bars and fundings."""
        digest = hashlib.sha256(f"{self.interval_ms} {self.bars.shape}".encode())
        digest.update(self.bars.tobytes() + self.rates.tobytes())
        return digest.hexdigest()


def history_of(
    columns: Mapping[str, Columns],
    instruments: Sequence[Instrument],
    interval_ms: int,
    *,
    rates: Rates | None = None,
    count: int = 0,
) -> History:
    """The bars of `instruments`, in their order; the first `count` bar times, all when 0.

    `rates` tell the funding of perpetuals by symbol and time.
    """
    recorded = [columns[instrument.symbol] for instrument in instruments]
    times: NDArray[np.int64] = np.unique(np.concatenate([each.times for each in recorded]))
    times = times[: count or len(times)]
    bars = np.full((len(recorded), len(times), 6), np.nan)
    for own, each in zip(bars, recorded, strict=True):
        kept = each.times[: np.searchsorted(each.times, times[-1], "right")]
        rows = np.searchsorted(times, kept)
        own[rows, 0] = kept
        own[rows, 1:] = each.values[: len(kept)]
    return History(interval_ms, bars, funding_of(bars, instruments, interval_ms, rates), times)


def funding_of(bars: Floats, instruments: Sequence[Instrument], interval_ms: int, rates: Rates | None) -> Floats:
    """Fundings by bar, shape (n, T, 2): due since the bar before and up to this one's open, and due within it.

    Several that fall together, after a gap, are added up.
    """
    if rates is None:
        return np.zeros((len(bars), 0, 2))
    due = np.zeros((*bars.shape[:2], 2))
    for i, (rows, instrument) in enumerate(zip(bars, instruments, strict=True)):
        closed_ms = 0
        for t in np.flatnonzero(rows[:, 4] > 0.0).tolist():
            open_ms = int(rows[t, 0])
            for column, after_ms, until_ms in (
                (0, closed_ms or open_ms, open_ms + 1),
                (1, open_ms + 1, open_ms + interval_ms),
            ):
                for time_ms in funding_times(instrument.funding_interval_ms, after_ms, until_ms):
                    due[i, t, column] += rates(instrument.symbol, time_ms) or 0.0
            closed_ms = open_ms + interval_ms
    return due
