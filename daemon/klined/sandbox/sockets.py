"""Market and user streams over websockets: paths, SUBSCRIBE and the like.

spot      /ws  /ws/<a>/<b>  /stream?streams=a/b
futures   /market|public|private/(ws|stream)  private: ?listenKey=<key>[&events=A/B]
          /fstream/(ws|stream): the former paths: they connect and say nothing
"""

from typing import Any

import msgspec
from aiohttp import web

from klined.sandbox.answers import ApiError, encode, refusal
from klined.sandbox.channels import Channel
from klined.sandbox.exchange import SandboxExchange

STREAMS_MAX = 1024
MESSAGES_PER_S = {"spot": 5, "perp": 10}
PUBLIC = ("@depth", "@bookTicker", "@rpiDepth", "@trade")


def on_route(name: str, route: str) -> bool:
    """Whether a futures stream is served on /public or on /market."""
    public = any(part in name for part in PUBLIC) or name == "!bookTicker"
    return {"public": public, "market": not public}.get(route, False)


class Sockets:
    """Handlers of the stream paths."""

    def __init__(self, exchange: SandboxExchange) -> None:
        self._exchange = exchange

    async def spot(self, http: web.Request) -> web.StreamResponse:
        return await self._serve(http, "spot", "")

    async def futures(self, http: web.Request) -> web.StreamResponse:
        return await self._serve(http, "perp", http.match_info["route"])

    async def former(self, http: web.Request) -> web.StreamResponse:
        """The former futures paths: connected, but silent, unless settings keep them alive."""
        return await self._serve(http, "perp", "any" if self._exchange.settings.legacy_futures_paths else "none")

    async def _serve(self, http: web.Request, kind: str, route: str) -> web.StreamResponse:
        try:
            self._exchange.rates[kind].connect(http.remote or "", self._exchange.clock.now_ms())
        except ApiError as no:
            return refusal(no)
        socket = web.WebSocketResponse(autoping=False, max_msg_size=1 << 16, compress=False)
        await socket.prepare(http)
        combined = http.match_info.get("form", "ws") == "stream"
        channel = Channel(
            socket, http.remote or "", combined=combined, route=route, messages_per_s=MESSAGES_PER_S[kind]
        )
        streams = self._exchange.streams[kind]
        streams.open(channel, ())
        names = http.query.get("streams", "") if combined else http.match_info.get("names", "")
        for name in list(dict.fromkeys(filter(None, names.split("/"))))[:STREAMS_MAX]:
            self._subscribe(channel, kind, name)
        self._private(channel, http, kind)
        settings = self._exchange.settings
        ping_s, pong_s = (
            (settings.ping_spot_s, settings.pong_spot_s)
            if kind == "spot"
            else (settings.ping_perp_s, settings.pong_perp_s)
        )

        async def hear(text: str) -> None:
            channel.send(encode(self._command(channel, kind, text)))

        try:
            await channel.run(ping_s, pong_s, settings.lifetime_s, hear)
        finally:
            streams.close(channel)
            self._exchange.users[kind].leave(channel)
        return socket

    def _private(self, channel: Channel, http: web.Request, kind: str) -> None:
        """Listen keys named by the query."""
        users = self._exchange.users[kind]
        wanted = frozenset(filter(None, http.query.get("events", "").split("/")))
        for key in http.query.getall("listenKey", []):
            if (
                kind == "perp"
                and channel.route in {"private", "any"}
                and users.valid(key, self._exchange.clock.told_ms())
            ):
                users.listen(channel, key, wanted)

    def _subscribe(self, channel: Channel, kind: str, name: str) -> None:
        users = self._exchange.users[kind]
        if kind == "perp" and users.valid(name, self._exchange.clock.told_ms()):
            if channel.route in {"private", "any"}:
                users.listen(channel, name)
            channel.streams[name] = None
        elif kind == "spot" or channel.route == "any" or on_route(name, channel.route):
            self._exchange.streams[kind].subscribe(channel, name)
        else:
            channel.streams[name] = None  # accepted, and silent: this path does not serve it

    def _command(self, channel: Channel, kind: str, text: str) -> Any:
        """The answer to one message."""
        try:
            command = msgspec.json.decode(text)
        except msgspec.DecodeError as fault:
            return {"error": {"code": 3, "msg": f"Invalid JSON: {fault}"}, "id": None}
        if not isinstance(command, dict):
            return {"error": {"code": 2, "msg": "Invalid request: request must be an object"}, "id": None}
        number, names = command.get("id"), command.get("params", [])
        refused = _refusal(command, channel)
        if refused:
            return {"error": {"code": 2, "msg": f"Invalid request: {refused}"}, "id": number}
        return {"result": self._obey(channel, kind, command["method"], names), "id": number}

    def _obey(self, channel: Channel, kind: str, method: str, names: list[Any]) -> Any:
        match method:
            case "SUBSCRIBE":
                for name in names:
                    self._subscribe(channel, kind, name)
            case "UNSUBSCRIBE":
                for name in names:
                    self._exchange.streams[kind].unsubscribe(channel, name)
            case "LIST_SUBSCRIPTIONS":
                return list(channel.streams)
            case "SET_PROPERTY":
                channel.combined = bool(names[1])
            case "GET_PROPERTY":
                return channel.combined
        return None


METHODS = {"SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY"}


def _refusal(command: dict[str, Any], channel: Channel) -> str:
    """Why a command is refused; empty when it is not."""
    method, names = command.get("method"), command.get("params", [])
    if method not in METHODS:
        return f"unknown variant {method}, expected one of {', '.join(sorted(METHODS))}"
    if not isinstance(command.get("id"), int | str | None):
        return "request ID must be an integer or a string"
    if not isinstance(names, list):
        return "params must be a list"
    return _misnamed(str(method), names, channel)


def _misnamed(method: str, names: list[Any], channel: Channel) -> str:
    if method in {"SUBSCRIBE", "UNSUBSCRIBE"} and not (names and all(isinstance(name, str) for name in names)):
        return "params must be a list of stream names"
    if method == "SET_PROPERTY" and (len(names) != 2 or names[0] != "combined"):
        return "the property must be combined"
    if method == "SUBSCRIBE" and len(channel.streams) + len(names) > STREAMS_MAX:
        return f"at most {STREAMS_MAX} streams"
    return ""
