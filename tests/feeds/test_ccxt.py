"""Bars of any exchange: through ccxt's own Binance class on the sandbox, and through a scripted client."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import ccxt as library
import pytest

from klined.config.load import load
from klined.domain import Batch, Purpose
from klined.errors import ConfigError
from klined.feeds import binance
from klined.feeds.ccxt import CcxtFeed
from klined.runtime.assembly import make_feed
from klined.sandbox.server import SandboxServer, running
from klined.sandbox.settings import SandboxSettings
from sandbox.wire import Wire

MINUTE_MS = 60_000
START_MS = 1_735_689_600_000
SYMBOL = "ETH/USDT"


class Client:
    """Says what the test puts in; answers REST from `closed`."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[Any] = asyncio.Queue()
        self.closed: dict[int, list[float]] = {}
        self.asked = 0
        self.broken = False

    async def watch_ohlcv(self, _symbol: str, _timeframe: str) -> Any:
        heard = await self.said.get()
        if isinstance(heard, Exception):
            raise heard
        return heard

    async def fetch_ohlcv(self, _symbol: str, _timeframe: str, since: int, limit: int) -> Any:
        self.asked += 1
        if self.broken:
            raise library.NetworkError("dark")
        return [row for at_ms, row in sorted(self.closed.items()) if at_ms >= since][:limit]

    async def close(self) -> None:
        pass


class Scene:
    """A feed on a scripted client, and a clock that the test moves."""

    def __init__(self) -> None:
        self.now_ms = START_MS + 500
        self.client = Client()
        self.feed = CcxtFeed(
            "kucoin", [SYMBOL], MINUTE_MS, now_ms=lambda: self.now_ms, monotonic_s=lambda: self.now_ms / 1000,
            jitter=lambda _low, _high: 0.0,
        )  # fmt: skip
        self.feed._client = self.client  # the seam

    def row(self, minute: int, close: float = 100.0) -> list[float]:
        return [START_MS + minute * MINUTE_MS, 100.0, 101.0, 99.0, close, 5.0]

    def close(self, minute: int, close: float = 100.0) -> None:
        row = self.row(minute, close)
        self.client.closed[int(row[0])] = row

    async def next(self) -> Batch:
        async with asyncio.timeout(5):
            batch = await self.feed.next()
        assert batch is not None
        return batch


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    yield made
    await made.feed.close()


async def test_a_candle_is_a_bar_when_its_successor_appears_and_with_its_last_figures(scene: Scene) -> None:
    for close in (100.2, 100.4, 100.6):
        scene.client.said.put_nowait([scene.row(0, close)])
    scene.client.said.put_nowait([scene.row(0, 100.8), scene.row(1)])
    batch = await scene.next()
    assert batch.close_time_ms == START_MS + MINUTE_MS
    assert batch.purpose is Purpose.TRADE
    assert batch.bars[0] is not None
    assert batch.bars[0].close == 100.8
    assert scene.client.asked == 0


async def test_without_a_successor_rest_tells_the_bar_a_grace_after_its_close(scene: Scene) -> None:
    scene.client.said.put_nowait([scene.row(0)])
    waiting = asyncio.create_task(scene.next())
    await asyncio.sleep(0)
    scene.close(0, 100.9)
    scene.now_ms = START_MS + MINUTE_MS + 3_000
    scene.client.said.put_nowait([])  # a sign of life
    batch = await waiting
    assert batch.bars[0] is not None
    assert (batch.bars[0].close, batch.purpose) == (100.9, Purpose.TRADE)


async def test_a_gap_is_refilled_in_order_and_only_the_newest_bar_is_traded_on(scene: Scene) -> None:
    scene.client.said.put_nowait([scene.row(0), scene.row(1)])
    await scene.next()
    for minute in (1, 2, 3):
        scene.close(minute)
    scene.now_ms = START_MS + 4 * MINUTE_MS + 500
    scene.client.said.put_nowait([scene.row(3), scene.row(4)])
    told = [await scene.next() for _ in range(3)]
    assert [(b.close_time_ms - START_MS) // MINUTE_MS for b in told] == [2, 3, 4]
    assert [b.purpose for b in told] == [Purpose.REFILL, Purpose.REFILL, Purpose.TRADE]


async def test_a_failed_connection_is_opened_again_and_says_so(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binance, "BACK_OFF_S", (0.0, 0.0))
    scene.client.said.put_nowait(library.NetworkError("reset"))
    waiting = asyncio.create_task(scene.next())
    for _ in range(50):
        await asyncio.sleep(0)
    scene.client.said.put_nowait([scene.row(0), scene.row(1)])
    assert (await waiting).close_time_ms == START_MS + MINUTE_MS


async def test_history_asks_again_until_it_is_answered_and_gives_closed_bars_only(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binance, "BACK_OFF_S", (0.0, 0.0))
    scene.now_ms = START_MS + 5 * MINUTE_MS + 500
    for minute in range(6):
        scene.close(minute)
    scene.client.broken = True
    asking = asyncio.create_task(scene.feed.history(4, None))
    while scene.client.asked < 2:  # noqa: ASYNC110 - a scripted client has no event
        await asyncio.sleep(0)
    assert not asking.done()
    assert scene.feed.waiting
    scene.client.broken = False
    batches = await asking
    assert [(b.close_time_ms - START_MS) // MINUTE_MS for b in batches] == [2, 3, 4, 5]
    assert {b.purpose for b in batches} == {Purpose.WARMUP}


def test_an_exchange_that_ccxt_does_not_know_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match="'nowhere'"):
        _ = CcxtFeed("nowhere", [SYMBOL], MINUTE_MS).client


@pytest.mark.parametrize("exchange", ["kucoin", "bybit", "okx"])
def test_an_exchange_without_a_feed_of_its_own_is_watched_by_ccxt(exchange: str, tmp_path: Path) -> None:
    settings = load(None, [f"market.exchange={exchange}", f"store.dir={tmp_path}"], {})
    feed = make_feed(settings)
    assert isinstance(feed, CcxtFeed)
    assert feed.exchange == exchange


@pytest.mark.parametrize("symbol", [SYMBOL, "ETH/USDT:USDT"])
async def test_ccxts_own_binance_class_on_the_sandbox(symbol: str, tmp_path: Path) -> None:
    sandbox = SandboxSettings(port=0, speed=30.0, step_ms=50, history=400)
    async with running(sandbox) as server, aiohttp.ClientSession() as http:
        await trace(server, Wire(http, server), symbol, tmp_path)


async def trace(server: SandboxServer, wire: Wire, symbol: str, tmp_path: Path) -> None:
    path = "fstream" if ":" in symbol else "stream"
    told = {
        "market.exchange": "binance",
        "market.feed": "ccxt",
        "market.kind": "perp" if ":" in symbol else "spot",
        "market.symbols": symbol,
        "market.stream_url": f"{wire.ws}/{path}",
        "market.rest_url": wire.base,
        "store.dir": str(tmp_path),
    }
    settings = load(None, [f"{key}={value}" for key, value in told.items()], {})
    feed = make_feed(settings)
    assert isinstance(feed, CcxtFeed)
    feed._now_ms = server.exchange.clock.now_ms  # a minute lasts two seconds there
    try:
        async with asyncio.timeout(20):
            past = await feed.history(300, None)
            live = [await feed.next() for _ in range(2)]
    finally:
        await feed.close()
    closes = [batch.close_time_ms for batch in [*past, *live] if batch is not None]
    assert closes == list(range(closes[0], closes[0] + len(closes) * MINUTE_MS, MINUTE_MS))
    assert len(past) == 300
    route = "/fapi/v1/klines" if ":" in symbol else "/api/v3/klines"
    rows = await wire.call("GET", route, symbol="ETHUSDT", interval="1m", limit=20)
    truth = {int(row[0]): float(row[4]) for row in rows}
    for batch in live:
        assert batch is not None
        assert batch.bars[0] is not None
        assert batch.bars[0].close == truth[batch.bars[0].open_time_ms]
