"""One account's whole mind: bars and news in, observations, verdicts, records and actions out. Pure.

    begin(batch) ─ hear(news)… ─ show(batch) ─ observe() ─ judge(choices) ─ record() ─▶ commit ─ committed() ─▶ actions
                     ▲                                                                                          │
                     └────────────────────────────── answers, fills ◀───────────────────────────────────────────┘

The shell calls these in that order for every batch, and `hear` whenever the venue says something. What was told gets a
sequence number in the order of telling; told again in that order, the trader does the same again, byte for byte.
A submit becomes an action only after `committed`, so nothing is sent whose intent is not durable.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec
import numpy as np
from numpy.typing import NDArray

from klined.domain import (
    ZERO,
    Account,
    Approved,
    Batch,
    Decision,
    Denied,
    Event,
    Fill,
    Funded,
    Instrument,
    Intent,
    Liquidated,
    News,
    OrderNews,
    Purpose,
    Quote,
    Reason,
    Record,
    Recovered,
    Sent,
    Traded,
    Transferred,
    Unsent,
    Verdict,
)
from klined.kernels import layout as at
from klined.kernels.account import mark_step
from klined.kernels.observe import outside
from klined.ports import Choice, Quoter
from klined.trader.actions import Action, Alert, Persist, Submit
from klined.trader.book import Book
from klined.trader.engine import Engine
from klined.trader.executor import Executor
from klined.trader.metrics import Metrics
from klined.trader.minutes import Minutes
from klined.trader.orders import Closed, Filled, Intended, Order, cause_of, decode, filled_quantity
from klined.trader.reconcile import (
    Agreed,
    DriftedBalance,
    ExternalPosition,
    Finding,
    ForeignOrder,
    LostOrder,
    Moved,
    agrees,
    compare,
    persisting,
)
from klined.trader.risk import Gate
from klined.trader.views import Views

JOURNAL = "journal"
NAN = float("nan")
BATCH_BODY = {Purpose.TRADE: b"", Purpose.WARMUP: b"warmup", Purpose.REFILL: b"refill"}

Box = tuple[Sequence[float], Sequence[float]]
"""Lowest and highest value of each feature."""

_json = msgspec.json.Encoder()
_clock = msgspec.json.Decoder(tuple[int, int, int, Batch | None])


class Trader(Views):
    """See the module's picture. `book` is the account, `engine` the indicators, `gate` the limits."""

    def __init__(
        self, *, book: Book, engine: Engine, gate: Gate, executor: Executor, metrics: Metrics, interval_ms: int
    ) -> None:
        self.book, self.engine, self.gate, self.executor, self.metrics = book, engine, gate, executor, metrics
        self.instruments: Sequence[Instrument] = book.instruments
        self.index = {instrument.symbol: i for i, instrument in enumerate(self.instruments)}
        self.actions: deque[Action] = deque()
        self.minutes = Minutes()
        self.time_ms = 0  # close of the last batch
        self.last: Batch | None = None  # the last batch, with the last bar of every symbol, however old
        self.gaps = 0
        self.box: Box | None = None  # what the policy saw in training
        self.warm = False  # whether the indicators of every symbol have seen enough bars
        self.undecided: list[Choice] = [(NAN, ())] * len(self.instruments)
        self.holds: set[str] = set()  # why nothing may be opened: by hand, flattening, journal
        self.foreign: dict[str, Decimal] = {}  # what others' open orders may still trade, by symbol, signed
        self.quoter: Quoter | None = None  # the policy, when it rests orders on both sides
        self.interval_ms = interval_ms

    def begin(self, batch: Batch) -> None:
        """Take a batch in; its bars are shown after the news that came before their close."""
        self.time_ms = batch.close_time_ms
        self.minutes.batch(batch.close_time_ms, BATCH_BODY[batch.purpose])
        if actions := self.executor.due(batch.close_time_ms):
            self._act(actions)

    def show(self, batch: Batch) -> None:
        """Step the indicators and gauges by the batch's bars. O(symbols)."""
        close_ms, interval_ms = float(batch.close_time_ms), float(self.interval_ms)
        rows, trades = self.book.Q.row, batch.purpose is Purpose.TRADE
        self.engine.show(batch)
        for i, bar in enumerate(batch.bars):
            if bar is not None:
                q = rows[i]
                mark_step(q, close_ms, interval_ms, bar.open, bar.high, bar.low, bar.close, bar.volume)
                if not trades:
                    q[at.GAPPED] = 1.0
        self.last = batch.over(self.last)
        self.book.mark(close_ms)
        self.gate.begin(batch)
        if not self.warm:
            self.warm = min(self.engine.bars) >= self.engine.plan.warmup_bars
        if trades or batch.purpose is not Purpose.WARMUP:
            a = self.book.A.row[0]
            self.metrics.bar(a[at.EQUITY], a[at.GROSS_NOTIONAL])

    def observe(self) -> NDArray[np.float32]:
        """What the policy sees: shape (n_symbols, dim), valid until the next call."""
        observe, box = self.engine.observe, self.box
        for i, q in enumerate(self.book.Q.row):
            observe(i, q, 0.0)
            if box is not None:
                q[at.OOD] = outside(box[0], box[1], self.engine.slots[i], len(box[0]))
        return self.engine.observations

    def judge(self, batch: Batch, choices: Sequence[Choice], now_ms: int) -> list[Verdict]:
        """One verdict per bar of the batch, in order; what is approved is planned and counts from here on."""
        verdicts: list[Verdict] = []
        judge = self.gate.judge
        for i, bar in enumerate(batch.bars):
            if bar is None:
                continue
            quote = None if self.quoter is None else self.quoter.quote(choices[i])
            if quote is not None:
                verdicts.append(self._quote(i, quote, bar.open_time_ms, now_ms))
                continue
            verdict = judge(i, choices[i][0], bar.open_time_ms, now_ms)
            if type(verdict) is Approved:
                self._plan(verdict, now_ms)
            verdicts.append(verdict)
        return verdicts

    def record(self, batch: Batch, choices: Sequence[Choice], verdicts: Sequence[Verdict]) -> Record:
        """All that this batch decided and all that was heard since the last record, for one transaction."""
        seen = self.engine.slots
        judged = iter(verdicts)
        made: list[Decision] = []
        for i, bar in enumerate(batch.bars):
            if bar is not None:
                target, output = choices[i]
                made.append(Decision(bar.open_time_ms, bar.symbol, seen[i].tobytes(), target, output, next(judged)))
        return self.minutes.close(batch.close_time_ms, tuple(made), self.executor.drain())

    def news_record(self, now_ms: int) -> Record | None:
        """What was heard since the last record; None when there is nothing."""
        if not self.minutes:
            return None
        return self.minutes.close(now_ms, (), self.executor.drain())

    def committed(self, record: Record) -> None:
        """The record is durable: its intents may be sent, once."""
        for intent in record.intents:
            if isinstance(self.executor.order(intent.client_id), Intended):
                self.actions.append(Submit(intent))
        if self.minutes.unsaved is not None:
            self.minutes.unsaved = None
            self.release(JOURNAL)
            self.note("warning", "journal.recovered")

    def abandon(self, record: Record, why: str) -> None:
        """The record could not be stored: none of its orders is sent, and it is part of the next record."""
        self.minutes.unsaved = record
        self.hold(JOURNAL)
        for intent in record.intents:
            if isinstance(self.executor.order(intent.client_id), Intended):
                self.hear(Denied(intent.client_id, f"not sent: {why}"), record.time_ms)

    def hold(self, why: str) -> None:
        """Open nothing for this reason; several may hold at once."""
        self.holds.add(why)
        self.gate.pause()

    def release(self, why: str) -> None:
        """The reason is gone; entries go on when no other holds."""
        self.holds.discard(why)
        if not self.holds:
            self.gate.unpause()

    def hear(self, news: News, now_ms: int) -> None:
        """Book what the venue says. Repeats change nothing and leave no trace."""
        match news:
            case Traded(fill) | Liquidated(fill):
                self._traded(news, fill, now_ms)
            case Funded():
                if self.book.fund(news):
                    self.metrics.fund(float(news.amount))
                    self.minutes.news(news, now_ms)
                    self.note("info", "funding.booked", symbol=news.symbol, amount=str(news.amount))
            case Transferred():
                moved = self.book.transfer(news)
                self.metrics.moved(float(moved))
                self.minutes.news(news, now_ms)
                self.note("warning", "transfer.booked", asset=news.asset, amount=str(news.amount), moved=str(moved))
            case _:
                self._follow(news, now_ms)

    def due(self, now_ms: int) -> None:
        """Let the executor ask for what is open for too long."""
        self._act(self.executor.due(now_ms))

    def not_found(self, client_id: str, asked_at_ms: int, now_ms: int) -> None:
        self._act(self.executor.not_found(client_id, asked_at_ms, now_ms))

    def note(self, level: str, name: str, **data: str | float | bool | None) -> None:
        """Record an event for observers and the journal."""
        self.minutes.events.append(Event(self.time_ms, level, name, data))

    def flatten(self, now_ms: int) -> None:
        """Plan what closes every position that an order can close; dust is left."""
        bar_time_ms = self.time_ms - self.interval_ms
        for i in range(len(self.instruments)):
            approved = self.gate.flatten(i, bar_time_ms, now_ms)
            if approved is not None:
                self._plan(approved, now_ms)

    def cancel_open(self, now_ms: int, *, stops: bool = True) -> None:
        self._act(self.executor.cancel_open(now_ms, stops=stops))

    def again(self, ended: Intent, left: Decimal, reference: Decimal | None, now_ms: int) -> bool:
        """Plan the rest of an order at a new price, if the gate lets it; `reference` None: by the last close."""
        i = self.index[ended.symbol]
        mark = Decimal(repr(self.book.Q.row[i][at.MARK]))
        approved = self.gate.again(i, ended, left, reference or mark, now_ms)
        if approved is not None:
            self._plan(approved, now_ms)
        return approved is not None

    def differences(self, account: Account) -> list[Finding]:
        """What speaks against our view of the account; nothing is changed."""
        return [finding for finding in self._compare(account) if not isinstance(finding, Agreed)]

    def inspect(self, account: Account, symbol: str, now_ms: int) -> None:
        """Tell the executor whether the account speaks for or against orders that the venue does not know."""
        findings = self._compare(account)
        self._act(
            self.executor.evidence(symbol, agrees=agrees(findings, symbol), read_at_ms=account.time_ms, now_ms=now_ms)
        )
        if symbol in self.index:  # what was disproved neither blocks entries nor counts in exposure any more
            self.refresh(self.index[symbol])

    def reconcile(self, account: Account, now_ms: int, earlier: Sequence[Finding] | None = None) -> Sequence[Finding]:
        """Compare with the venue; what we cannot explain is adopted and told, and is neither profit nor loss.

        With `earlier`, findings of a look before, only what stood there already counts: reads lag behind.
        """
        findings: Sequence[Finding] = [f for f in self._compare(account) if not isinstance(f, Agreed)]
        if earlier is not None:
            findings = persisting(earlier, findings)
        for finding in findings:
            self.note("warning", "account.differed", finding=type(finding).__name__, detail=str(finding))
        self.gate.desync(any(isinstance(finding, LostOrder) for finding in findings))
        self._count_foreign(findings)
        if any(isinstance(finding, ExternalPosition | Moved | DriftedBalance) for finding in findings):
            moved = self.book.adopt(account)
            self.metrics.moved(float(moved))
            self.note("warning", "account.adopted", moved=str(moved), time_ms=now_ms)
        return findings

    def _count_foreign(self, findings: Sequence[Finding]) -> None:
        """Open orders that are not ours count in exposure for as long as they are seen."""
        before, self.foreign = self.foreign, {}
        for finding in findings:
            if isinstance(finding, ForeignOrder):
                self.foreign[finding.symbol] = self.foreign.get(finding.symbol, ZERO) + finding.quantity
        for symbol in (before.keys() | self.foreign.keys()) & self.index.keys():
            self.refresh(self.index[symbol])

    def resume(self, recovered: Recovered, now_ms: int) -> None:
        """Take over the orders that a dead process left and ask for them."""
        self.minutes.seq = max(self.minutes.seq, recovered.seq)
        self.gate.flattens.update(recovered.flattens)
        self._act(self.executor.restore([decode(state) for _, state in recovered.orders], now_ms))
        for i in range(len(self.instruments)):
            self.refresh(i)

    def sections(self) -> dict[str, bytes]:
        """What a snapshot holds of the trader; orders have rows of their own in the journal."""
        clock = _json.encode((self.minutes.seq, self.time_ms, self.gaps, self.last))
        return {**self.book.sections(), "engine": self.engine.dump(), "metrics": self.metrics.dump(), "clock": clock}

    def load(self, sections: Mapping[str, bytes], *, with_engine: bool = True) -> None:
        """Continue from `sections`. Raises: KeyError, ValueError when they do not fit."""
        self.book.load(sections)
        if with_engine:
            self.engine.load(sections["engine"])
        self.metrics.load(sections["metrics"])
        self.minutes.seq, self.time_ms, self.gaps, self.last = _clock.decode(sections["clock"])
        self.warm = min(self.engine.bars) >= self.engine.plan.warmup_bars

    def _compare(self, account: Account) -> list[Finding]:
        return compare(account, self.book.ledger, self.executor.open_orders(), self.gate.ids.prefix)

    def _quote(self, i: int, quote: Quote, bar_time_ms: int, now_ms: int) -> Verdict:
        """Plan both sides; the decision's verdict is the first that goes, else the first reason why none does."""
        verdicts = self.gate.quote(i, quote, bar_time_ms, now_ms)
        going = [verdict for verdict in verdicts if isinstance(verdict, Approved)]
        for approved in going:
            self._plan(approved, now_ms)
        return going[0] if going else verdicts[0]

    def _plan(self, approved: Approved, now_ms: int) -> None:
        self.executor.plan(approved, now_ms)
        self.minutes.intents.append(approved.intent)
        self.refresh(self.index[approved.intent.symbol])

    def _traded(self, news: Traded | Liquidated, fill: Fill, now_ms: int) -> None:
        if fill.symbol not in self.index:
            self.note("warning", "fill.foreign", symbol=fill.symbol, trade_id=fill.trade_id)
            return
        booked = self.book.fill(fill)
        if booked is None:
            return
        self.minutes.news(news, now_ms)
        self.minutes.fills.append(fill)
        self.metrics.trade(float(booked.notional), float(booked.fee))
        if booked.settled is not None:
            self.metrics.trip(float(booked.settled))
        if isinstance(news, Traded):
            before = self.executor.order(fill.client_id)
            self._act(self.executor.hear(news, now_ms))
            self._count_end(before, self.executor.order(fill.client_id))
        else:
            self.note("error", "position.liquidated", symbol=fill.symbol, price=str(fill.price))
            self.gate.halt(Reason.LIQUIDATION)
        self.refresh(self.index[fill.symbol])
        self.note(
            "info",
            "order.filled",
            symbol=fill.symbol,
            quantity=str(fill.quantity),
            price=str(fill.price),
            fee=str(fill.fee),
            client_id=fill.client_id,
            cause=cause_of(self.executor.order(fill.client_id), news),
            realised=str(booked.realised),
            equity=self.book.A.row[0][at.EQUITY],
        )

    def _follow(self, news: OrderNews, now_ms: int) -> None:
        """News of one order other than a trade; only what changes the order is an input."""
        if isinstance(news, Traded):
            return
        before = self.executor.order(news.client_id)
        actions = self.executor.hear(news, now_ms)
        after = self.executor.order(news.client_id)
        if after is not before and not isinstance(news, Unsent):
            self.minutes.news(news, now_ms)
        self._act(actions)
        if after is not None:
            if type(news) is not Sent:  # on its way an order may still do all that was intended
                self.refresh(self.index[after.intent.symbol])
            self._count_end(before, after)

    def _count_end(self, before: Order | None, after: Order | None) -> None:
        """Count how much of an order was filled, once, when it ends."""
        ends = (Filled, Closed)
        if isinstance(after, ends) and not isinstance(before, ends):
            self.metrics.ended(abs(float(filled_quantity(after) / after.intent.quantity)))
            self.gate.ended(self.index[after.intent.symbol], after.intent, filled=isinstance(after, Filled))

    def _act(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if isinstance(action, Alert):
                self.minutes.events.append(Event(self.time_ms, action.level, action.name, action.data))
            elif not isinstance(action, Persist):  # the record carries the intent
                self.actions.append(action)

    def refresh(self, i: int) -> None:
        """Tell the gate what the orders of a symbol may still do."""
        instrument, executor, q = self.instruments[i], self.executor, self.book.Q.row[i]
        symbol, lot = instrument.symbol, instrument.lot
        others = float(self.foreign[symbol] / lot) if symbol in self.foreign else 0.0
        q[at.WORKING] = executor.working_lots(symbol, lot) + others
        q[at.UNKNOWN] = 1.0 if executor.blocked(symbol) else 0.0
        q[at.ORDERS_OPEN] = float(executor.orders_open(symbol))
