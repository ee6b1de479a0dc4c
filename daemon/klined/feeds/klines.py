"""Past bars from Binance's REST interface: for warm-up, for gaps, and for bars whose frame never came."""

from collections.abc import Sequence

import aiohttp
import msgspec

from klined.domain import Bar, Batch, Purpose
from klined.errors import ConfigError, Retryable
from klined.feeds.frames import time_fault, value_fault
from klined.feeds.timeframe import timeframe_name
from klined.world.filters import venue_symbol

PAGE = 1_000  # rows of one answer
TIMEOUT_S = 10.0
NEVER = (b'"code":-1120,', b'"code":-1121,')  # no such interval, no such symbol: asking again does not help
PATHS = {False: "/api/v3/klines", True: "/fapi/v1/klines"}  # spot, perpetual


class Klines:
    """Reads closed bars of `symbols`. One session, opened at the first question."""

    def __init__(self, url: str, symbols: Sequence[str], interval_ms: int) -> None:
        self.symbols = tuple(symbols)
        self.interval_ms = interval_ms
        self._url = url.rstrip("/") + PATHS[":" in self.symbols[0]]
        self._session: aiohttp.ClientSession | None = None

    async def batches(self, after_ms: int, until_ms: int, purpose: Purpose) -> list[Batch]:
        """Batches that closed in (after_ms, until_ms], oldest first; closes without any bar have none.

        Raises:
            Retryable: the exchange could not be asked, or its answer cannot be used.
            ConfigError: it has no such bars.
        """
        found = [await self._bars(symbol, after_ms, until_ms) for symbol in self.symbols]
        closes = sorted({close_ms for bars in found for close_ms in bars})
        return [Batch(close_ms, tuple(bars.get(close_ms) for bars in found), purpose) for close_ms in closes]

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _bars(self, symbol: str, after_ms: int, until_ms: int) -> dict[int, Bar]:
        """Bars of one symbol by close time."""
        bars: dict[int, Bar] = {}
        start_ms = after_ms
        while start_ms < until_ms:
            rows = await self._page(symbol, start_ms, until_ms - 1)
            for row in rows:
                if bar := self._bar(symbol, row):
                    bars[bar.open_time_ms + self.interval_ms] = bar
            if len(rows) < PAGE:
                break
            start_ms = int(rows[-1][0]) + self.interval_ms
        return {close_ms: bar for close_ms, bar in bars.items() if after_ms < close_ms <= until_ms}

    async def _page(self, symbol: str, start_ms: int, end_ms: int) -> list[list[int | float | str]]:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        query = {
            "symbol": venue_symbol(symbol),
            "interval": timeframe_name(self.interval_ms),
            "startTime": str(start_ms),
            "endTime": str(end_ms),
            "limit": str(PAGE),
        }
        try:
            async with self._session.get(self._url, params=query, allow_redirects=False) as answer:
                body = await answer.read()
                if answer.status == 400 and any(code in body for code in NEVER):
                    raise ConfigError(
                        f"{self._url} knows no {query['interval']} bars of {query['symbol']}: {body[:120]!r}"
                    )
                if answer.status != 200:
                    raise Retryable(f"{self._url} {query['symbol']}: HTTP {answer.status} {body[:120]!r}")
                return msgspec.json.decode(body, type=list[list[int | float | str]])
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.MsgspecError) as error:
            raise Retryable(f"cannot read bars from {self._url}: {error or type(error).__name__}") from error

    def _bar(self, symbol: str, row: list[int | float | str]) -> Bar | None:
        """A row as a bar; None for what is none, as the frame parser would drop it."""
        try:
            opened, values = int(row[0]), [float(text) for text in row[1:6]]
        except (ValueError, IndexError):
            return None
        if len(values) != 5 or time_fault(opened, self.interval_ms) or value_fault(*values):
            return None
        price, high, low, close, volume = values
        return Bar(symbol, opened, price, high, low, close, volume)
