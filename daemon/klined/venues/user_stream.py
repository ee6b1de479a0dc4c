"""What the exchange tells by itself: a websocket per account, opened again for ever. A speed-up, never the only truth.

    spot      ws-api, userDataStream.subscribe.signature        {"subscriptionId": 0, "event": {...}}
    USDT-M    POST listenKey, /private/ws?listenKey=, PUT every 20 minutes

After every connection the account is looked at, since nobody knows what was told in between. A connection that is
silent is not suspicious: nothing happens on a quiet account, and pings find a dead one.
"""

import asyncio
import contextlib
import hashlib
import hmac
import random
from collections.abc import Callable, Coroutine, Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec
import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from klined.domain import MarketKind
from klined.ports import Clock
from klined.venues.binance import BinanceDialect
from klined.venues.binance_words import perp_event, spot_event
from klined.venues.ccxt import CcxtVenue
from klined.venues.dialect import Event
from klined.venues.wire import Doubt, Refusal

STREAMS = {
    ("live", MarketKind.SPOT): "wss://ws-api.binance.com:443/ws-api/v3",
    ("testnet", MarketKind.SPOT): "wss://ws-api.testnet.binance.vision/ws-api/v3",
    ("demo", MarketKind.SPOT): "wss://demo-ws-api.binance.com/ws-api/v3",
    ("live", MarketKind.PERP): "wss://fstream.binance.com/private/ws",
    ("testnet", MarketKind.PERP): "wss://fstream.binancefuture.com/private/ws",
    ("demo", MarketKind.PERP): "wss://fstream.binancefuture.com/private/ws",
}
FRAME_BYTES_MAX = 1 << 20
ANSWER_S = 10.0  # for the subscription
RENEW_S = 1_200.0  # a listen key lives for an hour
LIFE_S = 23 * 3_600.0  # the server ends it after 24 hours: go before
BACK_OFF_S = (1.0, 30.0)
SUBSCRIBE_ID = "klined-user"
CANARY_ID = "klined-canary"
CANARY_S = 60.0  # between two questions that prove the channel alive
MUTE = "a question on it was not answered, as those before were"
UNSUBSCRIBED = "the exchange has forgotten the subscription"

log = structlog.get_logger()


class UserStream:
    """Feeds `venue.take`. Secrets are used for the subscription only."""

    def __init__(
        self,
        venue: CcxtVenue,
        dialect: BinanceDialect,
        clock: Clock,
        *,
        api_key: str,
        api_secret: str,
        url: str = "",
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._venue, self._dialect, self._clock, self._jitter = venue, dialect, clock, jitter
        self._key, self._secret = api_key, api_secret
        self._url = (url or STREAMS[dialect.network, dialect.kind]).rstrip("/")
        self.connections = self.proofs = 0
        self._proved = asyncio.Event()
        self._dead = ""  # why this connection is given up, once it is

    async def run(self) -> None:
        """Until cancelled."""
        wait_s = BACK_OFF_S[0]
        while True:
            before = self.connections
            try:
                async with asyncio.timeout(LIFE_S):
                    why = await self._listen()
            except TimeoutError:
                why = "its life is over"
            except (OSError, WebSocketException, Refusal, Doubt) as error:
                why = self._dead or str(error) or type(error).__name__
            if self.connections > before:
                wait_s = BACK_OFF_S[0]
            log.warning("user_stream.disconnected", why=why, next_s=wait_s)
            await asyncio.sleep(wait_s * self._jitter(0.5, 1.0))
            wait_s = min(2 * wait_s, BACK_OFF_S[1])

    async def _listen(self) -> str:
        """One connection; why it ended."""
        if self._dialect.kind is MarketKind.SPOT:
            async with self._open(self._url) as link:
                await self._subscribe(link)
                return await self._beside(link, self._prove(link))
        key = await self._listen_key("POST")
        async with self._open(f"{self._url}?listenKey={key}") as link:
            return await self._beside(link, self._prove(link), self._renew())

    async def _beside(self, link: ClientConnection, *works: Coroutine[Any, Any, None]) -> str:
        """Listen while the works go on; why it ended."""
        self._dead = ""
        tasks = [asyncio.create_task(work) for work in works]
        try:
            return await self._hear(link)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _open(self, url: str) -> connect:
        return connect(url, max_size=FRAME_BYTES_MAX, open_timeout=10, close_timeout=1)

    async def _hear(self, link: ClientConnection) -> str:
        self.connections += 1
        log.info("user_stream.connected", connections=self.connections)
        self._venue.poke("the user stream is connected")
        async for frame in link:
            event = self._read(frame)
            self._venue.take(event)
            if event.over:
                return "the exchange ended it"
        return "closed by the exchange"

    def _read(self, frame: str | bytes) -> Event:
        """A frame as an event; one that cannot be read asks for a look instead."""
        try:
            data = msgspec.json.decode(frame)
            if not isinstance(data, dict):
                return Event()
            if data.get("id") == CANARY_ID:
                return self._heard_canary(data)
            told = data.get("event", data)
            read = spot_event if self._dialect.kind is MarketKind.SPOT else perp_event
            return read(told, self._dialect.symbols, self._venue.prefix)
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            log.warning("user_stream.unread", why=repr(error))
            return Event(look="a message of the user stream could not be read")

    async def _prove(self, link: ClientConnection) -> None:
        """A silent account and a dead channel sound alike: ask for the subscriptions, and give up what stays mute.

        Only a server that ever answered is judged by its silence; until then pings and reconciliation have to do.
        """
        spot = self._dialect.kind is MarketKind.SPOT
        question = {"id": CANARY_ID, "method": "session.subscriptions" if spot else "LIST_SUBSCRIPTIONS"}
        while True:
            await asyncio.sleep(CANARY_S)
            self._proved.clear()
            try:
                async with asyncio.timeout(ANSWER_S):
                    await link.send(msgspec.json.encode(question).decode())
                    await self._proved.wait()
            except TimeoutError:
                if self.proofs:
                    self._give_up(link, MUTE)
                    return
            else:
                if self._dead:
                    self._give_up(link, self._dead)
                    return

    def _give_up(self, link: ClientConnection, why: str) -> None:
        log.warning("user_stream.mute", why=why)
        self._dead = why
        link.transport.abort()

    def _heard_canary(self, answer: Mapping[str, Any]) -> Event:
        self._proved.set()
        self.proofs += 1
        spot = self._dialect.kind is MarketKind.SPOT
        if spot and answer.get("status") == 200 and not answer.get("result"):
            self._dead = UNSUBSCRIBED
        return Event()

    async def _subscribe(self, link: ClientConnection) -> None:
        params: dict[str, Any] = {
            "apiKey": self._key,
            "recvWindow": self._dialect.recv_window_ms,
            "timestamp": self._clock.now_ms(),
        }
        params["signature"] = self._signature(params)
        request = {"id": SUBSCRIBE_ID, "method": "userDataStream.subscribe.signature", "params": params}
        await link.send(msgspec.json.encode(request).decode())
        async with asyncio.timeout(ANSWER_S):
            while True:
                answer = msgspec.json.decode(await link.recv())
                if isinstance(answer, dict) and answer.get("id") == SUBSCRIBE_ID:
                    break
        if answer.get("status") != 200:
            raise Doubt(f"the subscription was refused: {answer.get('error')}")

    def _signature(self, params: Mapping[str, object]) -> str:
        """HMAC over the parameters by name; an Ed25519 key signs through ccxt's own function."""
        payload = urlencode(sorted(params.items()))
        if "PRIVATE KEY" in self._secret:
            signed: str = self._dialect.ccxt.eddsa(payload.encode(), self._secret, "ed25519")
            return signed
        return hmac.new(self._secret.encode(), payload.encode(), hashlib.sha256).hexdigest()

    async def _listen_key(self, method: str) -> str:
        answer = await self._dialect.call(method, "fapiPrivate", "listenKey", {})
        key = answer.get("listenKey") if isinstance(answer, Mapping) else None
        if method == "POST" and (not isinstance(key, str) or not key):
            raise Doubt("no listen key came back")
        return str(key)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            with contextlib.suppress(Refusal, Doubt):  # then it expires, which the stream tells
                await self._listen_key("PUT")
