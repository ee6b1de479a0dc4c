"""Performs what the executor asks for: submit, query, cancel, inspect, wait; and brings back what was heard.

A submit is performed once, after its intent is durable. Reads that fail are asked for again by the executor's own
timers. News that arrives between batches is journalled in a transaction of its own.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog
from msgspec.structs import replace

from klined.config.masks import knows_any
from klined.domain import Batch, Cause, Denied, Intent, Mode, Record, Sent, Verdict
from klined.errors import Retryable, StateError
from klined.kernels import layout as at
from klined.ports import Choice, Clock, Journal, Preparing, Venue
from klined.runtime.observing import Bus
from klined.runtime.secrecy import without_secrets
from klined.trader.actions import Action, Cancel, Inspect, Query, Submit, WaitUntil
from klined.trader.styles import attempt
from klined.trader.trader import Trader

WITHDRAW_S = (0.02, 2.0)  # between two tries at first, and in all

log = structlog.get_logger()


class Outbox:
    """Between the trader and the venue, one action at a time.

    `forgiving`: a batch that could not be journalled sends nothing and is kept for the next try, instead of ending all.
    """

    def __init__(
        self,
        *,
        venue: Venue,
        journal: Journal,
        clock: Clock,
        trader: Trader,
        snapshot: Callable[[], bytes],
        bus: Bus,
        forgiving: bool = False,
    ) -> None:
        self._venue, self._journal, self._clock, self._trader = venue, journal, clock, trader
        self._snapshot, self._bus, self._forgiving = snapshot, bus, forgiving
        self._preparing = venue if isinstance(venue, Preparing) else None
        self._sending = asyncio.Lock()
        self._committing = asyncio.Lock()
        self.idle = asyncio.Event()  # no batch is between its bars and its decisions, which belong to one record
        self.idle.set()
        self._wake = asyncio.Event()
        self._due_ms = 0
        self.rests = False  # whether orders may rest beyond the batch that decided them
        self.withdrawing = False  # from the withdrawal before a batch until its decisions are durable
        self.performed = 0  # actions, since the start
        self.performing = ""  # the one in hand

    async def send(self) -> None:
        """Perform all that is asked for now, and what that brings about."""
        trader = self._trader
        if not trader.actions:
            return
        async with self._sending:
            while trader.actions:
                action = trader.actions.popleft()
                self.performing = type(action).__name__
                try:
                    await self._perform(action)
                finally:
                    self.performing = ""
                    self.performed += 1
        if not self._venue.in_process:  # an in-process venue's answers are durable with the next batch
            await self.keep()

    async def withdraw(self) -> None:
        """End what rests of earlier decisions, so that a batch is sized by what was filled.

        Bounded: what is still open then counts as working, and what is unknown lets its symbol open nothing.
        """
        trader, clock, wait_s = self._trader, self._clock, WITHDRAW_S[0]
        self.withdrawing = True
        until_s = clock.monotonic_s() + WITHDRAW_S[1]
        while trader.executor.resting():
            trader.cancel_open(clock.now_ms(), stops=False)
            await self.send()
            if self._venue.in_process or not trader.executor.resting():
                return
            if clock.monotonic_s() >= until_s:
                trader.note("warning", "orders.unwithdrawn", orders=" ".join(trader.open_orders()))
                return
            await asyncio.sleep(wait_s)
            wait_s *= 2

    async def commit_batch(self, batch: Batch, choices: Sequence[Choice], verdicts: Sequence[Verdict]) -> None:
        """Make a batch's decisions and intents durable; only then may its orders be sent."""
        if self._committing.locked():  # by news; more of it waits until we are idle again
            async with self._committing:
                pass
        record = self._trader.record(batch, choices, verdicts)
        try:
            await self._write(record)
        except StateError:
            if not self._forgiving:
                raise
        finally:
            self.withdrawing = False
            self.idle.set()

    async def commit(self) -> None:
        """Make news between batches durable.

        Raises:
            StateError: it was not; what it held becomes part of the next record.
        """
        while True:
            await self.idle.wait()
            async with self._committing:
                if self.idle.is_set():
                    record = self._trader.news_record(self._clock.now_ms())
                    if record is not None:
                        await self._write(record)
                    return

    async def keep(self) -> None:
        """Make news between batches durable, now or, where the journal is forgiven, with the next record."""
        try:
            await self.commit()
        except StateError:
            if not self._forgiving:
                raise

    async def _write(self, record: Record) -> None:
        ledger = self._venue.dump()  # an in-process exchange's own ledger belongs to the same moment
        if ledger:
            record = replace(record, venue=tuple(ledger))
        if knows_any():
            record = without_secrets(record)
        try:
            if self._venue.in_process:  # whose orders never leave: nothing to tell apart
                await self._journal.commit(record, self._snapshot)
            else:
                await self._store(record)
        except StateError as error:
            log.error("journal.failed", why=str(error), hint="no order is sent until it can be written")  # noqa: TRY400
            self._trader.abandon(record, "the journal cannot be written")
            raise
        self._trader.committed(record)
        if self._bus.watchers:
            self._bus.publish(record.events)  # of orders that earlier batches decided
            self._bus.publish(record.decisions)

    async def _store(self, record: Record) -> None:
        """Durable, or not: a stop that cancels who waits must not leave open whether intents may be sent."""
        blob = self._snapshot()  # of this moment, not of the task's first step
        storing = asyncio.ensure_future(self._journal.commit(record, lambda: blob))
        try:
            if record.intents and self._preparing is not None:
                await asyncio.sleep(0)  # now the journal's thread is at it, and signing costs no time
                with suppress(Exception):  # what fails fails again, and is told, when it is to be sent
                    self._preparing.prepare(record.intents[0])
            await asyncio.shield(storing)
        except asyncio.CancelledError:
            await asyncio.wait([storing])
            if storing.exception() is None:
                self._trader.committed(record)  # whoever flattens next sends what was intended, and ends it
            else:
                self._trader.abandon(record, "the journal cannot be written")
            raise

    async def settle(self) -> None:
        """Until cancelled: ask for orders whose fate is open, when they are due."""
        while True:
            delay_s = (self._due_ms - self._clock.now_ms()) / 1000.0 if self._due_ms else None
            try:
                async with asyncio.timeout(delay_s):
                    await self._wake.wait()
            except TimeoutError:
                self._due_ms = 0
                self._trader.due(self._clock.now_ms())
                await self.send()
            self._wake.clear()

    async def listen(self) -> None:
        """Until cancelled: what the venue tells by itself."""
        while True:
            for item in await self._venue.news():
                self._trader.hear(item, self._clock.now_ms())
            await self.keep()
            await self.send()

    async def _perform(self, action: Action) -> None:
        trader, venue, clock = self._trader, self._venue, self._clock
        match action:
            case Submit(intent) if why := self._overtaken(intent):
                trader.hear(Denied(intent.client_id, f"not sent: {why}"), clock.now_ms())
            case Submit(intent):
                trader.hear(Sent(intent.client_id, clock.now_ms()), clock.now_ms())
                for item in await venue.submit(intent):
                    trader.hear(item, clock.now_ms())
            case Query() | Cancel():
                await self._ask(action)
            case Inspect(symbol):
                await self._inspect(symbol)
            case WaitUntil(ms) if not venue.in_process:  # whose orders are never in doubt
                self._due_ms = ms
                self._wake.set()
            case _:
                pass

    async def _ask(self, action: Query | Cancel) -> None:
        trader, clock, client_id, symbol = self._trader, self._clock, action.client_id, action.symbol
        asks = isinstance(action, Query)
        asked_at_ms = clock.now_ms()
        try:
            answer = await (self._venue.query if asks else self._venue.cancel)(client_id, symbol)
        except Retryable as error:
            trader.note("debug", "order.unanswered", client_id=client_id, why=str(error))
            return
        for item in answer:
            trader.hear(item, clock.now_ms())
        if not answer and asks:
            trader.not_found(client_id, asked_at_ms, clock.now_ms())
        elif not answer:  # nothing is at work there: what became of it has to be asked
            trader.actions.append(Query(client_id, symbol))

    def _overtaken(self, intent: Intent) -> str:
        """Why an approved order is not sent any more: an answer before it took too long, or somebody paused."""
        if self._venue.in_process or intent.reduce_only or intent.cause is Cause.FLATTEN:
            return ""
        if self._trader.gate.mode is not Mode.RUNNING:
            return "nothing may be opened any more"
        interval_ms = self._trader.interval_ms
        age_ms = self._clock.now_ms() - intent.bar_time_ms - interval_ms
        # A new price may come until the next bar has closed, and not after the machine has slept.
        late = age_ms > (interval_ms if attempt(intent.client_id) else self._trader.book.P.row[0][at.BAR_AGE_MAX_MS])
        return f"its bar closed {age_ms} ms ago" if late else ""

    async def _inspect(self, symbol: str) -> None:
        try:
            account = await self._venue.account()
        except Retryable as error:
            self._trader.note("debug", "account.unanswered", symbol=symbol, why=str(error))
            return
        self._trader.inspect(account, symbol, self._clock.now_ms())
