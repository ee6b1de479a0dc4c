"""Observations of a declared plan in the running daemon: market features by the slice, the account slot by slot.

The same bytes as `klined.kernels.assembly.assemble`, in a third of its time when interpreted; a test compares both.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from klined.kernels.assembly import SENTIMENT, account_slot, assemble
from klined.kernels.observe import FLOAT32_MAX
from klined.kernels.rows import Block, Row
from klined.trader.plans import Plan


class Assembler:
    """Fills rows of `observations` (n, plan.dim) from rows of `features` (n, plan.market_dim), where both stay."""

    def __init__(self, plan: Plan, features: Block, observations: NDArray[np.float32]) -> None:
        runs = _runs(plan.slots)
        self._slots = plan.slots
        self._rest = [(k, slot) for k, slot in enumerate(plan.slots) if slot < 0]
        self._features = features
        self._out: list[Row] = [memoryview(row).cast("B").cast("f") for row in observations]
        self._copies = [
            [(seen[k : k + size], row[slot : slot + size]) for k, slot, size in runs]
            for seen, row in zip(observations, features.array, strict=True)
        ]

    def observe(self, i: int, q_row: Row, sentiment: float) -> float:
        """As `assemble`: 1.0 when every value is finite as float32."""
        row = self._features.array[i]
        if not float(row.dot(row)) < FLOAT32_MAX:  # NaN, or too large to be sure
            return assemble(self._slots, self._features.row[i], q_row, sentiment, self._out[i])
        for seen, values in self._copies[i]:
            seen[:] = values
        out, size = self._out[i], 0.0
        for k, slot in self._rest:
            value = sentiment if slot == SENTIMENT else account_slot(slot, q_row)
            out[k] = value
            size += abs(value)
        return 1.0 if size <= FLOAT32_MAX else 0.0


def _runs(slots: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Stretches of the observation that hold features side by side: first slot, first feature, length."""
    starts = [k for k, slot in enumerate(slots) if slot >= 0 and (slot == 0 or k == 0 or slots[k - 1] != slot - 1)]
    starts.append(len(slots))
    found = []
    for begin, end in pairwise(starts):
        size = 1
        while begin + size < end and slots[begin + size] == slots[begin] + size:
            size += 1
        found.append((begin, slots[begin], size))
    return found
