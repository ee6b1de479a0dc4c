"""What a lane leaves behind on its way: each tape is optional, that is of length 0 where nobody wants it.

E[t]            equity at the close of bar t
D[symbol, t]    one decision
V[symbol, t]    what the policy saw, float32 (as many as the plan has)
X[k]            the k-th execution; W[FILLS] counts them, also those beyond the length of X, which are not written
"""

from collections.abc import Sequence

from klined.kernels.layout import OUT_CAUSE, OUT_LOTS, OUT_REDUCE, OUT_TARGET
from klined.kernels.rows import Row

# W: scratch of fills and gate (both use the first ten), and how many fills there were.
FILLS = 12
NW = 16

# D[symbol, bar]: one decision.
TARGET = 0  # as the policy gave it
REASON = 1
DECIDED_LOTS = 2  # signed, 0 when nothing was ordered
SHAPED = 3  # the target after shaping
CAUSE = 4
REDUCE = 5
ND = 6

# X[fill]: one execution.
FILL_BAR = 0  # index of the bar
FILL_SYMBOL = 1
FILL_KIND = 2  # 0 an order, 1 a liquidation
FILL_LOTS = 3
FILL_TICKS = 4
FILL_FEE = 5
FILL_TIME = 6  # ms
FILL_SETTLED = 7  # profit after fees of the round trip it closed, else NaN
NX = 8


def tell_decision(d: Row, target: float, why: float, W: Row) -> None:
    """Write one decision down."""
    d[TARGET] = target
    d[REASON] = why
    d[DECIDED_LOTS] = W[OUT_LOTS]
    d[SHAPED] = W[OUT_TARGET]
    d[CAUSE] = W[OUT_CAUSE]
    d[REDUCE] = W[OUT_REDUCE]


def tell_fill(W: Row, at: int, kind: float, settled: float, time_ms: float, i: int, t: int, X: Sequence[Row]) -> None:
    """Write the execution that stands at W[at] down, and count it."""
    k = int(W[FILLS])
    W[FILLS] += 1.0
    if k < len(X):
        x = X[k]
        x[FILL_BAR] = t
        x[FILL_SYMBOL] = i
        x[FILL_KIND] = kind
        x[FILL_LOTS] = W[at]
        x[FILL_TICKS] = W[at + 1]
        x[FILL_FEE] = W[at + 2]
        x[FILL_TIME] = time_ms
        x[FILL_SETTLED] = settled
