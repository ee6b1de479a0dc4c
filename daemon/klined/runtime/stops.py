"""Stops that come while nobody can act on them: kept, until a daemon hears them.

It imports next to nothing, for the first stop may come while the rest is still being imported.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STOPS = (signal.SIGTERM, signal.SIGINT)

_early: list[int] = []
wakers: list[Callable[[], object]] = []  # who waits for something else meanwhile; called inside the handler


@contextmanager
def deferred() -> Iterator[None]:
    """Keep stops where no loop hears them: early ones are for who calls `early`, late ones change nothing. May nest.

    Without it, a stop during start-up would leave what a dead process held.
    """
    before = {number: signal.signal(number, keep) for number in STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if keep not in before.values():
            _early.clear()


def keep(number: int, _frame: object) -> None:
    """The handler while stops are deferred."""
    _early.append(number)
    for wake in wakers:
        wake()


def kept() -> bool:
    """Whether a stop waits to be heard."""
    return bool(_early)


def early() -> int:
    """How many stops were kept; they are forgotten."""
    count = len(_early)
    _early.clear()
    return count
