"""The live feed of one process, on a simulated socket: the production feed, parser, assembler and gap fill.

market ─ pushes at each close ─▶ Link (the socket) ─▶ BinanceFeed ─▶ batches
       ─ answers REST ─────────▶ SimKlines ──────────┘
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from klined.domain import Bar, Batch, Purpose
from klined.errors import Retryable
from klined.feeds.binance import BinanceFeed
from klined.simulation.market import BAR_MS, FIRST, Market
from klined.simulation.schedule import BAR_S, Fault, Timeline
from klined.simulation.world import EPOCH_MS, World

SILENCE_S = 150.0  # only closes are pushed here


class Link:
    """A websocket: frames arrive until it is cut."""

    def __init__(self) -> None:
        self.frames: deque[str] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._cut = False

    async def recv(self) -> str:
        """Raises: OSError, once it was cut and all that came before was read."""
        while not self.frames:
            if self._cut:
                raise OSError("the connection was cut")
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        return self.frames.popleft()

    async def close(self) -> None:
        self.cut()

    def push(self, frame: str) -> None:
        if not self._cut:
            self.frames.append(frame)
            self._wake()

    def cut(self) -> None:
        self._cut = True
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


class SimKlines:
    """The REST side: what has closed by now, unless it cannot be asked."""

    def __init__(self, world: World, market: Market, timeline: Timeline) -> None:
        self._world, self._market, self._timeline = world, market, timeline
        self._asked = 0

    async def batches(self, after_ms: int, until_ms: int, purpose: Purpose) -> list[Batch]:
        """As `Klines.batches`."""
        world = self._world
        self._asked += 1
        await asyncio.sleep(world.between(0.02, 0.2, "klines", world.now_s, self._asked))
        fault = self._timeline.at("feed", world.now_s)
        if (fault and fault.what == "rest") or self._timeline.at("net", world.now_s):
            raise Retryable("klines: HTTP 502")
        first = max(-FIRST, (after_ms - EPOCH_MS) // BAR_MS)
        last = min((until_ms - EPOCH_MS) // BAR_MS, int((world.now_s - 0.2) // BAR_S))
        symbols = tuple(self._market.instruments)
        return [
            Batch(EPOCH_MS + (k + 1) * BAR_MS, tuple(self._market.bar(symbol, k) for symbol in symbols), purpose)
            for k in range(first, last)
        ]

    async def close(self) -> None:
        """Nothing to close."""


class SimFeed(BinanceFeed):
    """One life's feed. `purposes` remembers for what each close was handed out."""

    def __init__(
        self, world: World, market: Market, timeline: Timeline, wire: "Wire", now_ms: Callable[[], int]
    ) -> None:
        super().__init__(
            tuple(market.instruments),
            BAR_MS,
            grace_ms=2_000,
            now_ms=now_ms,
            monotonic_s=lambda: world.now_s - world.frozen_s,
            jitter=lambda low, high: world.between(low, high, "jitter", world.now_s),
            silence_s=SILENCE_S,
        )
        self.klines = SimKlines(world, market, timeline)  # type: ignore[assignment]  # the same two methods
        self.purposes: dict[int, Purpose] = {}
        self._world, self._timeline, self._wire = world, timeline, wire

    async def history(self, count: int, after_ms: int | None) -> Sequence[Batch]:
        found = await super().history(count, after_ms)
        self.purposes.update((batch.close_time_ms, batch.purpose) for batch in found)
        return found

    async def next(self) -> Batch | None:
        batch = await super().next()
        if batch is not None:
            self.purposes[batch.close_time_ms] = batch.purpose
        return batch

    async def _connect(self) -> Link:  # type: ignore[override]  # as much of a websocket as the feed uses
        await asyncio.sleep(0.1)
        if self._timeline.at("net", self._world.now_s):
            raise OSError("the network is dark")
        link = self._wire.link = Link()
        self.waiting = ""
        self._link = link  # type: ignore[assignment]  # as above
        self._heard_s = self._monotonic_s()
        self._back_off_s = 1.0
        return link


class Wire:
    """The exchange's end of the stream: pushes each close to whoever is connected, with what goes wrong on the way."""

    def __init__(self, world: World, market: Market, timeline: Timeline) -> None:
        self.link: Link | None = None
        self._world, self._market, self._timeline = world, market, timeline
        self._k = 0
        world.at(BAR_S, self._close)

    def _close(self) -> None:
        k, world = self._k, self._world
        self._k += 1
        fault = self._timeline.at("feed", world.now_s)
        if self._timeline.at("net", world.now_s):
            if self.link is not None:
                self.link.cut()
        else:
            for symbol in self._market.instruments:
                self._push(symbol, k, fault)
        world.at((k + 2) * BAR_S, self._close)

    def _push(self, symbol: str, k: int, fault: Fault | None) -> None:
        world, frame = self._world, self._market.frame(symbol, k)
        delay_s = world.between(0.03, 0.4, "frame", symbol, k)
        match fault.what if fault else "":
            case "skip":
                return
            case "stall":
                delay_s += fault.amount if fault else 0.0
            case "swap":
                delay_s += BAR_S
            case "twice":
                world.after(delay_s + 1.0, lambda: self._send(frame))
            case "revise":
                bar = self._market.bar(symbol, k)
                close = round(min(bar.high, max(bar.low, bar.close * (1.0 + (fault.amount if fault else 0.0)))), 2)
                revised = Bar(symbol, bar.open_time_ms, bar.open, bar.high, bar.low, close, bar.volume)
                frame = self._market.frame_of(revised)
            case "garble":
                frame = frame[: int(len(frame) * world.random("garble", symbol, k))]
            case "cut":
                world.after(delay_s, lambda: self.link.cut() if self.link is not None else None)
                return
            case _:
                pass
        world.after(delay_s, lambda: self._send(frame))

    def _send(self, frame: str) -> None:
        if self.link is not None:
            self.link.push(frame)
