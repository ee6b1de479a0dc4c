"""Live environments on a sandbox in a process of its own, in a loop that lives as fast as the market."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from klined.config.load import load
from klined.config.settings import Settings
from klined.runtime.process import loop_of
from klined_models.envs.live import LiveTradingEnv
from wire.driver import RISK, STREAMS, SYMBOLS, Exchange

T = TypeVar("T")


def settings_on(folder: Path, there: Exchange, market: str = "spot", **sets: Any) -> Settings:
    """A daemon's settings for one of the sandbox's markets; `sets` are settings as section__setting."""
    return settings_at(folder, there.base, there.speed, market, **sets)


def settings_at(folder: Path, base: str, speed: float, market: str, **sets: Any) -> Settings:
    """The same by the sandbox's address."""
    stream, user = STREAMS[market]
    ws = base.replace("http", "ws")
    told: dict[str, Any] = {
        "market.exchange": "binance", "market.kind": market, "market.symbols": SYMBOLS[market],
        "market.stream_url": ws + stream, "market.rest_url": base, "market.grace_ms": 20_000,
        "exchange.rest_url": base, "exchange.user_stream_url": ws + user, "exchange.speed": speed,
        "exchange.reconcile_s": 300, "mode.paper": "false", "runtime.flatten_deadline_s": 3600,
        "exchange.api_key": "sandbox-key", "exchange.api_secret": "sandbox-secret",
        "log.format": "json", "log.level": "info", "store.dir": folder / "state",
        **{f"risk.{name}": value for name, value in RISK.items()},
        **{name.replace("__", "."): value for name, value in sets.items()},
    }  # fmt: skip
    secret = {name: told.pop(name) for name in ("exchange.api_key", "exchange.api_secret")}
    environment = {f"KLINED_{name.upper().replace('.', '__')}": value for name, value in secret.items()}
    return load(None, overrides=[f"{name}={value}" for name, value in told.items()], environ=environment)


def lived(settings: Settings, agent: Callable[[LiveTradingEnv], Awaitable[T]], **options: Any) -> T:
    """What the agent comes to, in a loop of its own; the environment is closed after it."""

    async def life() -> T:
        async with LiveTradingEnv(settings, **options) as env:
            return await agent(env)

    with asyncio.Runner(loop_factory=loop_of(settings)) as runner:
        return runner.run(life())
