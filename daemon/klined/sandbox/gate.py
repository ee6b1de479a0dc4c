"""The way of every call, REST or websocket: ban and weight, key, signature, time, order limits, handler, commit."""

from typing import Any

from msgspec import Struct

from klined.sandbox import (
    market_calls,
    perp_account,
    perp_calls,
    perp_changes,
    perp_settings,
    spot_calls,
    spot_changes,
    spot_lists,
    spot_reports,
    unmodelled,
    windows,
)
from klined.sandbox.answers import BAD_KEY, BAD_KEY_FORMAT, ApiError, declined
from klined.sandbox.calls import Call, Endpoint, Security
from klined.sandbox.exchange import SandboxExchange
from klined.sandbox.lag import Shadow
from klined.sandbox.params import Params, missing
from klined.sandbox.settings import Key
from klined.sandbox.signing import WINDOW_MS, check_time, verify
from klined.world.tickets import Declined

ENDPOINTS = {
    **market_calls.TABLE, **spot_calls.TABLE, **spot_changes.TABLE, **spot_lists.TABLE, **perp_calls.TABLE,
    **perp_changes.TABLE, **perp_settings.TABLE,
    **windows.TABLE, **unmodelled.TABLE,
}  # fmt: skip
ACCOUNT_PATHS = {
    "/api/v3/account": "spot", "/fapi/v2/account": "v2", "/fapi/v3/account": "v3", "/fapi/v2/balance": "balance",
    "/fapi/v3/balance": "balance", "/fapi/v2/positionRisk": "risk2", "/fapi/v3/positionRisk": "risk3",
}  # fmt: skip


class Request(Struct, frozen=True, eq=False):
    """One call as it came in. `payloads` are the texts of which one has to be what was signed."""

    method: str
    path: str
    params: dict[str, str]
    ip: str
    api_key: str = ""
    payloads: tuple[str, ...] = ()
    key: Key | None = None  # of a session that has logged on: no signature needed

    @property
    def kind(self) -> str:
        return "perp" if self.path.startswith(("/fapi", "/dapi", "/futures")) else "spot"


class Gate:
    """Checks calls and makes them."""

    def __init__(self, exchange: SandboxExchange) -> None:
        self.exchange = exchange
        self._shadow = Shadow()

    def find(self, request: Request) -> Endpoint:
        """Raises ApiError when there is no such call."""
        found = ENDPOINTS.get((request.method, request.path))
        if found is None:
            raise ApiError(-1000, f"{request.method} {request.path} is not served by the sandbox.", 404)
        return found

    def admit(self, request: Request, endpoint: Endpoint) -> Call:
        """Everything that is checked before the handler.

        Raises:
            ApiError: over a limit, banned, unknown key, bad signature or time.
        """
        exchange = self.exchange
        rates, now_ms = exchange.rates[request.kind], exchange.clock.now_ms()
        rates.charge(request.ip, endpoint.weight, now_ms)
        key = self._key(request, endpoint.security)
        if endpoint.security in {Security.SIGNED, Security.TRADE}:
            self._signed(request, key)
        if key is not None and endpoint.security is Security.TRADE and not _may_trade(key, request.kind):
            raise ApiError(*BAD_KEY, 401)
        if endpoint.places:
            rates.check_orders(now_ms, endpoint.places)
        return Call(exchange, request.kind, Params(request.params), request.ip, key)

    def perform(self, request: Request, endpoint: Endpoint, call: Call) -> Any:
        """Call the handler and make durable what it did.

        Raises:
            ApiError: it was refused.
        """
        exchange = self.exchange
        if exchange.fate.read_lag_ms:
            if request.method != "GET":
                self._shadow.remember(call.now_ms, self._accounts)
            elif (name := ACCOUNT_PATHS.get(request.path)) is not None:
                old = self._shadow.answer(name, call.now_ms, exchange.fate.read_lag_ms)
                if old is not None:
                    return old
        try:
            answer = endpoint.handler(call)
        except Declined as no:
            raise declined(no) from no
        if request.method != "GET":
            exchange.flush()
        if endpoint.free:
            exchange.rates[request.kind].refund(request.ip, endpoint.weight)
        return answer

    def _key(self, request: Request, security: Security) -> Key | None:
        if security is Security.NONE:
            return None
        if request.key is not None:
            return request.key
        if not request.api_key:
            raise ApiError(*BAD_KEY_FORMAT, 401)
        key = self.exchange.keys.get(request.api_key)
        if key is None:
            raise ApiError(*BAD_KEY, 401)
        return key

    def _signed(self, request: Request, key: Key | None) -> None:
        params, exchange = request.params, self.exchange
        timestamp = params.get("timestamp", "")
        if not timestamp:
            raise missing("timestamp")
        parsed = Params(params)
        stamp_ms, window_ms = parsed.integer("timestamp"), _window(parsed)
        if request.key is None and key is not None:
            signature = params.get("signature")
            if not signature:
                raise missing("signature")
            self._verify(key, request.payloads, signature)
        check_time(exchange.clock, exchange.settings.timestamps, stamp_ms, window_ms)

    @staticmethod
    def _verify(key: Key, payloads: tuple[str, ...], signature: str) -> None:
        *others, last = payloads
        for payload in others:
            try:
                verify(key, payload, signature)
            except ApiError:
                continue
            return
        verify(key, last, signature)

    def _accounts(self) -> dict[str, Any]:
        exchange = self.exchange
        now_ms, perp, reports = exchange.clock.told_ms(), exchange.perp, exchange.reports
        held = [each for name in perp.listed for each in reports.shown(name)]
        shown = [each for each in held if each.amount or perp.memory.waiting(each.symbol)]
        return {
            "spot": spot_reports.account(exchange.spot, now_ms),
            "v2": perp_account.account(perp, reports, 2, now_ms),
            "v3": perp_account.account(perp, reports, 3, now_ms),
            "balance": perp_account.balances(perp, now_ms),
            "risk2": [perp_account.position_risk(perp, reports, each, 2) for each in held],
            "risk3": [perp_account.position_risk(perp, reports, each, 3) for each in shown],
        }


def _may_trade(key: Key, kind: str) -> bool:
    return key.trade and (kind == "spot" or key.futures)


def _window(params: Params) -> int:
    """recvWindow, which may have decimals."""
    text = params.text("recvWindow")
    return int(float(text)) if text.replace(".", "", 1).isdigit() and text else WINDOW_MS
