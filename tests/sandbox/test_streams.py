"""What the streams say, what they say it about, and everything that can go wrong on them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from klined.sandbox.server import running
from klined.sandbox.settings import SandboxSettings
from sandbox.wire import Wire

MINUTE_MS = 60_000


class Ear:
    """A websocket that remembers."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def next(self) -> Any:
        async with asyncio.timeout(5):
            message = await self.socket.receive()
        return message.json() if message.type is aiohttp.WSMsgType.TEXT else message.type

    async def until(self, wanted: Callable[[Any], bool]) -> Any:
        while not wanted(heard := await self.next()):
            assert heard is not aiohttp.WSMsgType.CLOSED, "closed before it came"
        return heard

    async def ask(self, method: str, params: Any = None, number: Any = 1) -> Any:
        await self.socket.send_json({"method": method, "params": params or [], "id": number})
        return await self.until(lambda heard: "id" in heard)

    async def silence(self, pause_s: float = 0.05) -> bool:
        try:
            async with asyncio.timeout(pause_s):
                await self.socket.receive()
        except TimeoutError:
            return True
        return False


@asynccontextmanager
async def listening(wire: Any, path: str) -> AsyncIterator[Ear]:
    async with wire.http.ws_connect(wire.ws + path, autoping=False) as socket:
        yield Ear(socket)


def closed(heard: Any) -> bool:
    return bool(heard.get("k", {}).get("x"))


async def test_a_bar_forms_and_closes_to_the_byte_as_rest_tells_it(wire: Any) -> None:
    async with listening(wire, "/ws/ethusdt@kline_1m") as ear:
        await wire.step(2_000)
        assert not (await ear.next())["k"]["x"]
        await wire.step(MINUTE_MS)
        bar = (await ear.until(closed))["k"]
        rows = await wire.call("GET", "/api/v3/klines", symbol="ETHUSDT", interval="1m", startTime=bar["t"], limit=1)
        told = [bar[name] for name in ("t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q")]
        assert rows[0][:11] == told
        assert float(bar["l"]) <= float(bar["o"]) <= float(bar["h"])


async def test_longer_bars_close_when_their_last_minute_does(wire: Any) -> None:
    async with listening(wire, "/ws/ethusdt@kline_5m") as ear:
        for _ in range(6):
            await wire.step(MINUTE_MS)
        bar = (await ear.until(closed))["k"]
        assert bar["t"] % 300_000 == 0
        assert bar["T"] == bar["t"] + 299_999
        minutes = await wire.call("GET", "/api/v3/klines", symbol="ETHUSDT", interval="1m", startTime=bar["t"], limit=5)
        assert max(float(row[2]) for row in minutes) == float(bar["h"])
        assert sum(float(row[5]) for row in minutes) == pytest.approx(float(bar["v"]))


async def test_combined_streams_are_wrapped(wire: Any) -> None:
    async with listening(wire, "/stream?streams=ethusdt@bookTicker/btcusdt@aggTrade") as ear:
        await wire.step(1_000)
        awaited = {"ethusdt@bookTicker", "btcusdt@aggTrade"}
        while awaited:
            heard = await ear.next()
            assert set(heard) == {"stream", "data"}
            awaited.discard(heard["stream"])


async def test_commands_are_answered_as_documented(wire: Any) -> None:
    async with listening(wire, "/ws") as ear:
        assert await ear.ask("SUBSCRIBE", ["ethusdt@bookTicker"]) == {"result": None, "id": 1}
        assert await ear.ask("LIST_SUBSCRIPTIONS", number="a") == {"result": ["ethusdt@bookTicker"], "id": "a"}
        assert await ear.ask("GET_PROPERTY", ["combined"], 2) == {"result": False, "id": 2}
        assert await ear.ask("UNSUBSCRIBE", ["ethusdt@bookTicker"], 3) == {"result": None, "id": 3}
        assert (await ear.ask("DANCE", [], 4))["error"]["code"] == 2
        await wire.step(1_000)
        assert await ear.silence()


async def test_a_broken_command_is_answered_not_fatal(wire: Any) -> None:
    async with listening(wire, "/ws/ethusdt@bookTicker") as ear:
        await ear.socket.send_str("{")
        assert (await ear.next())["error"]["code"] == 3
        await wire.step(1_000)
        assert (await ear.next())["s"] == "ETHUSDT"


async def test_too_many_messages_end_the_connection(wire: Any) -> None:
    async with listening(wire, "/ws") as ear:
        for number in range(8):
            await ear.socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": number})
        while (heard := await ear.next()) != aiohttp.WSMsgType.CLOSE:
            assert heard is not aiohttp.WSMsgType.CLOSED
        assert ear.socket.close_code == 1008


@pytest.mark.parametrize(
    ("path", "speaks"),
    [
        ("/market/ws/ethusdt@kline_1m", True),
        ("/public/ws/ethusdt@kline_1m", False),
        ("/public/ws/ethusdt@bookTicker", True),
        ("/market/ws/ethusdt@bookTicker", False),
        ("/fstream/ws/ethusdt@kline_1m", False),
        ("/fstream/market/stream?streams=ethusdt@markPrice@1s", True),
    ],
)
async def test_futures_streams_speak_on_their_own_path_only(wire: Any, path: str, *, speaks: bool) -> None:
    async with listening(wire, path) as ear:
        await wire.step(5_000)
        assert await ear.silence() is not speaks


@pytest.mark.parametrize(
    "stream",
    ["@depth5", "@depth20@100ms", "@depth@100ms", "@ticker", "@miniTicker", "@trade", "@avgPrice", "@kline_1h"],
)
async def test_spot_streams_of_a_symbol_speak(wire: Any, stream: str) -> None:
    async with listening(wire, f"/ws/ethusdt{stream}") as ear:
        await wire.step(5_000)
        assert await ear.next()


async def test_depth_updates_follow_each_other(wire: Any) -> None:
    async with listening(wire, "/public/ws/ethusdt@depth@100ms") as ear:
        last = None
        for _ in range(4):
            await wire.step(1_000)
            heard = await ear.next()
            assert last is None or heard["pu"] == last
            last = heard["u"]


async def test_pings_come_and_the_unresponsive_are_dropped() -> None:
    settings = SandboxSettings(port=0, speed=0.0, history=50, ping_spot_s=0.3, pong_spot_s=0.6, lifetime_s=1.8)
    async with running(settings) as server, aiohttp.ClientSession() as http:
        wire = Wire(http, server)
        async with listening(wire, "/ws") as deaf:
            assert await deaf.next() is aiohttp.WSMsgType.PING
            while (heard := await deaf.next()) is aiohttp.WSMsgType.PING:
                pass
            assert (heard, deaf.socket.close_code) == (aiohttp.WSMsgType.CLOSE, 1008)
        async with http.ws_connect(f"{wire.ws}/ws") as polite:  # answers pings, and lives as long as it may
            async with asyncio.timeout(5):
                message = await polite.receive()
            assert (message.type, polite.close_code) == (aiohttp.WSMsgType.CLOSE, 1001)


# --- faults ----------------------------------------------------------------------------------------------------------


async def test_a_stream_may_be_silent_but_connected(wire: Any) -> None:
    async with listening(wire, "/ws/ethusdt@bookTicker") as ear:
        await wire.arm("silent", duration_ms=10_000)
        await wire.step(1_000)
        await wire.step(8_000)
        assert await ear.silence()
        assert (await ear.ask("LIST_SUBSCRIPTIONS"))["result"] == ["ethusdt@bookTicker"]
        await wire.step(3_000)
        assert (await ear.next())["s"] == "ETHUSDT"


async def test_a_close_may_be_missing_or_come_twice(wire: Any) -> None:
    async with listening(wire, "/ws/ethusdt@kline_1m") as ear:
        await wire.arm("missing_close")
        await wire.step(MINUTE_MS)
        first = (await wire.call("GET", "/api/v3/klines", symbol="ETHUSDT", interval="1m", limit=2))[0][0]
        await wire.step(MINUTE_MS)
        assert (await ear.until(closed))["k"]["t"] == first + MINUTE_MS
        await wire.arm("duplicate_close")
        await wire.step(MINUTE_MS)
        assert await ear.until(closed) == await ear.until(closed)


async def test_a_bar_may_be_revised_later(wire: Any) -> None:
    async with listening(wire, "/ws/ethusdt@kline_1m") as ear:
        await wire.arm("revised_bar")
        await wire.step(MINUTE_MS)
        bar = (await ear.until(closed))["k"]
        (row,) = await wire.call("GET", "/api/v3/klines", symbol="ETHUSDT", interval="1m", startTime=bar["t"], limit=1)
        assert row[4] != bar["c"]


async def test_a_frame_may_be_nonsense(wire: Any) -> None:
    async with listening(wire, "/ws/ethusdt@bookTicker") as ear:
        await wire.arm("bad_frame", text='{"e":"kline",')
        await wire.step(1_000)
        async with asyncio.timeout(5):
            assert (await ear.socket.receive()).data == '{"e":"kline",'


async def test_a_shutdown_is_announced_then_done(wire: Any) -> None:
    async with listening(wire, "/stream?streams=ethusdt@kline_1m") as ear:
        await wire.arm("shutdown", delay_ms=1_000)
        heard = await ear.until(lambda each: each.get("stream") == "!serverShutdown")
        assert heard["data"]["e"] == "serverShutdown"
        await wire.step(1_000)
        while (heard := await ear.next()) is not aiohttp.WSMsgType.CLOSE:
            assert isinstance(heard, dict)


async def test_a_disconnection_may_come_unannounced(wire: Any) -> None:
    async with listening(wire, "/market/ws/ethusdt@kline_1m") as ear:
        await wire.arm("disconnect", market="perp")
        assert await ear.next() is aiohttp.WSMsgType.CLOSE


async def test_a_halted_market_says_nothing(wire: Any) -> None:
    async with listening(wire, "/stream?streams=ethusdt@kline_1m/ethusdt@trade") as ear:
        await wire.arm("halt", symbol="ETHUSDT", duration_ms=3 * MINUTE_MS)
        await wire.step(2 * MINUTE_MS)
        assert await ear.silence()
        await wire.step(2 * MINUTE_MS)
        assert (await ear.next())["data"]["s"] == "ETHUSDT"


async def test_trading_resumes_when_told(wire: Any) -> None:
    await wire.arm("halt", symbol="ETHUSDT", text="CANCEL_ONLY", duration_ms=1 << 40)
    assert (await wire.market("BUY", "0.1"))["code"] == -1013
    await wire.arm("resume", symbol="ETHUSDT")
    assert (await wire.market("BUY", "0.1"))["status"] == "FILLED"


# --- user streams ----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def user_stream(wire: Any) -> AsyncIterator[Ear]:
    """The futures one."""
    key = (await wire.call("POST", "/fapi/v1/listenKey"))["listenKey"]
    async with listening(wire, f"/private/ws?listenKey={key}") as ear:
        yield ear


async def names(ear: Ear, count: int) -> list[str]:
    return [(await ear.next())["e"] for _ in range(count)]


USUAL = ["ORDER_TRADE_UPDATE", "ORDER_TRADE_UPDATE", "TRADE_LITE", "ACCOUNT_UPDATE"]


async def test_fills_are_told_in_order(wire: Any) -> None:
    async with user_stream(wire) as ear:
        await wire.market("BUY", "0.1", perp=True)
        assert await names(ear, 4) == USUAL
        assert await ear.silence()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("duplicate_event", [USUAL[0], *USUAL]),
        ("missing_event", USUAL[1:]),
        ("reorder_events", ["ORDER_TRADE_UPDATE", "ORDER_TRADE_UPDATE", "TRADE_LITE", "ACCOUNT_UPDATE"]),
    ],
)
async def test_user_events_may_be_repeated_lost_or_reordered(wire: Any, kind: str, expected: list[str]) -> None:
    async with user_stream(wire) as ear:
        await wire.arm(kind, where="ORDER_TRADE_UPDATE")
        await wire.market("BUY", "0.1", perp=True)
        heard = [await ear.next() for _ in expected]
        assert [each["e"] for each in heard] == expected
        if kind == "reorder_events":
            assert [each["o"]["x"] for each in heard[:2]] == ["TRADE", "NEW"]
        assert await ear.silence()


async def test_a_listen_key_lives_an_hour_unless_kept_alive(wire: Any) -> None:
    key = (await wire.call("POST", "/fapi/v1/listenKey"))["listenKey"]
    await wire.step(50 * MINUTE_MS)
    assert (await wire.call("PUT", "/fapi/v1/listenKey"))["listenKey"] == key
    assert (await wire.call("POST", "/fapi/v1/listenKey"))["listenKey"] == key
    async with listening(wire, f"/private/stream?listenKey={key}") as ear:
        await wire.step(61 * MINUTE_MS)
        heard = await ear.next()
        assert (heard["stream"], heard["data"]["e"]) == (key, "listenKeyExpired")
    assert (await wire.call("PUT", "/fapi/v1/listenKey"))["code"] == -1125


async def test_a_listen_key_may_expire_early(wire: Any) -> None:
    async with user_stream(wire) as ear:
        await wire.arm("listen_key_expired")
        assert await names(ear, 1) == ["listenKeyExpired"]
        await wire.market("BUY", "0.1", perp=True)
        assert await ear.silence()


async def test_only_wanted_events_come(wire: Any) -> None:
    key = (await wire.call("POST", "/fapi/v1/listenKey"))["listenKey"]
    async with listening(wire, f"/private/ws?listenKey={key}&events=ACCOUNT_UPDATE") as ear:
        await wire.market("BUY", "0.1", perp=True)
        assert await names(ear, 1) == ["ACCOUNT_UPDATE"]
        assert await ear.silence()


async def test_a_deposit_is_told_as_one(wire: Any) -> None:
    async with listening(wire, "/ws-api/v3") as ear:
        method = "userDataStream.subscribe.signature"
        await ear.socket.send_json({"id": "s", "method": method, "params": wire.sign_socket()})
        assert (await ear.next())["result"] == {"subscriptionId": 0}
        await wire.transfer("spot", "USDT", "100")
        heard = await ear.next()
        assert heard["event"]["e"] == "balanceUpdate"
        assert heard["event"]["d"] == "100.00000000"
        assert (await ear.next())["event"]["e"] == "outboundAccountPosition"
