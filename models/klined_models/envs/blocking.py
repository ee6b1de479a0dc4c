"""The live environment for agents that cannot await: the daemon lives in a thread, every call waits for its answer.

    agent's thread ─ step(action) ─▶ loop's thread: LiveTradingEnv.step ─▶ ... ─▶ back with the next bar

The loop goes on between calls, so that streams, timers and the watchdog of the daemon do not wait for the agent.
"""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import gymnasium
import numpy as np
from numpy.typing import NDArray

from klined.runtime.process import loop_of
from klined_models.envs.live import LiveTradingEnv
from klined_models.envs.orders import Order, Orders, OrderStatus

T = TypeVar("T")


class SyncLiveTradingEnv(gymnasium.Env[Any, Any]):
    """A `LiveTradingEnv`, made from the same arguments, as a `gymnasium.Env`; `env` is the asynchronous one.

    To be used from one thread, and closed: an open one keeps its daemon alive.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - gymnasium's

    def __init__(self, *args: Any, **options: Any) -> None:
        """As LiveTradingEnv. Raises: ConfigError: as there."""
        self._serve(LiveTradingEnv(*args, **options))

    def _serve(self, env: LiveTradingEnv) -> None:
        """Be the blocking face of `env`."""
        self.env = env
        self.action_space, self.observation_space = env.action_space, env.observation_space
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """As LiveTradingEnv.reset. On a market that is made up, without a seed, the next one is drawn."""
        super().reset(seed=seed, options=options)
        if seed is None and self.env.test_mode:
            seed = int(self.np_random.integers(0, 2**31 - 1))
        return self._wait(self.env.reset(seed=seed, options=options))

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """As LiveTradingEnv.step: returns when the next bar has closed."""
        return self._wait(self.env.step(action))

    def create_order(self, side: str, amount: float, price: float | None = None, **options: Any) -> Order:
        """As LiveTradingEnv.create_order."""
        return self._wait(self.env.create_order(side, amount, price, **options))

    def cancel_order(self, order_id: str) -> bool:
        """As LiveTradingEnv.cancel_order."""
        return self._wait(self.env.cancel_order(order_id))

    def monitor_order(self, order_id: str, timeout: float = 30.0) -> Iterator[OrderStatus]:
        """As LiveTradingEnv.monitor_order, between whose statuses the caller waits."""
        statuses = self.env.monitor_order(order_id, timeout)

        async def following() -> OrderStatus | None:
            return await anext(statuses, None)

        while (status := self._wait(following())) is not None:
            yield status

    @property
    def orders(self) -> Orders:
        """All orders since reset, as they were after the last call."""
        return self.env.orders

    def close(self) -> None:
        """Stop the daemon, flat by default, then its thread.

        Raises:
            NotFlat: something is left at the venue; the next `reset` finishes it.
        """
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        try:
            self._wait(self.env.close())
        finally:
            self._loop = self._thread = None
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            super().close()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` comes to in the loop's thread; an interrupt of the caller cancels it."""
        asked = asyncio.run_coroutine_threadsafe(work, self._loop or self._started())
        try:
            return asked.result()
        except BaseException:
            asked.cancel()
            raise

    def _started(self) -> asyncio.AbstractEventLoop:
        """The loop, in a thread of its own."""
        loop = self._loop = (loop_of(self.env.settings) or asyncio.new_event_loop)()
        self._thread = threading.Thread(target=_run, args=(loop,), name="klined", daemon=True)
        self._thread.start()
        return loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    """Until it is stopped; then what is left in it is ended."""
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.get_loop().run_forever()
