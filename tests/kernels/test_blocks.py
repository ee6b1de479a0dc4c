"""Features of 64 bars at once are those of 64 steps, to the byte, and so is the memory that is left."""

import numpy as np
import pytest
from numpy.typing import NDArray

from klined.backtest.lanes import Tape
from klined.kernels import blocks, features, jit, observe
from klined.kernels import layout as at
from klined.kernels.rows import Block

Floats = NDArray[np.float64]


@pytest.mark.parametrize("kernels", [jit.interpreted(), jit.compiled()], ids=lambda kernels: kernels.name)
def test_block_leaves_features_and_memory_of_its_steps(bars: Floats, kernels: jit.Kernels) -> None:
    count = 80 + (len(bars) - 80) // blocks.BLOCK * blocks.BLOCK
    plain, bars = kernels.name == "interpreted", np.ascontiguousarray(bars[:count])
    shown = bars.tolist() if plain else bars
    stepped, blocked = Block(1, features.ETH15_SIZE), Block(1, features.ETH15_SIZE)
    scratch, out = Block(1, blocks.NB), np.empty((count, features.MARKET))
    rows = Block(1, features.MARKET)
    state = [block.row[0] if plain else block.array[0] for block in (stepped, blocked, scratch, rows)]
    moves = np.array(
        [kernels.features.eth15_step(state[0], bar, Tape(out)[t] if plain else out[t]) for t, bar in enumerate(shown)]
    )
    for bar in shown[:80]:
        kernels.features.eth15_step(state[1], bar, state[3])
    for first in range(80, count, blocks.BLOCK):
        kernels.blocks.eth15_block(state[1], shown, first, state[2])
        found = np.array(
            [scratch.array[0, blocks.OUT + k * blocks.WIDE :][: blocks.BLOCK] for k in range(features.MARKET)]
        )
        steps = slice(first, first + blocks.BLOCK)
        assert np.ascontiguousarray(found.T).tobytes() == out[steps].tobytes()
        assert scratch.array[0, blocks.MOVE : blocks.MOVE + blocks.BLOCK].tobytes() == moves[steps].tobytes()
    assert blocked.dump() == stepped.dump()


@pytest.mark.parametrize("kernels", [jit.interpreted(), jit.compiled()], ids=lambda kernels: kernels.name)
def test_shown_block_becomes_the_observations_of_its_steps(bars: Floats, kernels: jit.Kernels) -> None:
    plain = kernels.name == "interpreted"
    shown = bars.tolist() if plain else bars
    state, scratch, row, q = (
        Block(1, features.ETH15_SIZE),
        Block(1, blocks.NB),
        Block(1, features.MARKET),
        Block(1, at.NQ),
    )
    s, b, f, position = [block.row[0] if plain else block.array[0] for block in (state, scratch, row, q)]
    position[at.EXPOSURE], position[at.CHANGE] = 0.7, -1.3
    for bar in shown[:80]:
        kernels.features.eth15_step(s, bar, f)
    fork = state.array.copy()
    seen, expected = (
        np.zeros((blocks.BLOCK, observe.DIM), np.float32),
        np.zeros((blocks.BLOCK, observe.DIM), np.float32),
    )
    rows = (Tape(seen), Tape(expected)) if plain else (seen, expected)
    kernels.blocks.eth15_block(s, shown, 80, b)
    kernels.blocks.show_block(b, rows[0], 0)
    state.array[...] = fork
    for j in range(blocks.BLOCK):
        kernels.features.eth15_step(s, shown[80 + j], f)
        assert kernels.observe.observe(f, position, 0.0, rows[1][j]) == 1.0
        assert kernels.observe.observe_account(position, 0.0, b[blocks.SIZE + j], rows[0][j]) == 1.0
    assert seen.tobytes() == expected.tobytes()
