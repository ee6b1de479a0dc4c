"""Moving whole rows of memory: one instruction or call where compiled, a loop or nothing where interpreted.

fetch   ask for a row before it is needed: memory is slow to answer but answers many at once, and nobody waits
carry   copy a row: bytes, where a loop would have to prove first that neither row lies in the other
"""

from collections.abc import Sequence

from klined.kernels.rows import Row


def fetch(row: Sequence[float]) -> None:
    """Have the first 64 bytes of `row` on their way to the cache; `jit` has another body for compiled code."""


def carry(source: Row, target: Row, count: int) -> None:
    """Copy the first `count` numbers of `source` over those of `target`: another row of the same type.

    `jit` has another body for compiled code.
    """
    for j in range(count):
        target[j] = source[j]


def whole(x: float) -> int:
    """The whole number `x` >= 0 as a place. Where compiled, nobody asks any more whether it counts from the end."""
    return int(x)


def place(k: int) -> int:
    """The same of an int `k` >= 0, with which nothing is computed any more: where compiled, it has no sign."""
    return k
