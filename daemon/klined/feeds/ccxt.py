"""Live bars of any exchange that ccxt.pro streams: the machine of the Binance feed behind another connection.

    watch_ohlcv ─▶ candles ─ a successor appears ─▶ closed bar ─┐
    fetch_ohlcv ─▶ candles ─ close time has passed ─▶ batches ──┴─▶ order, gaps, refill, back-off: feeds.binance

ccxt does not say which candle is closed: one is when the next one appears, or, a grace after its close, when REST tells
it. Everything else is as on Binance: what is missing is fetched, refilled bars are not traded on, a silent connection
is opened again. ccxt is imported with the first connection.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Self

import structlog

from klined.domain import Bar, Batch, Purpose
from klined.errors import ConfigError, Retryable
from klined.feeds import FeedSettings
from klined.feeds.binance import PUSH_S, BinanceFeed
from klined.feeds.frames import FrameFault, time_fault, value_fault
from klined.feeds.timeframe import timeframe_name

PAGE = 500
HELD_MAX = 10_000  # candles and signs of life not yet read
ANSWER_S = 15.0
Row = Sequence[Any]

log = structlog.get_logger()


class CcxtFeed(BinanceFeed):
    """Implements `ports.Feed` and `ports.Watched` for `exchange`, a name that ccxt.pro knows.

    `stream_url` and `rest_url` replace the hosts of all its addresses; their paths stay.
    """

    def __init__(
        self,
        exchange: str,
        symbols: Sequence[str],
        interval_ms: int,
        *,
        stream_url: str = "",
        rest_url: str = "",
        **more: Any,
    ) -> None:
        super().__init__(symbols, interval_ms, stream_url=f"ccxt.pro {exchange}", rest_url=rest_url, **more)
        self.exchange = exchange
        self._hosts = (stream_url, rest_url)
        self._client: Any = None
        self.parser = Passed()  # type: ignore[assignment]  # bars come read already
        self.klines = Candles(self)  # type: ignore[assignment]  # the same questions, another interface
        self._url = f"ccxt.pro {exchange} {' '.join(symbols)}"

    @classmethod
    def configured(cls, settings: FeedSettings) -> Self:
        return cls(
            settings.exchange,
            settings.symbols,
            settings.interval_ms,
            grace_ms=settings.grace_ms,
            stream_url=settings.stream_url,
            rest_url=settings.rest_url,
            silence_s=2 * PUSH_S + settings.silence_grace_s,
        )

    @property
    def client(self) -> Any:
        """The ccxt object.

        Raises:
            ConfigError: ccxt is not installed, or does not stream candles of this exchange.
        """
        if self._client is None:
            self._client = pro_exchange(self.exchange, *self._hosts, perpetual=":" in self.symbols[0])
        return self._client

    async def close(self) -> None:
        await super().close()
        if self._client is not None:
            await self._client.close()

    async def _connect(self) -> Any:
        self._link = Link(self.client, self.symbols, self.interval_ms)  # type: ignore[assignment]  # recv and close is all
        self._heard_s = self._connected_s = self._monotonic_s()
        self._mute = True
        log.info("feed.connected", url=self._url)
        return self._link


class Link:
    """Candles of all symbols as one stream: what a websocket is to the Binance feed."""

    def __init__(self, client: Any, symbols: Sequence[str], interval_ms: int) -> None:
        self._client, self._interval_ms = client, interval_ms
        self._queue: asyncio.Queue[Bar | OSError | None] = asyncio.Queue(HELD_MAX)
        self._tasks = [asyncio.create_task(self._watch(symbol)) for symbol in symbols]
        self.transport = self

    async def recv(self) -> Bar | None:
        """The next closed bar, or None for a sign of life.

        Raises:
            OSError: the connection failed.
        """
        heard = await self._queue.get()
        if isinstance(heard, OSError):
            raise heard
        return heard

    def abort(self) -> None:
        """Trust it no more."""
        self._put(ConnectionError("time jumped"))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(OSError, ValueError):  # whatever state it is in, the next connection is a new one
            await self._client.close()

    async def _watch(self, symbol: str) -> None:
        import ccxt as library  # noqa: PLC0415 - loaded by the client

        newest: Row = ()
        try:
            while True:
                for row in await self._client.watch_ohlcv(symbol, timeframe_name(self._interval_ms)):
                    if newest and row[0] > newest[0] and (bar := bar_of(symbol, newest, self._interval_ms)):
                        self._put(bar)
                    newest = row if not newest or row[0] >= newest[0] else newest
                self._put(None)
        except (library.BaseError, OSError, LookupError, TypeError, ValueError, AttributeError) as error:
            self._put(ConnectionError(f"{type(error).__name__}: {error}"))

    def _put(self, item: Bar | OSError | None) -> None:
        if self._queue.full():
            self._queue.get_nowait()  # what is lost here is a gap, which is refilled
        self._queue.put_nowait(item)


class Passed:
    """A parser of what is read already."""

    dropped: Mapping[FrameFault, int] = {}

    def parse(self, frame: Bar | None, *, binary: bool = False) -> Bar | None:
        del binary
        return frame


class Candles:
    """Closed bars by REST; see `klines.Klines`."""

    def __init__(self, feed: CcxtFeed) -> None:
        self._feed = feed

    async def batches(self, after_ms: int, until_ms: int, purpose: Purpose) -> list[Batch]:
        """Batches that closed in (after_ms, until_ms], oldest first; closes without any bar have none.

        Raises:
            Retryable: the exchange could not be asked, or its answer cannot be used.
            ConfigError: it has no such bars.
        """
        found = [await self._bars(symbol, after_ms, until_ms) for symbol in self._feed.symbols]
        closes = sorted({close_ms for bars in found for close_ms in bars})
        return [Batch(close_ms, tuple(bars.get(close_ms) for bars in found), purpose) for close_ms in closes]

    async def close(self) -> None:
        """The connection is the feed's."""

    async def _bars(self, symbol: str, after_ms: int, until_ms: int) -> dict[int, Bar]:
        bars: dict[int, Bar] = {}
        interval_ms, start_ms = self._feed.interval_ms, after_ms
        while start_ms < until_ms:
            rows = await self._page(symbol, start_ms)
            for row in rows:
                close_ms = int(row[0]) + interval_ms
                if after_ms < close_ms <= until_ms and (bar := bar_of(symbol, row, interval_ms)):
                    bars[close_ms] = bar
            if not rows or rows[-1][0] < start_ms:
                break
            start_ms = int(rows[-1][0]) + interval_ms
        return bars

    async def _page(self, symbol: str, start_ms: int) -> Sequence[Row]:
        client = self._feed.client
        import ccxt as library  # noqa: PLC0415 - loaded by the client

        try:
            async with asyncio.timeout(ANSWER_S):
                rows: Sequence[Row] = await client.fetch_ohlcv(
                    symbol, timeframe_name(self._feed.interval_ms), start_ms, PAGE
                )
        except (library.BadSymbol, library.NotSupported) as error:
            raise ConfigError(f"{self._feed.exchange} has no such bars of {symbol}: {error}") from error
        except (library.BaseError, TimeoutError, OSError, KeyError, TypeError, ValueError) as error:
            raise Retryable(f"cannot read bars of {symbol} from {self._feed.exchange}: {error!r}") from error
        return [row for row in rows if isinstance(row, (list, tuple)) and row and isinstance(row[0], (int, float))]


def bar_of(symbol: str, row: Row, interval_ms: int) -> Bar | None:
    """A candle as a bar; None for what is none."""
    try:
        opened, values = int(row[0]), [float(number) for number in row[1:6]]
    except (TypeError, ValueError):
        return None
    if len(values) != 5 or time_fault(opened, interval_ms) or value_fault(*values):
        return None
    open_, high, low, close, volume = values
    return Bar(symbol, opened, open_, high, low, close, volume)


def pro_exchange(name: str, stream_url: str, rest_url: str, *, perpetual: bool) -> Any:
    """The ccxt.pro object of an exchange, on its own hosts or on given ones.

    Raises:
        ConfigError: ccxt is not installed, knows no such exchange, or cannot watch its candles.
    """
    try:
        import ccxt.pro as library  # noqa: PLC0415 - 780 kB and a second, only for whoever needs it
    except ImportError as error:
        raise ConfigError("bars of other exchanges need ccxt: pip install 'klined[live]'") from error
    made = getattr(library, name, None)
    if name not in library.exchanges or made is None:
        raise ConfigError(f"market.exchange {name!r} is none that ccxt.pro streams; set market.feed to another feed")
    client = made({"enableRateLimit": True})
    if not client.has.get("watchOHLCV"):
        raise ConfigError(f"ccxt.pro cannot watch candles of {name}; set market.feed to another feed")
    client.has["fetchCurrencies"] = False
    offered = client.options.get("fetchMarkets")
    if isinstance(offered, dict) and isinstance(offered.get("types"), list):
        ours = {"linear", "swap"} if perpetual else {"spot"}
        offered["types"] = [each for each in offered["types"] if each in ours] or offered["types"]
    if stream_url or rest_url:
        client.urls["api"] = _moved(client.urls["api"], stream_url.rstrip("/"), rest_url.rstrip("/"))
    return client


def _moved(url: Any, stream_url: str, rest_url: str) -> Any:
    if isinstance(url, Mapping):
        return {name: _moved(each, stream_url, rest_url) for name, each in url.items()}
    scheme, _, rest = str(url).partition("://")
    host = stream_url if scheme in {"ws", "wss"} else rest_url
    path = rest.partition("/")[2]
    return url if not host else f"{host}/{path}" if path else host
