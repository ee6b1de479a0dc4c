"""A made-up market as a feed: endless, seeded, the same at any speed."""

import asyncio
from collections.abc import Sequence
from typing import Self

from msgspec.structs import replace

from klined.domain import Batch, Purpose
from klined.feeds import FeedSettings
from klined.world.markets import Market

START_MS = 1_735_689_600_000
"""2025-01-01 00:00 UTC, a Wednesday; the same for every run, so that a seed says everything."""


class GeneratedFeed:
    """Implements `ports.Feed`. A restart makes the market again and goes on where the last process stopped."""

    def __init__(
        self,
        symbols: Sequence[str],
        interval_ms: int,
        *,
        seed: int = 7,
        speed: float = 0.0,
        bars: int = 0,
        start_ms: int = START_MS,
    ) -> None:
        """`speed` is in bars per second, 0 as fast as possible; `bars` ends the market after that many."""
        self.symbols = tuple(symbols)
        self.interval_ms = interval_ms
        self._seed = seed
        self._start_ms = start_ms
        self._pause_s = 1.0 / speed if speed else 0.0
        self._bars = bars
        self._begin()

    @classmethod
    def configured(cls, settings: FeedSettings) -> Self:
        speed, bars = settings.speed, settings.bars
        return cls(settings.symbols, settings.interval_ms, seed=settings.seed, speed=speed, bars=bars)

    async def history(self, count: int, after_ms: int | None) -> Sequence[Batch]:
        """The market's first `count` batches, for warm-up; after a restart, those of them that closed after `after_ms`.

        The market stood still while nobody looked: what follows comes by `next`, to be traded on. `bars` counts
        from here, so that warm-up is not what the market is short of.
        """
        self._begin()
        seen = 0 if after_ms is None else max(0, (after_ms - self._start_ms) // self.interval_ms)
        for _ in range(seen):
            self._market.next()
        warm = [replace(self._market.next(), purpose=Purpose.WARMUP) for _ in range(seen, count)]
        self._left = self._bars - max(0, seen - count) if self._bars else -1
        return tuple(warm)

    async def next(self) -> Batch | None:
        if self._left == 0:
            return None
        if self._pause_s:
            await asyncio.sleep(self._pause_s)
        self._left -= 1
        return self._market.next()

    async def close(self) -> None:
        self._left = 0

    def _begin(self) -> None:
        self._market = Market(self._seed, self.symbols, self.interval_ms, self._start_ms)
        self._left = self._bars or -1
