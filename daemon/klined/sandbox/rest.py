"""HTTP: from a request to the gate and back, with the faults that can happen on this way."""

import asyncio
from typing import Any

from aiohttp import web

from klined.sandbox.answers import ApiError, encode
from klined.sandbox.calls import Endpoint
from klined.sandbox.faults import CALLS, Fault, FaultKind
from klined.sandbox.gate import Gate, Request
from klined.sandbox.params import from_wire
from klined.sandbox.signing import rest_payload

UNKNOWN = (-1000, "Unknown error, please check your request or try again later.")
UNAVAILABLE = (-1001, "Service Unavailable.")
PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>"
MESSAGES = {
    -1006: "An unexpected response was received from the message bus. Execution status unknown.",
    -1007: "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
    -1008: "Request throttled by system-level protection. Reduce-only/close-position orders are exempt. "
    "Please try again.",
    -1001: "Internal error; unable to process your request. Please try again.",
}
BODY_MAX = 1 << 20


class Rest:
    """The handler of every REST path."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._late: set[asyncio.Task[None]] = set()

    async def serve(self, http: web.Request) -> web.StreamResponse:
        """Answer one call; every refusal is an answer too."""
        try:
            request = await _request(http)
            endpoint = self._gate.find(request)
        except ApiError as no:
            return _answer(no.body(), no.status, no.headers)
        exchange = self._gate.exchange
        fault = exchange.faults.take(
            CALLS, f"{request.method} {request.path}", exchange.clock.now_ms(), market=request.kind,
            symbol=request.params.get("symbol", ""),
        )  # fmt: skip
        if fault is not None:
            return await self._faulty(http, request, endpoint, fault)
        body, status, headers = self._make(request, endpoint)
        return _answer(body, status, headers)

    def _make(self, request: Request, endpoint: Endpoint) -> tuple[Any, int, dict[str, str]]:
        """The honest answer: body, status, headers."""
        exchange = self._gate.exchange
        headers: dict[str, str] = {}
        status = 200
        body: Any
        try:
            call = self._gate.admit(request, endpoint)
            body = self._gate.perform(request, endpoint, call)
        except ApiError as no:
            body, status, headers = no.body(), no.status, no.headers
        rates = exchange.rates[request.kind]
        headers |= rates.headers(request.ip, exchange.clock.now_ms(), orders=bool(endpoint.places))
        return body, status, headers

    async def _faulty(
        self, http: web.Request, request: Request, endpoint: Endpoint, fault: Fault
    ) -> web.StreamResponse:
        match fault.kind:
            case FaultKind.RESET:
                return _reset(http)
            case FaultKind.LATE:
                self._later(request, endpoint, fault)
                return _reset(http)
            case FaultKind.UNAVAILABLE | FaultKind.UNKNOWN:
                return _unavailable(fault)
            case FaultKind.CODE | FaultKind.HTML if not fault.executed:
                return _told(fault)
            case _:
                pass
        body, status, headers = self._make(request, endpoint)
        executed = status == 200  # else it did not get that far
        return await self._after(http, fault, body, headers) if executed else _answer(body, status, headers)

    async def _after(self, http: web.Request, fault: Fault, body: Any, headers: dict[str, str]) -> web.StreamResponse:
        """It was executed: what the caller gets to see of that."""
        raw = encode(body)
        match fault.kind:
            case FaultKind.LOST_ANSWER:
                return _reset(http)
            case FaultKind.UNKNOWN_EXECUTED:
                return _unavailable(fault)
            case FaultKind.EMPTY:
                return web.Response(body=b"", content_type="application/json", headers=headers)
            case FaultKind.TRUNCATED:
                return await _truncated(http, raw)
            case FaultKind.SLOW:
                await asyncio.sleep(self._gate.exchange.clock.delay_s(fault.delay_ms))
                return _answer(body, 200, headers)
            case _:
                return _told(fault)

    def _later(self, request: Request, endpoint: Endpoint, fault: Fault) -> None:
        """Execute when the delay is over; the checks are made then, as before the matching engine."""

        async def execute() -> None:
            await asyncio.sleep(self._gate.exchange.clock.delay_s(fault.delay_ms))
            self._make(request, endpoint)

        task = asyncio.get_running_loop().create_task(execute())
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def close(self) -> None:
        for task in list(self._late):
            task.cancel()


def _unavailable(fault: Fault) -> web.StreamResponse:
    code, message = UNAVAILABLE if fault.kind is FaultKind.UNAVAILABLE else UNKNOWN
    return _answer({"code": code, "msg": message}, 503, {})


def _told(fault: Fault) -> web.StreamResponse:
    if fault.kind is FaultKind.HTML:
        return web.Response(body=fault.text.encode() or PAGE, status=fault.status, content_type="text/html")
    message = fault.text or MESSAGES.get(fault.code, "An unknown error occurred while processing the request.")
    return _answer({"code": fault.code, "msg": message}, fault.status, {})


def _reset(http: web.Request) -> web.StreamResponse:
    if http.transport is not None:
        http.transport.abort()
    return web.Response(status=500)


async def _truncated(http: web.Request, raw: bytes) -> web.StreamResponse:
    """A whole length is promised, half of it is sent."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(raw))})
    await response.prepare(http)
    await response.write(raw[: len(raw) // 2])
    if http.transport is not None:
        http.transport.close()
    return response


async def _request(http: web.Request) -> Request:
    """Raises ApiError when the parameters are not readable."""
    path, _, query = http.raw_path.partition("?")
    try:
        body = (await http.read()).decode() if http.can_read_body else ""
    except UnicodeDecodeError:
        raise ApiError(-1100, "Illegal characters found in a parameter.") from None
    if body[:1] in {"{", "["}:
        body = ""  # clients that send JSON bodies with a GET mean nothing by it
    return Request(
        http.method,
        path,
        from_wire(query, body),
        http.remote or "",
        http.headers.get("X-MBX-APIKEY", ""),
        (rest_payload(query, body),),
    )


def _answer(body: Any, status: int, headers: dict[str, str]) -> web.Response:
    return web.Response(body=encode(body), status=status, content_type="application/json", headers=headers)
