"""Binance's kline frames: bytes in, a closed bar out, or why not. Sans I/O, for spot and USDT-M alike.

    {"e":"kline","E":...,"s":"ETHUSDT","k":{...}}                    raw stream
    {"stream":"ethusdt@kline_1m","data":{"e":"kline",...}}           combined stream

Only `"x": true` is a bar: the numbers of an open kline still move. Prices are JSON strings, times are milliseconds.
"""

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from math import inf, isfinite

import msgspec
from msgspec import Struct

from klined.domain import Bar
from klined.feeds.timeframe import timeframe_name
from klined.world.filters import venue_symbol

FRAME_BYTES_MAX = 65_536
"""A kline frame has about 350 bytes."""

MILLISECONDS_MAX = 10**13
"""Year 2286; later times are microseconds in disguise."""


class FrameFault(StrEnum):
    """Why a frame was dropped."""

    HUGE = "huge"
    BINARY = "binary"
    BROKEN = "broken"  # not JSON
    MALFORMED = "malformed"  # JSON, but a field is missing or of the wrong type
    UNKNOWN_EVENT = "unknown_event"
    WRONG_SYMBOL = "wrong_symbol"
    WRONG_INTERVAL = "wrong_interval"
    MICROSECONDS = "microseconds"
    OFF_GRID = "off_grid"
    NOT_FINITE = "not_finite"
    NOT_POSITIVE = "not_positive"
    INCONSISTENT = "inconsistent"  # high and low do not enclose open and close


class Dropped(Struct, frozen=True):
    """A frame that was not used."""

    fault: FrameFault
    detail: str


class Reply(Struct, frozen=True):
    """The answer to a subscription; `error` is empty when it was granted."""

    request_id: int | str | None
    error: str = ""


class Shutdown(Struct, frozen=True):
    """The server will close the connection soon: open another one."""


Heard = Bar | Dropped | Reply | Shutdown | None
"""What a frame says; None for a kline that is still open."""


class _Kline(Struct):
    t: int
    s: str
    i: str
    o: str
    h: str
    l: str  # noqa: E741 - Binance's name
    c: str
    v: str
    x: bool


class _Event(Struct):
    e: str = ""
    k: _Kline | None = None


class _Error(Struct):
    code: int = 0
    msg: str = ""


class _Frame(_Event):
    stream: str = ""
    data: _Event | None = None
    id: int | str | None = None
    result: msgspec.Raw = msgspec.Raw()
    error: _Error | None = None


_decode = msgspec.json.Decoder(_Frame).decode


class FrameParser:
    """Reads frames of some symbols at one interval, and counts what it drops. O(1) memory."""

    def __init__(self, symbols: Sequence[str], interval_ms: int) -> None:
        self.interval_ms = interval_ms
        self.interval = timeframe_name(interval_ms)
        self.dropped: Counter[FrameFault] = Counter()
        self._symbols = {venue_symbol(symbol): symbol for symbol in symbols}

    def parse(self, frame: bytes | str, *, binary: bool = False) -> Heard:
        """What one frame says; never raises, whatever it holds."""
        heard = _drop(FrameFault.BINARY, f"{len(frame)} bytes") if binary else self._parse(frame)
        if isinstance(heard, Dropped):
            self.dropped[heard.fault] += 1
        return heard

    def _parse(self, frame: bytes | str) -> Heard:
        if len(frame) > FRAME_BYTES_MAX:
            return _drop(FrameFault.HUGE, f"{len(frame)} bytes, limit {FRAME_BYTES_MAX}")
        try:
            message = _decode(frame)
        except msgspec.ValidationError as error:
            return _drop(FrameFault.MALFORMED, str(error))
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            return _drop(FrameFault.BROKEN, str(error))
        event: _Event = message if message.data is None else message.data
        if event.e == "kline":
            return self._bar(event.k) if event.k else _drop(FrameFault.MALFORMED, "a kline event without k")
        return _control(message, event)

    def _bar(self, kline: _Kline) -> Bar | Dropped | None:
        texts = (kline.o, kline.h, kline.l, kline.c, kline.v)
        said = f"{kline.s} {kline.i} {kline.t}: {', '.join(texts)}"[:160]
        if fault := self._kline_fault(kline):
            return _drop(fault, said)
        if not kline.x:
            return None
        try:
            values = [_number(text) for text in texts]
        except ValueError:
            return _drop(FrameFault.MALFORMED, said)
        if fault := value_fault(*values):
            return _drop(fault, said)
        opened, high, low, close, volume = values
        return Bar(self._symbols[kline.s], kline.t, opened, high, low, close, volume)

    def _kline_fault(self, kline: _Kline) -> FrameFault | None:
        if kline.s not in self._symbols:
            return FrameFault.WRONG_SYMBOL
        if kline.i != self.interval:
            return FrameFault.WRONG_INTERVAL
        return time_fault(kline.t, self.interval_ms)


def frame_of(bar: Bar, interval_ms: int) -> bytes:
    """A closed bar as the combined stream would send it: what the parser reads back as `bar`."""
    name, interval = venue_symbol(bar.symbol), timeframe_name(interval_ms)
    close_ms = bar.open_time_ms + interval_ms - 1
    prices = {"o": bar.open, "c": bar.close, "h": bar.high, "l": bar.low, "v": bar.volume}
    kline = {"t": bar.open_time_ms, "T": close_ms, "s": name, "i": interval, "x": True}
    kline |= {key: repr(value) for key, value in prices.items()}
    event = {"e": "kline", "E": close_ms + 1, "s": name, "k": kline}
    return msgspec.json.encode({"stream": f"{name.lower()}@kline_{interval}", "data": event})


def time_fault(open_time_ms: int, interval_ms: int) -> FrameFault | None:
    """Why this cannot be the open time of a bar, or None."""
    if open_time_ms >= MILLISECONDS_MAX:
        return FrameFault.MICROSECONDS
    return FrameFault.OFF_GRID if open_time_ms < 0 or open_time_ms % interval_ms else None


def value_fault(open_: float, high: float, low: float, close: float, volume: float) -> FrameFault | None:
    """Why these numbers cannot be a bar, or None. The test is `Bar`'s own; this names the reason."""
    if 0.0 < low <= open_ <= high < inf and low <= close <= high and 0.0 <= volume < inf:
        return None
    if not all(isfinite(value) for value in (open_, high, low, close, volume)):
        return FrameFault.NOT_FINITE
    if min(open_, high, low, close) <= 0.0 or volume < 0.0:
        return FrameFault.NOT_POSITIVE
    return FrameFault.INCONSISTENT


def _control(message: _Frame, event: _Event) -> Heard:
    """What a frame says that is no kline."""
    if event.e == "serverShutdown" or message.stream == "!serverShutdown":
        return Shutdown()
    if message.error is not None:
        return Reply(message.id, f"{message.error.code} {message.error.msg}".strip())
    if message.id is not None or bytes(message.result):
        return Reply(message.id)
    return _drop(FrameFault.UNKNOWN_EVENT, (event.e or message.stream)[:80] or "no event name")


def _number(text: str) -> float:
    if "_" in text or text != text.strip():
        raise ValueError(text)  # Python reads 1_000 and " 1", exchanges do not write them
    return float(text)


def _drop(fault: FrameFault, detail: str) -> Dropped:
    return Dropped(fault, detail)
