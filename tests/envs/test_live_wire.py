"""A live environment on the sandbox, over real sockets: the same promises where answers take time and may be lost."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from envs.living import lived, settings_on
from klined_models.envs.blocking import SyncLiveTradingEnv
from klined_models.envs.live import LiveTradingEnv
from klined_models.envs.orders import OrderStatus
from tiers.ledgers import findings
from wire.driver import exchange

SPEED = 120


async def following(env: LiveTradingEnv, order_id: str, seconds: float = 30.0) -> list[str]:
    return [status async for status in env.monitor_order(order_id, seconds)]


@pytest.mark.parametrize("market", ["spot", "perp"])
async def test_steps_and_orders_by_hand_are_what_the_exchange_has_in_its_ledger(market: str, tmp_path: Path) -> None:
    async def agent(env: LiveTradingEnv) -> None:
        [symbol] = env.settings.market.symbols
        await env.reset()
        for action in (0.5, 1.0 if market == "spot" else -0.5):
            seen, _, terminated, truncated, info = await env.step([action])
            assert env.observation_space.contains(seen)
            assert (terminated, truncated, info["late"]) == (False, False, False)
            assert info["verdicts"] == {symbol: "ok"}
        held = env.positions[symbol]
        order = await env.create_order("sell", 0.3)
        assert order.status is OrderStatus.CLOSED, "a market order is answered at once"
        assert env.positions[symbol] == pytest.approx(held - 0.3)
        far = env.prices[symbol] * (1.02 if market == "spot" else 0.98)
        resting = await env.create_order("sell" if market == "spot" else "buy", 0.3, far)
        assert resting.status is OrderStatus.OPEN
        assert await following(env, resting.order_id, 30) == ["open", "timed_out"]
        assert await env.cancel_order(resting.order_id)
        assert resting.status is OrderStatus.CANCELED
        assert (await env.create_order("buy", 500.0)).status is OrderStatus.REJECTED

    async with exchange(tmp_path, speed=SPEED) as there:
        await asyncio.to_thread(lived, settings_on(tmp_path, there, market), agent)
        truth = await there.truth()
    assert len(truth[market]["trades"]) >= 4
    assert not findings(tmp_path / "state" / "journal.db", truth, market)


async def test_answer_that_is_lost_is_asked_for_and_nothing_is_sent_again(tmp_path: Path) -> None:
    async with exchange(tmp_path, speed=SPEED) as there:
        loop = asyncio.get_running_loop()

        async def agent(env: LiveTradingEnv) -> list[str]:
            await env.reset()
            fault = asyncio.run_coroutine_threadsafe(there.arm("lost_answer"), loop)
            await asyncio.wrap_future(fault)
            order = await env.create_order("buy", 0.5)
            return [order.status, *await following(env, order.order_id, 300)]

        statuses = await asyncio.to_thread(lived, settings_on(tmp_path, there), agent)
        assert await there.fired("lost_answer") == 1
        truth = await there.truth()
    assert statuses[-1] == OrderStatus.CLOSED
    assert "timed_out" not in statuses
    assert not findings(tmp_path / "state" / "journal.db", truth, "spot")


async def test_exchange_that_rejects_leaves_a_rejected_order_and_a_daemon_that_goes_on(tmp_path: Path) -> None:
    async with exchange(tmp_path, speed=SPEED) as there:
        loop = asyncio.get_running_loop()

        async def agent(env: LiveTradingEnv) -> Any:
            await env.reset()
            fault = asyncio.run_coroutine_threadsafe(there.arm("code", code=-2010, status=400), loop)
            await asyncio.wrap_future(fault)
            order = await env.create_order("buy", 0.5)
            await following(env, order.order_id, 60)
            *_, info = await env.step([0.5])
            return order, info

        order, info = await asyncio.to_thread(lived, settings_on(tmp_path, there), agent)
        truth = await there.truth()
    assert order.status is OrderStatus.REJECTED
    assert order.filled_size == 0.0
    assert order.reason
    assert info["verdicts"] == {"ETH/USDT": "ok"}
    assert not findings(tmp_path / "state" / "journal.db", truth, "spot")


async def test_large_limit_is_filled_in_parts_by_a_thin_book(tmp_path: Path) -> None:
    async def agent(env: LiveTradingEnv) -> Any:
        await env.reset()
        order = await env.create_order("buy", 1.5, env.prices["ETH/USDT"] * 1.0005)
        first = order.filled_size
        sizes = [first, *[order.filled_size async for _ in env.monitor_order(order.order_id, 1_200)]]
        if not order.ended:
            await env.cancel_order(order.order_id)
        return order, sizes

    async with exchange(tmp_path, speed=SPEED, **{"depth.level_quote": 100.0, "depth.recovery": 0.05}) as there:
        order, sizes = await asyncio.to_thread(lived, settings_on(tmp_path, there), agent)
        truth = await there.truth()
    assert sizes == sorted(sizes)
    assert 0.0 < sizes[0] < 1.5, "the first of it at once, the rest later"
    assert order.status in {OrderStatus.CLOSED, OrderStatus.CANCELED}
    assert not findings(tmp_path / "state" / "journal.db", truth, "spot")


async def test_market_does_not_wait_and_a_late_answer_is_dropped(tmp_path: Path) -> None:
    async def agent(env: LiveTradingEnv) -> tuple[Any, Any]:
        await env.reset()
        seat = env._seat
        await seat.decided(seat.batches)  # the agent dawdles until the bar has been decided without it
        *_, late = await env.step([1.0])
        *_, info = await env.step([0.5])
        return late, info

    async with exchange(tmp_path, speed=SPEED) as there:
        settings = settings_on(tmp_path, there, risk__max_bar_age_s=20)
        late, info = await asyncio.to_thread(lived, settings, agent)
    assert late["late"]
    assert late["missed"] == 1
    assert late["position"] == [0.0], "what came too late was not traded"
    assert not info["late"]
    assert info["position"] == pytest.approx([0.5], abs=0.05)


async def test_blocking_environment_trades_on_the_sandbox_too(tmp_path: Path) -> None:
    async with exchange(tmp_path, speed=SPEED) as there:

        def agent() -> float:
            env = SyncLiveTradingEnv(settings_on(tmp_path, there))
            try:
                env.reset()
                env.step([0.5])
                order = env.create_order("sell", 0.2)
                assert list(env.monitor_order(order.order_id)) == ["closed"]
                return float(env.step([0.5])[4]["equity"])
            finally:
                env.close()

        assert await asyncio.to_thread(agent) > 9_900.0
        truth = await there.truth()
    assert not findings(tmp_path / "state" / "journal.db", truth, "spot")
