"""A stream that stays connected and says nothing, on the sandbox: found in time, opened anew, and no bar is lost."""

import asyncio

import aiohttp
import structlog

from klined.config.load import load
from klined.domain import Purpose
from klined.feeds.binance import BinanceFeed
from klined.runtime.assembly import make_feed
from klined.sandbox.server import running
from klined.sandbox.settings import SandboxSettings
from sandbox.wire import Wire

MINUTE_MS = 60_000


def test_silence_is_two_pushes_and_the_grace_that_is_set() -> None:
    feed = make_feed(load(None, ["market.exchange=binance", "market.silence_grace_s=3"], {}))
    assert isinstance(feed, BinanceFeed)
    assert feed._silence_s == 7.0


async def test_a_silent_stream_is_found_and_what_it_kept_back_is_refilled() -> None:
    sandbox = SandboxSettings(port=0, speed=60.0, step_ms=50, history=400)
    async with running(sandbox) as server, aiohttp.ClientSession() as http:
        wire = Wire(http, server)
        feed = BinanceFeed(
            ["ETH/USDT"],
            MINUTE_MS,
            stream_url=f"{wire.ws}/stream",
            rest_url=wire.base,
            now_ms=server.exchange.clock.now_ms,
            silence_s=0.4,
        )
        try:
            async with asyncio.timeout(20):
                first = await feed.next()
                await wire.arm("silent", duration_ms=120_000)  # two seconds here
                with structlog.testing.capture_logs() as said:
                    told = [await feed.next() for _ in range(5)]
        finally:
            await feed.close()
    assert any("without a message" in str(each.get("why")) for each in said if each["event"] == "feed.disconnected")
    closes = [batch.close_time_ms for batch in [first, *told] if batch is not None]
    assert closes == list(range(closes[0], closes[0] + 6 * MINUTE_MS, MINUTE_MS))
    assert told[-1] is not None
    assert told[-1].purpose is Purpose.TRADE
