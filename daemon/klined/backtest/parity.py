"""Proof that what is trained and searched on is what trades: two ways through the same bars, compared to the last lot.

    pipeline ─┐
              ├─ compare ─▶ None, or the first bar and field where they part
    lane ─────┘

Equal by bytes: market features. Equal exactly: targets, reasons, causes, order lots, fill lots, ticks and times. Equal
within 1e-8 (relative): equity and fees, since the ledger is Decimal and a lane float64; and, for the same reason, the
observation's two account slots within one step of float32.
"""

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from klined.backtest.history import History
from klined.backtest.lanes import Result
from klined.domain import Instrument, Reason
from klined.kernels import tapes
from klined.trader.exits import CAUSES
from klined.trader.plans import ACCOUNT, Plan

MONEY = 1e-8  # relative, or in quote: the exchange rounds fees of liquidations and fundings to it
FLOAT32_STEP = 1.2e-7  # between neighbouring float32 just below 1 there is half of it
FILL_FIELDS = ("fill bar", "fill symbol", "fill kind", "fill lots", "fill ticks", "fee", "fill time")
DECISION_FIELDS = ("target", "reason", "order lots", "", "cause", "reduce only")  # "": shaping is internal


class Divergence(Struct, frozen=True):
    """The first difference, in the order of time and, within a bar, of the pipeline."""

    bar_time_ms: int  # open time
    bar: int  # index in the history
    symbol: str
    field: str
    left: str
    right: str
    sides: tuple[str, str]

    def __str__(self) -> str:
        left, right = self.sides
        return (
            f"bar {self.bar} (open time {self.bar_time_ms}) of {self.symbol}: "
            f"{self.field} is {self.left} in the {left}, {self.right} in the {right}"
        )


class Sums(Struct, frozen=True):
    """What equal runs have in common: hashes and counts."""

    decisions: int
    orders: int
    fills: int
    equity: float  # quote, at the last close
    features_sha256: str  # of the market features as seen by the policy
    decisions_sha256: str  # of targets, reasons and order lots
    fills_sha256: str  # of bars, symbols, lots and ticks


def sums(result: Result, plan: Plan) -> Sums:
    """Hashes over exactly what `compare` holds to equality by bytes."""
    decided = result.decisions[..., [tapes.TARGET, tapes.REASON, tapes.DECIDED_LOTS]]
    seen = result.observations[..., _market_slots(plan)][np.isfinite(decided[..., 1])]
    return Sums(
        decisions=int(np.isfinite(decided[..., 1]).sum()),
        orders=int((np.nan_to_num(decided[..., 2]) != 0.0).sum()),
        fills=len(result.fills),
        equity=float(result.equity[-1]) if len(result.equity) else 0.0,
        features_sha256=_sha256(np.where(np.isnan(seen), np.float32(np.nan), seen)),
        decisions_sha256=_sha256(np.where(np.isnan(decided), np.nan, decided)),  # one NaN is as good as another
        fills_sha256=_sha256(result.fills[:, [tapes.FILL_BAR, tapes.FILL_SYMBOL, tapes.FILL_LOTS, tapes.FILL_TICKS]]),
    )


def compare(
    left: Result,
    right: Result,
    history: History,
    instruments: Sequence[Instrument],
    plan: Plan,
    sides: tuple[str, str] = ("pipeline", "lane"),
) -> Divergence | None:
    """The first difference of two recorded results over `history`; None when they are equal. `sides` name them."""
    found = min(_differences(left, right, plan), default=None)
    if found is None:
        return None
    t, _, i, field, one, other = found
    return Divergence(int(history.times[t]), t, instruments[i].symbol, field, one, other, sides)


Difference = tuple[int, int, int, str, str, str]
"""Bar, place within the bar, symbol, field, both values."""


def _differences(left: Result, right: Result, plan: Plan) -> Iterator[Difference]:
    """The first of every kind."""
    yield from _fills(left.fills, right.fills)
    apart = ~np.isclose(left.equity, right.equity, rtol=MONEY, atol=MONEY)
    for t in np.flatnonzero(apart)[:1].tolist():
        yield t, 1, 0, "equity", repr(float(left.equity[t])), repr(float(right.equity[t]))
    decided = np.isfinite(left.decisions[..., tapes.REASON]) & np.isfinite(right.decisions[..., tapes.REASON])
    yield from _slots(left.observations, right.observations, decided, plan)
    for column, field in enumerate(DECISION_FIELDS):
        if field:
            yield from _decisions(left.decisions, right.decisions, column, field)


def _fills(left: NDArray[np.float64], right: NDArray[np.float64]) -> Iterator[Difference]:
    count = min(len(left), len(right))
    for column, field in enumerate(FILL_FIELDS):
        a, b = left[:count, column], right[:count, column]
        apart = ~np.isclose(a, b, rtol=MONEY, atol=MONEY) if column == tapes.FILL_FEE else a != b
        for k in np.flatnonzero(apart)[:1].tolist():
            first = min(left[k, 0], right[k, 0])
            yield int(first), 0, int(left[k, tapes.FILL_SYMBOL]), field, repr(float(a[k])), repr(float(b[k]))
    if len(left) != len(right):
        longer = left if len(left) > count else right
        told = f"a fill of {longer[count, tapes.FILL_LOTS]:g} lots"
        ours, theirs = (told, "none") if longer is left else ("none", told)
        yield int(longer[count, tapes.FILL_BAR]), 0, int(longer[count, tapes.FILL_SYMBOL]), "fill", ours, theirs


def _slots(
    left: NDArray[np.float32], right: NDArray[np.float32], decided: NDArray[np.bool_], plan: Plan
) -> Iterator[Difference]:
    for slot, feature in enumerate(plan.features):
        a, b = left[..., slot], right[..., slot]
        if feature.source == ACCOUNT:
            apart = ~(np.abs(a - b) <= FLOAT32_STEP)
        else:
            apart = np.ascontiguousarray(a).view(np.uint32) != np.ascontiguousarray(b).view(np.uint32)
            apart &= ~(np.isnan(a) & np.isnan(b))
        for i, t in _first(apart & decided):
            yield t, 2, i, f"observation {feature.name}", repr(float(a[i, t])), repr(float(b[i, t]))


def _decisions(left: NDArray[np.float64], right: NDArray[np.float64], column: int, field: str) -> Iterator[Difference]:
    a, b = left[..., column], right[..., column]
    apart = (a != b) & ~(np.isnan(a) & np.isnan(b))
    if column in {tapes.CAUSE, tapes.REDUCE}:
        apart &= left[..., tapes.DECIDED_LOTS] != 0.0
    for i, t in _first(apart):
        yield t, 3 + column, i, field, _told(column, float(a[i, t])), _told(column, float(b[i, t]))


def _first(apart: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Symbol and bar of the earliest difference."""
    times = np.flatnonzero(apart.any(axis=0))
    if len(times):
        yield int(np.argmax(apart[:, times[0]])), int(times[0])


def _told(column: int, value: float) -> str:
    if value != value:  # noqa: PLR0124 - NaN
        return "none"
    if column == tapes.REASON:
        return Reason(int(value)).name
    return CAUSES[int(value)].value if column == tapes.CAUSE else repr(value)


def _market_slots(plan: Plan) -> list[int]:
    return [slot for slot, feature in enumerate(plan.features) if feature.source != ACCOUNT]


def _sha256(values: NDArray[np.float64] | NDArray[np.float32]) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
