"""The gate as the daemon asks it: a target in, a typed verdict out, with a sentence where it says no.

    target ─▶ judge ─▶ kernels.gate ─▶ code ─┬─▶ Held       made beforehand: holding allocates nothing
                                            ├─▶ Approved   lots in Decimal, checked once more against the filters
                                            └─▶ Refused    reason and sentence

No rule stands here: the kernels decide, this room encodes what they ask and decodes what they answer.
"""

from collections.abc import Sequence
from decimal import Decimal
from math import isnan

from msgspec.structs import replace

from klined.domain import (
    Approved,
    Batch,
    Cause,
    Held,
    Instrument,
    Intent,
    Mode,
    OrderKind,
    Purpose,
    Quote,
    Reason,
    Refused,
    Verdict,
)
from klined.kernels import layout as at
from klined.kernels.gate import count_order, flatten_lots, gate_step, judge_order, latch_drawdown
from klined.kernels.memory import DECAY, correlate_step, forget_book
from klined.kernels.rows import Plain, Row
from klined.trader.exits import CAUSES, show_bars
from klined.trader.ids import ClientIds
from klined.trader.limits import Limits
from klined.trader.refusals import fault_sentence, sentence
from klined.trader.sizing import fault_of, is_dust, quantity_of
from klined.trader.styles import LIMITS, PATIENT, Style, attempt, limit_price

__all__ = ["Gate", "Limits"]

HOLDS = (Reason.HOLD_TARGET, Reason.HOLD_DEADBAND, Reason.CLIPPED)
OK = float(Reason.OK)
EXIT = float(Reason.EXIT)
DECIDED = (at.ORDERED, at.LAST_TARGET, at.REBALANCED)
COUNTED = (at.MINUTE, at.ORDERS_MINUTE)


class Gate:
    """The risk gate of one account over `instruments` in row order; the rows are the account's own, not copies.

    Only symbols that have never seen a bar start without a book: SPREAD and DEPTH are NaN until a source writes them.
    """

    def __init__(
        self,
        instruments: Sequence[Instrument],
        A: Row,  # noqa: N803 # the rows' names are the kernels'
        Q: list[Row],  # noqa: N803
        M: list[Row],  # noqa: N803
        P: Row,  # noqa: N803
        C: list[Row],  # noqa: N803
        ids: ClientIds,
    ) -> None:
        self.instruments = tuple(instruments)
        self.ids = ids
        self.dust: dict[str, Decimal] = {}  # what the last flatten had to leave, by symbol, base quantity
        self.flattens: set[str] = set()  # names that flattens have used, in this process or before it
        self.style: Style | None = None  # of ordinary orders; None: at the market
        self._n = len(self.instruments)
        self._a, self._q, self._m, self._p, self._c = A, Q, M, P, C
        self._out: Row = Plain(1, at.N_OUT).row[0]
        self._held = [{float(r): Held(s.symbol, r) for r in HOLDS} for s in self.instruments]
        for q in Q:
            if q[at.BARS] == 0.0:
                forget_book(q)

    def begin(self, batch: Batch) -> None:
        """Take in a batch after its bars were marked: correlations, and the stops of open positions. O(n²)."""
        if self._n > 1:
            correlate_step(self._c, self._q, self._n, DECAY)
        if batch.purpose is not Purpose.WARMUP:
            show_bars(self._q, self._p, self._m, batch.bars)

    def judge(self, i: int, target: float, bar_time_ms: int, now_ms: int) -> Verdict:
        """What becomes of the target of symbol `i`, decided on the bar opened at `bar_time_ms`; NaN: the policy failed.

        An approval is reserved in the rows: judging the same bar again is a DUPLICATE.
        """
        out = self._out
        why = gate_step(self._a, self._q, self._m, self._p, self._c, self._n, i, target, float(now_ms), out)
        held = self._held[i].get(why)
        if held is not None:
            return held
        if why in {OK, EXIT}:
            return self._approved(i, bar_time_ms)
        reason = Reason(int(why))
        return Refused(self.instruments[i].symbol, reason, sentence(reason, out[at.OUT_VALUE], out[at.OUT_LIMIT]))

    def quote(self, i: int, quote: Quote, bar_time_ms: int, now_ms: int) -> list[Verdict]:
        """What becomes of the two orders that a market maker wants to rest: one verdict each, or one exit.

        Each side is judged as if it alone were filled, which is the worst it can do.
        """
        q, verdicts = self._q[i], list[Verdict]()
        ordered, working = q[at.ORDERED], q[at.WORKING]
        for buys, size, away in ((True, quote.buy, quote.bid), (False, quote.sell, quote.ask)):
            if not size > 0.0:
                continue
            q[at.ORDERED], q[at.WORKING] = ordered, working
            q[at.LAST_TARGET] = q[at.WANTED] = 0.0  # a quote is no target: what is left of it does not drift
            verdict = self.judge(i, q[at.EXPOSURE] + (size if buys else -size), bar_time_ms, now_ms)
            if not isinstance(verdict, Approved):
                verdicts.append(verdict)
                continue
            if verdict.intent.cause not in PATIENT:
                return [verdict]
            if (verdict.intent.quantity > 0) == buys:  # else a limit takes the position down instead
                verdicts.append(self._quoted(i, verdict, Decimal(repr(away * q[at.SIGMA]))))
        return verdicts or [self._held[i][float(Reason.HOLD_TARGET)]]

    def _quoted(self, i: int, approved: Approved, away: Decimal) -> Approved:
        """The order of one side, with its price; `away` is a fraction of the last close."""
        intent, buys, last = approved.intent, approved.intent.quantity > 0, self._price(i)
        price = limit_price(self.instruments[i], last, max(away, self.instruments[i].tick / last), buys=buys)
        name = self.ids.quote(intent.bar_time_ms, i, buys=buys)
        return Approved(replace(intent, client_id=name, kind=OrderKind.POST_ONLY, price=price), approved.note)

    def again(self, i: int, ended: Intent, left: Decimal, reference: Decimal, now_ms: int) -> Approved | None:
        """The rest of an order that was approved and ended, at a new price: `reference` is the best on its own side.

        It widens nothing: the same direction, what was not filled, and no more re-pricings in a row than the style
        allows. None when it must not go: opening while nothing may be opened, too small, too many orders.
        """
        style, instrument = self.style, self.instruments[i]
        if style is None or (self.mode is not Mode.RUNNING and not ended.reduce_only):
            return None
        if self._a[at.MINUTE] == now_ms // 60_000 and self._a[at.ORDERS_MINUTE] >= self._p[at.ORDERS_MINUTE_MAX]:
            return None
        market = abs(self._q[i][at.REPRICED]) > style.reprices_max
        if market and not style.then_market:
            return None
        buys = left > 0
        price = None if market else limit_price(instrument, reference, style.offset, buys=buys)
        band = None if market else self._price(i)
        if fault_of(left, price or reference, instrument, reduce_only=ended.reduce_only, reference=band) is not None:
            return None
        count_order(self._a, now_ms)
        if market:
            self._q[i][at.REPRICED] = 0.0
        name = self.ids.order(ended.bar_time_ms, i, attempt(ended.client_id) + 1)
        kind = OrderKind.MARKET if market else style.kind
        intent = replace(ended, client_id=name, quantity=left, kind=kind, price=price)
        return Approved(intent, "at the market" if market else "priced anew")

    def order(self, i: int, asked: Intent, now_ms: int, valid_ms: int) -> Approved | Refused:
        """What becomes of an order that somebody asks for between two decisions: as it is, or not at all.

        It passes every check of a target's order except those that keep a policy from trading too often: deadband,
        largest change, one order a bar. The last bar may be `valid_ms` old.
        """
        instrument, q, p, out = self.instruments[i], self._q[i], self._p, self._out
        lots = float(asked.quantity / instrument.lot)
        mark = self._price(i)
        price = asked.price or mark
        fault = fault_of(asked.quantity, price, instrument, reference=mark if asked.price else None)
        if fault is not None:
            return Refused(instrument.symbol, fault, fault_sentence(fault, asked.quantity, price, mark, instrument))
        if q[at.EXIT]:
            return Refused(instrument.symbol, Reason.COOLDOWN, "a protective exit is closing this position")
        for slot in range(at.N_OUT):
            out[slot] = 0.0
        a, age = self._a, p[at.BAR_AGE_MAX_MS]
        latch_drawdown(a, p)
        working, wanted = q[at.WORKING], q[at.LOTS] + q[at.WORKING] + lots
        counted = [(row, slot, row[slot]) for row, slots in ((q, DECIDED), (a, COUNTED)) for slot in slots]
        p[at.BAR_AGE_MAX_MS], q[at.ORDERED] = max(age, float(valid_ms)), 0.0
        when = float(now_ms)
        why = judge_order(a, self._q, self._m, p, self._c, self._n, i, wanted, a[at.HALT], 0.0, 0.0, when, out)
        p[at.BAR_AGE_MAX_MS] = age
        for row, slot, before in counted:  # the bar's own decision is another matter
            row[slot] = before
        q[at.WANTED] = 0.0  # it is no target: what is left of it does not drift
        reason = Reason(int(why))
        if reason is not Reason.OK:
            return Refused(instrument.symbol, reason, sentence(reason, out[at.OUT_VALUE], out[at.OUT_LIMIT]))
        if out[at.OUT_LOTS] != lots:
            q[at.WORKING] = working
            left = abs(quantity_of(int(out[at.OUT_LOTS]), instrument))
            told = f"of {abs(asked.quantity)} only {left} may go: the rest is not paid for, or could not be left again"
            return Refused(instrument.symbol, Reason.NOTIONAL_MAX, told)
        count_order(a, now_ms)
        return Approved(replace(asked, reduce_only=bool(out[at.OUT_REDUCE])), "asked for by hand")

    def ended(self, i: int, intent: Intent, *, filled: bool) -> None:
        """Count in a row what limit orders leave unfilled; a fill in full, or the other direction, begins anew."""
        if intent.kind not in LIMITS:
            return
        q, side = self._q[i], 1.0 if intent.quantity > 0 else -1.0
        same = q[at.REPRICED] * side > 0.0
        q[at.REPRICED] = 0.0 if filled else (q[at.REPRICED] if same else 0.0) + side

    def flatten(self, i: int, bar_time_ms: int, now_ms: int) -> Approved | None:
        """The order that closes symbol `i` as far as one order can, whatever the gate's state; only filters bind it.

        None when there is nothing to sell, or only dust, which then stands in `dust`.
        """
        instrument, q = self.instruments[i], self._q[i]
        lots = int(flatten_lots(q, self._m[i]))
        if not lots:
            self.dust.pop(instrument.symbol, None)
            if q[at.LOTS] and not q[at.WORKING]:
                self.dust[instrument.symbol] = quantity_of(int(q[at.LOTS]), instrument)
            return None
        q[at.WORKING] += lots
        count_order(self._a, now_ms)
        name = self._flatten_name(bar_time_ms, i, now_ms)
        return self._order(i, name, lots, bar_time_ms, cause=Cause.FLATTEN, reduce_only=True)

    def _flatten_name(self, bar_time_ms: int, i: int, now_ms: int) -> str:
        """A name of its own for each try, even where time stands still between bars."""
        while (name := self.ids.flatten(bar_time_ms, i, now_ms)) in self.flattens:
            now_ms += 1
        self.flattens.add(name)
        return name

    def is_dust(self, i: int, quantity: Decimal) -> bool:
        """Whether no order could close a position of `quantity` of symbol `i` at its mark."""
        return is_dust(quantity, self._price(i), self.instruments[i])

    def halt(self, reason: Reason = Reason.HALTED) -> None:
        """No new exposure until a person resumes; an earlier halt keeps its reason."""
        if not self._a[at.HALT]:
            self._a[at.HALT] = float(reason)

    def resume(self) -> None:
        """A person looked: end halt and pause. After a drawdown, the fall is measured anew from the equity of now."""
        a = self._a
        a[at.HALT] = a[at.PAUSE] = 0.0
        if a[at.PEAK] - a[at.EQUITY] > self._p[at.DRAWDOWN_MAX] * a[at.PEAK]:
            a[at.PEAK] = a[at.EQUITY]
        a[at.REDUCING] = 0.0

    def pause(self) -> None:
        """No new exposure; exits still work. For SAFE and while flattening too."""
        self._a[at.PAUSE] = 1.0

    def unpause(self) -> None:
        """End a pause; a halt stays."""
        self._a[at.PAUSE] = 0.0

    def kill(self, present: bool) -> None:  # noqa: FBT001 # the state of the file, as it is
        """The kill-switch file exists, or does not any more: nothing passes but `flatten`."""
        self._a[at.KILL] = 1.0 if present else 0.0

    def desync(self, present: bool) -> None:  # noqa: FBT001 # as `kill`
        """Ledger and venue disagree, or agree again."""
        self._a[at.DESYNCED] = 1.0 if present else 0.0

    def trust(self, verified: bool) -> None:  # noqa: FBT001 # as `kill`
        """Whether the loaded policy's manifest was verified; nothing is opened without."""
        self._p[at.MODEL_OK] = 1.0 if verified else 0.0

    @property
    def mode(self) -> Mode:
        """HALTED until a person resumes, SAFE while nothing may be opened for another reason."""
        a = self._a
        if a[at.HALT] or a[at.KILL]:
            return Mode.HALTED
        return Mode.SAFE if a[at.PAUSE] or a[at.DESYNCED] else Mode.RUNNING

    def warnings(self) -> list[str]:
        """Checks that have no data and therefore pass: spread and depth without a book."""
        blind = [s.symbol for s, q in zip(self.instruments, self._q, strict=True) if isnan(q[at.SPREAD])]
        thin = [s.symbol for s, q in zip(self.instruments, self._q, strict=True) if isnan(q[at.DEPTH])]
        told = [("spread", blind), ("depth", thin)]
        return [f"risk.{name} is not checked: no source for {', '.join(symbols)}" for name, symbols in told if symbols]

    def _approved(self, i: int, bar_time_ms: int) -> Verdict:
        out, instrument = self._out, self.instruments[i]
        lots, reduce_only = int(out[at.OUT_LOTS]), bool(out[at.OUT_REDUCE])
        fault = fault_of(quantity_of(lots, instrument), self._price(i), instrument, reduce_only=reduce_only)
        if fault is not None:
            # Exact arithmetic differs from the kernel's at the edge of a filter: the venue would refuse, so we do.
            self._q[i][at.WORKING] -= lots
            return Refused(instrument.symbol, fault, f"{sentence(fault)} in exact arithmetic")
        name = self.ids.order(bar_time_ms, i)
        cause = CAUSES[int(out[at.OUT_CAUSE])]
        approved = self._order(i, name, lots, bar_time_ms, cause=cause, reduce_only=reduce_only, note=self._note())
        return approved if self.style is None or cause not in PATIENT else self._styled(i, approved, self.style)

    def _styled(self, i: int, approved: Approved, style: Style) -> Approved:
        """The order at a price, unless too many of the same direction came to nothing before."""
        q, buys = self._q[i], approved.intent.quantity > 0
        if (q[at.REPRICED] > 0.0) == buys and abs(q[at.REPRICED]) > style.reprices_max and style.then_market:
            q[at.REPRICED] = 0.0
            return approved
        price = limit_price(self.instruments[i], self._price(i), style.offset, buys=buys)
        return Approved(replace(approved.intent, kind=style.kind, price=price), approved.note)

    def _order(
        self, i: int, name: str, lots: int, bar_time_ms: int, *, cause: Cause, reduce_only: bool, note: str = ""
    ) -> Approved:
        instrument = self.instruments[i]
        return Approved(
            Intent(
                client_id=name,
                symbol=instrument.symbol,
                quantity=quantity_of(lots, instrument),
                bar_time_ms=bar_time_ms,
                reduce_only=reduce_only,
                cause=cause,
            ),
            note,
        )

    def _note(self) -> str:
        """What of the policy's wish was left out."""
        out = self._out
        if not out[at.OUT_NOTE]:
            return ""
        reason = Reason(int(out[at.OUT_NOTE]))
        if reason is Reason.CLIPPED:
            return sentence(reason)
        return f"only the closing part: {sentence(reason, out[at.OUT_VALUE], out[at.OUT_LIMIT])}"

    def _price(self, i: int) -> Decimal:
        return Decimal(repr(self._q[i][at.MARK]))
