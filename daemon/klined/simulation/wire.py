"""Between one process and the exchange: a network that delays, loses, lies about, repeats and reorders.

    submit ─▶ way there ─▶ exchange ─▶ way back ─▶ answer      each part may fail on its own; nothing is ever resent
    query, account ─▶ an answer as of some seconds ago, or Retryable
    user stream ─▶ news: missing, twice, late

`Line` is the only thing of the world that a process's venue touches, and it goes dead with its process.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, TypeVar

from klined.domain import (
    Account,
    Batch,
    Denied,
    Doubted,
    Ended,
    Fill,
    Funded,
    Instrument,
    Intent,
    News,
    OrderNews,
    Transferred,
)
from klined.errors import Retryable
from klined.simulation.checkers import Checkers
from klined.simulation.exchange import Exchange
from klined.simulation.schedule import Timeline
from klined.simulation.world import World
from klined.venues.ccxt import Alarm

MISSED = 0.7  # share of the user stream's events that a fault swallows
FOLLOW_S = (0.3, 2.0)  # how soon an order is asked for that ended with a part traded
FOLLOWED_MAX = 5
TIMEOUT_S = 10.0  # after which a client gives up on an answer
Payload = TypeVar("Payload")


class SimClock:
    """The machine's clock: what it believes, corrected by what the venue said."""

    def __init__(self, world: World) -> None:
        self.offset_ms = 0
        self._world = world

    def now_ms(self) -> int:
        return self._world.wall_ms + self.offset_ms

    def monotonic_s(self) -> float:
        return self._world.now_s - self._world.frozen_s


class SimVenue:
    """`ports.Venue` of one life. Not in process: it can only ask, and the answers prove little."""

    name = "simulated"
    in_process = False

    def __init__(
        self, world: World, exchange: Exchange, timeline: Timeline, clock: SimClock, checkers: Checkers
    ) -> None:
        self._world, self._exchange, self._timeline, self.clock = world, exchange, timeline, clock
        self._checkers = checkers
        self._inbox: deque[News] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._asked = 0
        self._terse = world.random("ack") < 0.5  # an exchange tells the trades, or only that it took the order
        self.dead = False
        self.follows = True  # an end by its stream with a question, for it says nothing about trades that got lost
        self.alarms: asyncio.Queue[Alarm] = asyncio.Queue(8)
        self.poked = asyncio.Event()
        self.why_poked = ""
        self.clock_fault = ""
        self._sync()

    async def instruments(self, symbols: Sequence[str]) -> dict[str, Instrument]:
        return {symbol: self._exchange.instruments[symbol] for symbol in symbols}

    async def submit(self, intent: Intent) -> Sequence[OrderNews]:
        world, client_id = self._world, intent.client_id
        if self.dead:
            return ()
        signed_ms = self.clock.now_ms()
        fault = self._timeline.at("post", world.now_s)
        what, amount = (fault.what, fault.amount) if fault else ("ok", 0.0)
        if self._timeline.at("net", world.now_s):
            what = "lost" if world.random("dark", client_id) < 0.3 else "drop"
        size = str(intent.quantity) if intent.price is None else f"{intent.quantity} at {intent.price}"
        world.note("post", client_id, intent.symbol, size, intent.cause.value, what)
        self._checkers.posted(intent, self)
        there_s, back_s = world.between(0.01, 0.15, "there", client_id), world.between(0.01, 0.15, "back", client_id)
        if what == "refused":
            return await self._answer(there_s + back_s, [Denied(client_id, "503 Service Unavailable")])
        if what == "reject":
            return await self._answer(there_s + back_s, [Denied(client_id, "-2010 rejected")])
        if what == "late":
            there_s = amount
        answer: asyncio.Future[list[OrderNews]] = asyncio.get_running_loop().create_future()
        if what != "drop":
            back_s = amount if what == "slow" else back_s
            tells = what in {"ok", "slow", "partial"}
            partial = what == "partial" or world.random("partly", client_id) < 0.1
            world.after(there_s, lambda: self._arrived(intent, signed_ms, back_s, answer, tells=tells, partial=partial))
        if what == "done":
            self._reply(answer, there_s + back_s, [Doubted(client_id, "503 Unknown error")])
        elif what in {"lost", "drop", "late"}:
            self._reply(answer, TIMEOUT_S, [Doubted(client_id, "no answer")])
        return await answer

    async def cancel(self, client_id: str, symbol: str) -> Sequence[OrderNews]:
        del symbol
        await self._way()
        found = self._exchange.cancel(client_id)
        self._world.note("cancel", client_id, found)
        await self._way()
        return self._exchange.told(client_id, self._world.now_s) if found else ()

    async def quote(self, symbol: str) -> tuple[Decimal, Decimal]:
        """Best bid and ask, as of a moment ago."""
        await self._way()
        return self._exchange.quotes(symbol)

    async def query(self, client_id: str, symbol: str) -> Sequence[OrderNews]:
        del symbol
        await self._way()
        found = self._exchange.told(client_id, self._as_of_s())
        await self._way()
        self._world.note("query", client_id, len(found))
        return found

    async def account(self) -> Account:
        await self._way()
        account = self._exchange.account(self._as_of_s())
        await self._way()
        return account

    async def sync(self) -> None:
        """Compare clocks."""
        await self._way()
        self._sync()

    async def fills_since(self, symbol: str, since_ms: int) -> Sequence[Fill]:
        """Every execution on `symbol` from then on."""
        await self._way()
        as_of_ms = self._world.now_ms - int((self._world.now_s - self._as_of_s()) * 1000)
        found = [f for f in self._exchange.fills if f.symbol == symbol and since_ms <= f.time_ms <= as_of_ms]
        await self._way()
        return found

    async def income(self, since_ms: int) -> Sequence[Funded | Transferred]:
        """Funding from then on."""
        await self._way()
        return [item for item in self._exchange.funded if item.time_ms >= since_ms]

    async def countdown(self, symbols: Sequence[str], after_s: float) -> bool:
        """There is no dead-man switch here."""
        del symbols, after_s
        return False

    async def news(self) -> Sequence[News]:
        while not self._inbox:
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        told = tuple(self._inbox)
        self._inbox.clear()
        return told

    def on_batch(self, batch: Batch) -> Sequence[News]:
        del batch
        return ()

    def dump(self) -> Sequence[tuple[str, bytes]]:
        return ()

    def load(self, rows: Sequence[tuple[str, bytes]]) -> None:
        """The exchange keeps its own ledger."""

    async def close(self) -> None:
        """Nothing to close."""

    def push(self, news: News) -> None:
        """The exchange says something; what reaches the user stream, when, and how often, is the network's affair."""
        world = self._world
        fault = self._timeline.at("user", world.now_s)
        missed = fault is not None and fault.what == "miss" and world.random("miss", len(world.trace)) < MISSED
        if missed or self._timeline.at("net", world.now_s):
            return
        if self.follows and isinstance(news, Ended) and self._exchange.traded(news.client_id):
            world.after(world.between(*FOLLOW_S, "follow", len(world.trace)), lambda: self._follow(news.client_id, 0))
            return  # as the adapter: its trades may come later than its end, so it is asked for
        delay_s = world.between(0.02, 0.4, "push", len(world.trace))
        if fault and fault.what == "delay":
            delay_s += fault.amount * world.random("delay", len(world.trace))
        world.after(delay_s, lambda: self._hear(news))
        if fault and fault.what == "twice":
            world.after(delay_s * 3.0, lambda: self._hear(news))

    def _follow(self, client_id: str, tries: int) -> None:
        """Ask for all that is known of an order that ended, in the background; not for ever."""
        world = self._world
        fault = self._timeline.at("read", world.now_s)
        if self.dead or tries >= FOLLOWED_MAX:
            return
        if self._timeline.at("net", world.now_s) or (fault is not None and fault.what == "fail"):
            world.after(FOLLOW_S[1] * (tries + 1), lambda: self._follow(client_id, tries + 1))
            return
        for news in self._exchange.told(client_id, world.now_s):
            self._hear(news)

    def _hear(self, news: News) -> None:
        if self.dead:
            return
        self._inbox.append(news)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _arrived(
        self,
        intent: Intent,
        signed_ms: int,
        back_s: float,
        answer: asyncio.Future[list[OrderNews]],
        *,
        tells: bool,
        partial: bool,
    ) -> None:
        heard = self._exchange.arrive(intent, signed_ms, partial=partial)
        if not tells:
            return
        if isinstance(heard, Denied):
            if heard.reason.startswith("-1021"):
                self._sync()
            self._reply(answer, back_s, [heard])
            return
        told = [heard] if self._terse else self._exchange.told(intent.client_id, self._world.now_s)
        self._reply(answer, back_s, list(told))

    def _answer(self, delay_s: float, told: list[OrderNews]) -> asyncio.Future[list[OrderNews]]:
        answer: asyncio.Future[list[OrderNews]] = asyncio.get_running_loop().create_future()
        self._reply(answer, delay_s, told)
        return answer

    def _reply(self, answer: asyncio.Future[Any], delay_s: float, told: object) -> None:
        def arrive() -> None:
            if not self.dead and not answer.done():
                answer.set_result(told)

        self._world.after(delay_s, arrive)

    async def _way(self) -> None:
        """One way of a read through the network. Raises Retryable when it is lost."""
        world, now_s = self._world, self._world.now_s
        self._asked += 1
        fault = self._timeline.at("read", now_s)
        if self._timeline.at("net", now_s):
            await self._answer(TIMEOUT_S, [])
            raise Retryable("the network is dark")
        luck = world.random("read", now_s, self._asked)
        delay_s = 0.01 + 0.14 * luck
        if fault and fault.what == "slow":
            delay_s += fault.amount * luck
        await self._answer(delay_s, [])
        if fault and fault.what == "fail" and world.random("fail", now_s, self._asked) < 0.7:
            raise Retryable("HTTP 502")

    def _as_of_s(self) -> float:
        """Reads lag behind what happened."""
        world = self._world
        fault = self._timeline.at("read", world.now_s)
        if fault and fault.what == "lag":
            return world.now_s - fault.amount * world.random("lag", world.now_s)
        return world.now_s - world.between(0.0, 0.1, "lag", world.now_s)

    def _sync(self) -> None:
        """Ask the exchange for its time, as an adapter does at the start and after -1021."""
        self.clock.offset_ms += self._world.now_ms - self.clock.now_ms()
