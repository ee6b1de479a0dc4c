"""What a plan does on given bars: whether it looks ahead, when it begins, how soon it forgets its start, what it shows.

bars ─▶ run from the beginning ─┬─ equal to runs that end, or are poisoned, at some bar     (leak)
                                ├─ first finite row where the plan says                     (warm-up)
                                └─ equal to runs that begin later, once they have settled   (stability)
"""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from klined.errors import ConfigError
from klined.kernels.rows import Block
from klined.trader.engine import step_of
from klined.trader.plans import MARKET, Plan

Floats = NDArray[np.float64]
TOLERANCE = 1e-8  # of the largest value
CUTS = 5  # bars at which the future is taken away, and poisoned
LATE_STARTS = 3
TAIL = 60  # bars compared after a late start has settled


class Seen(Struct, frozen=True):
    """One market feature on these bars."""

    name: str
    formula: str
    leaks: int  # cuts at which its past changed with the future
    first_bar: int | None  # index of its first value within this plan; None: never
    low: float
    mean: float
    high: float
    stable_bars: int | None  # as told
    drift: float  # largest difference, relative to its size, once told to be stable
    outside: int  # values beyond the bounds that the plan promises

    @property
    def fault(self) -> str:
        """What is wrong, in words; empty when nothing is."""
        if self.leaks:
            return f"knows the future at {self.leaks} of {2 * CUTS} cuts"
        if self.first_bar is None:
            return "never had a value"
        if self.outside:
            return f"{self.outside} values outside its bounds"
        if self.stable_bars is not None and self.drift > TOLERANCE:
            return f"still knows its start after {self.stable_bars} bars ({self.drift:.1e})"
        return "depends on its start for ever" if self.stable_bars is None else ""


class Report(Struct, frozen=True):
    bars: int
    first_bar: int | None
    features: tuple[Seen, ...]

    @property
    def leaks(self) -> bool:
        return any(seen.leaks for seen in self.features)

    @property
    def clean(self) -> bool:
        return not any(seen.fault for seen in self.features)


def run(plan: Plan, bars: Sequence[Sequence[float]]) -> Floats:
    """Market features of every bar from a fresh start, shape (T, market_dim)."""
    state, out, step = Block(1, plan.state_size).row[0], Block(len(bars), plan.market_dim), step_of(plan)
    for bar, row in zip(bars, out.row, strict=True):
        step(state, bar, row)
    return out.array


def bars_needed(plan: Plan) -> int:
    """How many bars show a plan settle twice."""
    return 2 * plan.warmup_bars + TAIL


def inspect(plan: Plan, bars: Floats) -> Report:
    """Look at a plan over bars of shape (T, 6), oldest first.

    Raises:
        ConfigError: too few bars to tell.
    """
    needed = bars_needed(plan)
    if len(bars) < needed:
        raise ConfigError(
            f"{len(bars)} bars are too few for plan {plan.name}: warm-up takes {plan.warmup_bars}, and to see it twice "
            f"{needed} are needed; give a longer file"
        )
    rows = bars.tolist()
    whole = run(plan, rows)
    leaks = _leaks(plan, rows, whole)
    drifts = _drifts(plan, rows, whole)
    finite = np.isfinite(whole).all(axis=1)
    first = int(np.argmax(finite)) if finite.any() else None
    market = [feature for feature in plan.features if feature.source == MARKET]
    seen = []
    for column, feature in enumerate(market):
        values = whole[finite, column] if first is not None else np.full(1, np.nan)
        low = -np.inf if feature.low is None else feature.low
        high = np.inf if feature.high is None else feature.high
        beyond = int(((values < low - 1e-9) | (values > high + 1e-9)).sum())
        told = (float(values.min()), float(values.mean()), float(values.max()))
        drift = float(drifts[column])
        seen.append(
            Seen(feature.name, feature.formula, int(leaks[column]), first, *told, feature.stable_bars, drift, beyond)
        )
    return Report(len(bars), first, tuple(seen))


def _leaks(plan: Plan, rows: list[list[float]], whole: Floats) -> NDArray[np.int64]:
    """Per feature, the cuts at which its past is not the same bytes without, or with a poisoned, future."""
    found = np.zeros(whole.shape[1], dtype=np.int64)
    for cut in np.linspace(plan.first_bar, min(len(rows) - 2, 2 * plan.warmup_bars), CUTS).astype(int):
        poison = [[time, 1e9, 1e9, 1e9, 1e9, 1e9] for time, *_ in rows[cut + 1 : cut + 30]]
        past = whole[: cut + 1].view(np.int64)
        for other in (run(plan, rows[: cut + 1]), run(plan, [*rows[: cut + 1], *poison])[: cut + 1]):
            found += (past != np.ascontiguousarray(other).view(np.int64)).any(axis=0)
    return found


def _drifts(plan: Plan, rows: list[list[float]], whole: Floats) -> Floats:
    """Per feature, the largest difference between runs begun late and the whole, after it should be stable."""
    worst = np.zeros(whole.shape[1])
    market = [feature for feature in plan.features if feature.source == MARKET]
    room = len(rows) - plan.warmup_bars - TAIL
    for start in np.linspace(max(1, room // LATE_STARTS), room, LATE_STARTS).astype(int):
        late = run(plan, rows[start : start + plan.warmup_bars + TAIL])
        for column, feature in enumerate(market):
            settled = max(feature.stable_bars or 0, plan.first_bar + 1) - 1
            then = whole[start + settled : start + len(late), column]
            size = max(1.0, float(np.abs(then).max()))
            worst[column] = max(worst[column], float(np.abs(late[settled:, column] - then).max()) / size)
    return worst
