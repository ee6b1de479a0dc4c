"""Virtual time: jumps to the next timer, keeps their order, and says so when nothing will ever happen."""

import asyncio
import threading
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from klined.runtime.loop import Deadlock, VirtualLoop

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


def test_a_year_passes_at_once() -> None:
    async def work() -> float:
        await asyncio.sleep(365 * 86_400)
        return asyncio.get_running_loop().time()

    began_s = time.monotonic()
    assert run(work()) == 365 * 86_400
    assert time.monotonic() - began_s < 5


def test_timers_run_in_the_order_of_their_times() -> None:
    async def work() -> list[float]:
        seen: list[float] = []

        async def wait(delay_s: float) -> None:
            await asyncio.sleep(delay_s)
            seen.append(asyncio.get_running_loop().time())

        await asyncio.gather(*(wait(delay_s) for delay_s in (5.0, 1.0, 3.0, 2.0, 4.0, 0.5)))
        return seen

    assert run(work()) == [0.5, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_ready_tasks_run_first_in_first_out_before_time_moves() -> None:
    async def work() -> list[str]:
        seen: list[str] = []

        async def step(name: str) -> None:
            for turn in range(3):
                seen.append(f"{name}{turn}")
                await asyncio.sleep(0)

        loop = asyncio.get_running_loop()
        loop.call_later(1e-9, seen.append, "timer")
        await asyncio.gather(step("a"), step("b"))
        await asyncio.sleep(1)
        return seen

    assert run(work()) == ["a0", "b0", "a1", "b1", "a2", "b2", "timer"]


def test_cancelled_timer_moves_nothing() -> None:
    async def work() -> float:
        loop = asyncio.get_running_loop()
        loop.call_later(1_000, pytest.fail, "a cancelled timer ran").cancel()
        await asyncio.sleep(1)
        return loop.time()

    assert run(work()) == 1.0


def test_timeout_fires_in_virtual_time() -> None:
    async def work() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert run(work()) == 60.0


def test_time_never_goes_back() -> None:
    async def work() -> float:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.advance_to(10.0)
        loop.advance_to(5.0)
        return loop.time()

    assert run(work()) == 10.0


def test_waiting_for_what_never_comes_is_a_deadlock_and_no_hang() -> None:
    async def forever() -> None:
        await asyncio.Event().wait()

    loop = VirtualLoop()
    task = loop.create_task(forever())
    with pytest.raises(Deadlock, match="nothing will ever happen"):
        loop.run_until_complete(task)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()


def test_threads_and_sockets_are_refused() -> None:
    async def work() -> None:
        with pytest.raises(RuntimeError, match="threads are not deterministic"):
            await asyncio.to_thread(threading.get_ident)
        with pytest.raises(RuntimeError, match="no sockets"):
            await asyncio.open_connection("127.0.0.1", 1)

    run(work())


def test_fault_of_a_task_reaches_who_awaits_it() -> None:
    async def work() -> None:
        async def fail() -> None:
            await asyncio.sleep(1)
            raise ValueError("this one")

        async with asyncio.TaskGroup() as group:
            group.create_task(fail())

    with pytest.raises(ExceptionGroup) as raised:
        run(work())
    assert raised.group_contains(ValueError, match="this one")
