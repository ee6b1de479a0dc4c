"""Every fault, alone: what the caller sees, and what the ledger says is true."""

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import msgspec
import pytest

from klined.sandbox.faults import CALLS, Fault, FaultKind, Faults
from klined.sandbox.settings import SandboxSettings

EXECUTED = [FaultKind.LOST_ANSWER, FaultKind.UNKNOWN_EXECUTED, FaultKind.EMPTY, FaultKind.TRUNCATED, FaultKind.SLOW]
NOT_EXECUTED = [FaultKind.UNKNOWN, FaultKind.UNAVAILABLE, FaultKind.RESET]


async def attempt(wire: Any, *, perp: bool = False) -> Any:
    """One market order: (status, JSON), or the name of what went wrong on the wire."""
    try:
        answer = await wire.market("BUY", "0.1", perp=perp)
    except (aiohttp.ClientError, ValueError) as fault:
        return type(fault).__name__
    return wire.status, answer


async def orders(wire: Any, kind: str = "spot") -> list[Any]:
    return (await wire.truth())[kind]["orders"]


@pytest.mark.parametrize("perp", [False, True])
@pytest.mark.parametrize("kind", EXECUTED)
async def test_the_order_is_executed_whatever_the_caller_sees(wire: Any, kind: FaultKind, *, perp: bool) -> None:
    await wire.arm(kind, delay_ms=10)
    seen = await attempt(wire, perp=perp)
    (order,) = await orders(wire, "perp" if perp else "spot")
    assert order["status"] == "FILLED"
    expected: dict[FaultKind, Callable[[], bool]] = {
        FaultKind.LOST_ANSWER: lambda: seen == "ServerDisconnectedError",
        FaultKind.UNKNOWN_EXECUTED: lambda: seen[0] == 503 and seen[1]["code"] == -1000,
        FaultKind.EMPTY: lambda: seen == (200, None),
        FaultKind.TRUNCATED: lambda: seen == "ClientPayloadError",
        FaultKind.SLOW: lambda: seen[0] == 200,
    }
    assert expected[kind](), seen


@pytest.mark.parametrize("kind", NOT_EXECUTED)
async def test_the_order_is_not_executed(wire: Any, kind: FaultKind) -> None:
    await wire.arm(kind)
    seen = await attempt(wire)
    assert seen == "ServerDisconnectedError" if kind is FaultKind.RESET else seen[0] == 503
    assert await orders(wire) == []
    assert (await attempt(wire))[0] == 200  # it fired once


@pytest.mark.parametrize(("code", "status"), [(-1006, 503), (-1007, 408), (-1008, 503)])
@pytest.mark.parametrize("executed", [True, False])
async def test_codes_may_come_after_execution_or_instead_of_it(
    wire: Any, code: int, status: int, *, executed: bool
) -> None:
    await wire.arm("code", code=code, status=status, executed=executed)
    seen = await attempt(wire)
    assert (seen[0], seen[1]["code"]) == (status, code)
    assert len(await orders(wire)) == executed


@pytest.mark.parametrize("status", [200, 502])
async def test_an_html_page_may_come_instead(wire: Any, status: int) -> None:
    await wire.arm("html", status=status, executed=True)
    assert await attempt(wire) == "JSONDecodeError"
    assert len(await orders(wire)) == 1


async def test_an_order_may_be_executed_late(wire: Any) -> None:
    await wire.arm("late", delay_ms=30)
    assert await attempt(wire) == "ServerDisconnectedError"
    assert await orders(wire) == []
    async with asyncio.timeout(5):
        while not await orders(wire):
            pass  # each look is a turn of the loop
    assert (await orders(wire))[0]["status"] == "FILLED"


async def test_a_late_order_is_refused_after_its_window(wire: Any) -> None:
    await wire.arm("late", delay_ms=300)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await wire.market("BUY", "0.1", recvWindow=100)
    await wire.step(1_000)
    await asyncio.gather(*wire.server._rest._late)  # it has had its turn
    assert await orders(wire) == []


async def test_queries_may_lag_behind_the_engine(wire: Any) -> None:
    await wire.arm("read_lag", delay_ms=5_000)
    order = await wire.market("BUY", "0.1")
    about = {"symbol": "ETHUSDT", "orderId": order["orderId"]}
    assert (await wire.signed("GET", "/api/v3/order", **about))["code"] == -2013
    assert await wire.signed("GET", "/api/v3/myTrades", symbol="ETHUSDT") == []
    held = {b["asset"]: b["free"] for b in (await wire.signed("GET", "/api/v3/account"))["balances"]}
    assert held["USDT"] == "10000.00000000"
    await wire.step(5_001)
    assert (await wire.signed("GET", "/api/v3/order", **about))["status"] == "FILLED"
    held = {b["asset"]: b["free"] for b in (await wire.signed("GET", "/api/v3/account"))["balances"]}
    assert float(held["USDT"]) < 10_000


async def test_a_position_lags_as_well(wire: Any) -> None:
    await wire.arm("read_lag", delay_ms=5_000)
    await wire.market("BUY", "0.1", perp=True)
    assert await wire.signed("GET", "/fapi/v3/positionRisk") == []
    await wire.step(5_001)
    assert (await wire.signed("GET", "/fapi/v3/positionRisk"))[0]["positionAmt"] == "0.100"


@pytest.mark.parametrize("perp", [False, True])
async def test_an_order_may_fill_in_part_and_expire(wire: Any, *, perp: bool) -> None:
    await wire.arm("partial", value=0.5)
    order = await wire.market("BUY", "0.1", perp=perp)
    assert (order["status"], float(order["executedQty"])) == ("EXPIRED", 0.05)


async def test_a_stop_may_be_refused(wire: Any) -> None:
    await wire.market("BUY", "0.1", perp=True)
    stop = {"algoType": "CONDITIONAL", "symbol": "ETHUSDT", "side": "SELL", "type": "STOP_MARKET"}
    stop |= {"triggerPrice": "2400", "closePosition": "true"}
    await wire.arm("reject_stop")
    assert (await wire.signed("POST", "/fapi/v1/algoOrder", **stop))["code"] == -2021
    await wire.arm("reject_stop", executed=True)
    placed = await wire.signed("POST", "/fapi/v1/algoOrder", **stop)
    await wire.shock(0.9)
    found = await wire.signed("GET", "/fapi/v1/algoOrder", algoId=placed["algoId"])
    assert found["algoStatus"] == "REJECTED"
    assert (await wire.truth())["perp"]["positions"]["ETHUSDT/BOTH"]["amount"] == "0.1"


@pytest.mark.parametrize("settings", [SandboxSettings(port=0, speed=0.0, history=20, timestamps="sandbox")])
async def test_a_clock_may_be_skewed(wire: Any) -> None:
    stamp = wire.server.exchange.clock.told_ms()
    await wire.arm("clock_skew", value=-5_000, duration_ms=60_000)
    assert (await wire.call("GET", "/api/v3/time"))["serverTime"] == stamp - 5_000
    answer = await wire.signed("GET", "/api/v3/account", timestamp=stamp)
    assert (answer["code"], answer["msg"]) == (
        -1021, "Timestamp for this request was 1000ms ahead of the server's time.",
    )  # fmt: skip
    await wire.step(60_000)
    assert (await wire.signed("GET", "/api/v3/account"))["canTrade"] is True


async def test_an_address_may_be_banned(wire: Any) -> None:
    await wire.arm("ban", duration_ms=60_000)
    assert (await wire.call("GET", "/fapi/v1/time"))["code"] == -1003
    assert (wire.status, int(wire.headers["Retry-After"])) == (418, 60)
    await wire.step(60_001)
    assert "serverTime" in await wire.call("GET", "/fapi/v1/time")


async def test_a_market_may_be_halted(wire: Any) -> None:
    before = await wire.price()
    await wire.arm("halt", symbol="ETHUSDT", duration_ms=60_000)
    info = await wire.call("GET", "/api/v3/exchangeInfo", symbol="ETHUSDT")
    assert info["symbols"][0]["status"] == "BREAK"
    assert (await wire.market("BUY", "0.1"))["msg"] == "Market is closed."
    await wire.step(59_000)
    assert await wire.price() == before
    await wire.step(2_000)
    assert (await wire.market("BUY", "0.1"))["status"] == "FILLED"


async def test_the_rules_of_a_symbol_may_change(wire: Any) -> None:
    await wire.arm("rules", symbol="ETHUSDT", rules={"lot": "0.01", "tick": "0.1", "notional_min": "50"})
    info = (await wire.call("GET", "/api/v3/exchangeInfo", symbol="ETHUSDT"))["symbols"][0]
    filters = {entry["filterType"]: entry for entry in info["filters"]}
    assert filters["LOT_SIZE"]["stepSize"] == "0.01000000"
    assert filters["PRICE_FILTER"]["tickSize"] == "0.10000000"
    assert (await wire.limit("BUY", "0.123", "2000"))["msg"] == "Filter failure: LOT_SIZE"
    assert (await wire.limit("BUY", "0.12", "2000.01"))["msg"] == "Filter failure: PRICE_FILTER"
    assert (await wire.limit("BUY", "0.01", "2000"))["msg"] == "Filter failure: NOTIONAL"


async def test_a_schedule_waits_for_its_time_and_its_turn(wire: Any) -> None:
    await wire.arm("unavailable", from_ms=10_000, after=1, count=2)
    assert [(await attempt(wire))[0] for _ in range(2)] == [200, 200]
    await wire.step(10_000)
    assert [(await attempt(wire))[0] for _ in range(4)] == [200, 503, 503, 200]


async def test_what_has_fired_is_told(wire: Any) -> None:
    await wire.arm("unavailable", count=2)
    await attempt(wire)
    async with wire.http.get(f"{wire.base}/sandbox/faults") as answer:
        told = await answer.json()
    assert [(entry["kind"], entry["where"]) for entry in told["fired"]] == [("unavailable", "POST /api/v3/order")]
    assert told["armed"][0]["fired"] == 1
    async with wire.http.delete(f"{wire.base}/sandbox/faults"):
        assert (await attempt(wire))[0] == 200


async def test_nonsense_is_refused_by_the_control(wire: Any) -> None:
    async with wire.http.post(f"{wire.base}/sandbox/faults", json={"kind": "earthquake"}) as answer:
        assert answer.status == 400


def test_chance_follows_from_the_seed() -> None:
    """The same seed fires at the same calls, another one at others."""

    def fired(seed: int) -> list[bool]:
        faults = Faults(seed, 0)
        faults.arm(Fault(kind=FaultKind.RESET, probability=0.5, count=0))
        return [faults.take(CALLS, "POST /api/v3/order", 1) is not None for _ in range(64)]

    assert fired(1) == fired(1) != fired(2)
    assert 16 < sum(fired(1)) < 48


def test_every_kind_has_a_test_here_or_among_the_streams() -> None:
    named = {kind.value for kind in FaultKind}
    texts = "".join(path.read_text() for path in __import__("pathlib").Path(__file__).parent.glob("test_*.py"))
    assert {kind for kind in named if f'"{kind}"' not in texts and f"FaultKind.{kind.upper()}" not in texts} == set()
    assert msgspec.convert({"kind": "reset"}, Fault).kind is FaultKind.RESET
