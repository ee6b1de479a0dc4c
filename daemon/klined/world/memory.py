"""What a real-time venue remembers: open orders, the last closed ones, trades, lists, income. Rows out, rows in.

    keep, trade, ... ─▶ dump: (key, JSON), None where a row is to be forgotten ─▶ load ─▶ the same memory

Bounded: of what has ended, the newest `KEPT` of each sort stay.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from klined.world.tickets import Income, Order, OrderList, Trade

KEPT = 50_000


class Counters(Struct):
    """The last numbers given out."""

    orders: int = 0
    trades: int = 0
    lists: int = -1
    executions: int = 0
    incomes: int = 0


KINDS: dict[str, Any] = {"order": Order, "algo": Order, "trade": Trade, "list": OrderList, "income": Income}


class Memory:
    """Everything is found by number; open orders also by symbol."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.orders: dict[int, Order] = {}
        self.algos: dict[int, Order] = {}
        self.trades: dict[int, Trade] = {}
        self.lists: dict[int, OrderList] = {}
        self.incomes: dict[int, Income] = {}
        self._open: dict[str, dict[int, None]] = {}
        self._dirty: dict[str, Struct | None] = {}

    def next_order(self) -> int:
        """Algo orders count along, as numbers are only compared for equality."""
        self.counters.orders += 1
        return self.counters.orders

    def next_trade(self) -> int:
        self.counters.trades += 1
        return self.counters.trades

    def next_execution(self) -> int:
        self.counters.executions += 1
        return self.counters.executions

    def next_list(self) -> int:
        self.counters.lists += 1
        return self.counters.lists

    def keep(self, order: Order) -> None:
        """Remember what `order` has become."""
        kind, shelf = ("algo", self.algos) if order.algo else ("order", self.orders)
        known = shelf.get(order.number)
        shelf[order.number] = order
        self._dirty[f"{kind}/{order.number}"] = order
        if order.status.open:
            self._open.setdefault(order.symbol, {})[order.number] = None
        elif known is None or known.status.open:
            self._open.get(order.symbol, {}).pop(order.number, None)
            self._forget(kind, shelf)

    def trade(self, trade: Trade) -> None:
        self.trades[trade.number] = trade
        self._dirty[f"trade/{trade.number}"] = trade
        self._forget("trade", self.trades)

    def keep_list(self, entry: OrderList) -> None:
        self.lists[entry.number] = entry
        self._dirty[f"list/{entry.number}"] = entry

    def income(self, symbol: str, kind: str, amount: Any, time_ms: int, trade: str = "") -> None:
        self.counters.incomes += 1
        number = self.counters.incomes
        entry = Income(number=number, symbol=symbol, kind=kind, amount=amount, time_ms=time_ms, trade=trade)
        self.incomes[number] = entry
        self._dirty[f"income/{number}"] = entry
        self._forget("income", self.incomes)

    def newest(self, order: Order) -> Order:
        return (self.algos if order.algo else self.orders)[order.number]

    def waiting(self, symbol: str) -> list[Order]:
        """Open orders of one symbol, algo orders too, oldest first."""
        numbers = self._open.get(symbol)
        if not numbers:
            return []
        orders, algos = self.orders, self.algos
        return [orders[number] if number in orders else algos[number] for number in numbers]

    def open_orders(self, symbol: str | None = None, *, algo: bool = False) -> list[Order]:
        """Oldest first."""
        symbols = self._open if symbol is None else (symbol,)
        found = [order for name in symbols for order in self.waiting(name) if order.algo is algo]
        return sorted(found, key=lambda order: order.number)

    def by_client_id(self, symbol: str | None, client_id: str, *, algo: bool = False) -> Order | None:
        """The newest order with this id; ids are unique among open orders only."""
        for order in self.open_orders(symbol, algo=algo):
            if order.client_id == client_id:
                return order
        shelf = self.algos if algo else self.orders
        for order in reversed(shelf.values()):
            if order.client_id == client_id and symbol in {None, order.symbol}:
                return order
        return None

    def trades_of(self, order: Order) -> list[Trade]:
        """Its executions, oldest first; looks back no further than it has to."""
        left, found = order.filled, []
        for trade in reversed(self.trades.values()):
            if left <= 0:
                break
            if trade.order == order.number:
                found.append(trade)
                left -= trade.quantity
        return found[::-1]

    def dump(self) -> Iterator[tuple[str, bytes | None]]:
        """Rows that changed since the last call; None forgets the row."""
        if not self._dirty:
            return
        dirty, self._dirty = self._dirty, {}
        for key, value in dirty.items():
            yield key, None if value is None else msgspec.json.encode(value)
        yield "counters", msgspec.json.encode(self.counters)

    def load(self, rows: Iterable[tuple[str, bytes]]) -> None:
        """Continue from dumped rows; others are ignored.

        Raises:
            msgspec.DecodeError: a row is damaged.
        """
        shelves: dict[str, dict[int, Any]] = {
            "order": self.orders, "algo": self.algos, "trade": self.trades, "list": self.lists, "income": self.incomes,
        }  # fmt: skip
        for key, raw in rows:
            kind, _, number = key.partition("/")
            if key == "counters":
                self.counters = msgspec.json.decode(raw, type=Counters)
            elif kind in shelves:
                shelves[kind][int(number)] = msgspec.json.decode(raw, type=KINDS[kind])
        for shelf in shelves.values():
            ordered = sorted(shelf.items())
            shelf.clear()
            shelf.update(ordered)
        for order in sorted((*self.orders.values(), *self.algos.values()), key=lambda order: order.number):
            if order.status.open:
                self._open.setdefault(order.symbol, {})[order.number] = None

    def _forget(self, kind: str, shelf: dict[int, Any]) -> None:
        """Drop the oldest that has ended, when there are too many."""
        if len(shelf) <= KEPT:
            return
        for number, value in shelf.items():
            if not (isinstance(value, Order) and value.status.open):
                del shelf[number]
                self._dirty[f"{kind}/{number}"] = None
                return
