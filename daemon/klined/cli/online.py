"""What `klined check --online` asks: the account at the exchange, and whether the feed says anything.

Reads only, and nothing is set: leverage and margin are put right by the first run.
"""

import asyncio
from typing import Any

from klined.config.settings import Settings
from klined.errors import Retryable
from klined.runtime import log
from klined.runtime.assembly import make_feed
from klined.runtime.clock import SystemClock
from klined.runtime.remote import is_remote, make_remote, network_of
from klined.venues.classify import Reaction
from klined.venues.permissions import key_refused
from klined.venues.wire import Refusal

FRAME_S = 10.0  # a wrong path connects as well, and says nothing
BARS = 2


def exchange_says(settings: Settings) -> str:
    """Clock, symbols, key and account, each read once.

    Raises:
        ConfigError: keys or symbols are wrong.
        Retryable: it could not be read; the message says why.
    """
    if not is_remote(settings):
        return "no order leaves this process"
    return asyncio.run(_account(settings))


def feed_says(settings: Settings) -> str:
    """Whether past bars and its first frame come.

    Raises:
        Retryable: they do not.
    """
    log.configure("error", settings.log.format)  # what is tried meanwhile is the daemon's business
    return asyncio.run(_frame(settings))


async def _account(settings: Settings) -> str:
    venue = make_remote(settings, SystemClock(), "kl-")
    try:
        await venue.sync()
        symbols = settings.market.symbols
        await venue.instruments(symbols)
        account = await venue.account()
    except Retryable as error:
        refusal = error.__cause__
        if isinstance(refusal, Refusal) and refusal.proof.reaction is Reaction.HALT:
            raise key_refused(refusal, network_of(settings)) from error
        raise
    finally:
        await venue.close()
    held = ", ".join(f"{amount:f} {asset}" for asset, amount in sorted(account.balances.items())[:5]) or "nothing"
    return f"{len(symbols)} symbols; the account has {held} and {len(account.orders)} open orders"


async def _frame(settings: Settings) -> str:
    feed: Any = make_feed(settings)
    if not hasattr(feed, "tap"):
        return f"{settings.market.feed_name} feed, not on a wire"
    try:
        await _past(feed)
        await _present(feed)
    finally:
        await feed.close()
    return f"{settings.market.feed_name} feed tells, past and present"


async def _past(feed: Any) -> None:
    try:
        async with asyncio.timeout(FRAME_S):
            await feed.history(BARS, None)
    except TimeoutError:
        why = feed.waiting or f"no past bars within {FRAME_S:g} s"
        raise Retryable(f"{why}; is market.rest_url right?") from None


async def _present(feed: Any) -> None:
    heard = asyncio.Event()
    feed.tap = lambda _: heard.set()
    listening = asyncio.create_task(feed.next())
    try:
        async with asyncio.timeout(FRAME_S):
            await heard.wait()
    except TimeoutError:
        raise Retryable(f"nothing came within {FRAME_S:g} s; is market.stream_url right?") from None
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
