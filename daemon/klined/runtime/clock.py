"""Where the time comes from: the machine, or the feed when bars are recorded or generated."""

import time


class SystemClock:
    """The machine's time; `offset_ms` is what the venue's clock is ahead of ours."""

    def __init__(self) -> None:
        self.offset_ms = 0

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.offset_ms

    def monotonic_s(self) -> float:
        return time.monotonic()


class FeedClock:
    """The time of the bars: it stands still between them, so a replay decides alike at any speed."""

    def __init__(self) -> None:
        self.time_ms = 0

    def now_ms(self) -> int:
        return self.time_ms

    def monotonic_s(self) -> float:
        return self.time_ms / 1000.0
