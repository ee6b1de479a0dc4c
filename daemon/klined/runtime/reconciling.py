"""Our view against the venue's: at start, after every reconnect or resume, and periodically; the same code each time.

    look ─▶ clock ─▶ income ─▶ account ─ differs? ─▶ ask for orders and trades ─▶ account again ─▶ adopt what is left
      ▲                                                                            (the same after any lag: real)
      └ start · poked (user stream, refused clock) · every `period_s` · the machine slept

Reads lag behind news, so only what two looks found alike counts, and what would replace our books only when it is found
again after any lag; before anything is adopted as EXTERNAL, the trades of
the symbol are read, and those that explain it are booked one by one. While no look succeeds, nothing is opened.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

import structlog

from klined.domain import Fill, Funded, Traded, Transferred
from klined.errors import Retryable
from klined.ports import Clock, Venue
from klined.runtime.outbox import Outbox
from klined.trader.actions import Query
from klined.trader.reconcile import (
    DriftedBalance,
    ExternalPosition,
    Finding,
    MissingFill,
    Moved,
    VanishedOrder,
    persisting,
)
from klined.trader.relisting import relist
from klined.trader.trader import Trader
from klined.venues.ccxt import Alarm

LOOK_AGAIN_S = 2.0  # between two looks at an account that differs
LAG_S = 30.0  # a read may be older than this by no means; what differs for longer is adopted
REREAD_S, REREAD_APART_S = 3_600.0, 5.0
DISARM_S = 3.0
TICK_S = 5.0  # how soon a sleep of the machine is noticed
JUMP_S = 2.0  # wall and monotonic clock apart by more: it slept, or its clock was set
FAILED_MAX = 3  # looks in a row, then nothing is opened
START_TRIES = 20
BACK_OFF_S = (0.5, 15.0)
CLOCK, UNREAD = "clock", "unreconciled"

Adopted = ExternalPosition | DriftedBalance | Moved
"""Findings after which the venue's word replaces ours."""

log = structlog.get_logger()


class Remote(Venue, Protocol):
    """A venue behind a wire: it can be asked for more than orders, and raises alarms."""

    alarms: asyncio.Queue[Alarm]
    poked: asyncio.Event
    why_poked: str

    @property
    def clock_fault(self) -> str: ...

    async def sync(self) -> None: ...

    async def fills_since(self, symbol: str, since_ms: int) -> Sequence[Fill]: ...

    async def income(self, since_ms: int) -> Sequence[Funded | Transferred]: ...

    async def countdown(self, symbols: Sequence[str], after_s: float) -> bool: ...


class Reconciling:
    """Keeps one account and its venue of one mind. `countdown_s` > 0 arms the venue's dead-man switch."""

    def __init__(
        self,
        *,
        venue: Remote,
        trader: Trader,
        outbox: Outbox,
        clock: Clock,
        period_s: float,
        countdown_s: float = 0.0,
        tick_s: float = TICK_S,
    ) -> None:
        self._venue, self._trader, self._outbox, self._clock = venue, trader, outbox, clock
        self._period_s, self._countdown_s, self._tick_s = period_s, countdown_s, tick_s
        self._since_ms = 0  # trades and income before were seen; 0: nothing to look back at
        self._failed = 0
        self.steps = 0  # a watchdog's proof that the account is still looked at
        self._apart_ms = self._apart()

    def works(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """What runs beside the pipeline."""
        return [self.run, self.heed, self.renew, self.reread]

    async def begin(self) -> None:
        """The look of a start: without it there is no trading.

        Raises:
            Retryable: the venue could not be read in many tries.
        """
        self._since_ms = self._back_from(self._trader.time_ms, self._period_s)  # the last look of the life before
        wait_s = BACK_OFF_S[0]
        for left in range(START_TRIES, 0, -1):
            try:
                await self._look()
            except Retryable as error:
                if left == 1:
                    raise
                log.warning("account.unanswered", why=str(error), next_s=wait_s)
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, BACK_OFF_S[1])
            else:
                return

    async def run(self) -> None:
        """Until cancelled: look when poked, when the period is over, and when the machine slept."""
        while True:
            why = await self._reason()
            self.steps += 1
            try:
                await self._look()
            except Retryable as error:
                self._failed += 1
                log.warning("account.unanswered", why=str(error), looks_failed=self._failed)
                if self._failed >= FAILED_MAX:
                    self._trader.hold(UNREAD)
            else:
                log.debug("account.reconciled", why=why)
                self._failed = 0
                self._trader.release(UNREAD)

    async def heed(self) -> None:
        """Until cancelled: pass on what the venue found out by itself."""
        while True:
            alarm = await self._venue.alarms.get()
            self._trader.note(alarm.level, alarm.name, why=alarm.why)
            if alarm.halt:
                self._trader.gate.halt()
            await self._outbox.keep()

    async def reread(self) -> None:
        """Until cancelled: read what the venue allows every hour, and at once when a filter refused an order."""
        relisted = getattr(self._venue, "relisted", None)
        while relisted is not None:
            try:
                async with asyncio.timeout(REREAD_S):
                    await relisted.wait()
            except TimeoutError:
                pass
            relisted.clear()
            try:
                found = await self._venue.instruments(list(self._trader.index))
            except Retryable as error:
                log.warning("instruments.unanswered", why=str(error))
                await asyncio.sleep(BACK_OFF_S[1])
                relisted.set()
                continue
            await self._outbox.idle.wait()
            for sentence in relist(self._trader, found):
                self._trader.note("warning", "instruments.changed", what=sentence)
            await self._outbox.keep()
            await asyncio.sleep(REREAD_APART_S)  # a filter that refuses on and on asks no oftener

    async def renew(self) -> None:
        """Until cancelled: keep the dead-man switch from firing."""
        symbols = [instrument.symbol for instrument in self._trader.instruments]
        while self._countdown_s:
            try:
                if not await self._venue.countdown(symbols, self._countdown_s):
                    return
            except Retryable as error:
                log.warning("countdown.failed", why=str(error))
            await asyncio.sleep(self._countdown_s / 4)

    async def disarm(self) -> None:
        """Switch the dead-man switch off after a clean stop; when that fails, it fires and finds nothing."""
        if not self._countdown_s:
            return
        try:
            async with asyncio.timeout(DISARM_S):
                await self._venue.countdown([instrument.symbol for instrument in self._trader.instruments], 0.0)
        except (Retryable, TimeoutError) as error:
            log.warning("countdown.failed", why=str(error) or "no answer in time")

    async def _reason(self) -> str:
        """Wait for a reason to look; what it was."""
        waited_s = 0.0
        while waited_s < self._period_s:
            self.steps += 1
            try:
                async with asyncio.timeout(min(self._tick_s, self._period_s - waited_s)):
                    await self._venue.poked.wait()
            except TimeoutError:
                waited_s += self._tick_s
            else:
                self._venue.poked.clear()
                return self._venue.why_poked
            apart_ms = self._apart()
            jump_s, self._apart_ms = (apart_ms - self._apart_ms) / 1000, apart_ms
            if abs(jump_s) > JUMP_S:
                log.warning("clock.jumped", by_s=round(jump_s, 3), hint="slept, or was set; looking at everything anew")
                return "the machine slept"
        return "periodic"

    async def _look(self) -> None:
        trader, venue = self._trader, self._venue
        await venue.sync()
        self._apart_ms = self._apart()
        self._judge_clock()
        if self._since_ms:
            for item in await venue.income(self._since_ms):
                trader.hear(item, self._clock.now_ms())
        earlier = trader.differences(await venue.account())
        if earlier:
            await self._explain(earlier)
            await asyncio.sleep(LOOK_AGAIN_S)
            earlier = persisting(earlier, trader.differences(await venue.account()))
        if any(isinstance(finding, Adopted) for finding in earlier):  # two looks so close may both be of before a fill
            await asyncio.sleep(LAG_S)
        account = await venue.account()
        trader.reconcile(account, self._clock.now_ms(), earlier)
        self._since_ms = self._back_from(account.time_ms)
        await self._outbox.keep()
        await self._outbox.send()

    async def _explain(self, findings: Sequence[Finding]) -> None:
        """Book what the venue's own records say about the differences."""
        trader = self._trader
        for finding in findings:
            if isinstance(finding, MissingFill | VanishedOrder):
                trader.actions.append(Query(finding.client_id, finding.symbol))
        for order in trader.executor.disproved():  # its trades may be older than any look that showed them
            trader.actions.append(Query(order.intent.client_id, order.intent.symbol))
        await self._outbox.send()
        symbols = {f.symbol for f in findings if isinstance(f, ExternalPosition | MissingFill)}
        if any(isinstance(finding, Moved) for finding in findings):
            symbols |= set(trader.index)
        for symbol in sorted(symbols & set(trader.index)):
            if self._since_ms:
                for fill in await self._venue.fills_since(symbol, self._since_ms):
                    trader.hear(Traded(fill), self._clock.now_ms())

    def _back_from(self, time_ms: int, also_s: float = 0.0) -> int:
        """Where to look for trades again: what a look at that time showed may have been older. 0: nothing is behind."""
        return max(0, time_ms - int((LAG_S + also_s) * 1000)) if time_ms else 0

    def _judge_clock(self) -> None:
        fault = self._venue.clock_fault
        if fault and CLOCK not in self._trader.holds:
            self._trader.note("error", "clock.wrong", why=fault)
        if fault:
            self._trader.hold(CLOCK)
        elif CLOCK in self._trader.holds:
            self._trader.release(CLOCK)

    def _apart(self) -> float:
        return self._clock.now_ms() - self._clock.monotonic_s() * 1000
