"""The invariants, checked where they can be broken: at each order that leaves, each execution, each start, each stop.

I1  one decision, at most one order that executes        I7   fills, fees and funding explain the cash, exactly
I2  the exchange's position stays within the limit       I8   no order on a bar open, stale, refilled or before warm-up
I3  no order leaves before its intent is durable         I11  paused or halted, nothing opens
I4  no order is sent twice                               I12  no restart forgets limits, losses, pauses
I5  the journal knows every execution                    I13  client ids are unique and well-formed
I6  "flat" means that the exchange is flat               I15  once the faults end, trading goes on
I9  restored indicators are those of an uninterrupted run, bit for bit

They look at the exchange's own ledger, at what the journal holds, and at the process only to learn what it knew.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import ROUND_DOWN, Decimal
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from klined.domain import ZERO, Batch, Cause, Fill, Intent, Purpose, Reason, Record, Recovered
from klined.kernels import layout as at
from klined.simulation.disk import Disk
from klined.simulation.exchange import BALANCE, Exchange, Ticket
from klined.simulation.market import BAR_MS
from klined.simulation.world import World
from klined.trader.engine import Engine
from klined.trader.plans import ORIGINAL
from klined.trader.styles import attempt

if TYPE_CHECKING:
    from klined.simulation.life import Life
    from klined.simulation.wire import SimVenue

CLIENT_ID = re.compile(r"^[.A-Z:/a-z0-9_-]{1,36}$")
WARMUP_BARS = 10
PLAN = replace(ORIGINAL, warmup_bars=WARMUP_BARS)  # of the simulated daemon
LATE_MS = 6_000  # from a close to its order: what the gate allows, and a second
EXCESS = Decimal("1.3")  # of the exposure allowed, for what the price does between decision and execution
EXACT = Decimal("1e-8")
CLOSING = frozenset({Cause.FLATTEN, Cause.RISK})
MEMORY = (at.PEAK, at.DAY, at.DAY_EQUITY, at.WEEK, at.WEEK_EQUITY, at.LOSSES, at.COOLDOWN_UNTIL, at.HOUR,
          at.TRADES_HOUR, at.TRADES_DAY, at.TURNOVER_DAY, at.FEES_DAY, at.HALT, at.REDUCING)  # fmt: skip
"""What of the account row no restart may change."""
_memory_of: Callable[["memoryview[float]"], tuple[float, ...]] = itemgetter(*MEMORY)


class Moment(NamedTuple):
    """What a snapshot holds: the limits' memory, and the first `seen` of the batches `shown` in this life."""

    risk: tuple[float, ...]
    shown: Sequence[Batch]
    seen: int


class Checkers:
    """Watches one world. `life` is the process that runs now."""

    def __init__(self, world: World, exchange: Exchange, disk: Disk) -> None:
        self.life: Life | None = None
        self.paused = False  # a pause was confirmed, and no resume since
        self.opened_calm = 0  # openings that were executed after the faults ended
        self.calm_s = float("inf")
        self._world, self._exchange, self._disk = world, exchange, disk
        self._posted: Counter[str] = Counter()
        self._left_s: dict[str, float] = {}  # when each order left
        self._flat_s = -1.0  # when the daemon last said that it is flat
        self._decided: dict[tuple[str, int], set[str]] = {}
        self._memory: tuple[float, ...] | None = None  # of the last durable record
        self._torn: tuple[tuple[int, int], Moment] | None = None  # number and time of a record that may be durable
        self._oracle: Engine | None = None  # indicators that saw every durable bar, and were never restored
        self._kept = 0  # how many of this life's batches it saw
        self._left: dict[str, Decimal] = {}  # what each decision may still execute, by its name
        exchange.on_fill = self._filled
        exchange.on_accept = self._accepted

    def posted(self, intent: Intent, venue: "SimVenue") -> None:
        """An order leaves the process."""
        world, client_id = self._world, intent.client_id
        self._posted[client_id] += 1
        self._left_s[client_id] = world.now_s
        if self._posted[client_id] > 1:
            world.violate("I4", f"{client_id} was sent {self._posted[client_id]} times")
        if CLIENT_ID.match(client_id) is None:
            world.violate("I13", f"{client_id!r} is no client id")
        rows = self._disk.link.execute("SELECT quantity FROM intents WHERE client_id = ?", (client_id,)).fetchall()
        if rows != [(str(intent.quantity),)]:
            world.violate("I3", f"{client_id} left before its intent was durable")
        if intent.cause is not Cause.FLATTEN:
            self._judge_bar(intent, venue)
        if self._opens(intent):
            self._judge_mode(intent)

    def durable(self, record: Record, moment: Moment) -> None:
        """A record was committed, with a snapshot of that moment."""
        self._keep(moment)
        for event in record.events:
            if event.level in {"warning", "error"}:
                self._world.note("daemon", event.name, *(str(value) for value in event.data.values()))

    def torn(self, record: Record, moment: Moment) -> None:
        """Power failed while a record was being committed: it is there, or it is not."""
        self._torn = (record.seq, record.time_ms), moment

    def restored(self, life: "Life", recovered: Recovered) -> None:
        """A start read the snapshot: limits and indicators are as the last life left them."""
        head = self._disk.link.execute("SELECT seq, time_ms FROM head").fetchone()
        if self._torn is not None and self._torn[0] == head:
            self._world.note("disk.kept", "the record that was being written is there")
            self._keep(self._torn[1])
        self._torn, self._kept = None, 0
        if recovered.snapshot is None:
            self._oracle = None
            return
        trader = life.daemon.trader
        if self._memory is not None:
            for slot, was, now in zip(MEMORY, self._memory, risk_memory(trader.book.A.row[0]), strict=True):
                if was != now:
                    self._world.violate("I12", f"account slot {slot} was {was} before the restart and is {now}")
        if self._oracle is not None and self._oracle.dump() != trader.engine.dump():
            self._world.violate(
                "I9", f"indicators after {self._oracle.bars} bars are not those of an uninterrupted run"
            )

    def _keep(self, moment: Moment) -> None:
        """What a restart must find. The oracle sees at a stretch what the lives saw piece by piece."""
        self._memory = moment.risk
        if self._oracle is None:
            self._oracle = Engine(PLAN, len(self._exchange.instruments))
        oracle = self._oracle
        for batch in moment.shown[self._kept : moment.seen]:
            for i, bar in enumerate(batch.bars):
                if bar is not None:
                    oracle.step(i, bar)
        self._kept = moment.seen

    def started(self, life: "Life") -> None:
        """A start is complete."""
        if self.paused and not life.daemon.trader.holds:
            self._world.violate("I12", "a restart forgot the pause")

    def flat(self, why: str) -> None:
        """The daemon says that it is flat: it is, and nothing that was sent before executes any more."""
        self._flat_s = self._world.now_s
        for symbol, quantity in self._exchange.quantity.items():
            instrument = self._exchange.instruments[symbol]
            whole = (abs(quantity) / instrument.lot).to_integral_value(ROUND_DOWN) * instrument.lot
            notional = whole * self._exchange.market.price(symbol, self._world.now_s)
            if whole and not (self._exchange.spot and notional < instrument.notional_min * Decimal("1.05")):
                self._world.violate("I6", f"{why}: said to be flat, but holds {quantity} {symbol}")
        for ticket in self._exchange.working:
            self._world.violate("I6", f"{why}: said to be flat, but {ticket.intent.client_id} still works")

    def end(self, life: "Life") -> None:
        """All is over, after a last start that reconciled: the journal and the exchange tell the same story."""
        self._compare_fills()
        books, exchange = life.daemon.trader.book.ledger.books, self._exchange
        for symbol, quantity in exchange.quantity.items():
            if books.holdings[symbol].quantity != quantity:
                ours = books.holdings[symbol].quantity
                self._world.violate("I5", f"{symbol}: the ledger has {ours}, the exchange {quantity}")
        if abs(books.balances[exchange.quote] - exchange.balances[exchange.quote]) > EXACT:
            ours, theirs = books.balances[exchange.quote], exchange.balances[exchange.quote]
            self._world.violate("I7", f"the ledger has {ours} {exchange.quote}, the exchange {theirs}")
        self._explain(books.balances[exchange.quote], books.funding + books.transfers)

    def _explain(self, cash: Decimal, other: Decimal) -> None:
        """I7 from the journal alone: what every fill did to the cash; `other` is funding and what came from outside."""
        total = BALANCE + other
        held: dict[str, tuple[Decimal, Decimal]] = {}
        rows = self._disk.link.execute(
            "SELECT symbol, quantity, price, fee, fee_asset FROM fills ORDER BY CAST(trade_id AS INTEGER)"
        )
        for symbol, *numbers, fee_asset in rows:
            quantity, price, fee = map(Decimal, numbers)
            if self._exchange.spot:
                total -= quantity * price
            else:
                before, cost = held.get(symbol, (ZERO, ZERO))
                closing = ZERO
                if before * quantity < 0:
                    closing = -before if abs(quantity) >= abs(before) else quantity
                    freed = cost * -closing / before
                    total += -closing * price - freed
                    cost -= freed
                held[symbol] = (before + quantity, cost + (quantity - closing) * price)
            if fee_asset == self._exchange.quote:
                total -= fee
        if abs(total - cash) > EXACT:
            self._world.violate("I7", f"fills, fees, funding and transfers make {total}, the ledger has {cash}")

    def _compare_fills(self) -> None:
        rows = self._disk.link.execute("SELECT symbol, trade_id, client_id, quantity, price, fee FROM fills").fetchall()
        ours = sorted(rows)
        theirs = sorted(
            (f.symbol, f.trade_id, f.client_id, str(f.quantity), str(f.price), str(f.fee)) for f in self._exchange.fills
        )
        missing = [row for row in theirs if row not in set(ours)]
        invented = [row for row in ours if row not in set(theirs)]
        if missing:
            self._world.violate("I5", f"the journal lacks {len(missing)} fills, the first of {missing[0][2]}")
        if invented:
            self._world.violate("I5", f"the journal has {len(invented)} fills that never were: {invented[0]}")

    def _judge_bar(self, intent: Intent, venue: "SimVenue") -> None:
        world, life = self._world, self.life
        close_ms = intent.bar_time_ms + BAR_MS
        early_ms = close_ms - world.now_ms
        if early_ms > 0:
            world.violate("I8", f"{intent.client_id} was decided on a bar that closes in {early_ms} ms")
        age_ms = venue.clock.now_ms() - close_ms  # as far as the process can know
        late_ms = LATE_MS + (BAR_MS if attempt(intent.client_id) else 0)  # a new price may come until the next close
        if age_ms > late_ms and self._opens(intent):
            world.violate("I8", f"{intent.client_id} was sent {age_ms} ms after its bar closed")
        if life is None or life.venue is not venue:
            return
        purpose = life.feed.purposes.get(close_ms)
        again = attempt(intent.client_id) and name_of(intent) in self._left  # judged when it was decided
        if purpose is not Purpose.TRADE and not again:
            world.violate("I8", f"{intent.client_id} was decided on a bar for {purpose!r}")
        if min(life.daemon.trader.engine.bars) < life.warmup_bars:
            world.violate("I8", f"{intent.client_id} was decided before the warm-up was over")

    def _judge_mode(self, intent: Intent) -> None:
        if self.paused:
            self._world.violate("I11", f"{intent.client_id} opens although paused")
        life = self.life
        if life is not None and life.daemon.trader.book.A.row[0][at.HALT] and intent.cause not in CLOSING:
            why = Reason(int(life.daemon.trader.book.A.row[0][at.HALT])).name
            self._world.violate("I11", f"{intent.client_id} opens although halted for {why}")

    def _opens(self, intent: Intent) -> bool:
        held = self._exchange.quantity[intent.symbol]
        return not intent.reduce_only and abs(held + intent.quantity) > abs(held)

    def _filled(self, fill: Fill, before: Decimal) -> None:
        """The exchange executed something of ours."""
        world, exchange, symbol = self._world, self._exchange, fill.symbol
        after = exchange.quantity[symbol]
        if abs(after) > abs(before):
            limit = exchange.equity() * EXCESS
            if abs(after) * fill.price > limit:
                world.violate("I2", f"{fill.client_id} makes the position {after} {symbol}, beyond {limit:.2f}")
            if world.now_s >= self.calm_s:
                self.opened_calm += 1
        if self._left_s[fill.client_id] < self._flat_s:
            world.violate("I6", f"{fill.client_id} executed after the daemon had said to be flat")
        tickets = exchange.tickets[fill.client_id]
        if sum(bool(ticket.filled) for ticket in tickets) + (tickets[-1].filled == ZERO) > 1 and len(tickets) > 1:
            world.violate("I1", f"{fill.client_id} executed twice")
        intent = tickets[-1].intent
        if intent.cause is not Cause.FLATTEN:
            decision = name_of(intent)
            made = self._decided.setdefault((symbol, intent.bar_time_ms), set())
            made.add(decision)
            if len(made) > 1:
                world.violate("I1", f"bar {intent.bar_time_ms} of {symbol} executed {sorted(made)}")
            self._left[decision] -= abs(fill.quantity)
            if self._left[decision] < ZERO:
                world.violate("I1", f"{fill.client_id} executed {-self._left[decision]} more than was decided")

    def _accepted(self, ticket: Ticket) -> None:
        """The exchange took an order of ours: of one decision only one may work, and all of them fit the limit."""
        intent, exchange = ticket.intent, self._exchange
        decision = name_of(intent)
        self._left.setdefault(decision, abs(intent.quantity))
        open_now = [other for other in exchange.working if other.intent.symbol == intent.symbol]
        if any(name_of(other.intent) == decision and other is not ticket for other in open_now):
            self._world.violate("I1", f"{intent.client_id} came while another order of its decision worked")
        side = [other for other in open_now if (other.intent.quantity > 0) == (intent.quantity > 0)]
        worst = exchange.quantity[intent.symbol] + sum((o.intent.quantity - o.filled for o in side), ZERO)
        limit = exchange.equity() * EXCESS
        if self._opens(intent) and abs(worst) * exchange.market.price(intent.symbol, self._world.now_s) > limit:
            self._world.violate("I2", f"{intent.client_id} may make the position {worst} {intent.symbol}")


def name_of(intent: Intent) -> str:
    """Of the decision behind an order: what its names have in common when it is given new prices."""
    front, _, last = intent.client_id.rpartition("-")
    return front if last.isdecimal() else intent.client_id


def risk_memory(row: "memoryview[float]") -> tuple[float, ...]:
    """What of the account row no restart may change."""
    return _memory_of(row)
