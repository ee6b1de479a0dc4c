"""Statistics of chosen windows, klines by other clocks, and what is not modelled: refused, never made up."""

from typing import Any

import pytest

from klined.sandbox.socket_routes import ROUTES
from klined.sandbox.unmodelled import REFUSED
from sandbox.shapes import differences
from sandbox.wire import Wire

DAY_MS = 86_400_000
SYMBOLS = '["ETHUSDT","BTCUSDT"]'


@pytest.mark.parametrize(
    ("path", "section"),
    [("/api/v3/ticker", "Rolling window price change statistics"), ("/api/v3/ticker/tradingDay", "Trading Day Ticker")],
)
async def test_windows_are_as_documented(wire: Wire, documented: dict[str, list[Any]], path: str, section: str) -> None:
    full, several, mini, several_mini = documented[section]
    for example, params in (
        (full, {"symbol": "ETHUSDT"}), (several, {"symbols": SYMBOLS}),
        (mini, {"symbol": "ETHUSDT", "type": "MINI"}), (several_mini, {"symbols": SYMBOLS, "type": "MINI"}),
    ):  # fmt: skip
        ours = await wire.call("GET", path, **params)
        assert differences(example, ours) == []
        one, like = (ours[0], example[0]) if isinstance(ours, list) else (ours, example)
        assert set(one) == set(like)


async def test_a_window_holds_the_candles_that_it_says(wire: Wire) -> None:
    await wire.step(30_000)
    rows = await wire.call("GET", "/api/v3/klines", symbol="ETHUSDT", interval="1m", limit=6)
    told = await wire.call("GET", "/api/v3/ticker", symbol="ETHUSDT", windowSize="5m")
    assert told["openTime"] == rows[0][0]
    assert float(told["highPrice"]) == max(float(row[2]) for row in rows)
    assert told["count"] == sum(row[8] for row in rows)


@pytest.mark.parametrize(
    ("path", "params", "code"),
    [
        ("ticker", {}, -1128), ("ticker", {"symbol": "ETHUSDT", "windowSize": "90m"}, -1130),
        ("ticker", {"symbol": "ETHUSDT", "type": "BIG"}, -1139), ("ticker", {"symbols": '["X"]'}, -1121),
        ("ticker/tradingDay", {"symbol": "ETHUSDT", "timeZone": "15"}, -1130),
        ("ticker/price", {"symbols": '["ETHUSDT","ETHUSDT"]'}, -1151),
        ("klines", {"symbol": "ETHUSDT", "interval": "1d", "timeZone": "noon"}, -1130),
    ],
)  # fmt: skip
async def test_a_window_that_is_none_is_refused(wire: Wire, path: str, params: dict[str, str], code: int) -> None:
    assert (await wire.call("GET", f"/api/v3/{path}", **params))["code"] == code


@pytest.mark.parametrize(("zone", "hours"), [("0", 0), ("8", 8), ("-1:00", -1), ("05:45", 5.75)])
async def test_days_begin_at_midnight_of_the_zone(wire: Wire, zone: str, hours: float) -> None:
    ahead_ms = int(hours * 3_600_000)
    told = await wire.call("GET", "/api/v3/ticker/tradingDay", symbol="ETHUSDT", timeZone=zone)
    rows = await wire.call("GET", "/api/v3/klines", symbol="ETHUSDT", interval="1d", timeZone=zone)
    assert (told["openTime"] + ahead_ms) % DAY_MS == 0
    assert {(row[0] + ahead_ms) % DAY_MS for row in rows} == {0}
    assert told["closeTime"] - told["openTime"] == DAY_MS - 1


async def test_streams_tell_windows_and_days_of_another_zone(wire: Wire, documented: dict[str, list[Any]]) -> None:
    names = {"ethusdt@kline_1d@+08:00": "k", "ethusdt@ticker_1h": "w"}
    for name in names:
        async with wire.http.ws_connect(f"{wire.ws}/ws/{name}") as socket:
            await wire.step(5_000)
            ours = await socket.receive_json()
        if "kline" in name:
            assert (ours["k"]["t"] + 8 * 3_600_000) % DAY_MS == 0
        else:
            assert differences(documented["Individual Symbol Rolling Window Statistics Streams"][0], ours) == []


async def test_trades_are_paged_by_number_and_by_time(wire: Wire) -> None:
    for path in ("/api/v3/historicalTrades", "/fapi/v1/historicalTrades", "/api/v3/aggTrades"):
        name = "a" if path.endswith("aggTrades") else "id"
        newest = await wire.call("GET", path, symbol="ETHUSDT", limit=5)
        page = await wire.call("GET", path, symbol="ETHUSDT", fromId=newest[2][name], limit=2)
        assert [entry[name] for entry in page] == [entry[name] for entry in newest[2:4]]
    newest = await wire.call("GET", "/api/v3/aggTrades", symbol="ETHUSDT", limit=5)
    page = await wire.call(
        "GET", "/api/v3/aggTrades", symbol="ETHUSDT", startTime=newest[1]["T"], endTime=newest[3]["T"]
    )
    assert page == newest[1:4]


REFUSALS = [text for texts in REFUSED.values() for text in texts]


@pytest.mark.parametrize("route", REFUSALS)
async def test_what_is_not_modelled_is_refused_in_binances_words(wire: Wire, route: str) -> None:
    method, _, path = route.partition(" ")
    answer = await wire.signed(method, path, symbol="ETHUSDT")
    assert (wire.status, answer) == (400, {"code": -1020, "msg": "This operation is not supported."})


async def test_what_cannot_have_happened_is_empty(wire: Wire, documented: dict[str, list[Any]]) -> None:
    for path in ("historicalBlockTrades", "myPreventedMatches", "myAllocations"):
        assert await wire.signed("GET", f"/api/v3/{path}", symbol="ETHUSDT") == []
    assert await wire.call("GET", "/api/v3/referencePrice", symbol="ETHUSDT") == documented["Query Reference Price"][2]
    rules = await wire.call("GET", "/api/v3/executionRules", symbol="ETHUSDT")
    assert differences(documented["Query Execution Rules"][0], rules) == []
    filters = await wire.signed("GET", "/api/v3/myFilters", symbol="ETHUSDT")
    assert differences(documented["Query relevant filters (USER_DATA)"][0], filters) == []
    assert (await wire.call("POST", "/api/v3/userDataStream"), wire.status)[1] == 410


@pytest.mark.parametrize(("kind", "path"), [("spot", "/ws-api/v3"), ("perp", "/ws-fapi/v1")])
async def test_every_method_of_the_websocket_api_leads_somewhere(wire: Wire, kind: str, path: str) -> None:
    """Answered or refused by its own rules; what leads nowhere is the routing's own refusal."""
    async with wire.http.ws_connect(f"{wire.ws}{path}") as socket:
        for method in [*ROUTES[kind], "no.such.method"]:
            params = wire.sign_socket(symbol="ETHUSDT", interval="1m")
            await socket.send_json({"id": method, "method": method, "params": params})
            answer = await socket.receive_json()
            lost = answer["status"] == 404 or "Unknown method" in str(answer.get("error", {}).get("msg"))
            assert lost is (method == "no.such.method"), answer


async def test_the_wallet_service_tells_fees_and_status(wire: Wire) -> None:
    fees = await wire.signed("GET", "/sapi/v1/asset/tradeFee", symbol="ETHUSDT")
    assert fees == [{"symbol": "ETHUSDT", "makerCommission": "0.00100000", "takerCommission": "0.00100000"}]
    assert len(await wire.signed("GET", "/sapi/v1/asset/tradeFee")) == 2
    assert await wire.signed("GET", "/sapi/v1/account/status") == {"data": "Normal"}


HISTORIES = [
    "/api/v3/allOrders", "/api/v3/myTrades", "/api/v3/allOrderList", "/fapi/v1/allOrders", "/fapi/v1/userTrades",
    "/fapi/v1/income", "/fapi/v1/fundingRate", "/fapi/v1/allAlgoOrders",
]  # fmt: skip


@pytest.mark.parametrize("path", HISTORIES)
async def test_a_history_of_less_than_one_entry_is_refused(wire: Wire, path: str) -> None:
    for limit in (0, -1):
        assert (await wire.signed("GET", path, symbol="ETHUSDT", limit=limit))["code"] == -1130


async def test_spot_histories_span_at_most_a_day(wire: Wire) -> None:
    about = {"symbol": "ETHUSDT", "startTime": 1_000, "endTime": 1_000 + DAY_MS}
    for path in HISTORIES[:3]:
        assert await wire.signed("GET", path, **about) == []
        refused = await wire.signed("GET", path, **{**about, "endTime": 1_001 + DAY_MS})
        assert (refused["code"], refused["msg"]) == (-1127, "More than 24 hours between startTime and endTime.")


async def test_funding_rates_are_paged_from_a_start(wire: Wire) -> None:
    await wire.step(2 * DAY_MS)
    path, about = "/fapi/v1/fundingRate", {"symbol": "ETHUSDT"}
    pages = await wire.call("GET", path, **about, startTime=1, limit=4)
    assert len(pages) == 4
    later = await wire.call("GET", path, **about, startTime=pages[1]["fundingTime"], limit=2)
    assert later == pages[1:3]
    newest = await wire.call("GET", path, **about, limit=2)
    assert newest[-1]["fundingTime"] > pages[-1]["fundingTime"]
    assert (await wire.call("GET", "/api/v3/ticker/24hr", symbol="ETHUSDT", type="X"))["code"] == -1139
    quarter = {"pair": "ETHUSDT", "interval": "1m", "contractType": "CURRENT_QUARTER"}
    assert (await wire.call("GET", "/fapi/v1/continuousKlines", **quarter))["code"] == -1130
