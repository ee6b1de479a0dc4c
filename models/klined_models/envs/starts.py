"""Where episodes begin: drawn by a hash of the lane's seed and the episode's number, and of nothing else.

So the n-th episode of a seed is the same in any lane, beside any others, in any process.
"""

import numpy as np
from numpy.typing import NDArray

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def uniform(seeds: NDArray[np.uint64], episodes: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Numbers in [0, 1): splitmix64 (Steele, Lea and Flood, 2014) of the seed, then of that and the episode."""
    x = _scrambled(_scrambled(seeds * GOLDEN) + (episodes + np.uint64(1)) * GOLDEN)
    return (x >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _scrambled(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
