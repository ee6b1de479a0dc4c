"""A real exchange behind the Venue port: the protocol that orders need, whatever words the exchange has for them.

    submit ─ POST once ─┬─ Passed ──▶ Accepted, what traded, and a follow-up until every fill is known
                        ├─ Refused ─▶ Denied
                        └─ Doubtful ▶ Doubted: the executor asks, nobody sends again
    query  ─ order, trades ─▶ Accepted, Traded…, Ended (only when its trades are complete)
    news   ◀─ user stream, follow-ups     a speed-up; reconciliation by REST is the truth

No error of the wire leaves `submit`: what it proves is its answer. Reads raise Retryable. What a person should know, or
what forbids to open anything, goes to `alarms`; `poked` asks for a reconciliation soon.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from decimal import Decimal
from typing import Any, Self

from msgspec import Struct
from msgspec.structs import replace

from klined.domain import (
    Accepted,
    Account,
    Batch,
    Cause,
    Denied,
    Doubted,
    Ended,
    Fill,
    Funded,
    Instrument,
    Intent,
    News,
    OrderKind,
    OrderNews,
    Traded,
    Transferred,
)
from klined.errors import Retryable
from klined.ports import Clock
from klined.venues.classify import Reaction
from klined.venues.clock_offset import ClockOffset
from klined.venues.dialect import Dialect, Event, Found, Trade
from klined.venues.wire import Doubt, Refusal

INBOX_MAX = 10_000
ALARMS_MAX = 100
FOLLOW_S = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0)  # then the executor's own questions take over
CLOCK_QUESTIONS = 5
NAMES_MAX = 5_000


class Alarm(Struct, frozen=True):
    """Something the venue found out that no order's news tells. `halt`: nothing is opened until a person resumes."""

    level: str
    name: str
    why: str
    halt: bool = False


class CcxtVenue:
    """Implements `ports.Venue` over a dialect. `set_offset` is told what the venue's clock is ahead of ours."""

    in_process = False

    def __init__(
        self, name: str, dialect: Dialect, clock: Clock, *, recv_window_ms: int, set_offset: Callable[[int], None]
    ) -> None:
        self.name, self.dialect = name, dialect
        self.prefix = "kl-"  # of our client ids; assembly narrows it to this installation's
        self.offset = ClockOffset()
        self.alarms: asyncio.Queue[Alarm] = asyncio.Queue(ALARMS_MAX)
        self.poked = asyncio.Event()
        self.why_poked = ""
        self.relisted = asyncio.Event()  # a filter refused: what it allows may have changed
        self.on_open: Callable[[], Coroutine[Any, Any, None]] | None = None  # such as a user stream
        self._clock, self._recv_window_ms, self._set_offset = clock, recv_window_ms, set_offset
        self._raw_offset_ms = 0
        self._inbox: asyncio.Queue[News] = asyncio.Queue(INBOX_MAX)
        self._tasks: set[asyncio.Task[None]] = set()
        self._following: set[str] = set()
        self._names: dict[str, str] = {}  # venue's order id -> client id
        self._halting: set[str] = set()

    async def instruments(self, symbols: Sequence[str]) -> dict[str, Instrument]:
        """Raises: Retryable when they could not be read now, ConfigError when a symbol is not listed."""
        with self._reading("the instruments"):
            return await self.dialect.instruments(symbols)

    async def check(self, instruments: Sequence[Instrument]) -> Sequence[str]:
        """Verify clock, key and account, and set leverage and margin; sentences worth a warning.

        Raises:
            ConfigError: key or account are not as they must be.
            Retryable: it could not be asked now.
        """
        with self._reading("the account's settings"):
            await self.sync()
            warnings = list(await self.dialect.check(instruments))
        fault = self.offset.fault(self._recv_window_ms)
        return [*warnings, fault] if fault else warnings

    async def sync(self) -> None:
        """Measure the venue's clock. Raises Retryable."""
        self.offset.forget()
        with self._reading("the exchange's clock"), self.dialect.wire.urgent():
            for _ in range(CLOCK_QUESTIONS):
                sent_ms = self._own_ms()
                server_ms = await self.dialect.server_time_ms()
                self.offset.add(sent_ms, self._own_ms(), server_ms)
        self._raw_offset_ms = self.offset.offset_ms
        self._set_offset(self._raw_offset_ms)

    async def share_clock(self, shift: Callable[[int], None]) -> None:
        """Make the venue's time ours, once, by `shift`: for one whose clock is not the world's. Raises Retryable."""
        await self.sync()
        shift(self._raw_offset_ms)
        self._raw_offset_ms = 0
        self._set_offset(0)

    @property
    def clock_fault(self) -> str:
        """Why nothing should be opened by this clock; empty when it is good enough."""
        return self.offset.fault(self._recv_window_ms)

    async def account(self) -> Account:
        with self._reading("the account"), self.dialect.wire.urgent():
            return await self.dialect.account(self._clock.now_ms())

    def prepare(self, intent: Intent) -> None:
        self.dialect.prepare(intent, self._clock.now_ms())

    async def submit(self, intent: Intent) -> Sequence[OrderNews]:
        name, signed_at_ms = intent.client_id, self._clock.now_ms()
        closing = intent.reduce_only or intent.cause is Cause.FLATTEN
        if self.clock_fault and not closing:
            return (Denied(name, f"not sent: {self.clock_fault}"),)
        try:
            if closing:
                with self.dialect.wire.urgent():
                    found = await self.dialect.place(intent, signed_at_ms)
            else:
                found = await self.dialect.place(intent, signed_at_ms)
        except Refusal as refusal:
            self._react(refusal)
            if refusal.proof.reaction is Reaction.DUPLICATE:  # it is there, so some request of ours arrived
                return (Doubted(name, str(refusal)),)
            return (Denied(name, str(refusal)),)
        except Doubt as doubt:
            self._follow(name, intent.symbol)
            return (Doubted(name, str(doubt)),)
        if found.client_id != name:
            return (Doubted(name, f"the answer is about another order, {found.client_id}"),)
        news = await self._told(found)
        if intent.kind is OrderKind.MARKET and not (found.executed or found.ended):
            self._follow(name, intent.symbol)  # the answer told no more than that it is there
        return news

    async def cancel(self, client_id: str, symbol: str) -> Sequence[OrderNews]:
        with self._reading("a cancellation"), self.dialect.wire.urgent():
            found = await self.dialect.cancel(client_id, symbol)
        return await self.query(client_id, symbol) if found is None else await self._told(found)

    async def query(self, client_id: str, symbol: str) -> Sequence[OrderNews]:
        found = await self._ask(client_id, symbol)
        return () if found is None else self._words(found)

    async def fills_since(self, symbol: str, since_ms: int) -> Sequence[Fill]:
        """Every execution of this account on `symbol` from then on, ours and others', by the client id of its order.

        Raises:
            Retryable: it could not be read now.
        """
        with self._reading("trades"), self.dialect.wire.urgent():
            trades = await self.dialect.trades(symbol, since_ms)
            return [replace(trade.fill, client_id=await self._name_of(trade, symbol)) for trade in trades]

    async def income(self, since_ms: int) -> Sequence[Funded | Transferred]:
        """Funding and transfers from then on. Raises Retryable."""
        with self._reading("income"):
            return await self.dialect.income(since_ms)

    async def quote(self, symbol: str) -> tuple[Decimal, Decimal]:
        """Best bid and best ask now. Raises Retryable."""
        with self._reading("the best prices"):
            bid, ask = await self.dialect.quote(symbol)
        if not 0 < bid <= ask:
            raise Retryable(f"bid {bid} and ask {ask} of {symbol} are no prices")
        return bid, ask

    async def countdown(self, symbols: Sequence[str], after_s: float) -> bool:
        """Renew the dead-man switch; False where there is none. Raises Retryable."""
        with self._reading("the dead-man switch"), self.dialect.wire.urgent():
            return await self.dialect.countdown(symbols, after_s)

    def on_batch(self, batch: Batch) -> Sequence[News]:  # noqa: ARG002 - its market moves by itself
        return ()

    async def news(self) -> Sequence[News]:
        told = [await self._inbox.get()]
        while not self._inbox.empty():
            told.append(self._inbox.get_nowait())
        return told

    def dump(self) -> Sequence[tuple[str, bytes]]:
        return ()

    def load(self, rows: Sequence[tuple[str, bytes]]) -> None:
        """The ledger is the exchange's."""

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.dialect.close()

    def open(self) -> None:
        """Begin to listen; key and account were checked."""
        if self.on_open is not None:
            self.start(self.on_open())

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something, such as a user stream, until `close`."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def take(self, event: Event) -> None:
        """What a user stream said."""
        for item in event.news:
            self._tell(item)
        if event.ask is not None:
            self._follow(*event.ask)
        if event.alarm:
            self.alarm(Alarm("error", "exchange.alarmed", event.alarm, halt=True))
        if event.look:
            self.poke(event.look)

    def poke(self, why: str) -> None:
        """Ask for a reconciliation."""
        self.why_poked = why
        self.poked.set()

    def alarm(self, alarm: Alarm) -> None:
        if not self.alarms.full():
            self.alarms.put_nowait(alarm)

    async def _told(self, found: Found) -> Sequence[OrderNews]:
        """News of an order that was just placed or cancelled; its fills are fetched where the answer lacks them."""
        if found.missing:
            try:
                with self.dialect.wire.urgent():
                    found = replace(found, fills=tuple(await self.dialect.fills(found)))
            except (Refusal, Doubt):
                pass  # the follow-up asks again
            if found.missing:
                self._follow(found.client_id, found.symbol)
        return self._words(found)

    async def _ask(self, client_id: str, symbol: str) -> Found | None:
        with self._reading("an order"), self.dialect.wire.urgent():
            found = await self.dialect.find(client_id, symbol)
            if found is not None and found.missing:
                found = replace(found, fills=tuple(await self.dialect.fills(found)))
            return found

    def _words(self, found: Found) -> tuple[OrderNews, ...]:
        self._remember(found.venue_id, found.client_id)
        news: list[OrderNews] = [Accepted(found.client_id, found.venue_id), *(Traded(fill) for fill in found.fills)]
        if found.ended and not found.missing:
            news.append(Ended(found.client_id, found.ended))
        return tuple(news)

    def _follow(self, client_id: str, symbol: str) -> None:
        """Ask for an order until its trades are complete, in the background."""
        if client_id not in self._following:
            self._following.add(client_id)
            self.start(self._pursue(client_id, symbol))

    async def _pursue(self, client_id: str, symbol: str) -> None:
        try:
            for delay_s in FOLLOW_S:
                await asyncio.sleep(delay_s)
                try:
                    found = await self._ask(client_id, symbol)
                except Retryable:
                    continue
                if found is not None:
                    for item in self._words(found):
                        self._tell(item)
                    if (found.executed or found.ended) and not found.missing:
                        return
        finally:
            self._following.discard(client_id)

    def _tell(self, item: News) -> None:
        if self._inbox.full():
            self.poke("the inbox is full")  # what is lost here is found by reconciliation
        else:
            self._inbox.put_nowait(item)

    async def _name_of(self, trade: Trade, symbol: str) -> str:
        if trade.order_id not in self._names:
            self._remember(trade.order_id, await self.dialect.name_of(symbol, trade.order_id) or "external")
        return self._names[trade.order_id]

    def _remember(self, venue_id: str, client_id: str) -> None:
        if venue_id:
            self._names[venue_id] = client_id
            if len(self._names) > NAMES_MAX:
                del self._names[next(iter(self._names))]

    def _react(self, refusal: Refusal) -> None:
        """What a refusal asks for beyond its own request."""
        match refusal.proof.reaction:
            case Reaction.HALT if str(refusal) not in self._halting:
                self._halting.add(str(refusal))
                self.alarm(Alarm("error", "exchange.refused", str(refusal), halt=True))
            case Reaction.CLOCK:
                self.poke("the exchange doubts our clock")
            case Reaction.FILTERS:
                self.alarm(Alarm("warning", "exchange.filtered", str(refusal)))
                self.relisted.set()
            case Reaction.WAIT:
                self.alarm(Alarm("warning", "exchange.limited", str(refusal)))
            case _:
                pass

    def _own_ms(self) -> int:
        """This machine's clock, without what we know about it."""
        return self._clock.now_ms() - self._raw_offset_ms

    def _reading(self, what: str) -> "_Reading":
        return _Reading(self, what)


class _Reading:
    """Turns what a read proves into Retryable; a key that is refused halts as well."""

    def __init__(self, venue: CcxtVenue, what: str) -> None:
        self._venue, self._what = venue, what

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Refusal):
            self._venue._react(error)  # noqa: SLF001 - one mind in two classes
        if isinstance(error, (Refusal, Doubt)):
            raise Retryable(f"{self._what} could not be read: {error}") from error
