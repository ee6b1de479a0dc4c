"""The market behind the sandbox: recorded, made up, troubled, faster than time, and the same after a restart."""

import asyncio
import gzip
import json
import sqlite3
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from klined.errors import ConfigError, StateError
from klined.sandbox.market import Market
from klined.sandbox.server import running
from klined.sandbox.settings import SandboxSettings, read_settings
from klined.world.frictions import Frictions
from sandbox.wire import Wire

MINUTE_MS = 60_000
START_MS = 1_735_689_600_000


async def rows(wire: Any, count: int = 1000, **more: Any) -> list[Any]:
    found: list[Any] = await wire.call("GET", "/api/v3/klines", symbol="ETHUSDT", interval="1m", limit=count, **more)
    return found


async def test_recorded_bars_are_told_again_as_if_they_were_now(tmp_path: Path) -> None:
    bars = [(START_MS + i * MINUTE_MS, 100 + i, 102 + i, 99 + i, 101 + i, 5.0) for i in range(8) if i != 5]
    file = tmp_path / "ETHUSDT-1m.csv.gz"
    text = "open_time,open,high,low,close,volume\n" + "".join(",".join(map(str, bar)) + "\n" for bar in bars)
    file.write_bytes(gzip.compress(text.encode()))
    settings = SandboxSettings(
        port=0, speed=0.0, history=3, files=(str(file),), spot=("ETH/USDT",), perp=("ETH/USDT:USDT",)
    )
    async with running(settings) as server, aiohttp.ClientSession() as http:
        wire = Wire(http, server)
        await wire.step(4 * MINUTE_MS)
        found = await rows(wire)
        assert [float(row[4]) for row in found[:-1]] == [101, 102, 103, 104, 105, 107]
        times = [row[0] for row in found]
        assert [(later - first) // MINUTE_MS for first, later in pairwise(times)] == [
            1,
            1,
            1,
            1,
            2,
            1,
        ]
        assert times[3] == server.exchange.started_ms // MINUTE_MS * MINUTE_MS
        await wire.step(2 * MINUTE_MS)  # after the last bar comes the first again
        assert float((await rows(wire))[-2][4]) in {101, 108}


async def test_the_same_seed_makes_the_same_market() -> None:
    async def prices(seed: int) -> list[Any]:
        settings = SandboxSettings(port=0, speed=0.0, history=20, seed=seed, start_ms=START_MS)
        async with running(settings) as server, aiohttp.ClientSession() as http:
            wire = Wire(http, server)
            await wire.step(10 * MINUTE_MS)
            return await rows(wire)

    assert await prices(1) == await prices(1) != await prices(2)


async def test_time_may_pass_faster() -> None:
    settings = SandboxSettings(port=0, speed=600.0, history=20, start_ms=START_MS, step_ms=10)
    async with running(settings) as server, aiohttp.ClientSession() as http:
        wire = Wire(http, server)
        async with http.ws_connect(f"{wire.ws}/ws/ethusdt@kline_1m") as socket, asyncio.timeout(10):
            closed: list[int] = []
            while len(closed) < 5:
                bar = (await socket.receive_json())["k"]
                if bar["x"]:
                    closed.append(bar["t"])
        assert closed == list(range(closed[0], closed[0] + 5 * MINUTE_MS, MINUTE_MS))
        assert (await wire.call("GET", "/api/v3/time"))["serverTime"] >= closed[-1] + MINUTE_MS
        order = await wire.market("BUY", "0.1", recvWindow=60_000)  # signed with the sandbox's time
        assert order["status"] == "FILLED"


async def trouble(scenario: str, until: float = 1.5) -> tuple[Any, list[Any]]:
    """Order book after `until` bars, and all candles, under a scenario."""
    settings = SandboxSettings(port=0, speed=0.0, history=20, start_ms=START_MS, scenarios=(scenario,))
    async with running(settings) as server, aiohttp.ClientSession() as http:
        wire = Wire(http, server)
        await wire.step(int(until * MINUTE_MS))
        book = await wire.call("GET", "/api/v3/depth", symbol="ETHUSDT", limit=5)
        await wire.step(4 * MINUTE_MS)
        return book, [[float(each) for each in row[1:6]] for row in (await rows(wire))[20:]]


async def test_scenarios_are_laid_over_the_market() -> None:
    calm_book, calm = await trouble("halt:bars=0")
    book, crash = await trouble("flash_crash:start=1,bars=2,depth=0.2,fall=0.5,recovery=0.5")
    assert min(row[2] for row in crash) < 0.85 * min(row[2] for row in calm)
    assert crash[-1][3] == pytest.approx(0.9 * calm[-1][3], rel=1e-3)  # half of it comes back
    thin_book, thin = await trouble("low_liquidity:start=1,bars=2,volume=0.02,liquidity=0.05")
    assert thin[1][4] == pytest.approx(0.02 * calm[1][4], rel=0.01)
    assert float(thin_book["asks"][0][1]) < 0.1 * float(calm_book["asks"][0][1])
    assert float(book["asks"][0][0]) - float(book["bids"][0][0]) > 1


async def test_an_outage_leaves_a_gap_and_no_answers_and_a_halt_no_orders() -> None:
    _, calm = await trouble("halt:bars=0")
    _, gap = await trouble("outage:start=1,bars=2,depth=0.2", until=0.5)
    assert len(gap) == len(calm) - 3
    assert gap[-1][3] == pytest.approx(0.8 * calm[-2][3], rel=1e-3)
    scenarios = ("outage:start=1,bars=1", "halt:start=3,bars=2", "latency_storm:start=6,bars=2,latency_ms=1")
    settings = SandboxSettings(port=0, speed=0.0, history=20, start_ms=START_MS, scenarios=scenarios)
    async with running(settings) as server, aiohttp.ClientSession() as http:
        wire = Wire(http, server)
        assert (await wire.market("BUY", "0.1"))["status"] == "FILLED"
        await wire.step(int(1.5 * MINUTE_MS))
        assert "Service Unavailable" in str(await wire.market("BUY", "0.1"))
        await wire.step(MINUTE_MS)
        assert (await wire.market("BUY", "0.1"))["status"] == "FILLED"
        await wire.step(MINUTE_MS)
        assert "Market is closed" in str(await wire.market("BUY", "0.1"))
        await wire.step(3 * MINUTE_MS)
        assert (await wire.market("BUY", "0.1"))["status"] == "FILLED"
        fired = [str(one.kind) for one in server.exchange.faults.log]
        assert fired[:2] == ["disconnect", "unavailable"] or "unavailable" in fired
        assert {"unavailable", "halt", "slow"} <= set(fired)


def test_an_unknown_scenario_is_told_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="did you mean flash_crash"):
        read_settings(None, scenarios=["flashcrash"])
    with pytest.raises(ConfigError, match="arm the fault bad_frame"):
        Market(read_settings(None, scenarios=["bad_klines"]), START_MS)


async def test_a_restart_remembers_everything(tmp_path: Path) -> None:
    settings = SandboxSettings(port=0, speed=0.0, history=50, start_ms=START_MS, state=str(tmp_path))
    async with running(settings) as server, aiohttp.ClientSession() as http:
        wire = Wire(http, server)
        await wire.market("BUY", "0.1")
        await wire.limit("BUY", "0.1", "2000", newClientOrderId="resting")
        await wire.market("BUY", "1", perp=True)
        await wire.signed("POST", "/fapi/v1/leverage", symbol="ETHUSDT", leverage=7)
        stop = {"algoType": "CONDITIONAL", "symbol": "ETHUSDT", "side": "SELL", "type": "STOP_MARKET"}
        await wire.signed("POST", "/fapi/v1/algoOrder", **stop, triggerPrice="2000", closePosition="true")
        await wire.step(5 * MINUTE_MS)
        before, candles = await wire.truth(), await rows(wire)
    async with running(settings) as server, aiohttp.ClientSession() as http:
        wire = Wire(http, server)
        after = await wire.truth()
        assert after["time"] >= before["time"]
        for kind in ("spot", "perp"):
            assert {**after[kind], "prices": 0} == {**before[kind], "prices": 0}
        assert (await rows(wire))[: len(candles) - 1] == candles[:-1]  # the same market, as far as it had come
        assert server.exchange.perp.holdings.ledger.leverage["ETHUSDT"] == 7
        order = await wire.market("BUY", "0.1")
        assert order["orderId"] == 3


async def test_the_market_goes_on_while_the_sandbox_is_down(tmp_path: Path) -> None:
    """A resting order that the price reached meanwhile is filled at the next start."""
    settings = SandboxSettings(port=0, speed=0.0, history=50, start_ms=START_MS, state=str(tmp_path))
    async with running(settings) as server, aiohttp.ClientSession() as http:
        wire = Wire(http, server)
        await wire.limit("BUY", "0.1", f"{await wire.price() - 0.5:.2f}")
    later = SandboxSettings(port=0, speed=0.0, history=50, start_ms=START_MS + 120 * MINUTE_MS, state=str(tmp_path))
    async with running(later) as server, aiohttp.ClientSession() as http:
        (order,) = (await Wire(http, server).truth())["spot"]["orders"]
        assert order["status"] == "FILLED"
        assert order["updated_ms"] < START_MS + 120 * MINUTE_MS


async def test_what_was_answered_is_on_disk(tmp_path: Path) -> None:
    settings = SandboxSettings(port=0, speed=0.0, history=20, state=str(tmp_path))
    async with running(settings) as server, aiohttp.ClientSession() as http:
        order = await Wire(http, server).market("BUY", "0.1")
        with sqlite3.connect(tmp_path / "sandbox.sqlite") as copy:  # as a killed process leaves it
            keys = {key for (key,) in copy.execute("SELECT key FROM row")}
        copy.close()
    assert {f"spot/order/{order['orderId']}", "spot/trade/1", "spot/account"} <= keys


def test_damaged_state_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sandbox.sqlite").write_bytes(b"nothing of the kind" * 100)
    from klined.sandbox.exchange import SandboxExchange

    with pytest.raises(StateError, match="cannot be used"):
        SandboxExchange(SandboxSettings(state=str(tmp_path), history=10))


def test_settings_come_from_a_file_and_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "sandbox.toml"
    file.write_text('port = 1\nspeed = 60\n[[faults]]\nkind = "unavailable"\nfrom_ms = 1000\n')
    settings = read_settings(file, port=2, seed=None)
    assert (settings.port, settings.speed, settings.seed) == (2, 60.0, 7)
    assert settings.faults[0].kind == "unavailable"
    file.write_text("port = ")
    with pytest.raises(ConfigError):
        read_settings(file)


async def test_real_exchange_rules_are_served_as_they_are(shared_data: Path) -> None:
    info = shared_data / "exchange_info/um_exchangeInfo_2026-03-31_small.json"
    settings = SandboxSettings(port=0, speed=0.0, history=10, perp_info=str(info))
    async with running(settings) as server, aiohttp.ClientSession() as http:
        wire = Wire(http, server)
        served = {each["symbol"]: each for each in (await wire.call("GET", "/fapi/v1/exchangeInfo"))["symbols"]}
        real = {each["symbol"]: each for each in json.loads(info.read_text())["symbols"]}
        for name, entry in served.items():
            assert {field: entry[field] for field in real[name]} == real[name]
        assert (await wire.market("BUY", "0.0001", perp=True, symbol="BTCUSDT"))["code"] == -4164


async def test_one_can_trade_on_real_bars(shared_data: Path) -> None:
    files = tuple(str(shared_data / f"small/{coin}USDT-1m_spot_2021-05.csv.gz") for coin in ("BTC", "ETH"))
    settings = SandboxSettings(port=0, speed=0.0, history=500, files=files)
    async with running(settings) as server, aiohttp.ClientSession() as http:
        wire = Wire(http, server)
        await wire.step(600 * MINUTE_MS)
        assert (await wire.market("BUY", "0.1"))["status"] == "FILLED"
        assert len(await rows(wire)) >= 900


async def test_fees_may_be_paid_in_a_third_asset() -> None:
    """While there is BNB; after that in what was bought."""
    settings = SandboxSettings(
        port=0, speed=0.0, history=10, bnb_price="600", balances={"USDT": "10000", "BNB": "0.0005"}
    )
    async with running(settings) as server, aiohttp.ClientSession() as http:
        wire = Wire(http, server)
        fills = [(await wire.market("BUY", "0.1"))["fills"][0] for _ in range(3)]
        assert [fill["commissionAsset"] for fill in fills] == ["BNB", "ETH", "ETH"]
        assert float(fills[0]["commission"]) == pytest.approx(
            float(fills[0]["price"]) * 0.1 * 0.001 * 0.75 / 600, rel=1e-3
        )
        held = (await wire.truth())["spot"]["balances"]
        assert float(held["ETH"]["free"]) == pytest.approx(0.3 - 2 * 0.0001)


async def test_calls_take_their_time_and_are_refused_by_chance_when_frictions_are_set() -> None:
    frictions = Frictions(median_ms=1.0, p99_ms=3.0, refusal_share=0.5)
    settings = SandboxSettings(port=0, speed=0.0, history=20, start_ms=START_MS, frictions=frictions)
    async with running(settings) as server, aiohttp.ClientSession() as http:
        wire = Wire(http, server)
        answers = [str(await wire.market("BUY", "0.01")) for _ in range(12)]
        filled = sum("FILLED" in answer for answer in answers)
        refused = sum(any(code in answer for code in ("-1008", "-1015", "-1021")) for answer in answers)
        assert filled + refused == 12
        assert filled
        assert refused
        assert len((await wire.truth())["spot"]["trades"]) == filled


@pytest.mark.parametrize("path", ["/api/v3/klines", "/fapi/v1/klines"])
@pytest.mark.parametrize("interval", ["1m", "1h"])
async def test_no_bar_opens_after_the_one_that_is_forming(wire: Any, path: str, interval: str) -> None:
    """Who pages until nothing comes would go on for ever."""
    await wire.step(30_000)
    newest = (await wire.call("GET", path, symbol="ETHUSDT", interval=interval, limit=1))[0][0]
    about = {"symbol": "ETHUSDT", "interval": interval}
    assert await wire.call("GET", path, **about, startTime=newest + 1) == []
    assert [row[0] for row in await wire.call("GET", path, **about, startTime=newest)] == [newest]
