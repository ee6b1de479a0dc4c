"""Candles: what a bar looks like on Binance's wire, and longer ones made of shorter ones."""

import re
from bisect import bisect_left
from collections.abc import Iterable

from msgspec import Struct

from klined.domain import Bar
from klined.feeds.timeframe import TIMEFRAMES_MS

INTERVALS_MS = {name: ms for name, ms in TIMEFRAMES_MS.items() if ms >= 60_000} | {"3d": 259_200_000, "1w": 604_800_000}
KEPT = 50_000
TRADE_QUOTE = 2_000.0  # quote of a typical trade: how many trades a volume is
ZONE = re.compile(r"^([+-]?)([0-9]{1,2})(?::([0-5][0-9]))?$")
ZONE_MIN_MS, ZONE_MAX_MS = -12 * 3_600_000, 14 * 3_600_000
MONDAY_MS = 4 * 86_400_000  # weeks begin on Mondays, the epoch on a Thursday


class Candle(Struct):
    open_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float = 0.0
    quote: float = 0.0
    trades: int = 0
    first: int = 0  # number of its first trade


def candle_of(bar: Bar, first: int) -> Candle:
    """A finished one."""
    quote = bar.volume * (bar.high + bar.low + bar.close) / 3.0
    return Candle(bar.open_time_ms, bar.open, bar.high, bar.low, bar.close, bar.volume, quote, trades_in(quote), first)


def trades_in(quote: float) -> int:
    return int(quote / TRADE_QUOTE) + 1 if quote else 0


def opens_at(time_ms: int, interval_ms: int, zone_ms: int = 0) -> int:
    """Open time of the candle that `time_ms` is in, by clocks that are `zone_ms` ahead of UTC."""
    shift = (MONDAY_MS if interval_ms == INTERVALS_MS["1w"] else 0) - zone_ms
    return (time_ms - shift) // interval_ms * interval_ms + shift


def zone_ms(text: str) -> int | None:
    """How far a time zone such as 8, -1:00 or +05:45 is ahead of UTC; None when it is none."""
    found = ZONE.match(text)
    if found is None:
        return None
    ahead_ms = (int(found[2]) * 60 + int(found[3] or 0)) * (-60_000 if found[1] == "-" else 60_000)
    return ahead_ms if ZONE_MIN_MS <= ahead_ms <= ZONE_MAX_MS else None


def joined(candles: Iterable[Candle], open_ms: int) -> Candle | None:
    """One candle of several in order; None of none."""
    total: Candle | None = None
    for part in candles:
        if total is None:
            total = Candle(
                open_ms, part.open, part.high, part.low, part.close, part.volume, part.quote, part.trades, part.first
            )
            continue
        total.high, total.low, total.close = max(total.high, part.high), min(total.low, part.low), part.close
        total.volume += part.volume
        total.quote += part.quote
        total.trades += part.trades
    return total


class History:
    """The finished candles of one pair, oldest first, and the one that is forming."""

    def __init__(self, interval_ms: int) -> None:
        self.interval_ms = interval_ms
        self.forming: Candle | None = None
        self._opens: list[int] = []
        self._candles: list[Candle] = []

    def append(self, candle: Candle) -> None:
        self._opens.append(candle.open_ms)
        self._candles.append(candle)
        if len(self._candles) > KEPT * 11 // 10:
            del self._opens[:-KEPT], self._candles[:-KEPT]

    @property
    def last(self) -> Candle | None:
        return self._candles[-1] if self._candles else None

    @property
    def begins_ms(self) -> int:
        """Open time of the oldest candle; 0 without any."""
        return self._opens[0] if self._opens else 0

    def since(self, open_ms: int) -> list[Candle]:
        """From that open time on, the forming one last."""
        found = self._candles[bisect_left(self._opens, open_ms) :]
        forming = self.forming
        return found if forming is None or forming.open_ms < open_ms else [*found, forming]

    def window(
        self, interval_ms: int, start_ms: int | None, end_ms: int | None, limit: int, zone_ms: int = 0
    ) -> list[Candle]:
        """What GET klines answers: from `start_ms` on, else the newest up to `end_ms`; the forming one included.

        Days and the like begin at midnight where the clock is `zone_ms` ahead of UTC.
        """
        if start_ms is None:
            last = end_ms if end_ms is not None else (self._newest_open() + self.interval_ms)
            from_ms = opens_at(last, interval_ms, zone_ms) - (limit + 1) * interval_ms
        else:
            from_ms = opens_at(start_ms + interval_ms - 1, interval_ms, zone_ms)
        found = self._grouped(self._between(from_ms, end_ms), interval_ms, zone_ms)
        if end_ms is not None:
            found = [candle for candle in found if candle.open_ms <= end_ms]
        return found[:limit] if start_ms is not None else found[-limit:]

    def _between(self, from_ms: int, end_ms: int | None) -> list[Candle]:
        found = self.since(from_ms)
        return found if end_ms is None else [candle for candle in found if candle.open_ms <= end_ms + self.interval_ms]

    def _grouped(self, candles: list[Candle], interval_ms: int, zone_ms: int) -> list[Candle]:
        if interval_ms == self.interval_ms:
            return candles
        groups: dict[int, list[Candle]] = {}
        for candle in candles:
            groups.setdefault(opens_at(candle.open_ms, interval_ms, zone_ms), []).append(candle)
        return [whole for open_ms, parts in groups.items() if (whole := joined(parts, open_ms)) is not None]

    def _newest_open(self) -> int:
        newest = self.forming or self.last
        return newest.open_ms if newest is not None else 0
