"""The indicator engine of the running daemon: closed bars in, market features and observations out, O(1) per bar.

    bar i ─▶ step ─▶ S row i ─▶ features.row[i] ─┐
                        Q row i, sentiment ──────┴▶ observe ─▶ observations[i]

It runs the interpreted kernels of its plan over one block of memory, the same bytes that the compiled ones would leave.
"""

import struct

import numpy as np
from numpy.typing import NDArray

from klined.domain import Bar
from klined.kernels import features as kernel
from klined.kernels import layout as at
from klined.kernels.assembly import assemble
from klined.kernels.observe import observe
from klined.kernels.rows import Block, Row
from klined.trader.plans import Plan
from klined.trader.stepper import Step, stepper

HEADER = struct.Struct("<II")  # symbols, state size


def step_of(plan: Plan) -> Step:
    """The plan's step function over plain rows, as the daemon runs it: step(S, bar, out)."""
    if plan.program is not None:
        return stepper(plan.program)
    step: Step = getattr(kernel, plan.step)
    return step


class Engine:
    """Indicator state of `n_symbols` symbols under one plan.

    `features.row[i]` holds the market features after the last `step` of symbol i, `observations[i]` (float32, shape
    (n_symbols, plan.dim)) what the last `observe` assembled, `bars[i]` how many bars symbol i has seen.
    """

    def __init__(self, plan: Plan, n_symbols: int) -> None:
        self.plan = plan
        self.states = Block(n_symbols, plan.state_size)
        self.features = Block(n_symbols, plan.market_dim)
        self.features.array.fill(kernel.NAN)
        self.observations: NDArray[np.float32] = np.zeros((n_symbols, plan.dim), dtype=np.float32)
        self.bars = [0] * n_symbols
        self._step = step_of(plan)
        self.slots: list[Row] = [memoryview(row).cast("B").cast("f") for row in self.observations]

    def step(self, i: int, bar: Bar) -> None:
        """Count one closed bar of symbol `i`; bars come in order, each once."""
        self._step(
            self.states.row[i],
            (float(bar.open_time_ms), bar.open, bar.high, bar.low, bar.close, bar.volume),
            self.features.row[i],
        )
        self.bars[i] += 1

    def observe(self, i: int, q_row: Row, sentiment: float) -> None:
        """Assemble row `i` of `observations` and say in Q[OBS_OK] whether a policy may see it."""
        if self.plan.program is None:
            q_row[at.OBS_OK] = observe(self.features.row[i], q_row, sentiment, self.slots[i])
        else:
            q_row[at.OBS_OK] = assemble(self.plan.slots, self.features.row[i], q_row, sentiment, self.slots[i])

    def reset(self, i: int) -> None:
        """Forget all about symbol `i`, as after a gap too long to refill."""
        self.states.array[i].fill(0.0)
        self.features.array[i].fill(kernel.NAN)
        self.observations[i].fill(0.0)
        self.bars[i] = 0

    def dump(self) -> bytes:
        """State and features; a load continues byte for byte. Observations are assembled anew."""
        header = HEADER.pack(len(self.bars), self.plan.state_size)
        return header + self.states.dump() + self.features.dump()

    def load(self, raw: bytes) -> None:
        """Continue from `dump`.

        Raises:
            ValueError: it was dumped by another plan or for another number of symbols; nothing has changed.
        """
        size = self.states.array.nbytes
        expected = HEADER.size + size + self.features.array.nbytes
        found = HEADER.unpack_from(raw) if len(raw) >= HEADER.size else (0, 0)
        if len(raw) != expected or found != (len(self.bars), self.plan.state_size):
            raise ValueError(
                f"engine state of {len(raw)} bytes for {found[0]} symbols x {found[1]} numbers does not fit plan "
                f"{self.plan.name} ({len(self.bars)} x {self.plan.state_size}, {expected} bytes); warm up from bars"
            )
        self.states.load(raw[HEADER.size : HEADER.size + size])
        self.features.load(raw[HEADER.size + size :])
        self.bars = [int(row[kernel.BARS]) for row in self.states.row]
