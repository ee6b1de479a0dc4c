"""The sandbox's time: real, N times faster, or standing still until somebody steps it."""

import time

SECOND_MS = 1000


class SandboxClock:
    """`now_ms` is when the market is; `told_ms` is what the exchange says the time is, skew included."""

    def __init__(self, start_ms: int = 0, speed: float = 1.0) -> None:
        self.speed = speed
        self.skew_ms = 0
        self._began = time.monotonic()
        self._wall_ms = time.time_ns() // 1_000_000
        self._start_ms = start_ms or self._wall_ms

    def now_ms(self) -> int:
        return self._start_ms + int((time.monotonic() - self._began) * SECOND_MS * self.speed)

    def told_ms(self) -> int:
        return self.now_ms() + self.skew_ms

    def wall_ms(self) -> int:
        """The machine's time, with the skew that the exchange pretends to have."""
        return self._wall_ms + int((time.monotonic() - self._began) * SECOND_MS) + self.skew_ms

    def step(self, ms: int) -> None:
        """Let `ms` pass at once."""
        self._start_ms += ms

    def delay_s(self, ms: float) -> float:
        """Real seconds of a delay: as sandbox time runs, and at least as real time does where that stands still."""
        return ms / SECOND_MS / max(1.0, self.speed)

    def wall_s(self, sandbox_ms: float) -> float:
        """How long that much sandbox time takes, in real seconds; a minute when time stands still."""
        return max(0.0, sandbox_ms / SECOND_MS / self.speed) if self.speed else 60.0
