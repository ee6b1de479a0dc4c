"""From bars that arrive one by one to batches: all symbols of one close time, in configured order. Pure.

    A 12:00 ─┐
    B 12:00 ─┴▶ Batch(12:01, (A, B))          complete: at once
    A 12:01 ───▶ Batch(12:02, (A, None))      B is late: when close + grace has passed

A batch never overtakes an older one: when it leaves, older ones leave before it, incomplete as they are.
"""

from collections.abc import Sequence

from klined.domain import Bar, Batch


class BatchAssembler:
    """Holds bars until their batch may leave. At most `grace / interval + 1` batches wait at any time."""

    def __init__(self, symbols: Sequence[str], interval_ms: int, grace_ms: int) -> None:
        self.interval_ms = interval_ms
        self.grace_ms = grace_ms
        self.late = 0  # bars that came after their batch had left; the gap they leave is refilled
        self._slots = {symbol: slot for slot, symbol in enumerate(symbols)}
        self._waiting: dict[int, list[Bar | None]] = {}  # by close time, ascending in practice
        self._left_ms = 0  # close time of the last batch that left

    def add(self, bar: Bar) -> list[Batch]:
        """Take a bar of a configured symbol; the batches that may leave because of it, oldest first."""
        close_ms = bar.open_time_ms + self.interval_ms
        if close_ms <= self._left_ms:
            self.late += 1
            return []
        bars = self._waiting.setdefault(close_ms, [None] * len(self._slots))
        bars[self._slots[bar.symbol]] = bar
        return self._release(close_ms) if None not in bars else []

    def due(self, now_ms: int) -> list[Batch]:
        """The batches whose grace is over at `now_ms`, oldest first."""
        over = [close_ms for close_ms in self._waiting if close_ms + self.grace_ms <= now_ms]
        return self._release(max(over)) if over else []

    def due_ms(self) -> int | None:
        """When `due` is worth asking again; None while nothing waits."""
        return min(self._waiting) + self.grace_ms if self._waiting else None

    def _release(self, until_ms: int) -> list[Batch]:
        leaving = sorted(close_ms for close_ms in self._waiting if close_ms <= until_ms)
        self._left_ms = until_ms
        return [Batch(close_ms, tuple(self._waiting.pop(close_ms))) for close_ms in leaving]
