"""What befalls a daemon, its network and its exchange, in an order that a seed decides; then peace, and the books."""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable

from tiers.processes import Process, Town

CALLS = ("lost_answer", "late", "unknown_executed", "unknown", "empty", "truncated", "html", "reset", "slow", "partial")
"""Faults of the exchange that meet the next orders."""


class Fate:
    """Acts on one town. `count` is what was done, beside what the proxy counts."""

    def __init__(self, place: Town, seed: int, rest_s: float = 2.5) -> None:
        """`rest_s`: longest time between two blows."""
        self._place, self._rng, self._rest_s = place, random.Random(seed), rest_s
        self.count: Counter[str] = Counter()
        self.kills = 0
        self.daemon: Process
        self._ways: list[Callable[[], Awaitable[None]]] = [
            self.kill_daemon,
            self.kill_daemon_starting,
            self.stop_daemon,
            self.kill_exchange,
            self.cut,
            self.stall,
            self.darken,
            self.drip,
            self.lie,
        ]

    async def begin(self) -> None:
        self.daemon = await self._place.daemon()
        await self.daemon.wait_event("daemon.ready")

    async def act(self, way: Callable[[], Awaitable[None]] | None = None) -> None:
        """One blow, any when none is named, and a while to live with it."""
        await (way or self._rng.choice(self._ways))()
        await self.live(self._rng.uniform(0.2, self._rest_s))

    async def live(self, seconds: float) -> None:
        """So much time; a start that finds no exchange ends with exit code 1 and is tried again, as systemd would."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + seconds
        while not await self.daemon.lives_on(max(0.01, until_s - loop.time())):
            code, said = await self.daemon.end(), "".join(self.daemon.lines)
            assert code == 1, said[-2000:]
            assert "daemon.ready" not in said, said[-2000:]
            self.count["start given up"] += 1
            self.daemon = await self._place.daemon()

    async def peace(self, fills: int = 2) -> int:
        """Heal all, see trading go on, stop; the exit code."""
        self._place.proxy.heal()
        await self.live(1.0)
        await self.daemon.wait_event("order.filled", fills)
        return await self.daemon.stop()

    async def kill_daemon(self) -> None:
        """SIGKILL at whatever it does."""
        self.kills += 1
        await self.daemon.kill()
        self.daemon = await self._place.daemon()

    async def kill_daemon_starting(self) -> None:
        """... and again before it has recovered."""
        await self.kill_daemon()
        await self.live(self._rng.uniform(0.5, 1.6))
        await self.kill_daemon()

    async def stop_daemon(self) -> None:
        """SIGSTOP: for minutes of market nothing of it runs."""
        self.count["process stopped"] += 1
        self.daemon.signal(signal.SIGSTOP)
        await self.live(self._rng.uniform(1.0, 8.0))
        self.daemon.signal(signal.SIGCONT)

    async def kill_exchange(self) -> None:
        """It comes back after a while with all it had answered."""
        self.count["exchange killed"] += 1
        await self._place.exchange.kill()
        await self.live(self._rng.uniform(0.1, 2.0))
        await self._place.open_exchange()

    async def cut(self) -> None:
        for _ in range(self._rng.randrange(1, 4)):
            self._place.proxy.cut()
            await self.live(self._rng.uniform(0.05, 0.5))

    async def stall(self) -> None:
        self._place.proxy.stall()
        await self.live(self._rng.uniform(0.2, 3.0))
        self._place.proxy.heal()

    async def darken(self) -> None:
        self._place.proxy.go_dark()
        await self.live(self._rng.uniform(0.2, 4.0))
        self._place.proxy.heal()

    async def drip(self) -> None:
        self._place.proxy.drip(0.002)
        await self.live(self._rng.uniform(0.5, 2.0))
        self._place.proxy.heal()

    async def lie(self) -> None:
        """The next orders' answers are lost, wrong or late."""
        kinds = self._rng.sample(CALLS, 3)
        self.count.update(kinds)
        await self._place.arm(*({"kind": kind, "delay_ms": self._rng.randrange(500, 4000)} for kind in kinds))
