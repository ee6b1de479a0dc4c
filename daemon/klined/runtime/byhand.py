"""Orders that somebody asks for by hand, and the wish to change nothing: by gate, journal and outbox like any other.

order() ─▶ gate.order ─┬─▶ Refused: told, and nothing was sent
                       └─▶ Approved ─▶ executor ─▶ journal ─▶ venue      with the bar that is being decided,
                                                                        or in a record of its own between two bars
"""

from decimal import ROUND_DOWN, Decimal

from klined.domain import Approved, Cause, Intent, OrderKind, Refused
from klined.errors import ConfigError
from klined.kernels import layout as at
from klined.ports import Choice
from klined.runtime.daemon import Daemon
from klined.trader.actions import Cancel
from klined.trader.orders import Order, Working
from klined.trader.styles import limit_price

RUN = 10_000  # names of one run: more orders of one symbol than that in one bar are refused by any limit


class ByHand:
    """The orders of one daemon that no policy decided. Names count up within a run and never come twice."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon, self._trader = daemon, daemon.trader
        self._count = 0
        self.last = ""  # name of the newest order that was asked for, refused ones too

    def keep(self) -> list[Choice]:
        """For each symbol the target that leaves what is held and ordered as it is."""
        book = self._trader.book
        equity, exposure = book.A.row[0][at.EQUITY], book.P.row[0][at.MAX_EXPOSURE]
        capacity = equity * exposure
        choices: list[Choice] = []
        for q, m in zip(book.Q.row, book.M.row, strict=True):
            lots = q[at.LOTS] + q[at.WORKING]
            target = lots * m[at.LOT] * q[at.MARK] / capacity if capacity > 0.0 else 0.0
            choices.append((max(-1.0, min(1.0, target)), ()))
        return choices

    def plan(
        self, symbol: str, quantity: Decimal, price: Decimal | None, *, post_only: bool = False
    ) -> Intent | Refused:
        """Judge an order and, if it may go, let it be part of the next record; the intent, or why not.

        Signed `quantity` is cut to whole lots, `price` moved to the tick that is farther from the market.
        """
        trader, now_ms = self._trader, self._daemon.clock.now_ms()
        i = trader.index[symbol]
        instrument = trader.instruments[i]
        lots = (quantity / instrument.lot).to_integral_value(ROUND_DOWN)
        if price is None:
            kind = OrderKind.MARKET
        else:
            kind = OrderKind.POST_ONLY if post_only else OrderKind.LIMIT
            price = limit_price(instrument, price, Decimal(0), buys=quantity > 0)
        self._count += 1
        bar_time_ms = trader.time_ms - trader.interval_ms
        self.last = trader.gate.ids.order(bar_time_ms, i, self._daemon.run * RUN + self._count % RUN)
        asked = Intent(
            client_id=self.last,
            symbol=symbol,
            quantity=lots * instrument.lot,
            bar_time_ms=bar_time_ms,
            kind=kind,
            price=price,
            cause=Cause.HAND,
        )
        verdict = trader.gate.order(i, asked, now_ms, trader.interval_ms)
        if isinstance(verdict, Refused):
            trader.note("warning", "order.refused", client_id=asked.client_id, symbol=symbol, reason=verdict.detail)
            return verdict
        self._plan(verdict, now_ms)
        return verdict.intent

    async def send(self) -> None:
        """Make what was planned durable in a record of its own, then send it.

        Raises:
            StateError: it could not be written, so nothing was sent.
        """
        await self._daemon.outbox.commit()
        await self._daemon.outbox.send()

    async def cancel(self, client_id: str) -> Order | None:
        """Ask the venue to end a working order; what it is after the answer."""
        trader, order = self._trader, self._trader.executor.order(client_id)
        if isinstance(order, Working):
            trader.actions.append(Cancel(client_id, order.intent.symbol))
            await self._daemon.outbox.send()
        return trader.executor.order(client_id)

    def symbol(self, name: str | None) -> str:
        """The symbol that is meant; None: the only one.

        Raises:
            ConfigError: it is not traded here, or there are several to choose from.
        """
        symbols = list(self._trader.index)
        if name is None and len(symbols) == 1:
            return symbols[0]
        if name not in self._trader.index:
            raise ConfigError(f"symbol {name!r} is not traded here; name one of {', '.join(symbols)}")
        return str(name)

    def _plan(self, approved: Approved, now_ms: int) -> None:
        trader = self._trader
        trader.executor.plan(approved, now_ms)
        trader.minutes.intents.append(approved.intent)
        trader.refresh(trader.index[approved.intent.symbol])
