"""Arrays that every step goes through, laid one after the other where a CPU finds them soonest.

    ┌ large page ──────────────────┬ large page ──────────────────┬─ ...
    │ array, from a line's begin ─▶│   next one ─▶                │
    └──────────────────────────────┴──────────────────────────────┴─ ...

Thousands of lanes read rows all over some megabytes. In pages of 4 KiB those are more pages than a CPU remembers the
places of, and looking one up takes as long as reading it. numpy asks the system for large pages where an array has 4
MiB; none of these has, but all of them together do.
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

LINE = 64  # bytes of a cache line
PAGE = 2 << 20  # bytes of a large page


def laid(*kinds: tuple[tuple[int, ...], DTypeLike]) -> list[NDArray[Any]]:
    """Zeros of each shape and type, in one stretch of memory that lives as long as any of them."""
    sizes = [int(np.prod(shape)) * np.dtype(dtype).itemsize for shape, dtype in kinds]
    places = np.cumsum([0, *(_whole(size, LINE) for size in sizes)]).tolist()
    room = _room(places[-1])
    return [
        room[at : at + size].view(dtype).reshape(shape)
        for (shape, dtype), at, size in zip(kinds, places[:-1], sizes, strict=True)
    ]


def lined(arrays: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """Copies whose rows begin, and where they are short also end, with a line; what was added to a row is 0.

    Lanes read each row on its own, far from the last; a row over two lines costs two trips to memory.
    """
    wide = [
        ((*each.shape[:-1], _whole(max(1, each.shape[-1]) * each.itemsize, LINE) // each.itemsize), each.dtype)
        for each in arrays
    ]
    copies = laid(*wide)
    for copy, each in zip(copies, arrays, strict=True):
        copy[..., : each.shape[-1]] = each
    return copies


def _room(size: int) -> NDArray[np.uint8]:
    """At least `size` bytes of zeros from the begin of a line, and of a large page where they fill one."""
    unit = PAGE if size >= PAGE else LINE
    whole = _whole(size, unit)
    room = np.zeros(whole + unit, np.uint8)
    skip = -room.ctypes.data % unit
    return room[skip : skip + whole]


def _whole(size: int, unit: int) -> int:
    return -(-size // unit) * unit
