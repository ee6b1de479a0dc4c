"""The daemon as it runs live: bars closed on the sandbox, told as websocket frames, traded on paper.

files ─▶ sandbox (stepped bar by bar) ─ ws, REST ─▶ feeds.binance ─▶ five stages, paper venue ─▶ Result

Sockets, frames, parser, assembler and refills are those of `klined run`; only time is the market's, so that a month
takes minutes. Orders do not travel: the paper venue fills them by the bars, as in a replay. Sent to the sandbox they
would fill at once, at its book around the last price, and not at the next open; so fills, and from then on the account,
cannot be the same there, and the accounts' agreement is proved by reconciliation instead.

The wire writes prices in ticks and volumes in lots. Recorded bars are made of them; a made-up volume of more digits
arrives rounded, and what reads volumes then differs.
"""

import asyncio
from collections.abc import Sequence

from klined.backtest.history import History
from klined.backtest.lanes import Result
from klined.backtest.piped import Recorder
from klined.config.settings import Settings
from klined.domain import Batch, Instrument, MarketKind
from klined.errors import ConfigError
from klined.feeds.binance import BinanceFeed
from klined.sandbox.server import SandboxServer, running
from klined.sandbox.settings import SandboxSettings

ANSWER_S = 30.0
"""Real seconds that one bar may take."""
POLL_S = 0.002


def run_wired(settings: Settings, history: History, instruments: Sequence[Instrument]) -> Result:
    """What the daemon decides and does when the files of `settings` are played to it by the exchange.

    Raises:
        ConfigError: the daemon does not answer to a bar, or as its start would.
        ModelError: as its start would.
    """
    return asyncio.run(_play(settings, history, instruments))


async def _play(settings: Settings, history: History, instruments: Sequence[Instrument]) -> Result:
    recorder = Recorder(history, instruments)
    async with running(_exchange(settings, history)) as server:
        daemon = await recorder.daemon(settings)
        feed = _feed(settings, server)
        await daemon.feed.close()
        daemon.feed = daemon.pipeline.feed = feed
        done = asyncio.Event()
        noted = daemon.pipeline.progress

        def progress(batch: Batch) -> None:
            noted(batch)
            done.set()

        daemon.pipeline.progress = progress
        await daemon.start()
        running_stages = asyncio.get_running_loop().create_task(daemon.pipeline.run())
        try:
            await _listening(server, running_stages)
            for t in range(len(history.times)):
                done.clear()
                close_ms = int(history.times[t]) + history.interval_ms
                await _until(server, close_ms - server.exchange.clock.now_ms())
                if not (history.bars[:, t, 4] > 0.0).all():
                    await _until(server, feed.grace_ms)
                await _answer(done, running_stages, close_ms)
        finally:
            daemon.pipeline.stop()
            await asyncio.wait({running_stages})
            await feed.close()
            await daemon.venue.close()
    return recorder.result(daemon)


def _exchange(settings: Settings, history: History) -> SandboxSettings:
    """A sandbox that stands at the open of the first bar."""
    market, spot = settings.market, settings.market.kind is MarketKind.SPOT
    symbols = tuple(market.symbols)
    return SandboxSettings(
        port=0,
        spot=symbols if spot else (),
        perp=() if spot else symbols,
        files=tuple(map(str, market.files)),
        timeframe=market.timeframe,
        speed=0.0,
        start_ms=int(history.times[0]),
        history=0,
    )


def _feed(settings: Settings, server: SandboxServer) -> BinanceFeed:
    market, at = settings.market, f"127.0.0.1:{server.port}"
    stream = "stream" if market.kind is MarketKind.SPOT else "market/stream"
    clock = server.exchange.clock
    return BinanceFeed(
        market.symbols,
        market.interval_ms,
        grace_ms=market.grace_ms,
        stream_url=f"ws://{at}/{stream}",
        rest_url=f"http://{at}",
        now_ms=clock.now_ms,
    )


async def _until(server: SandboxServer, ms: int) -> None:
    """Let `ms` pass at the exchange."""
    server.exchange.clock.step(ms)
    server.exchange.step()
    await asyncio.sleep(0)


async def _listening(server: SandboxServer, stages: asyncio.Task[None]) -> None:
    """Wait for the feed's subscription: what is told before, nobody hears."""
    streams = server.exchange.streams
    async with asyncio.timeout(ANSWER_S):
        while not (streams["spot"].subscribers or streams["perp"].subscribers or stages.done()):  # noqa: ASYNC110 - the exchange tells nobody who comes
            await asyncio.sleep(POLL_S)


async def _answer(done: asyncio.Event, stages: asyncio.Task[None], close_ms: int) -> None:
    """Wait for the daemon to have settled the bar."""
    waiting = asyncio.get_running_loop().create_task(done.wait())
    await asyncio.wait({waiting, stages}, timeout=ANSWER_S, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if stages.done():
        stages.result()
    if not done.is_set():
        raise ConfigError(f"the daemon did not answer to the bar that closed at {close_ms} within {ANSWER_S:g} s")
