"""An event loop whose time is virtual: when nothing is ready it jumps to the next timer instead of waiting.

It has no sockets, no threads and no self-pipe, so nothing outside can reorder what runs: tasks run first in, first out.
A loop in which every task waits and no timer is set raises `Deadlock` instead of hanging.
"""

import asyncio
import heapq
import selectors
import signal
from contextvars import Context, copy_context
from typing import Any, NoReturn

TURN_MAX = 256  # callbacks in one turn of the loop; timers due are looked for between turns


class Deadlock(RuntimeError):
    """Every task waits and nothing will ever happen."""


class Soon(list[Any]):
    """A handle that is what it runs: [context, callback, arguments], or nothing when cancelled.

    A hop between stages makes one, and asyncio's own costs several times as much, for what only a debugger reads.
    """

    __slots__ = ()

    def cancel(self) -> None:
        self.clear()

    def cancelled(self) -> bool:
        return not self


class NoSelector(selectors.BaseSelector):
    """Watches nothing: a virtual loop has no file descriptors."""

    def register(self, fileobj: Any, events: int, data: Any = None) -> NoReturn:  # noqa: ARG002  # there are none
        raise RuntimeError("a virtual loop has no sockets")

    def unregister(self, fileobj: Any) -> NoReturn:
        raise KeyError(fileobj)

    def select(self, timeout: float | None = None) -> list[Any]:  # noqa: ARG002  # nothing to wait for
        return []

    def get_map(self) -> dict[Any, Any]:
        return {}


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio with virtual time; `advance_to` moves it forward, idle moments jump to the next timer."""

    # What BaseEventLoop keeps; named here because typeshed does not.
    _ready: Any
    _scheduled: Any
    _stopping: bool

    def __init__(self) -> None:
        self._virtual_s = 0.0
        super().__init__(NoSelector())

    def time(self) -> float:
        return self._virtual_s

    def advance_to(self, time_s: float) -> None:
        """Move time forward; it never goes back."""
        self._virtual_s = max(self._virtual_s, time_s)

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> Any:  # type: ignore[override]  # typeshed ties args to callback
        # With a context it is a future that calls, which keeps no handle: a plain list costs a third of a `Soon`.
        handle = Soon((copy_context(), callback, args)) if context is None else [context, callback, args]
        self._ready.append(handle)
        return handle

    get_debug = staticmethod(bool)  # pyright: ignore[reportAssignmentType]  # False, without a frame: every future asks

    def add_signal_handler(self, sig: int, callback: Any, *args: Any) -> None:  # type: ignore[override]  # typeshed ties args to callback
        """As asyncio's, without a pipe to wake up: this loop never sleeps."""
        signal.signal(sig, lambda *_: self.call_soon(callback, *args))

    def remove_signal_handler(self, sig: int) -> bool:
        return signal.signal(sig, signal.SIG_DFL) is not signal.SIG_DFL

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> NoReturn:  # type: ignore[override]  # noqa: ARG002  # never returns
        raise RuntimeError("threads are not deterministic: go through a port")

    def _run_once(self) -> None:  # noqa: C901  # one turn read from top to bottom; calls would cost what it saves
        """One turn: due timers, then what is ready now. Far leaner than asyncio's, which polls a selector each turn."""
        ready, scheduled = self._ready, self._scheduled
        if scheduled:
            if not ready and not self._stopping:
                self.advance_to(scheduled[0]._when)  # noqa: SLF001  # TimerHandle keeps its time there
            while scheduled and scheduled[0]._when <= self._virtual_s:  # noqa: SLF001
                handle = heapq.heappop(scheduled)
                handle._scheduled = False  # noqa: SLF001
                if not handle._cancelled:  # noqa: SLF001
                    ready.append(handle)
        elif not ready and not self._stopping:
            raise Deadlock("every task waits and nothing will ever happen")
        for _ in range(TURN_MAX):  # what becomes ready meanwhile runs in the same turn, after what already was
            if not ready or self._stopping:
                break
            handle = ready.popleft()
            if type(handle) is not list and type(handle) is not Soon:  # a timer, or what another thread asked for
                handle = () if handle._cancelled else (handle._context, handle._callback, handle._args)  # noqa: SLF001
            if handle:
                context, callback, args = handle
                try:
                    context.run(callback, *args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:  # noqa: BLE001  # asyncio's contract: a callback's fault is reported
                    what = f"Exception in callback {handle!r}"
                    self.call_exception_handler({"message": what, "exception": error, "handle": handle})

    def _make_self_pipe(self) -> None:
        self._ssock = self._csock = None
        self._internal_fds = 0

    def _close_self_pipe(self) -> None:
        """There is none."""

    def _write_to_self(self) -> None:
        """Nothing sleeps in a selector that would have to be woken."""
