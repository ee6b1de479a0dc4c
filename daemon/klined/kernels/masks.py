"""Which actions the gate would let pass: every level is tried on a copy of the account."""

from collections.abc import Sequence

from klined.domain import Reason
from klined.kernels.game import SCALED, SCALING
from klined.kernels.gate import gate_step
from klined.kernels.layout import OUT_NOTE
from klined.kernels.rows import Row
from klined.kernels.scaling import WISH, scale_step

WHY_OK = float(Reason.OK)
WHY_EXIT = float(Reason.EXIT)  # the highest of the reasons that refuse nothing
WHY_CLIPPED = float(Reason.CLIPPED)


def mask_levels(
    A: Row,
    Q: list[Row],
    M: list[Row],
    P: Row,
    C: list[Row],
    Z: Row,
    levels: Row,
    B: Sequence[Row],
    n: int,
    now_ms: float,
    a: Row,
    q: list[Row],
    W: Row,
    allowed: Sequence[Row],
) -> None:
    """Write 1 for each level of each symbol that would trade or hold, 0 for one that the gate refuses or clips.

    Each symbol alone: what the others of the batch may order is not reserved. Where every level is refused, all are
    allowed, since none does anything. `a`, `q` and `W` are scratch.
    """
    for i in range(n):
        count = 0
        for level in range(len(levels)):
            for j in range(len(a)):
                a[j] = A[j]
            for k in range(n):
                for j in range(len(q[k])):
                    q[k][j] = Q[k][j]
            target = levels[level]
            if Z[SCALED] != 0.0:
                wish = B[i][WISH]
                target = scale_step(a, q[i], P, Z, SCALING, B[i], target)
                B[i][WISH] = wish
            why = gate_step(a, q, M, P, C, n, i, target, now_ms, W, 0.0)
            allowed[i][level] = 1 if why <= WHY_EXIT and W[OUT_NOTE] != WHY_CLIPPED else 0
            count += int(allowed[i][level])
        if count == 0:
            for level in range(len(levels)):
                allowed[i][level] = 1
