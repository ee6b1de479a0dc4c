"""Where the time comes from: the machine, or the feed when bars are recorded or generated."""

import time


class SystemClock:
    """The machine's time; `offset_ms` is what the venue's clock is ahead of ours."""

    speed = 1.0

    def __init__(self) -> None:
        self.offset_ms = 0

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.offset_ms

    def monotonic_s(self) -> float:
        return time.monotonic()


class HurriedClock(SystemClock):
    """Runs `speed` times as fast from its making on, as the clock of a sped-up sandbox does."""

    def __init__(self, speed: float) -> None:
        super().__init__()
        self.speed = speed
        self._began_ms = super().now_ms() - self.monotonic_s() * 1000.0

    def now_ms(self) -> int:
        return int(self._began_ms + self.monotonic_s() * 1000.0) + self.offset_ms

    def monotonic_s(self) -> float:
        return time.monotonic() * self.speed

    def shift(self, ms: int) -> None:
        """Begin elsewhere: the venue's clock has been running for longer than ours."""
        self._began_ms += ms


class FeedClock:
    """The time of the bars: it stands still between them, so a replay decides alike at any speed."""

    def __init__(self) -> None:
        self.time_ms = 0

    def now_ms(self) -> int:
        return self.time_ms

    def monotonic_s(self) -> float:
        return self.time_ms / 1000.0
