"""Kline frames: the real ones pass, every malformed one is dropped and counted, nothing raises."""

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klined.domain import Bar
from klined.feeds.frames import FRAME_BYTES_MAX, Dropped, FrameFault, FrameParser, Reply, Shutdown, frame_of

MINUTE_MS = 60_000
OPENED_MS = 1_626_992_700_000
GOOD = {"o": "1.010", "h": "1.012", "l": "1.010", "c": "1.012", "v": "11074"}
SPOT = ["NKN/USDT", "LRC/BTC", "BLZ/ETH", "RUNE/EUR"]
PERP = ["SUSHI/USDT:USDT", "AKRO/USDT:USDT", "KEEP/USDT:USDT", "CTK/USDT:USDT"]


def kline(**changes: Any) -> bytes:
    k = {"t": OPENED_MS, "T": OPENED_MS + 59_999, "s": "CTKUSDT", "i": "1m", "x": True, **GOOD, "q": "1", "B": "0"}
    k |= changes
    return json.dumps({"e": "kline", "E": OPENED_MS + MINUTE_MS, "s": "CTKUSDT", "k": k}).encode()


def parser() -> FrameParser:
    return FrameParser(PERP, MINUTE_MS)


def real_frames(shared_data: Path, name: str) -> Iterator[bytes]:
    with gzip.open(shared_data / "ws_frames" / "cryptofeed" / name) as lines:
        for line in lines:
            if b"{" in line:
                yield line[line.index(b"{") :]


@pytest.mark.parametrize(
    ("name", "symbols", "klines", "closed"),
    [("BINANCE.ws.1.0.gz", SPOT, 2, 0), ("BINANCE_FUTURES.ws.1.0.gz", PERP, 67, 4)],
)
def test_every_real_kline_is_read_and_only_closed_ones_are_bars(
    shared_data: Path, name: str, symbols: list[str], klines: int, closed: int
) -> None:
    reader = FrameParser(symbols, MINUTE_MS)
    seen: Counter[str] = Counter()
    for frame in real_frames(shared_data, name):
        event = json.loads(frame)["data"]
        heard = reader.parse(frame)
        if event.get("e") != "kline":
            assert isinstance(heard, Dropped)
            assert heard.fault is FrameFault.UNKNOWN_EVENT
            continue
        k = event["k"]
        seen["closed" if k["x"] else "open"] += 1
        if k["x"]:
            pair = next(symbol for symbol in symbols if symbol.partition(":")[0].replace("/", "") == k["s"])
            assert heard == Bar(pair, k["t"], *(float(k[field]) for field in "ohlcv"))
            assert reader.parse(json.dumps(event)) == heard, "the raw stream says the same as the combined one"
        else:
            assert heard is None
    assert seen == Counter({"open": klines - closed, "closed": closed})
    assert set(reader.dropped) == {FrameFault.UNKNOWN_EVENT}


MALFORMED: list[tuple[str, bytes, FrameFault]] = [
    ("NaN", kline(c="NaN"), FrameFault.NOT_FINITE),
    ("Infinity", kline(h="Infinity"), FrameFault.NOT_FINITE),
    ("1e400", kline(h="1e400"), FrameFault.NOT_FINITE),
    ("NaN volume", kline(v="nan"), FrameFault.NOT_FINITE),
    ("null price", kline(o=None), FrameFault.MALFORMED),
    ("empty price", kline(o=""), FrameFault.MALFORMED),
    ("number instead of text", kline(o=1.01), FrameFault.MALFORMED),
    ("underscore", kline(o="1_0"), FrameFault.MALFORMED),
    ("blank", kline(o=" 1.01"), FrameFault.MALFORMED),
    ("words", kline(o="cheap"), FrameFault.MALFORMED),
    ("negative price", kline(l="-1.010"), FrameFault.NOT_POSITIVE),
    ("zero price", kline(l="0"), FrameFault.NOT_POSITIVE),
    ("negative volume", kline(v="-1"), FrameFault.NOT_POSITIVE),
    ("high below low", kline(h="1.000", l="1.010"), FrameFault.INCONSISTENT),
    ("close above high", kline(c="1.020"), FrameFault.INCONSISTENT),
    ("open below low", kline(o="1.000"), FrameFault.INCONSISTENT),
    ("off-grid", kline(t=OPENED_MS + 1), FrameFault.OFF_GRID),
    ("before the epoch", kline(t=-MINUTE_MS), FrameFault.OFF_GRID),
    ("microseconds", kline(t=OPENED_MS * 1_000), FrameFault.MICROSECONDS),
    ("time as text", kline(t=str(OPENED_MS)), FrameFault.MALFORMED),
    ("fractional time", kline(t=OPENED_MS + 0.5), FrameFault.MALFORMED),
    ("wrong symbol", kline(s="ETHUSDT"), FrameFault.WRONG_SYMBOL),
    ("wrong interval", kline(i="5m"), FrameFault.WRONG_INTERVAL),
    ("x as text", kline(x="true"), FrameFault.MALFORMED),
    ("no k", b'{"e":"kline","s":"CTKUSDT"}', FrameFault.MALFORMED),
    ("k without fields", b'{"e":"kline","k":{}}', FrameFault.MALFORMED),
    ("other event", b'{"e":"aggTrade","s":"CTKUSDT","p":"1"}', FrameFault.UNKNOWN_EVENT),
    ("empty object", b"{}", FrameFault.UNKNOWN_EVENT),
    ("array", b"[1,2]", FrameFault.MALFORMED),
    ("null", b"null", FrameFault.MALFORMED),
    ("cut off", kline()[:-20], FrameFault.BROKEN),
    ("not UTF-8", b"\xff\xfe\x00", FrameFault.BROKEN),
    ("empty", b"", FrameFault.BROKEN),
    ("deep", b'{"a":' * 10_000, FrameFault.BROKEN),
    ("deep arrays inside", b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}", FrameFault.BROKEN),
    ("huge", b'{"a":"' + b"x" * FRAME_BYTES_MAX + b'"}', FrameFault.HUGE),
]


@pytest.mark.parametrize(("frame", "fault"), [case[1:] for case in MALFORMED], ids=[case[0] for case in MALFORMED])
def test_malformed_frame_is_dropped_and_counted_by_reason(frame: bytes, fault: FrameFault) -> None:
    reader = parser()
    heard = reader.parse(frame)
    assert isinstance(heard, Dropped)
    assert heard.fault is fault
    assert reader.dropped == Counter({fault: 1})
    assert len(heard.detail) <= 400


def test_every_reason_to_drop_a_frame_is_tried_here() -> None:
    tried = {case[2] for case in MALFORMED} | {FrameFault.BINARY}
    assert tried == set(FrameFault)


def test_binary_frame_is_dropped_whatever_it_holds() -> None:
    heard = parser().parse(kline(), binary=True)
    assert isinstance(heard, Dropped)
    assert heard.fault is FrameFault.BINARY


def test_open_kline_is_not_a_bar_but_its_time_is_checked() -> None:
    assert parser().parse(kline(x=False)) is None
    assert isinstance(parser().parse(kline(x=False, t=OPENED_MS + 1)), Dropped)


def test_unknown_extra_fields_are_ignored() -> None:
    assert isinstance(parser().parse(kline(Z="new", extra={"deep": [1]})), Bar)


def test_zero_volume_bar_is_a_bar() -> None:
    assert isinstance(parser().parse(kline(v="0", o="1", h="1", l="1", c="1")), Bar)


def test_control_messages_are_told_apart() -> None:
    assert parser().parse(b'{"result":null,"id":7}') == Reply(7)
    assert parser().parse(b'{"error":{"code":2,"msg":"Invalid request"},"id":"a"}') == Reply("a", "2 Invalid request")
    assert parser().parse(b'{"e":"serverShutdown","E":1}') == Shutdown()
    assert parser().parse(b'{"stream":"!serverShutdown","data":{"e":"serverShutdown"}}') == Shutdown()


prices = st.floats(1e-8, 1e8)


@given(st.lists(prices, min_size=4, max_size=4), st.floats(0, 1e12), st.integers(0, 10**7))
def test_bar_written_as_a_frame_is_read_back_exactly(numbers: list[float], volume: float, minute: int) -> None:
    low, a, b, high = sorted(numbers)
    bar = Bar("CTK/USDT:USDT", minute * MINUTE_MS, a, high, low, b, volume)
    assert parser().parse(frame_of(bar, MINUTE_MS)) == bar


@given(st.binary(max_size=300))
def test_no_bytes_raise_or_become_a_bar(frame: bytes) -> None:
    assert not isinstance(parser().parse(frame), Bar)


@given(st.data())
def test_damaged_frame_never_raises(data: st.DataObject) -> None:
    frame = bytearray(kline())
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    heard = parser().parse(bytes(frame))
    assert heard is None or isinstance(heard, Bar | Dropped | Reply | Shutdown)
