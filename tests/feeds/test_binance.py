"""The live feed against an exchange on loopback: bars once and in order, whatever the connection does."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from structlog.testing import capture_logs
from websockets.asyncio.server import ServerConnection, serve

from klined.domain import Bar, Batch, Purpose
from klined.errors import ConfigError
from klined.feeds import binance
from klined.feeds.binance import BinanceFeed
from klined.feeds.frames import FrameFault, frame_of
from klined.feeds.klines import Klines

MINUTE_MS = 60_000
START = 29_000_000  # minute at which every test begins
SYMBOLS = ("ETH/USDT", "BTC/USDT")
Script = Callable[[ServerConnection, int], Awaitable[None]]


def bar(minute: int, symbol: str = "ETH/USDT") -> Bar:
    return Bar(symbol, minute * MINUTE_MS, 1.0, 2.0, 0.5, 1.5, float(minute % 100))


class Exchange:
    """REST has every closed bar but `missing`; the script says what each connection sends."""

    def __init__(self, symbols: tuple[str, ...], script: Script) -> None:
        self.symbols, self.script = symbols, script
        self.minute = START  # the clock of both sides
        self.grace_ms = 60 * MINUTE_MS  # longer than a test, whose minutes pass at once
        self.missing: set[int] = set()
        self.failing = 0  # REST answers 503 so many times
        self.connections = 0
        self.asked = 0

    def now_ms(self) -> int:
        return self.minute * MINUTE_MS + 100

    async def stream(self, link: ServerConnection) -> None:
        self.connections += 1
        await self.script(link, self.connections)

    async def klines(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.failing:
            self.failing -= 1
            return web.Response(status=503, text="busy")
        query = request.query
        first, last = int(query["startTime"]), int(query["endTime"])
        minutes = range(-(-first // MINUTE_MS), last // MINUTE_MS + 1)
        rows = [self.row(m) for m in minutes if m < self.minute and m not in self.missing]
        return web.json_response(rows[: int(query["limit"])])

    @staticmethod
    def row(minute: int) -> list[int | str]:
        b = bar(minute)
        values = [repr(value) for value in (b.open, b.high, b.low, b.close, b.volume)]
        return [b.open_time_ms, *values, b.open_time_ms + MINUTE_MS - 1, "0", 1, "0", "0", "0"]


@asynccontextmanager
async def trading(exchange: Exchange) -> AsyncIterator[BinanceFeed]:
    app = web.Application()
    app.router.add_get("/api/v3/klines", exchange.klines)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    rest = runner.addresses[0][1]
    async with serve(exchange.stream, "127.0.0.1", 0) as server:
        stream = next(iter(server.sockets)).getsockname()[1]
        feed = BinanceFeed(
            exchange.symbols,
            MINUTE_MS,
            grace_ms=exchange.grace_ms,
            stream_url=f"ws://127.0.0.1:{stream}/stream",
            rest_url=f"http://127.0.0.1:{rest}",
            now_ms=exchange.now_ms,
        )
        try:
            yield feed
        finally:
            await feed.close()
            await runner.cleanup()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binance, "BACK_OFF_S", (0.0, 0.0))


async def following(feed: BinanceFeed, count: int) -> list[Batch]:
    async with asyncio.timeout(20):
        return [batch for _ in range(count) if (batch := await feed.next()) is not None]


def opens(batches: list[Batch]) -> list[tuple[int, Purpose]]:
    return [(batch.close_time_ms // MINUTE_MS - 1 - START, batch.purpose) for batch in batches]


def sending(exchange: list[Exchange], *minutes: int) -> Script:
    """A script that sends closed bars of all symbols at these minutes after the start, then stays silent."""

    async def script(link: ServerConnection, _: int) -> None:
        for minute in minutes:
            for symbol in exchange[0].symbols:
                exchange[0].minute = max(exchange[0].minute, START + minute + 1)
                await link.send(frame_of(bar(START + minute, symbol), MINUTE_MS).decode())
        await link.wait_closed()

    return script


async def test_closed_bars_come_once_and_in_order_whatever_is_repeated() -> None:
    box: list[Exchange] = []
    box.append(Exchange(("ETH/USDT",), sending(box, 0, 0, 1, 0, 1, 2)))
    async with trading(box[0]) as feed:
        assert opens(await following(feed, 3)) == [(m, Purpose.TRADE) for m in range(3)]
    assert box[0].asked == 0


async def test_gap_is_refilled_in_order_and_only_the_newest_bar_is_traded_on() -> None:
    box: list[Exchange] = []
    box.append(Exchange(SYMBOLS, sending(box, 0, 4)))
    async with trading(box[0]) as feed:
        batches = await following(feed, 5)
    assert opens(batches) == [
        (0, Purpose.TRADE), (1, Purpose.REFILL), (2, Purpose.REFILL), (3, Purpose.REFILL), (4, Purpose.TRADE),
    ]  # fmt: skip
    assert all([one.symbol for one in batch.bars if one] == list(SYMBOLS) for batch in batches)


async def test_bar_whose_frame_never_comes_is_fetched_after_its_grace() -> None:
    box: list[Exchange] = []
    box.append(Exchange(SYMBOLS, sending(box)))
    box[0].grace_ms = 50
    async with trading(box[0]) as feed:
        await feed.history(1, None)
        box[0].minute += 1
        (batch,) = await following(feed, 1)
    assert opens([batch]) == [(0, Purpose.TRADE)]
    assert [one.symbol for one in batch.bars if one] == list(SYMBOLS)


async def test_after_a_long_sleep_only_the_newest_bar_is_traded_on() -> None:
    box: list[Exchange] = []
    box.append(Exchange(SYMBOLS, sending(box)))
    box[0].grace_ms = 50
    async with trading(box[0]) as feed:
        await feed.history(1, None)
        box[0].minute += 180
        batches = await following(feed, 180)
    assert opens(batches) == [(m, Purpose.REFILL) for m in range(179)] + [(179, Purpose.TRADE)]


async def test_symbol_that_is_late_is_fetched_and_one_that_has_no_bar_is_left_out() -> None:
    exchange = Exchange(SYMBOLS, lambda link, number: script(link, number))  # noqa: PLW0108 - defined below
    exchange.grace_ms = 50

    async def script(link: ServerConnection, _: int) -> None:
        await link.send(frame_of(bar(START), MINUTE_MS).decode())
        exchange.minute = START + 1
        await link.wait_closed()

    exchange.missing = {START}
    async with trading(exchange) as feed:
        (batch,) = await following(feed, 1)
    assert batch == Batch((START + 1) * MINUTE_MS, (bar(START), None), Purpose.TRADE)


async def test_close_that_nobody_has_is_skipped_and_shows_as_a_gap() -> None:
    box: list[Exchange] = []
    box.append(Exchange(("ETH/USDT",), sending(box, 0, 1, 3)))
    box[0].missing = {START + 2}
    async with trading(box[0]) as feed:
        assert opens(await following(feed, 3)) == [(0, Purpose.TRADE), (1, Purpose.TRADE), (3, Purpose.TRADE)]


async def test_dropped_connection_is_opened_again_and_nothing_is_lost() -> None:
    exchange = Exchange(("ETH/USDT",), lambda link, number: script(link, number))  # noqa: PLW0108 - defined below

    async def script(link: ServerConnection, number: int) -> None:
        minute = 2 * (number - 1)
        exchange.minute = max(exchange.minute, START + minute + 1)
        await link.send(frame_of(bar(START + minute), MINUTE_MS).decode())

    async with trading(exchange) as feed:
        batches = await following(feed, 5)
    assert [minute for minute, _ in opens(batches)] == [0, 1, 2, 3, 4]
    assert exchange.connections >= 3


async def test_announced_shutdown_and_useless_frames_lead_to_a_new_connection() -> None:
    exchange = Exchange(("ETH/USDT",), lambda link, number: script(link, number))  # noqa: PLW0108 - defined below

    async def script(link: ServerConnection, number: int) -> None:
        if number == 1:
            await link.send(json.dumps({"e": "serverShutdown", "E": 1}))
        elif number == 2:
            for _ in range(binance.DROPPED_IN_A_ROW_MAX):
                await link.send(b"\x00binary")
        elif number == 3:
            await link.send("x" * 100_000)
        else:
            exchange.minute = START + 1
            await link.send(frame_of(bar(START), MINUTE_MS).decode())
        await link.wait_closed()

    async with trading(exchange) as feed:
        assert opens(await following(feed, 1)) == [(0, Purpose.TRADE)]
        assert feed.parser.dropped[FrameFault.BINARY] == binance.DROPPED_IN_A_ROW_MAX
    assert exchange.connections == 4


async def test_silent_connection_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binance, "SILENCE_S", 0.05)
    exchange = Exchange(("ETH/USDT",), lambda link, number: script(link, number))  # noqa: PLW0108 - defined below

    async def script(link: ServerConnection, number: int) -> None:
        if number == 2:
            exchange.minute = START + 1
            await link.send(frame_of(bar(START), MINUTE_MS).decode())
        await link.wait_closed()

    async with trading(exchange) as feed:
        assert opens(await following(feed, 1)) == [(0, Purpose.TRADE)]
    assert exchange.connections == 2


async def test_rest_that_fails_leaves_the_gap_visible_and_the_feed_alive() -> None:
    box: list[Exchange] = []
    box.append(Exchange(("ETH/USDT",), sending(box, 0, 3)))
    box[0].failing = 1
    async with trading(box[0]) as feed:
        assert opens(await following(feed, 2)) == [(0, Purpose.TRADE), (3, Purpose.TRADE)]


async def test_history_asks_until_it_is_answered_and_pages_through_thousands() -> None:
    box: list[Exchange] = []
    box.append(Exchange(SYMBOLS, sending(box)))
    box[0].failing = 2
    async with trading(box[0]) as feed:
        batches = await feed.history(2_500, None)
        assert opens(list(batches)) == [(m, Purpose.WARMUP) for m in range(-2_500, 0)]
        again = await feed.history(2_500, (START - 10) * MINUTE_MS)
        assert opens(list(again)) == [(m, Purpose.REFILL) for m in range(-10, 0)]


async def test_tap_sees_every_raw_frame() -> None:
    box: list[Exchange] = []
    box.append(Exchange(("ETH/USDT",), sending(box, 0, 0, 1)))
    seen: list[bytes | str] = []
    async with trading(box[0]) as feed:
        feed.tap = seen.append
        await following(feed, 2)
    assert len(seen) == 3


async def test_closed_feed_has_no_next_batch() -> None:
    box: list[Exchange] = []
    box.append(Exchange(("ETH/USDT",), sending(box, 0)))
    async with trading(box[0]) as feed:
        await following(feed, 1)
        await feed.close()
        assert await feed.next() is None


def test_perpetuals_ask_the_futures_host() -> None:
    feed = BinanceFeed(["ETH/USDT:USDT"], MINUTE_MS)
    assert feed._url == "wss://fstream.binance.com/market/stream?streams=ethusdt@kline_1m"
    assert Klines("https://host/", ["ETH/USDT:USDT"], MINUTE_MS)._url == "https://host/fapi/v1/klines"


async def test_a_connection_is_replaced_before_the_exchange_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    box: list[Exchange] = []

    async def script(link: ServerConnection, connection: int) -> None:
        await sending(box, connection - 1)(link, connection)

    box.append(Exchange(("ETH/USDT",), script))
    async with trading(box[0]) as feed:
        assert opens(await following(feed, 1)) == [(0, Purpose.TRADE)]
        monkeypatch.setattr(binance, "LIFE_S", 0.0)
        waiting = asyncio.create_task(following(feed, 1))
        while box[0].connections < 2:  # noqa: ASYNC110 - the server's counter has no event
            await asyncio.sleep(0)
        monkeypatch.setattr(binance, "LIFE_S", 3_600.0)
        (batch,) = await waiting
        assert batch.bars[0] is not None
        assert batch.bars[0].open_time_ms >= (START + 1) * MINUTE_MS
    assert box[0].connections >= 2


async def test_a_connection_that_says_nothing_is_a_loud_fault_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binance, "FIRST_S", 0.05)
    box: list[Exchange] = []

    async def script(link: ServerConnection, connection: int) -> None:
        if connection > 1:
            await sending(box, 0)(link, connection)
        await link.wait_closed()

    box.append(Exchange(("ETH/USDT",), script))
    with capture_logs() as told:
        async with trading(box[0]) as feed:
            assert opens(await following(feed, 1)) == [(0, Purpose.TRADE)]
    assert [event["log_level"] for event in told if event["event"] == "feed.mute"] == ["error"]


async def test_bars_that_do_not_exist_are_a_fault_of_the_settings() -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=400, text='{"code":-1120,"msg":"Invalid interval."}')

    app = web.Application()
    app.router.add_get("/api/v3/klines", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    klines = Klines(f"http://127.0.0.1:{runner.addresses[0][1]}", ("ETH/USDT",), 1_000)
    with pytest.raises(ConfigError, match="1s bars of ETHUSDT"):
        await klines.batches(0, 1_000, Purpose.WARMUP)
    await klines.close()
    await runner.cleanup()
