"""The event loop of one simulated process: time and the outside belong to the world, and the process can die.

A turn of the loop is: what the world does by now, timers that are due, then every callback that was ready. A kill falls
between two turns: nothing of the process runs after it, no `finally`, no handler, as after SIGKILL.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any

from klined.runtime.loop import Deadlock, VirtualLoop
from klined.simulation.world import World

NEVER = -1
TURNS_MAX = 5_000  # in hardly any time: the program runs in circles
MOVED_S = 0.05
GRAIN_S = 1e-6  # time moves by so much at least when nothing is ready: rounded times are never waited for for ever


class Killed(BaseException):
    """SIGKILL of the simulated process: no handler of the program may see it."""


class Livelock(Deadlock):
    """The process is busy for ever without getting anywhere."""


class Later(asyncio.TimerHandle):
    """asyncio's timer without what only a debugger reads; one that is cancelled waits in the heap for its time."""

    __slots__ = ()

    def __init__(self, when: float, callback: Any, args: Any, loop: Any, context: Any) -> None:
        self._when, self._callback, self._args, self._loop, self._context = when, callback, args, loop, context
        self._cancelled = False
        self._scheduled = True
        self._repr = self._source_traceback = None

    def cancel(self) -> None:
        self._cancelled = True
        self._callback = self._args = None  # type: ignore[assignment]  # as asyncio: let go of what they hold


class SimTask(asyncio.Task[Any]):
    """A task whose hash is its number: sets of tasks are walked in the same order in every run."""

    _numbers = itertools.count()

    def __init__(self, coro: Coroutine[Any, Any, Any], **kwargs: Any) -> None:
        self._number = next(self._numbers)
        super().__init__(coro, **kwargs)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


class SimLoop(VirtualLoop):
    """One life's loop. `turns_left` >= 0 counts down to its death; `turn_last` is the turn it does not begin."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.turns = self._idle_turns = 0
        self._moved_s = world.now_s
        self.turns_left = NEVER
        self.turn_last = NEVER
        self.handlers: dict[int, Callable[[], object]] = {}
        super().__init__()
        SimTask._numbers = itertools.count()  # noqa: SLF001  # one loop lives at a time
        self.set_task_factory(_named)

    def time(self) -> float:
        """The process's monotonic clock: the world's, less what it slept through."""
        return self.world.now_s - self.world.frozen_s

    def advance_to(self, time_s: float) -> None:
        """Only the world moves time."""
        raise RuntimeError(f"a simulated process cannot move time to {time_s}")

    def add_signal_handler(self, sig: int, callback: Any, *args: Any) -> None:  # type: ignore[override]  # as VirtualLoop
        self.handlers[int(sig)] = lambda: callback(*args)

    def remove_signal_handler(self, sig: int) -> bool:
        return self.handlers.pop(int(sig), None) is not None

    def call_at(self, when: float, callback: Any, *args: Any, context: Context | None = None) -> asyncio.TimerHandle:  # type: ignore[override]  # as VirtualLoop
        handle = Later(when, callback, args, self, copy_context() if context is None else context)
        heapq.heappush(self._scheduled, handle)
        return handle

    def signal(self, sig: int) -> None:
        """As the kernel delivers it: handled in the loop's next turn, or ignored where nobody handles it."""
        handler = self.handlers.get(int(sig))
        if handler is not None:
            self.call_soon(handler)

    def _run_once(self) -> None:  # noqa: C901  # one turn, as VirtualLoop
        if self.turns_left == 0 or self.turns == self.turn_last:
            raise Killed
        self.turns_left -= self.turns_left > 0
        self.turns += 1
        self._idle_turns += 1
        world, ready = self.world, self._ready
        if not ready and not self._stopping:
            next_s = max(self._next_s(), world.now_s + GRAIN_S)
            if next_s > world.end_s:
                raise Livelock(f"still running after {world.end_s:g} s")
            world.now_s = next_s
            if next_s > self._moved_s + MOVED_S:
                self._idle_turns, self._moved_s = 0, next_s
        if self._idle_turns > TURNS_MAX:
            raise Livelock(f"{TURNS_MAX} turns of the loop, and hardly any time has passed")
        events, now_s = world.events, world.now_s
        while events and events[0][0] <= now_s:
            heapq.heappop(events)[2]()
            now_s = world.now_s
        scheduled, frozen_s = self._scheduled, world.frozen_s
        while scheduled and scheduled[0]._when + frozen_s <= now_s:  # noqa: SLF001  # as VirtualLoop
            handle = heapq.heappop(scheduled)
            handle._scheduled = False  # noqa: SLF001
            if not handle._cancelled:  # noqa: SLF001
                ready.append(handle)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if type(handle) is Later:
                handle = () if handle._cancelled else (handle._context, handle._callback, handle._args)  # noqa: SLF001
            if handle:  # what a callback raises ends the simulation: it would be a fault of asyncio or of this module
                context, callback, args = handle
                context.run(callback, *args)

    def _next_s(self) -> float:
        """When something happens next. Raises Deadlock when nothing ever will."""
        scheduled, events = self._scheduled, self.world.events
        while scheduled and scheduled[0]._cancelled:  # noqa: SLF001
            heapq.heappop(scheduled)._scheduled = False  # noqa: SLF001
        if not scheduled:
            return self.world.next_s()
        timer_s: float = scheduled[0]._when + self.world.frozen_s  # noqa: SLF001
        return events[0][0] if events and events[0][0] < timer_s else timer_s


def _named(loop: Any, coro: Any, **kwargs: Any) -> Any:
    """Make tasks that are numbered by life."""
    return SimTask(coro, loop=loop, **kwargs)
