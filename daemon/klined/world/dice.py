"""Random numbers without a state: what comes n-th is a hash of a key and n, in any order and in any process."""

import hashlib
from math import pi

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

GOLDEN = 0x9E3779B97F4A7C15
STREAM = 0xD1B54A32D192ED03
MASK = 0xFFFFFFFFFFFFFFFF


class Dice:
    """Numbers by counter: splitmix64 (Steele, Lea and Flood, 2014) of a key and an index, `count` at a time."""

    def __init__(self, seed: int, name: str, count: int) -> None:
        self._key = int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8], "little")
        self._count = count

    def uniform(self, stream: int, first: int) -> Floats:
        """Numbers in (0, 1), of the indices `first` to `first + count`, shape (count,)."""
        start = np.uint64(_scramble((self._key + stream * STREAM) & MASK))
        x = start + np.arange(first + 1, first + 1 + self._count, dtype=np.uint64) * np.uint64(GOLDEN)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
        return ((x >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53

    def normal(self, stream: int, first: int) -> Floats:
        """BLOCK standard normals (Box and Muller, 1958); takes `stream` and the next one."""
        radius = np.sqrt(-2.0 * np.log(self.uniform(stream, first)))
        return radius * np.cos(2.0 * pi * self.uniform(stream + 1, first))


def _scramble(x: int) -> int:
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)
