"""The websocket API: the calls of REST as messages, sessions, and the spot user stream.

{"id", "method", "params"} ─▶ the gate, as REST ─▶ {"id", "status", "result" or "error", "rateLimits"}
"""

import asyncio
from typing import Any

import msgspec
from aiohttp import web
from msgspec import Struct

from klined.sandbox.answers import BAD_KEY, ApiError, encode, refusal
from klined.sandbox.channels import Channel
from klined.sandbox.exchange import SandboxExchange
from klined.sandbox.faults import CALLS, Fault, FaultKind
from klined.sandbox.gate import Gate, Request
from klined.sandbox.params import Params, from_json
from klined.sandbox.rest import MESSAGES, UNKNOWN
from klined.sandbox.settings import Key
from klined.sandbox.signing import check_time, encoded_payload, socket_payload, verify
from klined.sandbox.socket_routes import PLACING, ROUTES

SUBSCRIBE_WEIGHT = 2


class Session(Struct):
    """One connection."""

    channel: Channel
    kind: str
    connected_ms: int
    key: Key | None = None
    since_ms: int = 0
    subscriptions: int = 0  # ever made
    rate_limits: bool = True


class SocketApi:
    """Handler of /ws-api/v3 and /ws-fapi/v1."""

    def __init__(self, exchange: SandboxExchange, gate: Gate) -> None:
        self._exchange, self._gate = exchange, gate
        self._late: set[asyncio.Task[None]] = set()

    async def spot(self, http: web.Request) -> web.StreamResponse:
        return await self._serve(http, "spot")

    async def futures(self, http: web.Request) -> web.StreamResponse:
        return await self._serve(http, "perp")

    async def _serve(self, http: web.Request, kind: str) -> web.StreamResponse:
        try:
            self._exchange.rates[kind].connect(http.remote or "", self._exchange.clock.now_ms())
        except ApiError as no:
            return refusal(no)
        socket = web.WebSocketResponse(autoping=False, max_msg_size=1 << 18, compress=False)
        await socket.prepare(http)
        channel = Channel(socket, http.remote or "")
        told_ms = self._exchange.clock.told_ms()
        session = Session(channel, kind, told_ms, rate_limits=http.query.get("returnRateLimits") != "false")
        settings, streams = self._exchange.settings, self._exchange.streams[kind]
        streams.channels[channel] = None

        async def hear(text: str) -> None:
            await self._hear(session, text)

        ping_s, pong_s = (
            (settings.ping_spot_s, settings.pong_spot_s)
            if kind == "spot"
            else (settings.ping_perp_s, settings.pong_perp_s)
        )
        try:
            await channel.run(ping_s, pong_s, settings.lifetime_s, hear)
        finally:
            streams.close(channel)
            self._exchange.users[kind].leave(channel)
        return socket

    async def _hear(self, session: Session, text: str) -> None:
        try:
            message = msgspec.json.decode(text, type=dict[str, Any])
        except msgspec.DecodeError:
            session.channel.send(encode(_refused(None, ApiError(-1135, "Invalid JSON Request"))))
            return
        number, method = message.get("id"), str(message.get("method", ""))
        params = message.get("params") or {}
        if not isinstance(params, dict):
            session.channel.send(
                encode(_refused(number, ApiError(-1135, "JSON sent for parameter 'params' is not valid")))
            )
            return
        exchange = self._exchange
        fault = exchange.faults.take(
            CALLS, method, exchange.clock.now_ms(), market=session.kind, symbol=str(params.get("symbol", ""))
        )
        if fault is None:
            session.channel.send(self._answer(session, number, method, params))
        else:
            await self._faulty(session, number, method, params, fault)

    def _answer(self, session: Session, number: Any, method: str, params: dict[str, Any]) -> bytes:
        """The honest answer."""
        kind, exchange = session.kind, self._exchange
        placed = method in PLACING
        try:
            result = self._call(session, method, from_json(params), params)
            answer: dict[str, Any] = {"id": number, "status": 200, "result": result}
        except ApiError as no:
            answer = _refused(number, no, exchange.clock.told_ms())
        if session.rate_limits and params.get("returnRateLimits") is not False:
            counts = exchange.rates[kind].counts(session.channel.ip, exchange.clock.now_ms(), orders=placed)
            answer["rateLimits"] = counts
        return encode(answer)

    def _call(self, session: Session, method: str, text: dict[str, str], raw: dict[str, Any]) -> Any:
        if method.startswith("session."):
            return self._session(session, method, text)
        if session.kind == "spot" and method.startswith("userDataStream."):
            return self._user_stream(session, method, text)
        route = ROUTES[session.kind].get(method)
        if route is None:
            raise ApiError(-1000, f"Unknown method {method}", 400)
        if isinstance(raw.get("symbols"), list):
            text["symbols"] = encode(raw["symbols"]).decode()
        signed = dict(text)
        text.pop("returnRateLimits", None)
        api_key = text.pop("apiKey", "")
        key = session.key if not api_key else None
        payloads = (socket_payload(signed), encoded_payload(signed))
        request = Request(route[0], route[1], text, session.channel.ip, api_key, payloads, key)
        endpoint = self._gate.find(request)
        return self._gate.perform(request, endpoint, self._gate.admit(request, endpoint))

    # --- faults -------------------------------------------------------------------------------------------------------

    async def _faulty(self, session: Session, number: Any, method: str, params: dict[str, Any], fault: Fault) -> None:
        channel = session.channel
        match fault.kind:
            case FaultKind.RESET:
                _abort(channel)
                return
            case FaultKind.LATE:
                self._later(session, method, params, fault)
                _abort(channel)
                return
            case FaultKind.UNAVAILABLE | FaultKind.UNKNOWN:
                channel.send(encode(_refused(number, ApiError(*UNKNOWN, 503))))
                return
            case FaultKind.CODE | FaultKind.HTML if not fault.executed:
                channel.send(encode(_refused(number, _error(fault))))
                return
            case _:
                answer = self._answer(session, number, method, params)
        match fault.kind:
            case FaultKind.LOST_ANSWER:
                _abort(channel)
            case FaultKind.UNKNOWN_EXECUTED:
                channel.send(encode(_refused(number, ApiError(*UNKNOWN, 503))))
            case FaultKind.EMPTY:
                pass  # no answer at all
            case FaultKind.TRUNCATED:
                channel.send(answer[: len(answer) // 2])
            case FaultKind.SLOW:
                await asyncio.sleep(self._gate.exchange.clock.delay_s(fault.delay_ms))
                channel.send(answer)
            case _:
                channel.send(encode(_refused(number, _error(fault))))

    def _later(self, session: Session, method: str, params: dict[str, Any], fault: Fault) -> None:
        async def execute() -> None:
            await asyncio.sleep(self._gate.exchange.clock.delay_s(fault.delay_ms))
            self._answer(session, None, method, params)

        task = asyncio.get_running_loop().create_task(execute())
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    # --- sessions -----------------------------------------------------------------------------------------------------

    def _signer(self, text: dict[str, str]) -> Key:
        """The key whose signature over these parameters is right."""
        key = self._exchange.keys.get(text.get("apiKey", ""))
        if key is None:
            raise ApiError(*BAD_KEY, 401)
        signature = text.get("signature", "")
        try:
            verify(key, socket_payload(text), signature)
        except ApiError:
            verify(key, encoded_payload(text), signature)
        params = Params(text)
        check_time(
            self._exchange.clock, self._exchange.settings.timestamps, params.integer("timestamp"),
            params.integer("recvWindow", 5000),
        )  # fmt: skip
        return key

    def _session(self, session: Session, method: str, text: dict[str, str]) -> Any:
        told_ms = self._exchange.clock.told_ms()
        match method:
            case "session.logon":
                key = self._signer(text)
                if not key.ed25519:
                    raise ApiError(-4056, "HMAC_SHA256 API key is not supported.")
                session.key, session.since_ms = key, told_ms
            case "session.logout":
                session.key, session.since_ms = None, 0
                self._exchange.users[session.kind].unsubscribe(session.channel, None)
            case "session.status":
                pass
            case "session.subscriptions":
                numbers = self._exchange.users[session.kind].subscriptions(session.channel)
                return [{"subscriptionId": number} for number in numbers]
            case _:
                raise ApiError(-1000, f"Unknown method {method}")
        return {
            "apiKey": session.key.key if session.key else None,
            "authorizedSince": session.since_ms or None,
            "connectedSince": session.connected_ms,
            "returnRateLimits": session.rate_limits,
            "serverTime": told_ms,
            "userDataStream": bool(self._exchange.users[session.kind].subscriptions(session.channel)),
        }

    def _user_stream(self, session: Session, method: str, text: dict[str, str]) -> Any:
        """The spot user stream; the calls with listen keys are gone since 2026-02-20."""
        users = self._exchange.users["spot"]
        self._exchange.rates["spot"].charge(session.channel.ip, SUBSCRIBE_WEIGHT, self._exchange.clock.now_ms())
        match method:
            case "userDataStream.subscribe":
                if session.key is None:
                    raise ApiError(*BAD_KEY, 401)
                if users.subscriptions(session.channel):
                    raise ApiError(-2035, "User Data Stream subscription already active.")
            case "userDataStream.subscribe.signature":
                if session.key is None or "apiKey" in text:
                    self._signer(text)
            case "userDataStream.unsubscribe":
                number = Params(text).integer("subscriptionId", -1)
                if not users.unsubscribe(session.channel, None if number < 0 else number):
                    raise ApiError(-2036, "User Data Stream subscription not active.")
                return {}
            case _:
                raise ApiError(-1000, f"Unknown method {method}")
        users.subscribe(session.channel, session.subscriptions)
        session.subscriptions += 1
        return {"subscriptionId": session.subscriptions - 1}


def _refused(number: Any, no: ApiError, told_ms: int = 0) -> dict[str, Any]:
    error = no.body()
    if no.status in {418, 429}:
        retry_ms = told_ms + 1000 * int(no.headers.get("Retry-After", "60"))
        error["data"] = {"serverTime": told_ms, "retryAfter": retry_ms}
    return {"id": number, "status": no.status, "error": error}


def _error(fault: Fault) -> ApiError:
    return ApiError(fault.code, fault.text or MESSAGES.get(fault.code, "Internal error"), fault.status)


def _abort(channel: Channel) -> None:
    transport = channel.socket.get_extra_info("transport")
    if transport is None:
        channel.close()
    else:
        transport.abort()
