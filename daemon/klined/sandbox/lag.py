"""Reads that lag behind the matching engine: what happened too recently is not seen by queries."""

from collections import deque
from collections.abc import Callable
from typing import Any

from klined.sandbox.calls import Call

KEPT = 256


def in_time(call: Call, time_ms: int) -> bool:
    """Whether a query already sees what happened at `time_ms`."""
    return time_ms <= call.now_ms - call.exchange.fate.read_lag_ms


class Shadow:
    """What account queries answered before each change, while reads lag."""

    def __init__(self) -> None:
        self._before: deque[tuple[int, dict[str, Any]]] = deque(maxlen=KEPT)

    def remember(self, now_ms: int, answers: Callable[[], dict[str, Any]]) -> None:
        """Before a change: keep what would be answered now."""
        self._before.append((now_ms, answers()))

    def answer(self, name: str, now_ms: int, lag_ms: int) -> Any | None:
        """What was true `lag_ms` ago, when it has changed since; None when the present will do."""
        for time_ms, answers in self._before:
            if time_ms > now_ms - lag_ms:
                return answers.get(name)
        return None
