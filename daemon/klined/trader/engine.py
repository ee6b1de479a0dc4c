"""The indicator engine of the running daemon: closed bars in, market features and observations out, O(1) per bar.

    bar i ─▶ step ─▶ S row i ─▶ features.row[i] ─┐
                        Q row i, sentiment ──────┴▶ observe ─▶ observations[i]

It runs the interpreted kernels of its plan over one block of memory, the same bytes that the compiled ones would leave.
Batches that are there before their turn may be worked through at once by `look_ahead`: `show` then only takes over, and
what anybody sees, snapshots too, is what single steps would have left.
"""

import struct
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from klined.domain import Bar, Batch
from klined.kernels import features as kernel
from klined.kernels import layout as at
from klined.kernels.observe import MARKET_SLOTS, observe, observe_account
from klined.kernels.rows import Block, Row
from klined.trader.ahead import Ahead
from klined.trader.assembler import Assembler
from klined.trader.eth15 import OutweighedError, eth15_bars, seeded
from klined.trader.plans import ETH15, Plan
from klined.trader.stepper import Step, stepper

HEADER = struct.Struct("<II")  # symbols, state size
AHEAD_MIN = 8  # bars; fewer are stepped faster one by one


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
        self._features = Block(n_symbols, plan.market_dim)
        self._features.array.fill(kernel.NAN)
        self.observations: NDArray[np.float32] = np.zeros((n_symbols, plan.dim), dtype=np.float32)
        self.bars = [0] * n_symbols
        self._step = step_of(plan)
        self.slots: list[Row] = [memoryview(row).cast("B").cast("f") for row in self.observations]
        self._ahead: Ahead | None = None
        self._sizes: list[float] | None = None  # of market slots that stand in the observations already
        self._assembler = Assembler(plan, self._features, self.observations)
        self._feature_bytes = self._features.array.data.cast("B")
        self._slot_bytes = self.observations.data.cast("B")

    @property
    def features(self) -> Block:
        """What the last `step` or `show` left. Where observations are made already nobody reads it, so it is late."""
        self._take_features()
        return self._features

    def step(self, i: int, bar: Bar) -> None:
        """Count one closed bar of symbol `i`; bars come in order, each once."""
        self._forget_ahead()
        self._step(self.states.row[i], _row(bar), self._features.row[i])
        self.bars[i] += 1

    def look_ahead(self, batches: Sequence[Batch]) -> None:
        """Work through batches before their turn, which `show` gives them. Amortised O(1) per bar."""
        self._forget_ahead()
        if batches:
            self._ahead = ahead = Ahead(batches, self._step_bars, self.states.array, self._features.array)
            if self.plan.program is None and len(batches) >= AHEAD_MIN:
                ahead.show(MARKET_SLOTS, self.plan.dim)
            else:
                ahead.lay()

    def show(self, batch: Batch) -> None:
        """Count the closed bars of a batch, stepped now unless `look_ahead` did that."""
        ahead = self._ahead
        if ahead is None or ahead.batches[ahead.turn] is not batch:
            for i, bar in enumerate(batch.bars):
                if bar is not None:
                    self.step(i, bar)
            return
        turn = ahead.turn
        if ahead.slots:
            self._slot_bytes[:] = ahead.slots[turn]
            self._sizes = ahead.sizes[turn]
        else:
            self._feature_bytes[:] = ahead.features[turn]
        counts = self.bars
        for i, bar in enumerate(batch.bars):
            if bar is not None:
                counts[i] += 1
        ahead.turn = turn = turn + 1
        if turn == len(ahead.batches):
            self.states.array[...] = ahead.states
            self._features.array[...] = ahead.made[-1]
            self._ahead = None

    def observe(self, i: int, q_row: Row, sentiment: float) -> None:
        """Assemble row `i` of `observations` and say in Q[OBS_OK] whether a policy may see it."""
        sizes = self._sizes
        if sizes is not None:
            q_row[at.OBS_OK] = observe_account(q_row, sentiment, sizes[i], self.slots[i])
        elif self.plan.program is None:
            q_row[at.OBS_OK] = observe(self._features.row[i], q_row, sentiment, self.slots[i])
        else:
            q_row[at.OBS_OK] = self._assembler.observe(i, q_row, sentiment)

    def reset(self, i: int) -> None:
        """Forget all about symbol `i`, as after a gap too long to refill."""
        self._forget_ahead()
        self.states.array[i].fill(0.0)
        self.features.array[i].fill(kernel.NAN)
        self.observations[i].fill(0.0)
        self.bars[i] = 0

    def dump(self) -> bytes:
        """State and features; a load continues byte for byte. Observations are assembled anew."""
        self._settle()
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
        self._ahead = self._sizes = None
        self.states.load(raw[HEADER.size : HEADER.size + size])
        self.features.load(raw[HEADER.size + size :])
        self.bars = [int(row[kernel.BARS]) for row in self.states.row]

    def _step_bars(self, state: Row, bars: Sequence[Bar], out: NDArray[np.float64]) -> None:
        """Step `state` by `bars` into features of shape (len(bars), market_dim)."""
        if self.plan.step == ETH15.step and len(bars) >= AHEAD_MIN and seeded(state):
            with suppress(OutweighedError):
                eth15_bars(state, bars, out)
                return
        for bar, row in zip(bars, out, strict=True):
            features: Row = memoryview(bytearray(row.nbytes)).cast("d")
            self._step(state, _row(bar), features)
            row[...] = features

    def _settle(self) -> None:
        """Let the state know the batches that had their turn: one by one, for this is rare."""
        ahead = self._ahead
        if ahead is None:
            return
        scratch: Row = memoryview(bytearray(8 * self.plan.market_dim)).cast("d")
        for batch in ahead.batches[ahead.settled : ahead.turn]:
            for state, bar in zip(self.states.row, batch.bars, strict=True):
                if bar is not None:
                    self._step(state, _row(bar), scratch)
        ahead.settled = ahead.turn

    def _take_features(self) -> None:
        """Features of the last turn, where `show` left them where they were."""
        ahead = self._ahead
        if ahead is not None and ahead.slots and ahead.turn:
            self._features.array[...] = ahead.made[ahead.turn - 1]

    def _forget_ahead(self) -> None:
        self._settle()
        self._take_features()
        self._ahead = self._sizes = None


def _row(bar: Bar) -> tuple[float, ...]:
    """A bar as kernels take it."""
    return (float(bar.open_time_ms), bar.open, bar.high, bar.low, bar.close, bar.volume, *bar.micro)
