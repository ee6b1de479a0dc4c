"""Order book and trades of one symbol, frame by frame, and what of them belongs to each bar.

    depth snapshot, depthUpdate ─▶ Book: sizes by price          bookTicker ─▶ order flow at the best quotes
    trade ─▶ prices, volume, who was aggressive                  close ─▶ Bar with `micro` (klined.kernels.micro)

A book that misses an update is forgotten until the next snapshot: nothing is told rather than something wrong.
Sequence rules: Binance, "How to manage a local order book correctly".
"""

import gzip
from collections import deque
from collections.abc import Iterator
from heapq import nlargest, nsmallest
from pathlib import Path

import msgspec
from msgspec import Struct

from klined.domain import Bar
from klined.errors import ConfigError
from klined.kernels import micro
from klined.world.filters import venue_symbol

Level = tuple[str, str]  # price, size
KEPT_MAX = 1_000  # updates; a snapshot that is older than all of them is of no use


class _Event(Struct):
    e: str = ""
    s: str = ""  # symbol; a snapshot has none
    b: str | list[Level] = ""  # best bid of a quote, bids of an update
    B: str = ""  # its size
    a: str | list[Level] = ""
    A: str = ""
    U: int = 0
    u: int = 0
    pu: int = 0  # perpetuals: last update of the event before
    p: str = ""
    q: str = ""
    m: bool = False  # the buyer was the maker
    lastUpdateId: int = 0  # noqa: N815 - Binance's name
    bids: list[Level] = []
    asks: list[Level] = []


class _Frame(_Event):
    stream: str = ""
    data: _Event | None = None


_decode = msgspec.json.Decoder(_Frame).decode


class Quote(Struct, frozen=True, gc=False):
    """Best bid and ask with their sizes (base asset)."""

    bid: float
    bid_size: float
    ask: float
    ask_size: float

    @property
    def middle(self) -> float:
        return 0.5 * (self.bid + self.ask)


class Book:
    """Sizes by price. `known` is False until a snapshot came, and after an update was missed."""

    def __init__(self) -> None:
        self.bids: dict[float, float] = {}
        self.asks: dict[float, float] = {}
        self.known = False
        self._last = 0
        self._joined = False  # an update has followed the snapshot
        self._kept: deque[_Event] = deque(maxlen=KEPT_MAX)  # updates that came before the snapshot

    def snapshot(self, event: _Event) -> None:
        self.bids = {float(price): float(size) for price, size in event.bids}
        self.asks = {float(price): float(size) for price, size in event.asks}
        self.known, self._joined, self._last = True, False, event.lastUpdateId
        kept, self._kept = self._kept, deque(maxlen=KEPT_MAX)
        for update in kept:
            self.update(update)

    def update(self, event: _Event) -> None:
        if not self.known:
            self._kept.append(event)
            return
        if event.u <= self._last:
            return
        before = event.pu or event.U - 1  # numbers of perpetuals leave gaps, and name what they follow
        if before > self._last or (self._joined and before != self._last):
            self.known = False
            self._kept.append(event)
            return
        self._joined = True
        self._last = event.u
        for side, levels in ((self.bids, event.b), (self.asks, event.a)):
            for price, size in levels if isinstance(levels, list) else ():
                if float(size) > 0.0:
                    side[float(price)] = float(size)
                else:
                    side.pop(float(price), None)

    def best(self, levels: int) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        """The best bids and asks as (price, size), best first. O(size of the book)."""
        return (
            [(price, self.bids[price]) for price in nlargest(levels, self.bids)],
            [(price, self.asks[price]) for price in nsmallest(levels, self.asks)],
        )


class Tape:
    """Hears the frames of one symbol and makes its bars of `interval_ms`, each with what the book and trades told."""

    def __init__(self, symbol: str, interval_ms: int) -> None:
        self.symbol, self.interval_ms = symbol, interval_ms
        self._name = venue_symbol(symbol)
        self.book = Book()
        self.quote: Quote | None = None
        self._bucket = -1
        self._prices: list[float] = []
        self._volume = self._taken = self._flow = self._touch = 0.0
        self._quotes = 0

    def hear(self, frame: bytes | str, time_ms: int) -> Bar | None:
        """Take in one frame received at `time_ms`; the bar that it ended, if it ended one with trades.

        Raises:
            ConfigError: it is no frame of these streams.
        """
        try:
            message = _decode(frame)
        except msgspec.MsgspecError as error:
            raise ConfigError(f"{self.symbol}: no frame of an order book: {error}") from error
        bucket, ended = time_ms // self.interval_ms, None
        if bucket != self._bucket:
            ended = self._close()
            self._bucket = bucket
        self._take(message if message.data is None else message.data)
        return ended

    def _take(self, event: _Event) -> None:
        if event.s not in {"", self._name}:
            return
        if event.lastUpdateId:
            self.book.snapshot(event)
        elif event.e == "depthUpdate":
            self.book.update(event)
        elif event.e == "trade":
            self._trade(float(event.p), float(event.q), buyer_is_maker=event.m)
        elif event.B and isinstance(event.b, str) and isinstance(event.a, str):
            self._quoted(Quote(float(event.b), float(event.B), float(event.a), float(event.A)))

    def _trade(self, price: float, size: float, *, buyer_is_maker: bool) -> None:
        if price > 0.0:
            self._prices.append(price)
            self._volume += size
            self._taken += 0.0 if buyer_is_maker else size

    def _quoted(self, quote: Quote) -> None:
        if self.quote is not None:
            self._flow += order_flow(self.quote, quote)
        self._touch += 0.5 * (quote.bid_size + quote.ask_size)
        self._quotes += 1
        self.quote = quote

    def _close(self) -> Bar | None:
        prices, told = self._prices, self._micro()
        volume = self._volume
        self._prices, self._quotes = [], 0
        self._volume = self._taken = self._flow = self._touch = 0.0
        if not prices:
            return None
        open_ms = self._bucket * self.interval_ms
        return Bar(self.symbol, open_ms, prices[0], max(prices), min(prices), prices[-1], volume, told)

    def _micro(self) -> tuple[float, ...]:
        quote = self.quote
        if quote is None or not self.book.known:
            return (self._taken,)
        weight = quote.bid_size + quote.ask_size
        lean = (quote.bid_size - quote.ask_size) / weight * 0.5 * (quote.ask - quote.bid) if weight > 0.0 else 0.0
        bids, asks = self.book.best(micro.LEVELS[-1])
        depths = [sum(size for _, size in side[:k]) for k in micro.LEVELS for side in (bids, asks)]
        spread = (quote.ask - quote.bid) / quote.middle
        touch = self._touch / self._quotes if self._quotes else 0.0
        return (self._taken, spread, lean / quote.middle, self._flow, touch, *depths)


def order_flow(before: Quote, now: Quote) -> float:
    """What one change of the best quotes says: e_n of Cont, Kukanov and Stoikov (2014), section 2.1."""
    flow = 0.0
    if now.bid >= before.bid:
        flow += now.bid_size
    if now.bid <= before.bid:
        flow -= before.bid_size
    if now.ask <= before.ask:
        flow -= now.ask_size
    if now.ask >= before.ask:
        flow += before.ask_size
    return flow


def read_frames(path: Path) -> Iterator[tuple[int, bytes]]:
    """(time received in ms, frame) of a file of `<time in ns> <frame>` lines, plain or gzipped.

    Raises:
        ConfigError: it cannot be read, or is no such file.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
            for line in lines:
                time, _, frame = line.partition(b" ")
                yield int(time) // 1_000_000, frame
    except (OSError, EOFError, ValueError) as error:
        raise ConfigError(f"cannot read order book frames from {path}: {error}") from error


def read_tape(path: Path, symbol: str, interval_ms: int) -> list[Bar]:
    """Bars of such a file, the first and the last left out since they are not whole."""
    tape = Tape(symbol, interval_ms)
    return [bar for time_ms, frame in read_frames(path) if (bar := tape.hear(frame, time_ms)) is not None][1:]
