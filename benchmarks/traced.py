"""`klined run` that says when a bar passed each door: `python -m benchmarks.traced FD <words for klined>`.

One line of JSON to the file descriptor after the orders of a batch were answered, so not on its way: nanoseconds of the
monotonic clock, which is one for all processes.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from klined.cli.main import main
from klined.feeds.frames import FrameParser
from klined.policies.rules import Rule
from klined.runtime.outbox import Outbox
from klined.trader.trader import Trader

DOORS = ("heard", "parsed", "seen", "decided", "judged", "durable")


def trace(file: int) -> None:
    """Put a stamp at each door."""
    stamps: dict[str, int] = {}

    def around(owner: type, name: str, before: str, after: str) -> None:
        inner: Callable[..., Any] = getattr(owner, name)

        def stamped(*given: Any, **named: Any) -> Any:
            stamps.setdefault(before, time.perf_counter_ns())
            told = inner(*given, **named)
            stamps[after] = time.perf_counter_ns()
            return told

        setattr(owner, name, stamped)

    around(FrameParser, "parse", "heard", "parsed")
    around(Rule, "decide", "seen", "decided")
    around(Trader, "judge", "decided_", "judged")
    commit, send = Outbox.commit_batch, Outbox.send

    async def commit_batch(*given: Any) -> None:
        await commit(*given)
        stamps["durable"] = time.perf_counter_ns()

    async def send_all(self: Outbox) -> None:
        await send(self)
        if "durable" in stamps:
            os.write(file, json.dumps(stamps).encode() + b"\n")
            stamps.clear()

    Outbox.commit_batch, Outbox.send = commit_batch, send_all  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    trace(int(sys.argv[1]))
    sys.argv = ["klined", *sys.argv[2:]]
    main()
