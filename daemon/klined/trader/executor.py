"""From an approved order to its end: which orders are open, what to do next, what to wait for.

    Approved ─ plan ─▶ Persist, Submit          intent durable first, sent once
    News ───── hear ─▶ Alert, Submit, Inspect   what was heard, in any order
    time ───── due ──▶ Query, WaitUntil         asks with back-off while something is open
    "no such order" ─ not_found ─▶ Inspect      no proof: after the window, look at the account
    account ── evidence ─▶ Alert                window over, not found, position agrees: disproved

Sans-I/O: it returns actions, the shell performs them in order and reports what it heard. An action that failed to be
performed is simply asked for again. Times are the venue's clock, UTC epoch ms, and never step back here.

The unknown costs something: until an order's fate is settled its symbol is `blocked` for entries and the order counts
in full in `exposure_max`. Orders that ended stay on watch for a day, so that a trade heard late finds its order.
"""

from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from heapq import heappop, heappush

from msgspec import Struct

from klined.domain import (
    ZERO,
    Approved,
    Disproved,
    Doubted,
    Ended,
    OrderKind,
    OrderNews,
    Sent,
    Traded,
)
from klined.errors import Desync
from klined.trader.actions import (
    Action,
    Alert,
    Cancel,
    Inspect,
    Persist,
    Query,
    Submit,
    WaitUntil,
    alerts,
)
from klined.trader.orders import (
    Closed,
    InFlight,
    Intended,
    Order,
    Unknown,
    Working,
    advance,
    encode,
    exposure_max,
    is_open,
)
from klined.trader.styles import LIMITS


class Patience(Struct, frozen=True):
    """How long to believe that silence means nothing."""

    recv_window_ms: int = 5_000  # sent with each order: the venue starts nothing later than signed_at + this
    lag_bound_ms: int = 60_000  # reads of the venue may lag this much; a guess, so the position must agree too
    ask_first_ms: int = 500
    ask_max_ms: int = 15_000  # back-off doubles up to here
    answer_max_ms: int = 12_000  # an order in flight for longer is asked for
    working_ask_ms: int = 30_000  # a working order is asked for this often, should its stream be silent; 0: never
    watch_ms: int = 86_400_000  # ended orders are remembered this long


class _Life:
    """One order and what we are doing about it."""

    __slots__ = ("absent", "asks", "due_ms", "order", "since_ms")

    def __init__(self, order: Order, now_ms: int) -> None:
        self.order = order
        self.since_ms = now_ms  # of the last change
        self.due_ms = 0  # next time to ask; 0: none
        self.asks = 0
        self.absent = False  # asked after its deadline, and the venue did not know it


class Executor:
    """All orders of one account by client id; O(open orders of the symbol) per call, memory bounded by the watch."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._lives: dict[str, _Life] = {}
        self._open: dict[str, dict[str, _Life]] = {}  # symbol, client id
        self._timers: list[tuple[int, str]] = []
        self._watch: deque[tuple[int, str]] = deque()
        self._announced = 0
        self._changed: dict[str, Order] = {}
        self._now_ms = 0  # when timers were last looked at

    def plan(self, approved: Approved, now_ms: int) -> tuple[Action, ...]:
        """Persist, then submit.

        Raises:
            Desync: the client id was used before; sending it again could execute twice.
        """
        intent = approved.intent
        if intent.client_id in self._lives:
            raise Desync(f"client id {intent.client_id} was used before; an order is never sent twice")
        life = self._lives[intent.client_id] = _Life(Intended(intent), now_ms)
        self._open.setdefault(intent.symbol, {})[intent.client_id] = life
        self._changed[intent.client_id] = life.order
        return Persist(intent), Submit(intent)

    def hear(self, news: OrderNews, now_ms: int) -> tuple[Action, ...]:
        """Follow one order's news; contradictions and orders that are not ours become alerts."""
        client_id = news.fill.client_id if isinstance(news, Traded) else news.client_id
        life = self._lives.get(client_id)
        if life is None:
            return (Alert("warning", "order.foreign", {"client_id": client_id, "news": type(news).__name__}),)
        before = life.order
        try:
            if isinstance(news, Doubted) and isinstance(before, Intended):
                before = advance(before, Sent(client_id, now_ms))  # doubted, so it may have left, by now at the latest
            after = advance(before, news)
        except Desync as error:
            alert = Alert("error", "order.desync", {"client_id": client_id, "detail": str(error)})
            return alert, Inspect(before.intent.symbol)
        if after is life.order or after == life.order:
            return ()
        return self._become(life, after, now_ms)

    def not_found(self, client_id: str, asked_at_ms: int, now_ms: int) -> tuple[Action, ...]:
        """The venue, asked at that time, does not know the order: no proof, but after the deadline worth a look."""
        life = self._lives.get(client_id)
        if life is None or not is_open(life.order) or asked_at_ms < self._deadline_ms(life):
            return ()
        life.absent = True
        return Inspect(life.order.intent.symbol), *self._wait(now_ms)

    def evidence(
        self, symbol: str, *, agrees: bool, read_at_ms: int, now_ms: int, trades_read: bool = False
    ) -> tuple[Action, ...]:
        """What the account, read at that time, says about the orders of `symbol` that the venue does not know.

        `agrees`: position and open orders are what the ledger has without them. `trades_read`: the symbol's trades
        since the oldest of them were read too and hold nothing new; without that, an open order of the other side
        keeps an order unknown, for two that both happened leave the position as two that did not.
        """
        actions: list[Action] = []
        for client_id, life in list(self._open.get(symbol, {}).items()):
            if not life.absent or read_at_ms < self._deadline_ms(life):
                continue
            if agrees and (trades_read or not self._opposed(life)):
                if isinstance(life.order, Working):
                    actions += self.hear(Ended(client_id, "gone from the venue"), now_ms)
                else:
                    actions += self.hear(Disproved(client_id), now_ms)
            else:
                why = "an open order of the other side" if agrees else "position or open orders differ"
                actions.append(Alert("error", "order.undecided", {"client_id": client_id, "why": why}))
        return tuple(actions)

    def due(self, now_ms: int) -> tuple[Action, ...]:
        """Ask for what is open for too long, forget what ended long ago. O(1) when nothing is due."""
        timers, watch = self._timers, self._watch
        if now_ms < self._now_ms and timers:
            self._set_back(now_ms)
        self._now_ms = now_ms
        if not (timers and timers[0][0] <= now_ms) and not (watch and watch[0][0] <= now_ms):
            return ()  # whatever set a timer has announced it
        actions: list[Action] = []
        while timers and timers[0][0] <= now_ms:
            at_ms, client_id = heappop(timers)
            life = self._lives.get(client_id)
            if life is None or life.due_ms != at_ms:
                continue
            actions.append(Query(client_id, life.order.intent.symbol))
            life.asks += 1
            self._ask_later(life, now_ms)
        while watch and watch[0][0] <= now_ms:
            _, client_id = watch.popleft()
            life = self._lives.get(client_id)
            if life is not None and not is_open(life.order) and life.since_ms + self._patience.watch_ms <= now_ms:
                del self._lives[client_id]
        return (*actions, *self._wait(now_ms))

    def cancel_open(self, now_ms: int, symbol: str | None = None, *, stops: bool = False) -> tuple[Action, ...]:
        """Cancel what works (stops only when asked for) and ask for what is unknown; one symbol or all."""
        actions: list[Action] = []
        for name in (symbol,) if symbol is not None else tuple(self._open):
            for client_id, life in self._open.get(name, {}).items():
                if life.order.intent.kind is OrderKind.STOP and not stops:
                    continue
                ask = Cancel if isinstance(life.order, Working) else Query
                actions.append(ask(client_id, name))
                life.asks = 0
                self._timer(life, now_ms + self._patience.ask_first_ms)
        return (*actions, *self._wait(now_ms))

    def restore(self, orders: Iterable[Order], now_ms: int) -> tuple[Action, ...]:
        """Take over what a dead process left: whatever may have been sent is unknown, and is asked for at once.

        An intent that was durable may have been signed at any moment up to `now_ms`.
        """
        for order in orders:
            match order:
                case Intended(intent):
                    state: Order = Unknown(intent, now_ms)
                case InFlight(intent, signed_at_ms):
                    state = Unknown(intent, signed_at_ms)
                case _:
                    state = order
            life = self._lives[order.intent.client_id] = _Life(state, now_ms)
            if state is not order:
                self._changed[order.intent.client_id] = state
            if is_open(state):
                self._open.setdefault(order.intent.symbol, {})[order.intent.client_id] = life
                self._timer(life, now_ms)
            else:
                self._watch.append((now_ms + self._patience.watch_ms, order.intent.client_id))
        return self.due(now_ms)

    def drain(self) -> tuple[tuple[str, bytes], ...]:
        """Orders that changed since the last call, encoded, for the journal."""
        if not self._changed:
            return ()
        changed, self._changed = self._changed, {}
        return tuple((client_id, encode(order)) for client_id, order in changed.items())

    @property
    def timed(self) -> bool:
        """Whether `due` may have anything to do, now or later."""
        return bool(self._timers or self._watch)

    def order(self, client_id: str) -> Order | None:
        life = self._lives.get(client_id)
        return None if life is None else life.order

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        """Orders that may still trade, oldest first within a symbol."""
        names: Iterable[str] = self._open if symbol is None else (symbol,)
        return [life.order for name in names for life in self._open.get(name, {}).values()]

    def disproved(self) -> list[Order]:
        """What was inferred not to have happened and is still on watch. O(orders of a day)."""
        return [life.order for life in self._lives.values() if isinstance(life.order, Closed) and life.order.inferred]

    def orders_open(self, symbol: str) -> int:
        return len(self._open.get(symbol, ()))

    def blocked(self, symbol: str) -> bool:
        """Whether an order's fate is not known: no entries on this symbol."""
        lives = self._open.get(symbol)
        return lives is not None and any(type(life.order) is not Working for life in lives.values())

    def exposure_max(self, symbol: str) -> tuple[Decimal, Decimal]:
        """Worst case of the open orders, base quantity: (most sold, as a number <= 0; most bought, >= 0)."""
        sold, bought = ZERO, ZERO
        for life in self._open.get(symbol, {}).values():
            quantity = exposure_max(life.order)
            if quantity < 0:
                sold += quantity
            else:
                bought += quantity
        return sold, bought

    def working_lots(self, symbol: str, lot: Decimal) -> float:
        """Signed lots of all open orders together; of limit orders on both sides, those of the larger side.

        Stops are left out, since they wait for what may never come.
        """
        lives = self._open.get(symbol)
        if not lives:
            return 0.0
        if len(lives) == 1:
            [life] = lives.values()
            return 0.0 if life.order.intent.kind is OrderKind.STOP else float(exposure_max(life.order) / lot)
        orders = [life.order for life in lives.values() if life.order.intent.kind is not OrderKind.STOP]
        left = [exposure_max(order) for order in orders]
        if len(left) > 1 and any(order.intent.kind in LIMITS for order in orders):
            sides = (sum((q for q in left if q > 0), ZERO), sum((q for q in left if q < 0), ZERO))
            return float(max(sides, key=abs) / lot)
        return float(sum(left, ZERO) / lot)

    def resting(self) -> bool:
        """Whether a limit order may still trade."""
        return any(life.order.intent.kind in LIMITS for lives in self._open.values() for life in lives.values())

    def _become(self, life: _Life, after: Order, now_ms: int) -> tuple[Action, ...]:
        before, life.order = life.order, after
        client_id, symbol = after.intent.client_id, after.intent.symbol
        life.since_ms, life.asks, life.absent, life.due_ms = now_ms, 0, False, 0
        self._changed[client_id] = after
        actions: list[Action] = [*alerts(before, after)]
        if is_open(after):
            if not is_open(before):
                self._open.setdefault(symbol, {})[client_id] = life
            if isinstance(after, Intended):  # proved unsent: the first send is still due
                actions.append(Submit(after.intent))
            else:
                self._ask_later(life, now_ms)
        else:
            orders = self._open.get(symbol, {})
            if orders.pop(client_id, None) is not None and not orders:
                del self._open[symbol]
            self._watch.append((now_ms + self._patience.watch_ms, client_id))
            self._ask_later(life, now_ms)
        return (*actions, *self._wait(now_ms))

    def _set_back(self, now_ms: int) -> None:
        """The clock was set back: what was to be asked for by the old one is asked for now. O(orders)."""
        self._timers.clear()
        for life in self._lives.values():
            if life.due_ms:
                self._timer(life, min(life.due_ms, now_ms))
        self._announced = 0

    def _ask_later(self, life: _Life, now_ms: int) -> None:
        patience = self._patience
        back_off_ms = min(patience.ask_first_ms << min(life.asks, 20), patience.ask_max_ms)
        match life.order:
            case Unknown():
                deadline_ms = self._deadline_ms(life)
                at_ms = now_ms + back_off_ms
                self._timer(life, min(at_ms, deadline_ms) if now_ms < deadline_ms else at_ms)
            case InFlight():
                self._timer(life, now_ms + (back_off_ms if life.asks else patience.answer_max_ms))
            case Working() if patience.working_ask_ms:
                self._timer(life, now_ms + patience.working_ask_ms)
            case Closed(denied=False, inferred=False) if patience.working_ask_ms and life.asks < 2:
                # It traded less than was ordered, or a trade was never heard: ask soon, and after any lag.
                self._timer(life, now_ms + (patience.lag_bound_ms // 2 if life.asks else patience.ask_first_ms))
            case _:
                life.due_ms = 0

    def _timer(self, life: _Life, at_ms: int) -> None:
        life.due_ms = at_ms
        heappush(self._timers, (at_ms, life.order.intent.client_id))

    def _wait(self, now_ms: int) -> tuple[Action, ...]:
        """The next time something is due, when that changed since it was last told."""
        timers = self._timers
        while timers:
            life = self._lives.get(timers[0][1])
            if life is not None and life.due_ms == timers[0][0]:
                break
            heappop(timers)
        at_ms = timers[0][0] if timers else 0
        if at_ms == self._announced:
            return ()
        self._announced = at_ms
        return (WaitUntil(max(at_ms, now_ms)),) if at_ms else ()

    def _deadline_ms(self, life: _Life) -> int:
        """From here on, silence of the venue together with an agreeing position is proof."""
        match life.order:
            case InFlight(signed_at_ms=at_ms) | Unknown(signed_at_ms=at_ms):
                return at_ms + self._patience.recv_window_ms + self._patience.lag_bound_ms
            case _:
                return life.since_ms + self._patience.lag_bound_ms

    def _opposed(self, life: _Life) -> bool:
        """Whether another open order may hide it; a stop at work may not, since the venue still lists it."""
        sign = life.order.intent.quantity
        others = self._open[life.order.intent.symbol].values()
        return any(o.order.intent.quantity * sign < 0 and not _resting(o) for o in others)


def _resting(life: _Life) -> bool:
    order = life.order
    return isinstance(order, Working) and order.intent.kind is OrderKind.STOP and not life.absent
