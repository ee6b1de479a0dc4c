"""What the indicators make of batches that have not had their turn yet; nothing of it can be seen until they have.

    batches ─▶ Ahead: features of each, and the state after all of them
                 └ turn by turn ─▶ the engine's rows

Market features depend on bars alone, never on the account, so bars that are all there can be worked through together.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from klined.domain import Bar, Batch
from klined.kernels.rows import Row

Array = NDArray[np.float64]
StepBars = Callable[[Row, Sequence[Bar], Array], None]
"""Step a state row by bars, oldest first, and leave their features in an array of shape (bars, width)."""


class Ahead:
    """Features of `batches` from `states` (n_symbols, size) and `features` (n_symbols, width) on; both are left alone.

    `made[t]` are all symbols' features after batch t, `features[t]` their bytes once `lay` was called.
    """

    __slots__ = ("batches", "features", "made", "settled", "sizes", "slots", "states", "turn")

    def __init__(self, batches: Sequence[Batch], step_bars: StepBars, states: Array, features: Array) -> None:
        self.batches = batches
        self.states = states.copy()  # after all batches
        self.turn = 0  # batches that had theirs
        self.settled = 0  # those of them that the engine's own state knows
        self.features: list[memoryview] = []
        self.slots: list[memoryview] = []
        self.sizes: list[list[float]] = []
        self.made: Array = np.empty((len(batches), *features.shape))
        for i, state in enumerate(self.states):
            row: Row = memoryview(state).cast("B").cast("d")
            shown = [batch.bars[i] for batch in batches]
            known = [bar for bar in shown if bar is not None]
            if len(known) == len(shown):
                step_bars(row, known, self.made[:, i])
            else:  # where a symbol has no bar, its features stay what they were
                grown = np.concatenate((features[i : i + 1], np.empty((len(known), features.shape[1]))))
                step_bars(row, known, grown[1:])
                self.made[:, i] = grown[np.cumsum([bar is not None for bar in shown])]

    def lay(self) -> None:
        """Cut the features into what is to be taken over turn by turn, where observations are not made beforehand."""
        self.features = _pieces(self.made)

    def show(self, places: Sequence[slice], dim: int) -> None:
        """Round the features once to the float32 of observations, `dim` wide, where `places` has their slots in order.

        `slots[t]` are the bytes of all symbols' observations without account and sentiment, `sizes[t][i]` the sum of
        the |values| of symbol i, for `observe_account`.
        """
        observed = np.zeros((*self.made.shape[:2], dim), dtype=np.float32)
        taken = 0
        with np.errstate(over="ignore"):  # told by the size
            for place in places:
                width = place.stop - place.start
                observed[..., place] = self.made[..., taken : taken + width]
                taken += width
        self.slots = _pieces(observed)
        self.sizes = np.add.accumulate(np.abs(self.made), axis=-1)[..., -1].tolist()


def _pieces(whole: NDArray[np.float64] | NDArray[np.float32]) -> list[memoryview]:
    """The bytes of each item along the first axis."""
    raw = whole.data.cast("B")
    size = len(raw) // len(whole)
    return [raw[at : at + size] for at in range(0, len(raw), size)]
