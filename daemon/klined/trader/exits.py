"""Protective exits of the daemon: the kernel's codes as causes, and the bars shown to it.

closed bar ─▶ kernels.exits.exit_step ─▶ Q[EXIT] ─▶ kernels.gate overrides the target with 0 ─▶ Cause.STOP_...
"""

from collections.abc import Sequence

from klined.domain import Bar, Cause
from klined.kernels import layout as at
from klined.kernels.exits import exit_step
from klined.kernels.rows import Row

CAUSES = (
    Cause.POLICY,
    Cause.STOP_FIXED,
    Cause.STOP_TRAIL,
    Cause.STOP_BREAK_EVEN,
    Cause.STOP_TIME,
    Cause.STOP_VOLATILITY,
    Cause.REBALANCE,
    Cause.RISK,
)
"""What the kernels' OUT_CAUSE and Q[EXIT] stand for, by code."""


def show_bars(Q: list[Row], P: Row, M: list[Row], bars: Sequence[Bar | None]) -> None:  # noqa: N803 # the rows' names are the kernels'
    """Hold every position's stops against its closed bar; what is under way stands in Q[EXIT]. O(symbols)."""
    for i, q in enumerate(Q):
        if q[at.LOTS] != 0.0 or q[at.STOP_OF] != 0.0:
            bar = bars[i]
            if bar is not None:
                exit_step(Q, P, M, i, bar.high, bar.low)


def under_way(q: Row) -> Cause | None:
    """The protective exit that is closing this position."""
    code = q[at.EXIT]
    return CAUSES[int(code)] if code else None
