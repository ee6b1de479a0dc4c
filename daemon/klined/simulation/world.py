"""What outlives every simulated process: true time, what will happen, the machine's clock, and the trace.

world.now_s     true seconds since EPOCH_MS: the exchange's clock
world.wall_ms   what the machine believes that the time is; a fault may step it
world.frozen_s  how long the machine was suspended: its monotonic clock stood still
"""

import hashlib
import heapq
import itertools
from collections.abc import Callable
from math import inf
from zlib import crc32

from klined.runtime.loop import Deadlock

EPOCH_MS = 1_735_768_800_000  # 2025-01-01 22:00 UTC: two hours before a day, and a funding, begin

GOLDEN = 0x9E3779B97F4A7C15
MIX = 0xBF58476D1CE4E5B9  # of splitmix64, as GOLDEN
MASK = 0xFFFFFFFFFFFFFFFF

Happening = tuple[float, int, Callable[[], object]]


class World:
    """Time, and everything that is not the process. `random` is by key, so that one fault more moves nothing."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now_s = 0.0
        self.frozen_s = 0.0
        self.end_s = inf  # nothing may still run then
        self.step_ms = 0
        self.events: list[Happening] = []
        self.trace: list[tuple[object, ...]] = []
        self.violations: list[str] = []
        self._number = itertools.count()
        self._key = int.from_bytes(hashlib.sha256(f"klined/{seed}".encode()).digest()[:8], "little")

    @property
    def now_ms(self) -> int:
        """True time, UTC epoch."""
        return EPOCH_MS + int(self.now_s * 1000.0)

    @property
    def wall_ms(self) -> int:
        """The machine's time of day."""
        return self.now_ms + self.step_ms

    def at(self, time_s: float, act: Callable[[], object]) -> None:
        """Let `act` happen at that time, or now where it has passed."""
        heapq.heappush(self.events, (max(time_s, self.now_s), next(self._number), act))

    def after(self, delay_s: float, act: Callable[[], object]) -> None:
        self.at(self.now_s + delay_s, act)

    def next_s(self) -> float:
        """When the next thing happens.

        Raises:
            Deadlock: nothing ever will.
        """
        if not self.events:
            raise Deadlock("every task waits and nothing will ever happen")
        return self.events[0][0]

    def advance_to(self, time_s: float) -> None:
        """Move time forward; what happens meanwhile is left to the caller."""
        self.now_s = max(self.now_s, time_s)

    def live_until(self, time_s: float) -> None:
        """Let everything up to then happen, while no process runs."""
        while self.events and self.events[0][0] <= time_s:
            happens_s, _, act = heapq.heappop(self.events)
            self.advance_to(happens_s)
            act()
        self.advance_to(time_s)

    def random(self, *key: object) -> float:
        """A number in [0, 1) that belongs to `key` and to the seed, whatever else was drawn."""
        x = (crc32(repr(key).encode()) * GOLDEN ^ self._key) * MIX & MASK
        return ((x ^ (x >> 32)) * MIX & MASK) * 2.0**-64

    def between(self, low: float, high: float, *key: object) -> float:
        return low + (high - low) * self.random(*key)

    def note(self, what: str, *details: object) -> None:
        """One line of the trace."""
        self.trace.append((self.now_s, what, *details))

    def violate(self, invariant: str, what: str) -> None:
        """An invariant does not hold."""
        self.note("VIOLATION", invariant, what)
        self.violations.append(f"{invariant}: {what}")

    def hash(self) -> str:
        """Sixteen hex digits that stand for all that happened."""
        return hashlib.sha256(repr(self.trace).encode()).hexdigest()[:16]
