"""Rows that are only interpreted are lists, and nobody can tell by their bytes."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from klined.kernels.rows import Block, Plain

NUMBERS = st.lists(st.floats(width=64), min_size=6, max_size=6)


@given(NUMBERS)
def test_plain_rows_dump_the_bytes_of_a_block(numbers: Sequence[float]) -> None:
    plain, block = Plain(2, 3), Block(2, 3)
    for at, number in enumerate(numbers):
        for rows in (plain, block):
            rows.row[at // 3][at % 3] = number
    assert plain.dump() == block.dump() == plain.array.tobytes()


@given(NUMBERS)
def test_plain_rows_continue_from_a_dump_in_the_rows_that_others_hold(numbers: Sequence[float]) -> None:
    block, plain = Block(2, 3), Plain(2, 3)
    block.array[...] = np.array(numbers).reshape(2, 3)
    held = plain.row[1]
    plain.load(block.dump())
    assert plain.row[1] is held
    assert plain.dump() == block.dump()


def test_plain_rows_refuse_bytes_of_another_size() -> None:
    with pytest.raises(ValueError, match="block of 48 bytes cannot take 40"):
        Plain(2, 3).load(bytes(40))
