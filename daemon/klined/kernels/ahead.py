"""Asking memory for a row before it is needed: one instruction where compiled, nothing where interpreted.

Memory is slow to answer but answers many at once, and whoever asked need not wait.
"""

from collections.abc import Sequence


def fetch(row: Sequence[float]) -> None:
    """Have the first 64 bytes of `row` on their way to the cache; `jit` has another body for compiled code."""
