"""Keeps a stop resting at the venue for every open position, by what `trader.protection` wishes.

    batch or news durable ─▶ observe ─▶ look ─▶ Rest, Withdraw, Escape ─▶ journal ─▶ venue

It hears of every change as an observer does, after it is durable. While the daemon flattens, it keeps out of the way.
"""

import asyncio
from decimal import Decimal

import structlog

from klined.domain import Approved, Cause, Decision, Event, Intent, OrderKind
from klined.ports import Clock
from klined.runtime.flatten import FLAG
from klined.runtime.outbox import Outbox
from klined.trader.actions import Cancel
from klined.trader.orders import Closed, Working
from klined.trader.protection import Escape, Protection, Rest, Stop, View, Wish, Withdraw
from klined.trader.trader import Trader

AT_ONCE = "-2021"  # Binance: the stop would trigger immediately
REPEAT_S = 5.0  # look again while a position is bare or an answer is awaited

log = structlog.get_logger()


class Protecting:
    """An observer that runs beside the pipeline. `distance` is a fraction of the entry price."""

    def __init__(self, *, trader: Trader, outbox: Outbox, clock: Clock, distance: Decimal) -> None:
        self._trader, self._outbox, self._clock = trader, outbox, clock
        self._machines = {instrument.symbol: Protection(distance) for instrument in trader.instruments}
        self._changed = asyncio.Event()
        self._asked: dict[str, str] = {}  # client id of the newest stop by symbol

    def observe(self, item: Decision | Event) -> None:
        del item
        self._changed.set()

    @property
    def unprotected_s(self) -> dict[str, float]:
        """Seconds without a working stop while a position was open, by symbol, since the start."""
        now_ms = self._clock.now_ms()
        return {symbol: machine.unprotected_s(now_ms) for symbol, machine in self._machines.items()}

    async def run(self) -> None:
        """Until cancelled."""
        waiting = True
        while True:
            try:
                async with asyncio.timeout(REPEAT_S if waiting else None):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            waiting = await self._look() and await self._look() and await self._look()  # what the answers ask for

    async def _look(self) -> bool:
        """One look at all symbols; whether something is still to come."""
        trader = self._trader
        if FLAG in trader.holds:
            return True
        wished = told = False
        for i, (symbol, machine) in enumerate(self._machines.items()):
            self._heed_refusal(symbol, machine)
            before_ms = machine.unprotected_ms
            wishes = machine.step(self._view(i, symbol), self._clock.now_ms())
            if machine.unprotected_ms > before_ms:
                bare_s = (machine.unprotected_ms - before_ms) / 1000
                trader.note("info", "position.covered", symbol=symbol, unprotected_s=bare_s)
                told = True
            for wish in wishes:
                self._grant(i, symbol, wish)
                wished = True
        if wished or told:
            await self._outbox.keep()
            await self._outbox.send()
        return wished

    def _view(self, i: int, symbol: str) -> View:
        trader = self._trader
        position = trader.book.ledger.position(symbol)
        stops = tuple(
            Stop(o.intent.client_id, o.intent.quantity, o.intent.price or Decimal(0), isinstance(o, Working))
            for o in trader.executor.open_orders(symbol)
            if o.intent.kind is OrderKind.STOP
        )
        dust = trader.gate.is_dust(i, position.quantity)
        quantity = Decimal(0) if dust else position.quantity
        return View(quantity, position.entry, stops, trader.instruments[i].tick)

    def _grant(self, i: int, symbol: str, wish: Wish) -> None:
        trader, now_ms = self._trader, self._clock.now_ms()
        bar_time_ms = trader.last.bars[i].open_time_ms if trader.last and trader.last.bars[i] else now_ms  # type: ignore[union-attr]  # checked
        match wish:
            case Rest(quantity, price):
                name = trader.gate.ids.stop(bar_time_ms, i, now_ms)
                intent = Intent(
                    client_id=name,
                    symbol=symbol,
                    quantity=quantity,
                    bar_time_ms=bar_time_ms,
                    kind=OrderKind.STOP,
                    price=price,
                    reduce_only=True,
                    cause=Cause.RISK,
                )
                self._plan(Approved(intent, "rests at the venue"))
                self._asked[symbol] = name
            case Withdraw(client_id):
                trader.actions.append(Cancel(client_id, symbol))
            case Escape(_, why):
                approved = trader.gate.flatten(i, bar_time_ms, now_ms)
                if approved is not None:
                    trader.note("error", "position.escaped", symbol=symbol, why=why)
                    self._plan(approved)

    def _plan(self, approved: Approved) -> None:
        self._trader.executor.plan(approved, self._clock.now_ms())
        self._trader.minutes.intents.append(approved.intent)

    def _heed_refusal(self, symbol: str, machine: Protection) -> None:
        order = self._trader.executor.order(self._asked.get(symbol, ""))
        if isinstance(order, Closed) and order.denied:
            del self._asked[symbol]
            machine.deny(hopeless=AT_ONCE in order.reason)
            log.warning("stop.refused", symbol=symbol, why=order.reason)
