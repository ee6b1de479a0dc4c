"""Alerts reach the webhook in the end, the monitor hears of us, and nobody waits for either."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from klined.config.load import load
from klined.config.masks import hide
from klined.domain import Event
from klined.runtime.observing import Bus
from klined_plugins import notify
from klined_plugins.notify import QUEUE_MAX, Notifier


class Hook:
    def __init__(self, *, failing: int = 0) -> None:
        self.failing = failing
        self.tried = 0
        self.alerts: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.pinged = asyncio.Event()

    async def post(self, request: web.Request) -> web.Response:
        self.tried += 1
        if self.failing:
            self.failing -= 1
            return web.Response(status=503)
        self.alerts.put_nowait(await request.json())
        return web.Response()

    async def ping(self, _request: web.Request) -> web.Response:
        self.pinged.set()
        return web.Response()


@asynccontextmanager
async def serving(hook: Hook) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/hook", hook.post)
    app.router.add_get("/ping", hook.ping)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def event(level: str = "error", name: str = "order.undecided", **data: str) -> Event:
    return Event(1, level, name, dict(data))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "BACK_OFF_S", (0.0, 0.0))


async def test_an_alert_is_delivered_after_failures() -> None:
    hook = Hook(failing=3)
    async with serving(hook) as url:
        bus = Bus([Notifier(name="k", webhook_url=f"{url}/hook")])
        bus.start()
        bus.publish([event(client_id="kl-1")])
        async with asyncio.timeout(5):
            alert = await hook.alerts.get()
        await bus.close()
    assert hook.tried == 4
    assert alert["loud"] is True
    assert alert["text"] == "k: order.undecided client_id=kl-1"


async def test_what_is_queued_at_the_end_still_goes_out() -> None:
    hook = Hook()
    async with serving(hook) as url:
        bus = Bus([Notifier(name="k", webhook_url=f"{url}/hook")])
        bus.start()
        bus.publish([event(name="stop.not_flat")])
        await bus.close()
    assert hook.alerts.get_nowait()["event"] == "stop.not_flat"


async def test_a_monitor_is_called_from_the_start() -> None:
    hook = Hook()
    async with serving(hook) as url:
        notifier = Notifier(name="k", ping_url=f"{url}/ping")
        notifier.start()
        async with asyncio.timeout(5):
            await hook.pinged.wait()
        await notifier.close()
    assert hook.pinged.is_set()


async def test_a_webhook_that_is_away_drops_the_oldest_and_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "FAREWELL_S", 0.05)
    monkeypatch.setattr(notify, "BACK_OFF_S", (60.0, 60.0))
    notifier = Notifier(name="k", webhook_url="http://127.0.0.1:9/hook")
    notifier.start()
    for number in range(QUEUE_MAX + 5):
        notifier.observe(event(number=str(number)))
    assert notifier.dropped == 5
    assert notifier.queue[0]["data"] == {"number": "5"}
    await notifier.close()


def test_events_are_loud_silent_or_off_by_name_then_by_level() -> None:
    events = {"order.": "off", "order.filled": "loud", "mode.paused": "silent"}
    notifier = Notifier(name="k", webhook_url="http://h", events=events)
    assert notifier.volume(event("info", "order.filled")) == "loud"
    assert notifier.volume(event("error", "order.desync")) == "off"
    assert notifier.volume(event("error", "mode.paused")) == "silent"
    assert notifier.volume(event("error", "daemon.failed")) == "loud"
    assert notifier.volume(event("warning", "feed.disconnected")) == "silent"
    assert notifier.volume(event("info", "feed.connected")) == "off"


def test_secrets_are_masked_in_alerts() -> None:
    hide("canary-of-the-alerts")
    alert = Notifier(name="k").alert(event(why="key canary-of-the-alerts was refused"), "loud")
    assert "canary" not in str(alert)


def test_nothing_is_made_unless_the_settings_ask_for_it() -> None:
    assert Notifier.configured(load(None, (), {})) is None
    made = Notifier.configured(load(None, ["notify.webhook_url=http://h/x"], {}))
    assert made is not None
    assert made.webhook_url == "http://h/x"


async def test_its_own_failures_are_no_alerts() -> None:
    notifier = Notifier(name="k", webhook_url="http://h")
    notifier.observe(event("warning", "notify.failed"))
    assert not notifier.queue
