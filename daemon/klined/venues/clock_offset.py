"""What the venue's clock is ahead of ours, from questions and answers. Pure.

    sent ──▶ venue reads its clock ──▶ received        offset = its time - the middle of ours, ± half the round trip

The sample with the shortest round trip of the last few is believed: its error is bounded by half of it.
"""

from collections import deque

from msgspec import Struct

SAMPLES = 8


class Sample(Struct, frozen=True, order=True):
    """One question: ordered by round trip."""

    round_trip_ms: int
    offset_ms: int


class ClockOffset:
    """The last samples, and what they say."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=SAMPLES)

    def add(self, sent_ms: int, received_ms: int, server_ms: int) -> None:
        """Take a sample; one whose clock stepped back in between says nothing."""
        if received_ms >= sent_ms:
            self._samples.append(Sample(received_ms - sent_ms, server_ms - (sent_ms + received_ms) // 2))

    def forget(self) -> None:
        """The machine slept or its clock was set: old samples are of another clock."""
        self._samples.clear()

    @property
    def best(self) -> Sample | None:
        return min(self._samples, default=None)

    @property
    def offset_ms(self) -> int:
        """0 while nothing is known."""
        return self.best.offset_ms if self.best else 0

    def fault(self, recv_window_ms: int) -> str:
        """Why no order should be signed by this clock; empty when it is good enough."""
        best = self.best
        if best is None or abs(best.offset_ms) <= recv_window_ms // 2:
            return ""
        way = "behind" if best.offset_ms > 0 else "ahead of"
        return (
            f"this machine's clock is {abs(best.offset_ms)} ms {way} the exchange's, more than half of "
            f"recv_window_ms = {recv_window_ms}; set it, or let a time service do so"
        )
