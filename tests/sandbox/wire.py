"""The shortest client there is: no library's opinion stands between a test and the protocol."""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from klined.sandbox.server import SandboxServer
from klined.sandbox.settings import DEMO_KEY, DEMO_SECRET
from klined.sandbox.signing import socket_payload


class Wire:
    """REST calls by name, and the sandbox's control."""

    def __init__(self, http: aiohttp.ClientSession, server: SandboxServer) -> None:
        self.http, self.server = http, server
        self.base = f"http://127.0.0.1:{server.port}"
        self.ws = f"ws://127.0.0.1:{server.port}"
        self.headers: dict[str, str] = {}
        self.status = 0

    async def call(self, method: str, path: str, *, key: str = DEMO_KEY, **params: Any) -> Any:
        """An unsigned call; the JSON of the answer."""
        query = urlencode(params)
        async with self.http.request(
            method,
            URL(f"{self.base}{path}?{query}".rstrip("?"), encoded=True),
            headers={"X-MBX-APIKEY": key} if key else {},
        ) as answer:
            self.status, self.headers = answer.status, dict(answer.headers)
            return await answer.json(content_type=None)

    async def signed(self, method: str, path: str, **params: Any) -> Any:
        """A signed call, timed by the sandbox's own clock."""
        return await self.call(method, path, **self.sign(**params))

    def sign(self, **params: Any) -> dict[str, Any]:
        params = {"timestamp": self.server.exchange.clock.told_ms(), **params}
        signature = hmac.new(DEMO_SECRET.encode(), urlencode(params).encode(), hashlib.sha256).hexdigest()
        return {**params, "signature": signature}

    def sign_socket(self, **params: Any) -> dict[str, Any]:
        """Parameters of a websocket call: signed in alphabetical order."""
        params = {"apiKey": DEMO_KEY, "timestamp": self.server.exchange.clock.told_ms(), **params}
        text = socket_payload({name: str(value) for name, value in params.items()})
        return {**params, "signature": hmac.new(DEMO_SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()}

    async def market(self, side: str, quantity: str, *, perp: bool = False, **more: Any) -> Any:
        path = "/fapi/v1/order" if perp else "/api/v3/order"
        kind = {"newOrderRespType": "RESULT"} if perp else {}
        return await self.signed(
            "POST", path, side=side, type="MARKET", quantity=quantity, **{"symbol": "ETHUSDT", **kind, **more}
        )

    async def limit(self, side: str, quantity: str, price: str, *, perp: bool = False, **more: Any) -> Any:
        path = "/fapi/v1/order" if perp else "/api/v3/order"
        wanted = {"symbol": "ETHUSDT", "side": side, "type": "LIMIT", "timeInForce": "GTC", "quantity": quantity}
        return await self.signed("POST", path, **{**wanted, "price": price, **more})

    async def arm(self, kind: str, **about: Any) -> Any:
        return await self._control("faults", {"kind": kind, **about})

    async def step(self, ms: int) -> Any:
        return await self._control("step", {"ms": ms})

    async def shock(self, factor: float, symbol: str = "ETHUSDT") -> Any:
        return await self._control("shock", {"symbol": symbol, "factor": factor})

    async def transfer(self, market: str, asset: str, amount: str) -> Any:
        return await self._control("transfer", {"market": market, "asset": asset, "amount": amount})

    async def truth(self) -> Any:
        async with self.http.get(f"{self.base}/sandbox/ledger") as answer:
            return await answer.json()

    async def price(self, symbol: str = "ETHUSDT") -> float:
        return float((await self.truth())["spot"]["prices"][symbol])

    async def _control(self, name: str, body: Any) -> Any:
        async with self.http.post(f"{self.base}/sandbox/{name}", json=body) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()


async def until(done: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Let the loop turn until `done`; the time-out is a failure."""
    end = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0)
