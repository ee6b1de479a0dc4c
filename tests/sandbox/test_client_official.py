"""The official SDKs, unmodified, with HMAC and Ed25519 keys; a field of another type than declared is a failure."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures import (
    DerivativesTradingUsdsFutures,
)
from binance_sdk_spot.spot import (
    ConfigurationRestAPI,
    ConfigurationWebSocketAPI,
    ConfigurationWebSocketStreams,
    Spot,
)
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from klined.sandbox.server import SandboxServer
from klined.sandbox.settings import DEMO_KEY, DEMO_SECRET, Key, SandboxSettings

pytestmark = pytest.mark.filterwarnings("ignore:parameter 'timeout' of type 'float':DeprecationWarning")

PRIVATE = Ed25519PrivateKey.generate()
PRIVATE_PEM = PRIVATE.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
PUBLIC_PEM = (
    PRIVATE.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
HMAC = {"api_key": DEMO_KEY, "api_secret": DEMO_SECRET}
ED25519 = {"api_key": "ed", "private_key": PRIVATE_PEM}


@pytest.fixture
def settings() -> SandboxSettings:
    keys = (Key(key=DEMO_KEY, secret=DEMO_SECRET), Key(key="ed", ed25519=PUBLIC_PEM))
    return SandboxSettings(port=0, history=200, step_ms=50, keys=keys)


@pytest.fixture(autouse=True)
def declared_types(caplog: pytest.LogCaptureFixture) -> Any:
    """The SDK warns when an answer does not fit its own schema."""
    with caplog.at_level(logging.WARNING):
        yield
    assert [r.getMessage() for r in caplog.records if "did not match the declared types" in r.getMessage()] == []


async def off_loop(work: Callable[[], None]) -> None:
    """The REST clients block, so they run beside the sandbox's loop."""
    async with asyncio.timeout(60):
        await asyncio.to_thread(work)


@pytest.mark.parametrize("key", [HMAC, ED25519])
async def test_the_official_client_trades_on_spot(server: SandboxServer, key: dict[str, str]) -> None:
    base = f"http://127.0.0.1:{server.port}"

    def work() -> None:
        api = Spot(config_rest_api=ConfigurationRestAPI(base_path=base, **key)).rest_api
        assert len(api.exchange_info().data().symbols) == 2
        assert len(api.klines("ETHUSDT", "1m", limit=2).data()) == 2
        bought = api.new_order(symbol="ETHUSDT", side="BUY", type="MARKET", quantity=0.1).data()
        assert bought.status == "FILLED"
        order = api.new_order(
            symbol="ETHUSDT", side="BUY", type="LIMIT", time_in_force="GTC", quantity=0.1, price=2000.0
        ).data()
        assert api.get_order(symbol="ETHUSDT", order_id=order.order_id).data().status == "NEW"
        assert len(api.get_open_orders().data()) == 1
        assert api.delete_order(symbol="ETHUSDT", order_id=order.order_id).data().status == "CANCELED"
        listed = api.order_list_oco(
            symbol="ETHUSDT", side="SELL", quantity=0.1, above_type="LIMIT_MAKER", above_price=3000.0,
            below_type="STOP_LOSS", below_stop_price=2000.0,
        ).data()  # fmt: skip
        assert listed.contingency_type == "OCO"
        assert len(api.delete_open_orders(symbol="ETHUSDT").data()) == 1
        assert len(api.my_trades(symbol="ETHUSDT").data()) == 1
        for read in (api.time, api.get_account, api.rate_limit_order):
            read().data()
        for read in (api.depth, api.agg_trades, api.account_commission, api.avg_price):
            read("ETHUSDT").data()
        api.ticker24hr(symbol="ETHUSDT").data()
        with pytest.raises(Exception, match="insufficient balance"):
            api.new_order(symbol="ETHUSDT", side="BUY", type="MARKET", quantity=100)

    await off_loop(work)


@pytest.mark.parametrize("key", [HMAC, ED25519])
async def test_the_official_client_trades_on_futures(server: SandboxServer, key: dict[str, str]) -> None:
    base = f"http://127.0.0.1:{server.port}"

    def work() -> None:
        api = DerivativesTradingUsdsFutures(config_rest_api=ConfigurationRestAPI(base_path=base, **key)).rest_api
        assert len(api.exchange_information().data().symbols) == 2
        assert len(api.kline_candlestick_data("ETHUSDT", "1m", limit=2).data()) == 2
        api.change_initial_leverage("ETHUSDT", 5)
        api.change_margin_type("ETHUSDT", "ISOLATED")
        order = api.new_order(
            symbol="ETHUSDT", side="BUY", type="MARKET", quantity=0.5, new_order_resp_type="RESULT"
        ).data()
        assert order.status == "FILLED"
        assert float(api.query_order(symbol="ETHUSDT", order_id=order.order_id).data().avg_price) > 0
        assert api.position_information_v3(symbol="ETHUSDT").data()[0].position_amt == "0.500"
        assert api.position_information_v2(symbol="ETHUSDT").data()[0].margin_type == "isolated"
        algo = api.new_algo_order(
            algo_type="CONDITIONAL", symbol="ETHUSDT", side="SELL", type="STOP_MARKET", trigger_price=2000.0,
            close_position="true",
        ).data()  # fmt: skip
        assert api.query_algo_order(algo_id=algo.algo_id).data().algo_status == "NEW"
        assert len(api.current_all_algo_open_orders().data()) == 1
        assert api.cancel_algo_order(algo_id=algo.algo_id).data().code == "200"
        api.cancel_all_algo_open_orders(symbol="ETHUSDT")
        api.cancel_all_open_orders("ETHUSDT")
        api.auto_cancel_all_open_orders("ETHUSDT", 100_000)
        for read in (
            api.account_information_v2, api.account_information_v3, api.futures_account_balance_v3,
            api.get_income_history, api.get_current_position_mode, api.notional_and_leverage_brackets,
            api.current_all_open_orders, api.get_funding_rate_info, api.futures_account_configuration,
        ):  # fmt: skip
            read().data()
        api.mark_price(symbol="ETHUSDT").data()
        api.account_trade_list("ETHUSDT").data()
        with pytest.raises(Exception, match="-4120"):
            api.new_order(symbol="ETHUSDT", side="SELL", type="STOP_MARKET", quantity=0.5)
        closed = api.new_order(
            symbol="ETHUSDT", side="SELL", type="MARKET", quantity=0.5, reduce_only="true", new_order_resp_type="RESULT"
        ).data()
        assert closed.status == "FILLED"
        assert api.start_user_data_stream().data().listen_key == api.keepalive_user_data_stream().data().listen_key

    await off_loop(work)


async def first(stream: Any) -> Any:
    """The first message of a stream of the SDK."""
    heard: asyncio.Queue[Any] = asyncio.Queue()
    stream.on("message", heard.put_nowait)
    async with asyncio.timeout(15):
        return await heard.get()


async def test_the_official_client_hears_spot_streams(server: SandboxServer) -> None:
    url = f"ws://127.0.0.1:{server.port}/stream"
    client = Spot(config_ws_streams=ConfigurationWebSocketStreams(stream_url=url))
    connection = await client.websocket_streams.create_connection()
    try:
        kline = await first(await connection.kline(symbol="ethusdt", interval="1m"))
        assert (kline.e, kline.s, kline.k.i) == ("kline", "ETHUSDT", "1m")
        ticker = await first(await connection.book_ticker(symbol="ethusdt"))
        assert float(ticker.b) < float(ticker.a)
        assert (await first(await connection.agg_trade(symbol="ethusdt"))).e == "aggTrade"
    finally:
        await connection.close_connection(close_session=True)


async def test_the_official_client_hears_futures_streams(server: SandboxServer) -> None:
    url, base = f"ws://127.0.0.1:{server.port}/stream", f"http://127.0.0.1:{server.port}"
    client = DerivativesTradingUsdsFutures(
        config_rest_api=ConfigurationRestAPI(base_path=base, **HMAC),
        config_ws_streams=ConfigurationWebSocketStreams(stream_url=url),
    )
    connection = await client.websocket_streams.create_connection()
    try:
        kline = await first(await connection.kline_candlestick_streams(symbol="ethusdt", interval="1m"))
        assert (kline.e, kline.s) == ("kline", "ETHUSDT")
        ticker = await first(await connection.individual_symbol_book_ticker_streams(symbol="ethusdt"))
        assert float(ticker.b) < float(ticker.a)
        key = (await asyncio.to_thread(client.rest_api.start_user_data_stream)).data().listen_key
        users = await connection.user_data(key)
        heard = asyncio.ensure_future(first(users))
        await asyncio.to_thread(
            lambda: client.rest_api.new_order(symbol="ETHUSDT", side="BUY", type="MARKET", quantity=0.5)
        )
        assert type((await heard).actual_instance).__name__ == "OrderTradeUpdate"
    finally:
        await connection.close_connection(close_session=True)


@pytest.mark.parametrize("key", [HMAC, ED25519])
async def test_the_official_client_trades_over_a_websocket(server: SandboxServer, key: dict[str, str]) -> None:
    url = f"ws://127.0.0.1:{server.port}/ws-api/v3"
    client = Spot(config_ws_api=ConfigurationWebSocketAPI(stream_url=url, **key))
    connection = await client.websocket_api.create_connection()
    try:
        if key is ED25519:
            assert (await connection.session_logon()).data().result.api_key == "ed"
        placed = await connection.order_place(symbol="ETHUSDT", side="BUY", type="MARKET", quantity=0.1)
        assert placed.data().result.status == "FILLED"
        order = (
            await connection.order_place(
                symbol="ETHUSDT", side="BUY", type="LIMIT", time_in_force="GTC", quantity=0.1, price=2000.0
            )
        ).data().result  # fmt: skip
        found = await connection.order_status(symbol="ETHUSDT", order_id=order.order_id)
        assert found.data().result.status == "NEW"
        await connection.order_cancel(symbol="ETHUSDT", order_id=order.order_id)
        assert (await connection.account_status()).data().result.can_trade is True
        users = await connection.user_data_stream_subscribe_signature()
        assert users is not None
    finally:
        await connection.close_connection(close_session=True)
