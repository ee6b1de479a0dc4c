"""Orders that rest: given a new price when nothing comes, taken away when nothing may be opened.

    working for `after_s` ─▶ cancel ─▶ ended, its fills booked ─▶ the rest: new price, new name ─▶ journal ─▶ venue
    working while not RUNNING ─▶ cancel
    refused for it would take ─▶ as above, without waiting

Never two orders of one decision: the next is planned when the one before has ended by the venue's word, and an unknown
one is waited for, however long. Before each batch everything that rests is withdrawn (`Outbox.withdraw`) and decided
anew, so a process that dies between two prices loses one order of one bar, and nothing else has to be remembered.
"""

import asyncio
from decimal import Decimal

import structlog
from msgspec import Struct

from klined.domain import Cause, Decision, Event, Intent, Mode, OrderKind
from klined.errors import Retryable
from klined.ports import Clock, Quoted, Venue
from klined.runtime.outbox import Outbox
from klined.trader.actions import Cancel
from klined.trader.orders import Closed, Filled, Order, Working
from klined.trader.styles import LIMITS
from klined.trader.trader import Trader

REPEAT_S = 1.0  # how soon a cancellation that was not answered is looked at again
CROSSED = ("-5022", "immediately match", "post-only", "post only")  # how a venue says that it would take

log = structlog.get_logger()


class Rest(Struct):
    """The newest resting order of a symbol."""

    intent: Intent
    since_s: float
    bar_close_ms: int  # of the batch that decided it
    asked_s: float = 0.0  # when its end was asked for; 0: not yet


class Resting:
    """An observer that runs beside the pipeline. `after_s` 0 gives no new prices."""

    def __init__(self, *, trader: Trader, outbox: Outbox, venue: Venue, clock: Clock, after_s: float) -> None:
        self._trader, self._outbox, self._venue, self._clock = trader, outbox, venue, clock
        self._after_s = after_s
        self._rests: dict[str, Rest] = {}
        self._changed = asyncio.Event()
        self.repriced = 0

    def observe(self, item: Decision | Event) -> None:
        del item
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                async with asyncio.timeout(self._next_s()):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            await self._look()

    def _next_s(self) -> float | None:
        """How long nothing has to be done, unless something is heard."""
        due = [rest.asked_s + REPEAT_S for rest in self._rests.values() if rest.asked_s]
        if self._after_s:
            due += [rest.since_s + self._after_s for rest in self._rests.values() if not rest.asked_s]
        if not due:
            return None
        wait_s = min(due) - self._clock.monotonic_s()
        return wait_s if wait_s > 0 else REPEAT_S

    async def _look(self) -> None:
        """Take note of what rests, end what rested long enough, and send on what ended."""
        trader = self._trader
        if self._outbox.withdrawing or not self._outbox.idle.is_set():
            return
        self._note_new()
        for symbol, rest in list(self._rests.items()):
            order = trader.executor.order(rest.intent.client_id)
            if isinstance(order, Working):
                self._end_if_due(rest)
            elif isinstance(order, Closed):
                del self._rests[symbol]
                if goes_on(order, asked=bool(rest.asked_s)) and self._after_s:
                    await self._again(rest, order)
            elif order is None or isinstance(order, Filled):
                del self._rests[symbol]
        await self._outbox.send()

    def _note_new(self) -> None:
        for order in self._trader.executor.open_orders():
            intent = order.intent
            if intent.kind not in LIMITS or intent.cause is Cause.HAND or self._known(intent):
                continue
            self._rests[f"{intent.symbol} {intent.quantity > 0}"] = Rest(
                intent, self._clock.monotonic_s(), self._trader.time_ms
            )

    def _known(self, intent: Intent) -> bool:
        return any(rest.intent.client_id == intent.client_id for rest in self._rests.values())

    def _end_if_due(self, rest: Rest) -> None:
        now_s = self._clock.monotonic_s()
        unwanted = self._trader.gate.mode is not Mode.RUNNING and not rest.intent.reduce_only
        old = self._after_s > 0 and now_s - rest.since_s >= self._after_s
        if (unwanted or old) and now_s - rest.asked_s >= REPEAT_S:
            rest.asked_s = now_s
            self._trader.actions.append(Cancel(rest.intent.client_id, rest.intent.symbol))

    async def _again(self, rest: Rest, ended: Closed) -> None:
        """Durable first, then sent; not at all when the next bar has come meanwhile."""
        trader = self._trader
        reference = await self._reference(rest.intent)
        if self._outbox.withdrawing or not self._outbox.idle.is_set() or trader.time_ms != rest.bar_close_ms:
            return
        left = rest.intent.quantity - ended.filled
        if any(o.intent.kind is not OrderKind.STOP for o in trader.executor.open_orders(rest.intent.symbol)):
            return
        if not trader.again(rest.intent, left, reference, self._clock.now_ms()):
            trader.note("info", "order.given_up", client_id=rest.intent.client_id, left=str(left))
            return
        self.repriced += 1
        trader.note("info", "order.repriced", client_id=rest.intent.client_id, left=str(left))
        await self._outbox.keep()
        self._note_new()

    async def _reference(self, intent: Intent) -> Decimal | None:
        """The best price on the order's own side; None when nobody can tell, and the last close has to do."""
        if not isinstance(self._venue, Quoted):
            return None
        try:
            bid, ask = await self._venue.quote(intent.symbol)
        except Retryable as error:
            log.warning("quote.unanswered", symbol=intent.symbol, why=str(error))
            return None
        return bid if intent.quantity > 0 else ask


def goes_on(order: Order, *, asked: bool) -> bool:
    """Whether the rest of an ended order may be sent again: we ended it, or it would have taken."""
    if not isinstance(order, Closed) or order.inferred or order.intent.cause is Cause.FLATTEN:
        return False
    crossed = any(word in order.reason.lower() for word in CROSSED)
    expired = order.intent.kind is OrderKind.POST_ONLY and not order.filled and order.reason.startswith("expired")
    return crossed if order.denied else asked or crossed or expired
