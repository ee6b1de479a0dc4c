"""Alerts to a webhook, and a sign of life to a dead-man monitor that alarms when it stays away.

    event ─ loud, silent or off ─▶ queue (drops the oldest) ─▶ POST, again with back-off ─▶ webhook
    every ping_s while the loop turns ───────────────────────▶ GET ─────────────────────▶ monitor

By default errors are loud, warnings silent and everything else off; `[notify.events]` says otherwise by name. Nothing
here is waited for: a webhook that hangs costs memory for a bounded number of alerts, and a monitor that is not reached
does what it is for.
"""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

import structlog

from klined.config.masks import clean, hide, masked
from klined.config.settings import Settings
from klined.domain import Decision, Event

if TYPE_CHECKING:  # 12 MB, for those alone who want to be told
    import aiohttp

QUEUE_MAX = 256
TIMEOUT_S = 10.0
BACK_OFF_S = (1.0, 300.0)
TRIES = 12  # some fifty minutes, then an alert is given up
FAREWELL_S = 5.0  # at the end, for what is still queued
BY_LEVEL = {"error": "loud", "critical": "loud", "warning": "silent"}
OWN = "notify."  # our own events are not alerts: a failing webhook would feed itself

log = structlog.get_logger()


class Notifier:
    """An observer. `events` maps names, or beginnings that end with a dot, to loud, silent or off."""

    def __init__(
        self,
        *,
        name: str,
        webhook_url: str = "",
        ping_url: str = "",
        ping_s: float = 60.0,
        events: Mapping[str, str] | None = None,
    ) -> None:
        self.name, self.webhook_url, self.ping_url, self.ping_s = name, webhook_url, ping_url, ping_s
        self.events = dict(events or {})
        self.queue: deque[dict[str, object]] = deque(maxlen=QUEUE_MAX)
        self.dropped = 0  # for want of room, or after too many tries
        self._more = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._tasks: list[asyncio.Task[None]] = []
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def configured(cls, settings: Settings) -> Self | None:
        """None when neither a webhook nor a monitor is set."""
        notify = settings.notify
        if not notify.webhook_url and not notify.ping_url:
            return None
        hide(notify.webhook_url)
        hide(notify.ping_url)
        return cls(
            name=settings.runtime.name,
            webhook_url=notify.webhook_url,
            ping_url=notify.ping_url,
            ping_s=notify.ping_s,
            events=notify.events,
        )

    def observe(self, item: Decision | Event) -> None:
        if not isinstance(item, Event) or not self.webhook_url or item.name.startswith(OWN):
            return
        volume = self.volume(item)
        if volume == "off":
            return
        if len(self.queue) == QUEUE_MAX:
            self.dropped += 1
        self.queue.append(self.alert(item, volume))
        self._idle.clear()
        self._more.set()

    def volume(self, event: Event) -> str:
        """How an event is told: the longest name that fits decides, then its level."""
        fitting = [
            key for key in self.events if key == event.name or (key.endswith(".") and event.name.startswith(key))
        ]
        if fitting:
            return self.events[max(fitting, key=len)]
        return BY_LEVEL.get(event.level, "off")

    def alert(self, event: Event, volume: str) -> dict[str, object]:
        """The body of the POST: `text` and `content` are what chat services show."""
        told = " ".join(f"{key}={value}" for key, value in event.data.items())
        text = masked(f"{self.name}: {event.name} {told}".strip())
        return {
            "text": text,
            "content": text,
            "loud": volume == "loud",
            "daemon": self.name,
            "event": event.name,
            "level": event.level,
            "time_ms": event.time_ms,
            "data": clean(event.data),
        }

    def start(self) -> None:
        """Begin to deliver; needs the running loop."""
        import aiohttp  # noqa: PLC0415 - as above

        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        if self.webhook_url:
            self._tasks.append(asyncio.create_task(self._deliver()))
        if self.ping_url:
            self._tasks.append(asyncio.create_task(self._ping()))

    async def close(self) -> None:
        """Let what is queued go out, for a moment, then end."""
        if self._session is None:
            return
        try:
            async with asyncio.timeout(FAREWELL_S):
                await self._idle.wait()
        except TimeoutError:
            log.warning("notify.cut_off", left=len(self.queue))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._session.close()

    async def _deliver(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            while self.queue:
                await self._send(self.queue.popleft())
            self._idle.set()

    async def _send(self, alert: dict[str, object]) -> None:
        """POST until it is taken, the tries are used up, or we are cancelled."""
        wait_s = BACK_OFF_S[0]
        for left in range(TRIES, 0, -1):
            why = await self._try("POST", self.webhook_url, alert)
            if not why:
                return
            log.warning("notify.failed", why=why, event_name=alert["event"], tries_left=left - 1)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, BACK_OFF_S[1])
        self.dropped += 1

    async def _ping(self) -> None:
        while True:
            began_s = time.monotonic()
            if why := await self._try("GET", self.ping_url, None):
                log.warning("notify.unpinged", why=why)
            await asyncio.sleep(max(0.0, self.ping_s - (time.monotonic() - began_s)))

    async def _try(self, method: str, url: str, body: dict[str, object] | None) -> str:
        """Why it was not taken; empty when it was."""
        if self._session is None:
            return "not started"
        import aiohttp  # noqa: PLC0415 - as above

        try:
            async with self._session.request(method, url, json=body, allow_redirects=False) as answer:
                return "" if 200 <= answer.status < 300 else f"HTTP {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return type(error).__name__  # its text may carry the address, which is a secret
