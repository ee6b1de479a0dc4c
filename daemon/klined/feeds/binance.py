"""Binance's live klines: a websocket for bars as they close, REST for those that did not arrive.

    frames ─▶ parser ─▶ assembler ─▶ batch ─┬─ follows the last ──────────▶ next()
    REST   ─▶ klines ─────▶ refill ─────────┴─ leaves a gap: refill first

Nothing promises that the frame of a close comes, or comes once: what is missing a grace after its close is fetched. A
connection that fails or is silent is opened again, for ever; the bars of the meantime are fetched, and only the newest
is to be traded on.
"""

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Self

import structlog
from msgspec.structs import replace
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from klined.domain import Bar, Batch, Purpose
from klined.errors import Retryable
from klined.feeds import FeedSettings
from klined.feeds.batches import BatchAssembler
from klined.feeds.frames import FRAME_BYTES_MAX, Dropped, FrameParser, Reply, Shutdown
from klined.feeds.gaps import Continuity
from klined.feeds.klines import Klines
from klined.feeds.timeframe import timeframe_name
from klined.world.filters import venue_symbol

STREAMS = {False: "wss://data-stream.binance.vision/stream", True: "wss://fstream.binance.com/market/stream"}
REST = {False: "https://data-api.binance.vision", True: "https://fapi.binance.com"}
"""Public market data of spot and of perpetuals; the same for paper and real money."""

PUSH_S = 2.0  # an open kline is pushed so often while anything trades
SILENCE_S = 30.0  # two pushes and market.silence_grace_s
FIRST_S = 10.0  # a wrong path connects as well, and says nothing
MUTE = "connected, but nothing comes; is market.stream_url right?"
LIFE_S = 23 * 3_600.0  # the exchange ends a connection after 24 hours: switch before
DROPPED_IN_A_ROW_MAX = 20
HISTORY_TRIES = 12  # some four minutes; then a start has failed, and says so
BACK_OFF_S = (1.0, 30.0)  # first and longest; 300 attempts in 5 minutes are a ban

log = structlog.get_logger()


class BinanceFeed:
    """Implements `ports.Feed` and `ports.Watched`. `tap`, when set, is shown every raw frame."""

    def __init__(
        self,
        symbols: Sequence[str],
        interval_ms: int,
        *,
        grace_ms: int = 3_000,
        stream_url: str = "",
        rest_url: str = "",
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        monotonic_s: Callable[[], float] = time.monotonic,
        jitter: Callable[[float, float], float] = random.uniform,
        silence_s: float | None = None,
    ) -> None:
        perpetual = ":" in symbols[0]
        streams = "/".join(f"{venue_symbol(symbol).lower()}@kline_{timeframe_name(interval_ms)}" for symbol in symbols)
        self.symbols = tuple(symbols)
        self.interval_ms, self.grace_ms = interval_ms, grace_ms
        self.tap: Callable[[bytes | str], None] | None = None
        self.parser = FrameParser(symbols, interval_ms)
        self.continuity = Continuity(interval_ms)
        self.klines = Klines(rest_url or REST[perpetual], symbols, interval_ms)
        self._url = f"{stream_url or STREAMS[perpetual]}?streams={streams}"
        self._now_ms, self._monotonic_s, self._jitter, self._silence_s = (
            now_ms,
            monotonic_s,
            jitter,
            silence_s or SILENCE_S,
        )
        self._assembler = BatchAssembler(symbols, interval_ms, grace_ms)
        self._ready: deque[Batch] = deque()
        self._last_ms = 0  # close time of the newest batch that is ready or was given; only bars move it
        self._asked_ms = 0  # closes up to here were asked for; moved by our clock, which may be wrong
        self._link: ClientConnection | None = None
        self._back_off_s = BACK_OFF_S[0]
        self._dropped_in_a_row = 0
        self._heard_s = self._connected_s = 0.0
        self._mute = True  # whether this connection has said nothing yet
        self._closed = False
        self.steps, self.waiting = 0, ""

    @classmethod
    def configured(cls, settings: FeedSettings) -> Self:
        return cls(
            settings.symbols,
            settings.interval_ms,
            grace_ms=settings.grace_ms,
            stream_url=settings.stream_url,
            rest_url=settings.rest_url,
            silence_s=2 * PUSH_S + settings.silence_grace_s,
        )

    def keep_time(self, now_ms: Callable[[], int], monotonic_s: Callable[[], float]) -> None:
        """Another time than the machine's, such as that of a sped-up sandbox."""
        self._now_ms, self._monotonic_s = now_ms, monotonic_s

    async def history(self, count: int, after_ms: int | None) -> Sequence[Batch]:
        """The last `count` closed batches, or all that closed after `after_ms`; asks again for some minutes.

        Raises:
            Retryable: they could not be had.
            ConfigError: there are no such bars.
        """
        edge_ms = self._edge_ms()
        since_ms = edge_ms - count * self.interval_ms if after_ms is None else after_ms
        purpose = Purpose.WARMUP if after_ms is None else Purpose.REFILL
        for left in range(HISTORY_TRIES, 0, -1):
            try:
                found = await self.klines.batches(since_ms, edge_ms, purpose)
            except Retryable as error:
                if left == 1:
                    raise
                log.warning("feed.refill_failed", why=str(error), next_s=self._back_off_s)
                self.waiting = str(error)
                await self._wait()
            else:
                self.waiting = ""
                self._back_off_s = BACK_OFF_S[0]
                self._last_ms = found[-1].close_time_ms if found else min(since_ms, edge_ms)
                self._asked_ms = edge_ms
                return found
        raise AssertionError("unreachable")

    async def next(self) -> Batch | None:
        self._last_ms = self._last_ms or self._edge_ms()
        while not self._ready and not self._closed:
            await self._advance()
        return self._ready.popleft() if self._ready else None

    def resync(self) -> None:
        """Drop the connection, which may be dead or hours behind; the next step fetches what was missed."""
        self.waiting = "time jumped: reconnecting"
        if self._link is not None:
            self._link.transport.abort()

    async def close(self) -> None:
        self._closed = True
        await self._disconnect()
        await self.klines.close()

    async def _advance(self) -> None:
        """One step: a frame, or the grace of a close is over, or another try to connect."""
        self.steps += 1
        if self._now_ms() >= self._overdue_ms():
            await self._catch_up()
            return
        try:
            link = self._link or await self._connect()
            if self._monotonic_s() - self._connected_s >= LIFE_S:
                link = await self._switch(link)
            due_s = (self._overdue_ms() - self._now_ms()) / 1_000
            limit_s = min(FIRST_S, self._silence_s) if self._mute else self._silence_s
            async with asyncio.timeout(max(0.0, min(due_s, limit_s))):
                frame = await link.recv()
        except TimeoutError:
            silent_s = self._monotonic_s() - self._heard_s
            if self._mute and silent_s >= FIRST_S:
                log.error("feed.mute", url=self._url, hint=MUTE)  # noqa: TRY400  # no error
            if silent_s >= (min(FIRST_S, self._silence_s) if self._mute else self._silence_s):
                await self._reconnect(f"{silent_s:.0f} s without a message")
        except (OSError, WebSocketException) as error:
            await self._reconnect(str(error) or type(error).__name__)
        else:
            await self._hear(frame)

    async def _hear(self, frame: bytes | str) -> None:
        self.waiting = ""
        self._heard_s, self._mute, self._back_off_s = self._monotonic_s(), False, BACK_OFF_S[0]
        if self.tap is not None:
            self.tap(frame)
        match self.parser.parse(frame, binary=isinstance(frame, bytes)):
            case Bar() as bar:
                self._dropped_in_a_row = 0
                if self.continuity.see(bar.symbol, bar.open_time_ms).fresh:
                    for batch in self._assembler.add(bar):
                        await self._put(batch)
            case Dropped(fault, detail):
                self._dropped_in_a_row += 1
                log.debug("frame.dropped", fault=fault.value, detail=detail)
                if self._dropped_in_a_row >= DROPPED_IN_A_ROW_MAX:
                    await self._reconnect(f"{DROPPED_IN_A_ROW_MAX} useless frames in a row, the last {fault}: {detail}")
            case Reply(error=error) if error:
                await self._reconnect(f"the subscription was refused: {error}")
            case Shutdown():
                await self._reconnect("the server will shut down")
            case _:
                self._dropped_in_a_row = 0

    async def _put(self, batch: Batch) -> None:
        """Make a batch ready, after those between it and the last one."""
        if batch.close_time_ms <= self._last_ms:
            return
        if batch.close_time_ms > self._last_ms + self.interval_ms:
            await self._refill(batch.close_time_ms - self.interval_ms)
        self._ready.append(batch)
        self._last_ms = self._asked_ms = batch.close_time_ms

    async def _catch_up(self) -> None:
        """The grace of a close is over: fetch what did not come, or go without it."""
        waiting = self._assembler.due(self._now_ms())
        edge_ms = waiting[-1].close_time_ms if waiting else self._edge_ms()
        asked = await self._refill(edge_ms)
        if not self._ready or self._ready[-1].close_time_ms < edge_ms:  # what the stream brought is better than nothing
            self._ready.extend(batch for batch in waiting if batch.close_time_ms > self._last_ready_ms())
        if self._ready and self._ready[-1].close_time_ms == edge_ms:
            self._ready[-1] = replace(self._ready[-1], purpose=Purpose.TRADE)
        self._last_ms = self._last_ready_ms()
        if asked or waiting:
            self._asked_ms = edge_ms  # a close that nobody has is a gap, which the next close time shows
        else:
            await self._wait()

    async def _refill(self, until_ms: int) -> bool:
        """Fetch the closes after the last batch up to `until_ms`; False when the exchange could not be asked."""
        try:
            found = await self.klines.batches(self._last_ms, until_ms, Purpose.REFILL)
        except Retryable as error:
            self.waiting = str(error)
            log.warning("feed.refill_failed", why=str(error), bars=(until_ms - self._last_ms) // self.interval_ms)
            return False
        log.info("feed.refilled", bars=len(found), until_ms=until_ms)
        self._ready.extend(found)
        return True

    def _last_ready_ms(self) -> int:
        return self._ready[-1].close_time_ms if self._ready else self._last_ms

    def _edge_ms(self) -> int:
        """Close time of the newest closed bar."""
        now_ms = self._now_ms()
        return now_ms - now_ms % self.interval_ms

    def _overdue_ms(self) -> int:
        """When the next close has had its grace."""
        return max(self._last_ms, self._asked_ms) + self.interval_ms + self.grace_ms

    async def _connect(self) -> ClientConnection:
        self._link = await connect(self._url, max_size=FRAME_BYTES_MAX, open_timeout=10, close_timeout=1)
        self._heard_s = self._connected_s = self._monotonic_s()
        self._mute = True
        log.info("feed.connected", url=self._url)
        return self._link

    async def _switch(self, old: ClientConnection) -> ClientConnection:
        """Open the next connection before this one is ended for us; bars that both bring are used once."""
        link = await self._connect()
        with contextlib.suppress(OSError, WebSocketException):
            await old.close()
        return link

    async def _reconnect(self, why: str) -> None:
        """Let go and wait; the next step connects. Supervised: the wait is announced and bounded."""
        log.warning("feed.disconnected", why=why, next_s=self._back_off_s)
        self.waiting = f"reconnecting: {why}"
        await self._disconnect()
        self._dropped_in_a_row = 0
        await self._wait()

    async def _disconnect(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            with contextlib.suppress(OSError, WebSocketException):
                await link.close()

    async def _wait(self) -> None:
        self.steps += 1
        await asyncio.sleep(self._back_off_s * self._jitter(0.5, 1.0))
        self._back_off_s = min(self._back_off_s * 2, BACK_OFF_S[1])
