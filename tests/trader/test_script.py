"""The written-out rows of a plan leave the bytes of their calls: single rows; whole plans are in `test_program`."""

from array import array
from math import inf, nan

import pytest

from klined.kernels import program as op
from klined.kernels.rows import Block
from klined.trader.calls import SHAPES, bound
from klined.trader.script import JOINS, script

NUMBERS = (0.0, -0.0, 1.0, -1.0, 1e-9, -2.5, 1e300, inf, -inf, nan)
INPUTS = (20, 21, 22)
OUT = 30


def row_of(code: int, out: int = OUT, inputs: tuple[int, ...] = INPUTS) -> tuple[int, ...]:
    row = [0] * (max(op.OP, op.AT, op.OUT, op.CONSTANT, op.N1, op.N2, op.A + 8) + 1)
    row[op.OP], row[op.OUT] = code, out
    row[op.A : op.A + len(inputs)] = inputs
    return tuple(row)


@pytest.mark.parametrize("code", [*JOINS, op.SQUASH_PER])
@pytest.mark.parametrize("constant", [0.5, inf, -1.0])
def test_a_join_leaves_the_bytes_of_its_call_whatever_it_is_given(code: int, constant: float) -> None:
    row = row_of(code)
    for x in NUMBERS:
        for y in NUMBERS:
            told = []
            for run in (script([row], [constant, 0.25]), bound(row, [constant, 0.25])):
                state = Block(1, 40).row[0]
                state[20:23] = memoryview(array("d", [x, y, 3.0]))
                run(state)
                told.append(state.tobytes())
            assert told[0] == told[1], (SHAPES[code].kernel.__name__, x, y)


def test_a_later_row_reads_what_an_earlier_one_wrote() -> None:
    first, second = row_of(op.PLUS, 30, (20, 21)), row_of(op.MINUS, 31, (30, 1))
    state = Block(1, 40).row[0]
    state[1], state[20], state[21], state[30] = 2.0, 5.0, 7.0, 99.0
    script([first, second], [])(state)
    assert (state[30], state[31]) == (12.0, 10.0)
    state[1], state[20] = 1.0, 6.0
    script([first, second], [])(state)
    assert (state[30], state[31]) == (13.0, 12.0)
