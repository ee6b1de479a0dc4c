"""The venue behind a wire, from settings: which network, which keys, and everything that must be right before a start.

paper (default)            orders stay in the process
mode.paper = false         the test network, or the demo network with exchange.demo
mode.live = true, --live   the exchange itself, which also needs exchange.testnet = false
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import structlog

from klined.config.masks import hide
from klined.config.settings import Market, Settings
from klined.domain import Instrument, MarketKind
from klined.errors import ConfigError, Retryable
from klined.ports import Clock
from klined.runtime import stops
from klined.runtime.clock import HurriedClock, SystemClock
from klined.runtime.health import Health
from klined.venues.binance import NETWORKS, BinanceDialect
from klined.venues.ccxt import CcxtVenue
from klined.venues.classify import Reaction
from klined.venues.dialect import Dialect
from klined.venues.permissions import Setup
from klined.venues.unified import UnifiedDialect
from klined.venues.wire import TIMEOUT_S, Refusal

TRIES = 5
FIRST_WAIT_S = 1.0
WAIT_STEP_S = 60.0  # of a wait for a ban to end
START_S = 60.0  # what the rest of a start may take
STREAMS = {
    ("testnet", MarketKind.SPOT): "wss://stream.testnet.binance.vision/stream",
    ("demo", MarketKind.SPOT): "wss://demo-stream.binance.com/stream",
    ("testnet", MarketKind.PERP): "wss://fstream.binancefuture.com/market/stream",
    ("demo", MarketKind.PERP): "wss://fstream.binancefuture.com/market/stream",
}
"""Bars of the networks whose prices are not the live ones."""

T = TypeVar("T")
logger = structlog.get_logger()


def is_remote(settings: Settings) -> bool:
    """Whether orders leave this process."""
    return settings.market.exchange != "sim" and (settings.mode.live or not settings.mode.paper)


def network_of(settings: Settings) -> str:
    """live, testnet or demo.

    Raises:
        ConfigError: the settings want real money and a test network.
    """
    if settings.mode.live:
        if settings.exchange.testnet or settings.exchange.demo:
            raise ConfigError(
                "mode.live wants real money, exchange.testnet or exchange.demo do not; set exchange.testnet = false"
            )
        return "live"
    return "demo" if settings.exchange.demo else "testnet"


def market_of(settings: Settings) -> Market:
    """The market's settings, with bars from the network that takes the orders."""
    market = settings.market
    if not is_remote(settings) or market.exchange != "binance" or settings.mode.live:
        return market
    place = network_of(settings), market.kind
    own = {"stream_url": market.stream_url or STREAMS[place], "rest_url": market.rest_url or NETWORKS[place]}
    return market.model_copy(update=own)


def make_remote(settings: Settings, clock: Clock, prefix: str) -> CcxtVenue:
    """The venue, not yet asked for anything.

    Raises:
        ConfigError: keys are missing, or network and mode contradict each other.
    """
    network = network_of(settings)
    key, secret = settings.exchange.api_key, settings.exchange.api_secret
    if key is None or secret is None or not key.get_secret_value() or not secret.get_secret_value():
        raise ConfigError(
            f"orders to {settings.market.exchange} ({network}) need a key: set KLINED_EXCHANGE__API_KEY and "
            "KLINED_EXCHANGE__API_SECRET, or keep mode.paper = true"
        )
    hide(key.get_secret_value())
    hide(secret.get_secret_value())
    if settings.exchange.password is not None:
        hide(settings.exchange.password.get_secret_value())
    dialect = _dialect(settings, clock, network, key.get_secret_value(), secret.get_secret_value())
    offset = partial(setattr, clock, "offset_ms") if isinstance(clock, SystemClock) else _keep
    recv_window_ms = settings.exchange.recv_window_ms
    venue = CcxtVenue(settings.market.exchange, dialect, clock, recv_window_ms=recv_window_ms, set_offset=offset)
    venue.prefix = prefix
    dialect.wire.timeout_s = TIMEOUT_S * settings.exchange.speed  # the network is no faster
    if settings.exchange.user_stream and isinstance(dialect, BinanceDialect):
        from klined.venues.user_stream import UserStream  # noqa: PLC0415  # websockets, only for a real exchange

        stream = UserStream(
            venue,
            dialect,
            clock,
            api_key=key.get_secret_value(),
            api_secret=secret.get_secret_value(),
            url=settings.exchange.user_stream_url,
        )
        venue.on_open = stream.run
    return venue


async def open_remote(venue: CcxtVenue, symbols: Sequence[str], clock: Clock) -> list[Instrument]:
    """Read the instruments, check key and account; bounded tries.

    Raises:
        ConfigError: key, account or symbols are not as they must be.
        Retryable: the exchange cannot be reached.
    """
    try:
        if isinstance(clock, HurriedClock):
            await _insist(venue, partial(venue.share_clock, clock.shift))
        found = await _insist(venue, partial(venue.instruments, symbols))
        instruments = [found[symbol] for symbol in symbols]
        for warning in await _insist(venue, partial(venue.check, instruments)):
            logger.warning("account.warned", why=warning)
    except (ConfigError, Retryable):
        await venue.close()
        raise
    venue.open()
    return instruments


async def _insist(venue: CcxtVenue, ask: Callable[[], Awaitable[T]]) -> T:
    """The answer to a read; bounded tries, and none where another could only do harm."""
    wait_s = FIRST_WAIT_S
    for left in range(TRIES, 0, -1):
        try:
            return await ask()
        except Retryable as error:
            proof = error.__cause__.proof if isinstance(error.__cause__, Refusal) else None
            if proof is not None and proof.reaction is Reaction.HALT:
                raise ConfigError(f"{error}; nothing is asked again until a person has looked into it") from error
            if left == 1:
                raise
            patience_s = max(wait_s, venue.dialect.wire.blocked_s())
            logger.warning("exchange.unanswered", why=str(error), next_s=round(patience_s, 1))
            if await _stopped(patience_s):
                raise
            wait_s *= 2
    raise AssertionError("unreachable")


async def _stopped(wait_s: float) -> bool:
    """Wait, be it for the end of a ban, and tell the service manager; whether a stop came, which ends the wait."""
    heard, loop, health = asyncio.Event(), asyncio.get_running_loop(), Health()
    wake = partial(loop.call_soon_threadsafe, heard.set)  # a handler runs inside whatever the loop is doing
    stops.wakers.append(wake)
    try:
        while wait_s > 0.0 and not stops.kept():
            step_s = min(wait_s, WAIT_STEP_S)
            health.extend(step_s + START_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(step_s):
                    await heard.wait()
            wait_s -= step_s
        return stops.kept()
    finally:
        stops.wakers.remove(wake)


def _dialect(settings: Settings, clock: Clock, network: str, key: str, secret: str) -> Dialect:
    market, exchange = settings.market, settings.exchange
    if market.exchange != "binance":
        password = exchange.password.get_secret_value() if exchange.password is not None else ""
        return UnifiedDialect(
            market.exchange,
            market.kind,
            network=network,
            api_key=key,
            api_secret=secret,
            password=password,
            recv_window_ms=exchange.recv_window_ms,
            share=exchange.weight_share,
            clock=clock,
            rest_url=exchange.rest_url,
        )
    return BinanceDialect(
        market.kind,
        network=network,
        api_key=key,
        api_secret=secret,
        recv_window_ms=exchange.recv_window_ms,
        share=exchange.weight_share,
        clock=clock,
        setup=Setup(exchange.leverage, exchange.margin),
        rest_url=exchange.rest_url,
    )


def _keep(_offset_ms: int) -> None:
    """A clock that is not the machine's has no offset."""
