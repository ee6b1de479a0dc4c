"""From what the market does to what its streams say; only what somebody has subscribed to is made.

<symbol>@kline_<i>  <pair>_perpetual@continuousKline_<i>  @aggTrade  @trade  @bookTicker  @depth[<n>][@<ms>]
@ticker[_<window>]  @miniTicker  @markPrice[@1s]  !bookTicker  !ticker@arr  !miniTicker@arr  !markPrice@arr[@1s]
"""

import re
from typing import Any, NamedTuple

from klined.sandbox.candles import INTERVALS_MS, Candle, joined, opens_at, zone_ms
from klined.sandbox.faults import FaultKind, Faults
from klined.sandbox.market import Closed, Move
from klined.sandbox.quotes import Quotes
from klined.sandbox.streams import Streams
from klined.world.venue import TRADING

KLINE = re.compile(
    r"^(?P<symbol>[a-z0-9]+)(?P<continuous>_perpetual@continuousKline|@kline)_(?P<interval>[0-9]+[smhdwM])"
    r"(?:@(?P<zone>\+08:00))?$"
)
WINDOWS_MS = {"ticker_1h": 3_600_000, "ticker_4h": 14_400_000, "ticker_1d": 86_400_000}
SECOND_MS = 1000


class KlineStream(NamedTuple):
    symbol: str
    interval: str
    continuous: bool
    zone_ms: int  # days begin so much before midnight UTC


class Broadcast:
    """The streams of one kind of market."""

    def __init__(self, quotes: Quotes, streams: Streams, faults: Faults, kline_ms: int) -> None:
        self._quotes, self._streams, self._faults = quotes, streams, faults
        self._market = "spot" if quotes.spot else "perp"
        self._kline_ms = kline_ms
        self._told: dict[str, int] = {}  # stream: when it last said something
        self._updates: dict[str, int] = {}  # depth stream: last update id told

    def moved(self, moves: list[Move], now_ms: int) -> None:
        """Trades one by one; everything else as it is after all of them."""
        symbols: dict[str, list[str]] = {}
        for name in self._quotes.venue.listed:
            symbols.setdefault(self._quotes.pair(name), []).append(name)
        touched: dict[str, None] = {}
        for move in moves:
            for symbol in symbols.get(move.pair, ()):
                if self._quotes.venue.states[symbol] != TRADING:
                    continue  # halted: nothing happens there
                touched[symbol] = None
                self._trades(symbol, move, now_ms)
        for stream in list(self._streams.subscribers):
            self._tell(stream, touched, now_ms)

    def closed(self, end: Closed, now_ms: int) -> None:
        """x:true to everybody who waits for it."""
        for stream in list(self._streams.subscribers):
            found = self._kline_stream(stream)
            if found is None or self._quotes.pair(found.symbol) != end.pair:
                continue
            symbol, interval, ahead_ms = found.symbol, found.interval, found.zone_ms
            if self._quotes.venue.states[symbol] != TRADING:
                continue
            interval_ms = INTERVALS_MS[interval]
            if (end.candle.open_ms + self._quotes.market.interval_ms) % 60_000 and interval_ms >= 60_000:
                continue
            open_ms = opens_at(end.candle.open_ms, interval_ms, ahead_ms)
            if opens_at(end.time_ms, interval_ms, ahead_ms) == open_ms:
                continue  # the longer candle goes on
            self._close(stream, found, self._whole(symbol, open_ms, end.time_ms), now_ms)

    def _close(self, stream: str, about: KlineStream, candle: Candle | None, now_ms: int) -> None:
        symbol = about.symbol
        if candle is None or self._fault(FaultKind.MISSING_CLOSE, stream, symbol, now_ms):
            return
        make = self._quotes.continuous if about.continuous else self._quotes.kline_event
        message = make(symbol, about.interval, candle, now_ms, closed=True)
        copies = 2 if self._fault(FaultKind.DUPLICATE_CLOSE, stream, symbol, now_ms) else 1
        for _ in range(copies):
            self._send(stream, symbol, message, now_ms)
        self._told[stream] = now_ms
        if self._fault(FaultKind.REVISED_BAR, stream, symbol, now_ms):
            last = self._quotes.history(symbol).last
            if last is not None:
                last.close *= 1.0001
                last.high = max(last.high, last.close)

    def _whole(self, symbol: str, open_ms: int, until_ms: int) -> Candle | None:
        parts = [part for part in self._quotes.history(symbol).since(open_ms) if part.open_ms < until_ms]
        return joined(parts, open_ms)

    def _trades(self, symbol: str, move: Move, now_ms: int) -> None:
        if move.volume <= 0.0:
            return  # the price jumped, nothing was traded
        lower = symbol.lower()
        for kind in ("aggTrade", "trade"):
            stream = f"{lower}@{kind}"
            if self._streams.wanted(stream):
                self._send(stream, symbol, self._quotes.trade(symbol, move, kind, now_ms), now_ms)

    def _tell(self, stream: str, touched: dict[str, None], now_ms: int) -> None:
        kline = self._kline_stream(stream)
        if kline is not None:
            if kline.symbol in touched and self._due(stream, self._kline_ms, now_ms):
                self._forming(stream, kline, now_ms)
            return
        name, _, rest = stream.partition("@")
        symbol = name.upper()
        if symbol in touched:
            self._of_symbol(stream, symbol, rest, now_ms)
        elif name.startswith("!") and touched:
            self._of_all(stream, touched, now_ms)

    def _forming(self, stream: str, about: KlineStream, now_ms: int) -> None:
        symbol, interval = about.symbol, about.interval
        history = self._quotes.history(symbol)
        if history.forming is None:
            return
        interval_ms = INTERVALS_MS[interval]
        open_ms = opens_at(history.forming.open_ms, interval_ms, about.zone_ms)
        candle = history.forming if interval_ms == history.interval_ms else joined(history.since(open_ms), open_ms)
        if candle is not None:
            make = self._quotes.continuous if about.continuous else self._quotes.kline_event
            self._send(stream, symbol, make(symbol, interval, candle, now_ms, closed=False), now_ms)

    def _of_symbol(self, stream: str, symbol: str, kind: str, now_ms: int) -> None:
        quotes = self._quotes
        base, _, speed = kind.partition("@")
        message: Any = None
        if base == "bookTicker":
            message = quotes.book_ticker(symbol, now_ms)
        elif base.startswith("depth") or base == "rpiDepth":
            if not self._due(stream, int(speed.removesuffix("ms") or 250) if speed else SECOND_MS, now_ms):
                return
            message = self._depth(stream, symbol, base.removeprefix("depth").removeprefix("rpiDepth"), now_ms)
        elif "icker" in base:
            if self._due(stream, SECOND_MS, now_ms):
                message = self._ticker(symbol, base, now_ms)
        elif base == "markPrice" and self._due(stream, SECOND_MS if speed else 3 * SECOND_MS, now_ms):
            message = self.mark_price(symbol, now_ms)
        elif base == "avgPrice" and self._due(stream, SECOND_MS, now_ms):
            price = quotes.price(quotes.venue.listed[symbol], float(quotes.venue.books[symbol].last))
            message = {"e": "avgPrice", "E": now_ms, "s": symbol, "i": "5m", "w": price, "T": now_ms}
        if message is not None:
            self._send(stream, symbol, message, now_ms)

    def _ticker(self, symbol: str, kind: str, now_ms: int) -> Any:
        """Of a day, or of a rolling window; None when there is no such stream."""
        if kind in WINDOWS_MS and self._quotes.spot:
            opens_ms = now_ms - WINDOWS_MS[kind]
            return self._quotes.window_event(symbol, kind.removeprefix("ticker_"), opens_ms, now_ms)
        if kind in {"ticker", "miniTicker"}:
            return self._quotes.ticker_event(symbol, now_ms, mini=kind == "miniTicker")
        return None

    def _depth(self, stream: str, symbol: str, levels: str, now_ms: int) -> Any:
        if not levels:
            return self._quotes.depth_diff(symbol, stream, now_ms)
        before = self._updates.get(stream, self._quotes.venue.books[symbol].updates - 1)
        self._updates[stream] = self._quotes.venue.books[symbol].updates
        if self._quotes.spot:
            return self._quotes.depth(symbol, int(levels))
        return self._quotes.depth_event(symbol, int(levels), now_ms, before)

    def _of_all(self, stream: str, touched: dict[str, None], now_ms: int) -> None:
        kind = stream[1:].partition("@")[0]
        if kind == "bookTicker":
            for symbol in touched:
                self._send(stream, symbol, self._quotes.book_ticker(symbol, now_ms), now_ms)
        elif self._due(stream, SECOND_MS, now_ms) and kind in {"ticker", "miniTicker", "markPrice"}:
            make = (
                self.mark_price if kind == "markPrice"
                else lambda symbol, at: self._quotes.ticker_event(symbol, at, mini=kind == "miniTicker")
            )  # fmt: skip
            self._send(stream, "", [make(symbol, now_ms) for symbol in touched], now_ms)

    def mark_price(self, symbol: str, now_ms: int) -> dict[str, Any]:
        """The mark is the last price; the funding rate is told by REST."""
        price = f"{float(self._quotes.venue.books[symbol].last):.8f}"
        following = (now_ms // 28_800_000 + 1) * 28_800_000
        return {
            "e": "markPriceUpdate", "E": now_ms, "s": symbol, "p": price, "i": price, "P": price, "r": "0.00010000",
            "T": following,
        }  # fmt: skip

    def _send(self, stream: str, symbol: str, message: Any, now_ms: int) -> None:
        if (silent := self._fault(FaultKind.SILENT, stream, symbol, now_ms)) is not None:
            self._streams.silent[stream if silent.where else "*"] = now_ms + silent.duration_ms
        if (bad := self._fault(FaultKind.BAD_FRAME, stream, symbol, now_ms)) is not None:
            message = bad.text.encode()
        self._streams.send(stream, message, now_ms)

    def _fault(self, kind: FaultKind, stream: str, symbol: str, now_ms: int) -> Any:
        return self._faults.take((kind,), stream, now_ms, symbol=symbol, market=self._market)

    def _due(self, stream: str, every_ms: int, now_ms: int) -> bool:
        if now_ms - self._told.get(stream, 0) < every_ms:
            return False
        self._told[stream] = now_ms
        return True

    def _kline_stream(self, stream: str) -> KlineStream | None:
        """None when the stream is no kline's."""
        found = KLINE.match(stream)
        if (
            found is None
            or found["interval"] not in INTERVALS_MS
            or found["symbol"].upper() not in self._quotes.venue.listed
        ):
            return None
        zone = zone_ms(found["zone"] or "0") or 0
        return KlineStream(found["symbol"].upper(), found["interval"], found["continuous"] != "@kline", zone)
