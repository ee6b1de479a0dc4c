"""A recorded market: files of bars or frames, played as a feed.

Bars are never invented: where a symbol has none, the batch has None; where no symbol has one, there is no batch, and
the next batch's close time shows the gap.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice, repeat
from pathlib import Path
from typing import Self

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from klined.domain import Bar, Batch, Purpose
from klined.feeds import FeedSettings
from klined.feeds.columns import Columns, columns_of, read_columns
from klined.world.laying import lay
from klined.world.scenarios import parsed

CHUNK = 2_048
"""Batches whose numbers are Python floats at one time: 0.5 MB a symbol, and the rest stays in compact columns."""


class RecordedFeed:
    """Implements `ports.Feed` and `Plentiful` over files. A batch costs about a microsecond for one symbol."""

    def __init__(
        self,
        symbols: Sequence[str],
        interval_ms: int,
        files: Sequence[Path],
        *,
        speed: float = 0.0,
        bars: int = 0,
        scenarios: Sequence[str] = (),
    ) -> None:
        """Read all files at once.

        `speed` is in bars per second, 0 as fast as possible; `bars` ends the feed after that many batches, those of
        the history not counted. `scenarios` are laid over what is traded, from the first batch after the history.

        Raises:
            ConfigError: a file cannot be read, or does not fit symbols and interval; or an unknown scenario.
        """
        self.symbols = tuple(symbols)
        self.interval_ms = interval_ms
        self.columns: dict[str, Columns] = read_columns(symbols, interval_ms, files)
        self._pause_s = 1.0 / speed if speed else 0.0
        times: NDArray[np.int64] = np.unique(np.concatenate([c.times for c in self.columns.values()]))
        self._times = times
        self._bars = bars
        self._scenarios = [parsed(text) for text in scenarios]
        self._played = self._play(0, bars or len(times))

    @classmethod
    def configured(cls, settings: FeedSettings) -> Self:
        return cls(
            settings.symbols,
            settings.interval_ms,
            settings.files,
            speed=settings.speed,
            bars=settings.bars,
            scenarios=settings.scenarios,
        )

    def __len__(self) -> int:
        """Number of batches in the files."""
        return len(self._times)

    def dropped(self) -> dict[str, int]:
        """Rows of the files that are no bars, or stand there twice, by reason."""
        counts: Counter[str] = Counter()
        for columns in self.columns.values():
            counts.update({str(reason): count for reason, count in columns.dropped.items() if count})
        return dict(counts)

    def gaps(self) -> dict[str, tuple[int, int]]:
        """Gaps and bars missing in them, by symbol, where there are any."""
        return {symbol: (c.gaps, c.missing) for symbol, c in self.columns.items() if c.gaps}

    async def history(self, count: int, after_ms: int | None) -> Sequence[Batch]:
        """The first `count` batches, for warm-up; after a restart, those of them that closed after `after_ms`.

        The market stood still while nobody looked: what follows is played by `next`, to be traded on.
        """
        self._lay(count)
        start = 0 if after_ms is None else int(np.searchsorted(self._times, after_ms - self.interval_ms, "right"))
        stop = max(start, min(count, len(self._times)))
        end = min(count, len(self._times)) + self._bars if self._bars else len(self._times)
        self._played = self._play(stop, end)
        return tuple(replace(batch, purpose=Purpose.WARMUP) for batch in self._play(start, stop))

    async def next(self) -> Batch | None:
        if self._pause_s:
            await asyncio.sleep(self._pause_s)
        return next(self._played, None)

    def ready(self, count: int) -> Sequence[Batch]:
        """The next `count` batches, unless they are played at a speed."""
        return () if self._pause_s else tuple(islice(self._played, count))

    async def close(self) -> None:
        self._played = iter(())

    def _lay(self, first: int) -> None:
        """Lay the scenarios over everything from batch `first` on, once; bad klines are refused like any others."""
        if not self._scenarios or first >= len(self._times):
            return
        scenarios, self._scenarios = self._scenarios, []
        tables = {symbol: np.column_stack((c.times.astype(np.float64), c.values)) for symbol, c in self.columns.items()}
        steps = int(self._times[first] - self._times[0]) // self.interval_ms
        for symbol, table in lay(tables, scenarios, first=steps).items():
            self.columns[symbol] = columns_of(symbol, [table], self.columns[symbol].dropped, self.interval_ms)
        self._times = np.unique(np.concatenate([c.times for c in self.columns.values()]))

    def _play(self, start: int, end: int) -> Iterator[Batch]:
        end = min(end, len(self._times))
        if len(self.symbols) == 1:
            return self._play_one(self.symbols[0], start, end)
        return self._play_many(start, end)

    def _play_one(self, symbol: str, start: int, end: int) -> Iterator[Batch]:
        columns, interval_ms = self.columns[symbol], self.interval_ms
        for low in range(start, end, CHUNK):
            high = min(low + CHUNK, end)
            numbers = columns.values[low:high].T.tolist()
            times = columns.times[low:high]
            bars = map(Bar, repeat(symbol), times.tolist(), *numbers)
            yield from map(Batch, (times + interval_ms).tolist(), zip(bars, strict=True))

    def _play_many(self, start: int, end: int) -> Iterator[Batch]:
        for low in range(start, end, CHUNK):
            times = self._times[low : min(low + CHUNK, end)]
            rows = zip(*(self._aligned(symbol, times) for symbol in self.symbols), strict=True)
            for time, bars in zip(times.tolist(), rows, strict=True):
                yield Batch(time + self.interval_ms, bars)

    def _aligned(self, symbol: str, times: NDArray[np.int64]) -> list[Bar | None]:
        """One bar, or None, for each of `times`."""
        columns = self.columns[symbol]
        low, high = np.searchsorted(columns.times, [times[0], times[-1] + 1])
        own = columns.times[low:high]
        numbers = columns.values[low:high].T.tolist()
        found = dict(zip(own.tolist(), map(Bar, repeat(symbol), own.tolist(), *numbers), strict=True))
        return [found.get(time) for time in times.tolist()]
