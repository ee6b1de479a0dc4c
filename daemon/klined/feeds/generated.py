"""A made-up market as a feed: endless, seeded, the same at any speed."""

import asyncio
from collections.abc import Sequence
from typing import Self

from msgspec.structs import replace

from klined.domain import Batch, Purpose
from klined.feeds import FeedSettings
from klined.world.laying import Laying
from klined.world.markets import Market, tick_of
from klined.world.scenarios import parsed

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
        scenarios: Sequence[str] = (),
    ) -> None:
        """`speed` is in bars per second, 0 as fast as possible; `bars` ends the market after that many.

        `scenarios` are laid over what comes after the warm-up.

        Raises:
            ConfigError: an unknown scenario, or one that cannot come bar by bar.
        """
        self.symbols = tuple(symbols)
        self.interval_ms = interval_ms
        self._seed = seed
        self._start_ms = start_ms
        self._pause_s = 1.0 / speed if speed else 0.0
        self._bars = bars
        self._scenarios = [parsed(text) for text in scenarios]
        self._warm = 0
        self._begin()

    @classmethod
    def configured(cls, settings: FeedSettings) -> Self:
        seed, speed, bars = settings.seed, settings.speed, settings.bars
        scenarios = settings.scenarios
        return cls(settings.symbols, settings.interval_ms, seed=seed, speed=speed, bars=bars, scenarios=scenarios)

    async def history(self, count: int, after_ms: int | None) -> Sequence[Batch]:
        """The market's first `count` batches, for warm-up; after a restart, those of them that closed after `after_ms`.

        The market stood still while nobody looked: what follows comes by `next`, to be traded on. `bars` counts
        from here, so that warm-up is not what the market is short of.
        """
        self._begin()
        self._warm = count
        seen = 0 if after_ms is None else max(0, (after_ms - self._start_ms) // self.interval_ms)
        for _ in range(seen):
            self._made()
        warm = [replace(self._made(), purpose=Purpose.WARMUP) for _ in range(seen, count)]
        self._left = self._bars - max(0, seen - count) if self._bars else -1
        return tuple(warm)

    async def next(self) -> Batch | None:
        if self._left == 0:
            return None
        if self._pause_s:
            await asyncio.sleep(self._pause_s)
        self._left -= 1
        batch = self._made()
        while not any(batch.bars):  # an outage: the next batch's time shows the gap
            batch = self._made()
        return batch

    async def close(self) -> None:
        self._left = 0

    def _made(self) -> Batch:
        """The next bars as they are under the scenarios; None where these take one away."""
        batch, number = self._market.next(), self._number
        self._number += 1
        if not self._layings:
            return batch
        bars = zip(batch.bars, self._layings, strict=True)
        return replace(batch, bars=tuple(bar and laying.next(bar, number - self._warm) for bar, laying in bars))

    def _begin(self) -> None:
        self._number = 0
        self._layings = [Laying(symbol, self._scenarios, tick_of(symbol, None, None)) for symbol in self.symbols]
        if not self._scenarios:
            self._layings = []
        self._market = Market(self._seed, self.symbols, self.interval_ms, self._start_ms)
        self._left = self._bars or -1
