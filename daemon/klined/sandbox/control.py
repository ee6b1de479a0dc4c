"""How a test, or a person, plays fate: /sandbox/... on the same port.

GET  /sandbox/ledger     the truth                 POST /sandbox/faults    one fault, or a list: a schedule
GET  /sandbox/faults     armed and fired           DELETE /sandbox/faults  arm nothing any more
GET  /sandbox/clock      now, speed, skew          POST /sandbox/step      {"ms"}: let time pass at once
POST /sandbox/shock      {"symbol", "factor"}      POST /sandbox/transfer  {"market", "asset", "amount"}
"""

from decimal import Decimal
from typing import Any

import msgspec
from aiohttp import web
from msgspec import Struct

from klined.sandbox.answers import encode
from klined.sandbox.exchange import SandboxExchange
from klined.sandbox.faults import Fault
from klined.sandbox.truth import ledger


class Shock(Struct, forbid_unknown_fields=True):
    symbol: str  # ETHUSDT
    factor: float


class Transfer(Struct, forbid_unknown_fields=True):
    market: str
    asset: str
    amount: Decimal


class Step(Struct, forbid_unknown_fields=True):
    ms: int


class Control:
    """Handlers of /sandbox."""

    def __init__(self, exchange: SandboxExchange) -> None:
        self._exchange = exchange

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/sandbox/ledger", self._ledger),
            web.get("/sandbox/faults", self._faults),
            web.post("/sandbox/faults", self._arm),
            web.delete("/sandbox/faults", self._clear),
            web.get("/sandbox/clock", self._clock),
            web.post("/sandbox/step", self._step),
            web.post("/sandbox/shock", self._shock),
            web.post("/sandbox/transfer", self._transfer),
        ]

    async def _ledger(self, http: web.Request) -> web.Response:
        del http
        return _json(ledger(self._exchange))

    async def _faults(self, http: web.Request) -> web.Response:
        del http
        return _json(self._exchange.faults.status())

    async def _arm(self, http: web.Request) -> web.Response:
        faults = await _read(http, Fault | list[Fault])
        listed = faults if isinstance(faults, list) else [faults]
        return _json({"armed": [self._exchange.arm(fault) for fault in listed]})

    async def _clear(self, http: web.Request) -> web.Response:
        del http
        self._exchange.faults.clear()
        for rates in self._exchange.rates.values():
            rates.unban()
        return _json({})

    async def _clock(self, http: web.Request) -> web.Response:
        del http
        clock = self._exchange.clock
        return _json({"now": clock.now_ms(), "told": clock.told_ms(), "speed": clock.speed, "skew": clock.skew_ms})

    async def _step(self, http: web.Request) -> web.Response:
        """Every bar on the way happens, as it would have in time."""
        self._exchange.clock.step((await _read(http, Step)).ms)
        self._exchange.step()
        return await self._clock(http)

    async def _shock(self, http: web.Request) -> web.Response:
        """The pair's price is another from now on, and every order meets it at once."""
        shock = await _read(http, Shock)
        self._exchange.shock(shock.symbol, shock.factor)
        return _json({"prices": ledger(self._exchange)["spot"]["prices"]})

    async def _transfer(self, http: web.Request) -> web.Response:
        """A deposit, or with a negative amount a withdrawal."""
        transfer = await _read(http, Transfer)
        venue = self._exchange.venue(transfer.market)
        venue.transfer(transfer.asset, transfer.amount, self._exchange.clock.now_ms())
        self._exchange.flush()
        return _json({})


async def _read(http: web.Request, kind: Any) -> Any:
    try:
        return msgspec.json.decode(await http.read(), type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError) as fault:
        raise web.HTTPBadRequest(text=f"{fault}; see docs/sandbox.md") from fault


def _json(body: Any) -> web.Response:
    return web.Response(body=encode(body), content_type="application/json")
