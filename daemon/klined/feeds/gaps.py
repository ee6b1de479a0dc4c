"""What a bar is to the bars before it, symbol by symbol. Pure."""

from enum import StrEnum

from msgspec import Struct


class Step(StrEnum):
    FIRST = "first"
    NEXT = "next"
    GAP = "gap"  # bars are missing between the last one and this
    DUPLICATE = "duplicate"  # the last one again: ignore
    OLDER = "older"  # before the last one: ignore


class Seen(Struct, frozen=True):
    """How a bar follows; `missing` bars lie between it and its predecessor."""

    step: Step
    missing: int = 0

    @property
    def fresh(self) -> bool:
        """Whether the bar is to be used."""
        return self.step not in {Step.DUPLICATE, Step.OLDER}


class Continuity:
    """The last open time of each symbol. O(1) a bar."""

    def __init__(self, interval_ms: int) -> None:
        self.interval_ms = interval_ms
        self.last_ms: dict[str, int] = {}
        self.counts: dict[Step, int] = dict.fromkeys(Step, 0)
        self.missing = 0  # bars, over all gaps

    def see(self, symbol: str, open_time_ms: int) -> Seen:
        """Judge a bar that was opened on the grid, and remember it unless it is stale."""
        seen = follows(self.last_ms.get(symbol), open_time_ms, self.interval_ms)
        self.counts[seen.step] += 1
        self.missing += seen.missing
        if seen.fresh:
            self.last_ms[symbol] = open_time_ms
        return seen


def follows(last_ms: int | None, open_time_ms: int, interval_ms: int) -> Seen:
    """How a bar of this open time follows the one opened at `last_ms`."""
    if last_ms is None:
        return Seen(Step.FIRST)
    steps = (open_time_ms - last_ms) // interval_ms
    if steps == 1:
        return Seen(Step.NEXT)
    if steps > 1:
        return Seen(Step.GAP, steps - 1)
    return Seen(Step.OLDER if open_time_ms < last_ms else Step.DUPLICATE)
