"""What can be asked of a trader without changing anything: orders, what is held, the state in one line."""

from klined.domain import ZERO, Account, OrderKind
from klined.kernels import layout as at
from klined.trader.book import Book
from klined.trader.executor import Executor
from klined.trader.minutes import Minutes
from klined.trader.orders import Working
from klined.trader.risk import Gate


class Views:
    """The questions; the trader that is asked holds what they look at."""

    book: Book
    gate: Gate
    executor: Executor
    minutes: Minutes
    time_ms: int
    warm: bool

    def open_orders(self) -> list[str]:
        """Client ids of orders that may still trade."""
        return [order.intent.client_id for order in self.executor.open_orders()]

    def unknown(self) -> list[str]:
        """Client ids of orders whose fate is not known."""
        return [o.intent.client_id for o in self.executor.open_orders() if not isinstance(o, Working)]

    def is_flat(self, account: Account) -> bool:
        """Whether the venue holds no sellable lot and no open order of ours."""
        if any(self.gate.ids.ours(order.client_id) for order in account.orders):
            return False
        held = {position.symbol: position.quantity for position in account.positions}
        return all(self.gate.is_dust(i, held.get(s.symbol, ZERO)) for i, s in enumerate(self.book.instruments))

    def left(self) -> dict[str, str]:
        """Sellable positions, base quantity by symbol, as the ledger knows them; dust is not sellable."""
        held = {s.symbol: self.book.ledger.position(s.symbol).quantity for s in self.book.instruments}
        return {s: str(q) for i, (s, q) in enumerate(held.items()) if q and not self.gate.is_dust(i, q)}

    def protected(self) -> bool:
        """Whether every position has a resting stop, or there is no position."""
        stops = {order.intent.symbol for order in self.executor.open_orders() if order.intent.kind is OrderKind.STOP}
        return all(symbol in stops for symbol in self.left())

    def state(self) -> dict[str, str | float | bool | None]:
        """What SIGUSR1 writes down: one flat line."""
        a = self.book.A.row[0]
        return {
            "mode": self.gate.mode.value,
            "time_ms": self.time_ms,
            "seq": self.minutes.seq,
            "equity": a[at.EQUITY],
            "cash": a[at.CASH],
            "peak": a[at.PEAK],
            "positions": " ".join(f"{symbol}={quantity}" for symbol, quantity in self.left().items()) or "flat",
            "orders_open": len(self.executor.open_orders()),
            "unknown": len(self.unknown()),
            "warm": self.warm,
        }
