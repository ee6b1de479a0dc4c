"""Account events: what each means, and a stream that is opened again and asks for a look each time."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from websockets.asyncio.server import ServerConnection, serve

from klined.domain import Accepted, Ended, Liquidated, Traded, Transferred
from klined.runtime.clock import SystemClock
from klined.venues import user_stream
from klined.venues.binance import BinanceDialect
from klined.venues.binance_words import perp_event, spot_event
from klined.venues.dialect import Event
from klined.venues.user_stream import UserStream
from venues.binance_double import KEY, SECRET, Double
from venues.test_ccxt import heard, trading

OURS = "kl-7f3a9c-"
SYMBOLS = {"ETHUSDT": "ETH/USDT", "BTCUSDT": "BTC/USDT:USDT", "BNBUSDT": "BNB/USDT:USDT", "ETHBTC": "ETH/BTC"}


def report(**words: object) -> dict[str, Any]:
    plain = {
        "e": "executionReport",
        "s": "ETHUSDT",
        "c": OURS + "1",
        "C": "",
        "S": "BUY",
        "x": "TRADE",
        "i": 7,
        "l": "0.5",
        "L": "2000.5",
        "z": "0.5",
        "n": "0.001",
        "N": "BNB",
        "T": 1_700_000_000_000,
        "t": 99,
        "m": True,
    }
    return {**plain, **words}


def fixture(shared_data: Path, name: str) -> Mapping[str, Any]:
    data: Mapping[str, Any] = json.loads((shared_data / "fixtures/nautilus" / name).read_text(encoding="utf-8"))
    return data.get("event", data)  # type: ignore[no-any-return]  # JSON


def test_a_trade_is_told_with_its_exact_fee() -> None:
    event = spot_event(report(), SYMBOLS, OURS)
    accepted, traded = event.news
    assert accepted == Accepted(OURS + "1", "7")
    assert isinstance(traded, Traded)
    fill = traded.fill
    assert (fill.trade_id, fill.quantity, fill.price) == ("99", Decimal("0.5"), Decimal("2000.5"))
    assert (fill.fee, fill.fee_asset, fill.maker) == (Decimal("0.001"), "BNB", True)
    sold = spot_event(report(S="SELL"), SYMBOLS, OURS).news[1]
    assert isinstance(sold, Traded)
    assert sold.fill.quantity == Decimal("-0.5")


def test_an_end_after_trades_is_asked_for_since_its_trades_may_come_later() -> None:
    assert spot_event(report(x="CANCELED", z="0", C=OURS + "1", c="cancel-7"), SYMBOLS, OURS).news == (
        Ended(OURS + "1", "canceled"),
    )
    assert spot_event(report(x="EXPIRED"), SYMBOLS, OURS) == Event(ask=(OURS + "1", "ETH/USDT"))


def test_orders_of_others_ask_for_a_look_and_are_no_news() -> None:
    event = spot_event(report(c="by-hand"), SYMBOLS, OURS)
    assert not event.news
    assert "by-hand" in event.look


def test_recorded_events_of_spot_are_understood(shared_data: Path) -> None:
    for name in ("execution_report_new", "execution_report_trade", "execution_report_canceled", "account_position"):
        event = spot_event(fixture(shared_data, f"spot/user_data_json/{name}.json"), SYMBOLS, "")
        assert not event.alarm
    moved = spot_event(fixture(shared_data, "spot/user_data_json/balance_update.json"), SYMBOLS, "").news
    assert isinstance(moved[0], Transferred)
    trade = spot_event(fixture(shared_data, "spot/user_data_json/execution_report_trade.json"), SYMBOLS, "")
    assert any(isinstance(item, Traded) for item in trade.news) or trade.look


def test_recorded_events_of_perpetuals_are_understood(shared_data: Path) -> None:
    where = "futures/user_data_json"
    trade = perp_event(fixture(shared_data, f"{where}/order_update_trade.json"), SYMBOLS, "")
    assert isinstance(trade.news[1], Traded)
    closed = perp_event(fixture(shared_data, f"{where}/order_update_adl.json"), SYMBOLS, OURS)
    assert isinstance(closed.news[0], Liquidated)
    assert closed.alarm
    assert perp_event(fixture(shared_data, f"{where}/algo_update_new.json"), SYMBOLS, "").news
    assert perp_event(fixture(shared_data, f"{where}/algo_update_canceled.json"), SYMBOLS, "").news
    assert perp_event(fixture(shared_data, f"{where}/account_update.json"), SYMBOLS, "") == Event()


def test_funding_and_an_expired_key_are_noticed() -> None:
    assert perp_event({"e": "ACCOUNT_UPDATE", "a": {"m": "FUNDING_FEE"}}, SYMBOLS, OURS).look
    assert perp_event({"e": "listenKeyExpired"}, SYMBOLS, OURS).over
    assert spot_event({"e": "eventStreamTerminated"}, SYMBOLS, OURS).over


async def test_spot_events_come_over_a_signed_subscription_and_after_a_reconnect(monkeypatch: Any) -> None:
    monkeypatch.setattr(user_stream, "BACK_OFF_S", (0.0, 0.0))
    asked: list[dict[str, Any]] = []

    async def ws_api(link: ServerConnection) -> None:
        request = json.loads(await link.recv())
        asked.append(request)
        await link.send(json.dumps({"id": request["id"], "status": 200, "result": {"subscriptionId": 0}}))
        await link.send("no json {")
        await link.send(json.dumps({"subscriptionId": 0, "event": report(t=len(asked))}))
        if len(asked) == 1:
            await link.close()
        await link.wait_closed()

    async with serve(ws_api, "127.0.0.1", 0) as server, trading(Double()) as venue:
        port = next(iter(server.sockets)).getsockname()[1]
        dialect = venue.dialect
        assert isinstance(dialect, BinanceDialect)
        url = f"ws://127.0.0.1:{port}/ws-api/v3"
        stream = UserStream(venue, dialect, SystemClock(), api_key=KEY, api_secret=SECRET, url=url)
        venue.start(stream.run())
        news = await heard(venue, Traded)
        while len([item for item in news if isinstance(item, Traded)]) < 2:
            news += await venue.news()
        assert stream.connections == 2
        assert venue.poked.is_set()
    params = asked[0]["params"]
    signature = params.pop("signature")
    payload = urlencode(sorted(params.items()))
    assert hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest() == signature


async def test_events_of_perpetuals_come_by_listen_key() -> None:
    double = Double(perp=True)
    paths: list[str] = []

    async def private(link: ServerConnection) -> None:
        assert link.request is not None
        paths.append(link.request.path)
        await link.send(json.dumps({"e": "ORDER_TRADE_UPDATE", "o": report()}))
        await link.wait_closed()

    async with serve(private, "127.0.0.1", 0) as server, trading(double) as venue:
        port = next(iter(server.sockets)).getsockname()[1]
        assert isinstance(venue.dialect, BinanceDialect)
        url = f"ws://127.0.0.1:{port}/private/ws"
        stream = UserStream(venue, venue.dialect, SystemClock(), api_key=KEY, api_secret=SECRET, url=url)
        venue.start(stream.run())
        async with asyncio.timeout(10):
            assert any(isinstance(item, Traded) for item in await heard(venue, Traded))
    assert paths == ["/private/ws?listenKey=key-of-the-stream"]


async def proving(monkeypatch: Any, answers: list[Any]) -> tuple[int, int]:
    """Connections and proofs of a spot stream whose server gives these answers to canaries, and none after them."""
    monkeypatch.setattr(user_stream, "BACK_OFF_S", (0.0, 0.0))
    monkeypatch.setattr(user_stream, "CANARY_S", 0.0)
    monkeypatch.setattr(user_stream, "ANSWER_S", 0.2)
    over = asyncio.Event()
    unanswered = 0

    async def ws_api(link: ServerConnection) -> None:
        nonlocal unanswered
        async for frame in link:
            request = json.loads(frame)
            if request["method"] == "userDataStream.subscribe.signature":
                await link.send(json.dumps({"id": request["id"], "status": 200, "result": {"subscriptionId": 0}}))
            elif answers:
                await link.send(json.dumps({"id": request["id"], "status": 200, "result": answers.pop(0)}))
            else:
                unanswered += 1
                if unanswered == 2:
                    over.set()

    async with serve(ws_api, "127.0.0.1", 0) as server, trading(Double()) as venue:
        port = next(iter(server.sockets)).getsockname()[1]
        assert isinstance(venue.dialect, BinanceDialect)
        url = f"ws://127.0.0.1:{port}/ws-api/v3"
        stream = UserStream(venue, venue.dialect, SystemClock(), api_key=KEY, api_secret=SECRET, url=url)
        venue.start(stream.run())
        async with asyncio.timeout(10):
            await over.wait()
    return stream.connections, stream.proofs


async def test_channel_that_no_longer_answers_its_canary_is_opened_again(monkeypatch: Any) -> None:
    assert await proving(monkeypatch, [[{"subscriptionId": 0}]] * 3) == (2, 3)


async def test_server_that_never_answers_canaries_is_not_judged_by_them(monkeypatch: Any) -> None:
    assert await proving(monkeypatch, []) == (1, 0)


async def test_subscription_that_the_exchange_has_forgotten_is_made_again(monkeypatch: Any) -> None:
    connections, proofs = await proving(monkeypatch, [[{"subscriptionId": 0}], []])
    assert (connections, proofs) == (3, 2)
