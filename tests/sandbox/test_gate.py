"""Who may call what, and how often: keys, signatures, time, weights, order counts, bans."""

import base64
import hashlib
import hmac
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from klined.errors import ConfigError
from klined.sandbox.answers import ApiError
from klined.sandbox.server import running
from klined.sandbox.settings import DEMO_KEY, DEMO_SECRET, Key, Limits, SandboxSettings, read_settings
from klined.sandbox.signing import socket_payload, verify
from sandbox.wire import Wire

WIDE = "\uff11\uff12"  # letters that need encoding
WIDE_SENT = quote(WIDE)
DOCUMENTED = {
    "symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01000000",
    "price": "52000.00", "newOrderRespType": "ACK", "recvWindow": "100", "timestamp": "1645423376532",
    "apiKey": "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A",
}  # fmt: skip


@pytest.fixture
def settings() -> SandboxSettings:
    private = Ed25519PrivateKey.from_private_bytes(bytes(32))
    pem = private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    keys = (
        Key(key=DEMO_KEY, secret=DEMO_SECRET),
        Key(key="reader", secret=DEMO_SECRET, trade=False),
        Key(key="mover", secret=DEMO_SECRET, withdraw=True, transfer=True),
        Key(key="ed", ed25519=pem.decode()),
    )
    limits = Limits(weight=200, orders_10s=3, ban_after=2)
    return SandboxSettings(port=0, speed=0.0, history=50, keys=keys, spot_limits=limits)


async def test_a_right_signature_is_let_in(wire: Any) -> None:
    assert (await wire.signed("GET", "/api/v3/account"))["accountType"] == "SPOT"


@pytest.mark.parametrize(
    ("change", "code", "status"),
    [
        ({"signature": "0" * 64}, -1022, 400),
        ({"recvWindow": 70_000}, -1131, 400),
        ({"timestamp": 1}, -1021, 400),
        ({"timestamp": 1 << 42}, -1021, 400),
    ],
)
async def test_a_wrong_one_is_refused(wire: Any, change: dict[str, Any], code: int, status: int) -> None:
    signature = change.pop("signature", None)
    params = wire.sign(**change)
    answer = await wire.call("GET", "/api/v3/account", **{**params, **({"signature": signature} if signature else {})})
    assert (answer["code"], wire.status) == (code, status)


async def test_a_tampered_parameter_breaks_the_signature(wire: Any) -> None:
    params = wire.sign(symbol="ETHUSDT", side="BUY", type="MARKET", quantity="0.1")
    answer = await wire.call("POST", "/api/v3/order", **{**params, "quantity": "9"})
    assert answer["code"] == -1022
    assert (await wire.truth())["spot"]["orders"] == []


async def test_what_is_signed_is_percent_encoded_text(wire: Any) -> None:
    """Signing the plain text of a name that needs encoding is refused; signing what is sent is not."""
    stamp = wire.server.exchange.clock.told_ms()
    for text, expected in (
        (f"symbol={WIDE_SENT}&timestamp={stamp}", -1121),
        (f"symbol={WIDE}&timestamp={stamp}", -1022),
    ):
        signature = hmac.new(DEMO_SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
        url = f"{wire.base}/api/v3/openOrders?symbol={WIDE_SENT}&timestamp={stamp}&signature={signature}"
        async with wire.http.get(url, headers={"X-MBX-APIKEY": DEMO_KEY}) as answer:
            assert (await answer.json())["code"] == expected


async def test_parameters_come_from_query_and_body(wire: Any) -> None:
    stamp = wire.server.exchange.clock.told_ms()
    query, body = "symbol=ETHUSDT&side=BUY", f"type=MARKET&quantity=0.1&timestamp={stamp}"
    signature = hmac.new(DEMO_SECRET.encode(), (query + body).encode(), hashlib.sha256).hexdigest()
    async with wire.http.post(
        f"{wire.base}/api/v3/order?{query}",
        data=f"{body}&signature={signature}",
        headers={"X-MBX-APIKEY": DEMO_KEY, "Content-Type": "application/x-www-form-urlencoded"},
    ) as answer:
        assert (await answer.json())["status"] == "FILLED"


async def test_an_ed25519_key_signs_as_well(wire: Any) -> None:
    private = Ed25519PrivateKey.from_private_bytes(bytes(32))
    text = f"timestamp={wire.server.exchange.clock.told_ms()}"
    good = base64.b64encode(private.sign(text.encode())).decode()
    for signature, status in ((good, 200), (good.lower(), 400), ("!", 400)):
        url = f"{wire.base}/api/v3/account?{text}&signature={quote(signature, safe='')}"
        async with wire.http.get(url, headers={"X-MBX-APIKEY": "ed"}) as answer:
            assert answer.status == status


def test_the_documented_websocket_signature_is_ours() -> None:
    """Binance's own example: key, parameters and signature as its documentation prints them."""
    key = Key(key="k", secret="NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j")  # noqa: S106 - public example
    without = {name: value for name, value in DOCUMENTED.items() if name != "newOrderRespType"}
    signature = "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24"
    verify(key, socket_payload(without), signature)
    with pytest.raises(ApiError, match="-1022"):
        verify(key, socket_payload({**without, "price": "52000.01"}), signature)


async def test_keys_may_only_do_what_they_may(wire: Any) -> None:
    assert (await wire.call("GET", "/api/v3/account", key=""))["code"] == -2014
    assert (await wire.call("GET", "/api/v3/account", key="stranger"))["code"] == -2015
    params = wire.sign(symbol="ETHUSDT", side="BUY", type="MARKET", quantity="0.1")
    assert (await wire.call("POST", "/api/v3/order", key="reader", **params))["code"] == -2015
    told = await wire.call("GET", "/sapi/v1/account/apiRestrictions", key="mover", **wire.sign())
    assert told["enableWithdrawals"] is told["permitsUniversalTransfer"] is True


async def test_weight_is_counted_limited_and_then_banned(wire: Any) -> None:
    await wire.call("GET", "/api/v3/exchangeInfo")
    assert wire.headers["X-MBX-USED-WEIGHT-1M"] == "20"
    answers = [await wire.call("GET", "/api/v3/exchangeInfo") for _ in range(14)]
    codes = [answer.get("code") for answer in answers]
    assert codes[8:9] == [None]
    assert codes[9:] == [-1003] * 5
    assert wire.status == 418
    assert int(wire.headers["Retry-After"]) > 60
    assert "IP banned until" in answers[-1]["msg"]
    await wire.step(121_000)
    assert await wire.call("GET", "/api/v3/ping") == {}


async def test_too_many_orders_are_refused_for_sure(wire: Any) -> None:
    for _ in range(3):
        await wire.limit("BUY", "0.01", "2000")
    assert wire.headers["X-MBX-ORDER-COUNT-10S"] == "3"
    answer = await wire.limit("BUY", "0.01", "2000")
    assert (answer["code"], wire.status) == (-1015, 429)
    assert len((await wire.truth())["spot"]["orders"]) == 3
    await wire.step(10_000)
    assert (await wire.limit("BUY", "0.01", "2000"))["status"] == "NEW"


async def test_filled_orders_do_not_count(wire: Any) -> None:
    for _ in range(5):
        assert (await wire.market("BUY", "0.01"))["status"] == "FILLED"


async def test_an_unknown_path_says_so(wire: Any) -> None:
    assert (await wire.call("GET", "/api/v3/nothing"))["code"] == -1000
    assert wire.status == 404


def test_a_key_does_not_show_its_secret() -> None:
    assert "canary" not in repr(Key(key="k", secret="canary"))  # noqa: S106 - a canary
    assert "canary" not in repr(SandboxSettings(keys=(Key(key="k", secret="canary"),)))  # noqa: S106


@pytest.mark.parametrize("given", [{"port": "x"}, {"nonsense": 1}, {"host": "0.0.0.0"}])  # noqa: S104 - refused
def test_wrong_settings_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        read_settings(None, **given)


async def test_connections_and_raw_requests_are_limited() -> None:
    limits = Limits(connections_5m=3, raw_5m=10)
    settings = SandboxSettings(port=0, speed=0.0, history=20, spot_limits=limits)
    async with running(settings) as server, aiohttp.ClientSession() as http:
        wire = Wire(http, server)
        for _ in range(3):
            await (await http.ws_connect(f"{wire.ws}/ws")).close()
        for path in ("/ws", "/stream", "/ws-api/v3"):
            async with http.get(f"{wire.base}{path}") as answer:
                assert (answer.status, (await answer.json())["code"]) == (429, -1003)
                assert int(answer.headers["Retry-After"]) > 0
        await (await http.ws_connect(f"{wire.ws}/market/ws")).close()  # of futures: no such limit is known
        rules = (await wire.call("GET", "/api/v3/exchangeInfo"))["rateLimits"]
        raw = next(rule for rule in rules if rule["rateLimitType"] == "RAW_REQUESTS")
        assert raw == {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 10}
        answers = [await wire.call("GET", "/api/v3/ping") for _ in range(10)]
        assert [answer.get("code") for answer in answers] == [None] * 9 + [-1003]
        await wire.step(300_000)
        assert await wire.call("GET", "/api/v3/ping") == {}
        await (await http.ws_connect(f"{wire.ws}/ws")).close()


async def test_a_websocket_signature_covers_every_parameter(wire: Wire) -> None:
    async with wire.http.ws_connect(f"{wire.ws}/ws-api/v3") as socket:
        signed = {**wire.sign_socket(returnRateLimits="false"), "returnRateLimits": False}
        await socket.send_json({"id": 1, "method": "account.status", "params": signed})
        answer = await socket.receive_json()
        assert (answer["status"], "rateLimits" in answer) == (200, False)
        forged = {**wire.sign_socket(), "omitZeroBalances": True}
        await socket.send_json({"id": 2, "method": "account.status", "params": forged})
        assert (await socket.receive_json())["error"]["code"] == -1022
