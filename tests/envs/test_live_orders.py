"""Orders by hand: judged by the gate, durable before they are sent, followed to their end."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from klined.config.settings import Settings
from klined.errors import ConfigError, StateError
from klined_models.envs.live import LiveTradingEnv
from klined_models.envs.orders import OrderStatus
from klined_models.envs.switches import changed

ETH = "ETH/USDT"


async def following(env: LiveTradingEnv, order_id: str, seconds: float = 30.0) -> list[str]:
    return [status async for status in env.monitor_order(order_id, seconds)]


async def test_order_at_the_market_fills_at_the_next_open() -> None:
    async with LiveTradingEnv(test_mode=True) as env:
        await env.reset(seed=1)
        order = await env.create_order("buy", 0.5)
        assert (await following(env, order.order_id, 120))[-1] == OrderStatus.CLOSED
        assert (order.filled_size, order.side, order.type) == (0.5, "buy", "market")
        assert env.positions == {ETH: 0.5}
        with pytest.raises(ConfigError, match="not known"):
            await env.cancel_order("nobody")
        assert not await env.cancel_order(order.order_id), "what is filled cannot be cancelled"


async def test_limit_rests_over_bars_until_it_is_cancelled_or_met() -> None:
    async with LiveTradingEnv(test_mode=True) as env:
        await env.reset(seed=1)
        price = env.prices[ETH]
        order = await env.create_order("buy", 0.5, 0.9 * price)
        assert await following(env, order.order_id, 300) == ["open", "timed_out"]
        *_, info = await env.step([0.0])
        assert info["orders"] == {order.order_id: OrderStatus.OPEN}, "a step does not touch it"
        assert await env.cancel_order(order.order_id)
        assert (order.status, order.filled_size) == (OrderStatus.CANCELED, 0.0)
        near = await env.create_order("buy", 0.5, 0.9999 * env.prices[ETH])
        assert (await following(env, near.order_id, 100_000))[-1] == "closed"


async def test_order_larger_than_the_market_is_filled_in_parts() -> None:
    settings = changed(changed(Settings(), "costs", participation=0.002), "paper", balance=100_000)
    async with LiveTradingEnv(settings, test_mode=True) as env:
        await env.reset(seed=1)
        order = await env.create_order("buy", 8.0, 1.01 * env.prices[ETH])
        sizes: list[float] = []
        async for status in env.monitor_order(order.order_id, 100_000):
            sizes.append(order.filled_size)
            assert status in {"open", "partial", "closed"}
        assert order.status is OrderStatus.CLOSED
        assert len(sizes) > 3
        assert sizes == sorted(sizes)
        assert sizes[-1] == 8.0
        market = await env.create_order("sell", 8.0)
        await following(env, market.order_id, 1_000)
        assert (market.status, market.reason) == (OrderStatus.CANCELED, "expired")
        assert 0.0 < market.filled_size < 8.0


@pytest.mark.parametrize(
    ("side", "amount", "price", "reason"),
    [
        ("buy", 500.0, None, "notional_max: of 500.0 only"),
        ("sell", 1.0, None, "self_cross"),
        ("buy", 0.00001, None, "lot"),
        ("buy", 0.001, None, "notional_min"),
        ("buy", 0.5, 100.0, "percent_price: a price of 100"),
    ],
)
async def test_gate_rejects_and_nothing_is_sent(
    side: str, amount: float, price: float | None, reason: str, tmp_path: Path
) -> None:
    settings = changed(Settings(), "store", dir=tmp_path)
    async with LiveTradingEnv(settings, test_mode=True) as env:
        await env.reset()
        order = await env.create_order(side, amount, price)
        assert order.status is OrderStatus.REJECTED
        assert order.reason.startswith(reason), order.reason
        assert await following(env, order.order_id) == ["rejected"]
        assert not await env.cancel_order(order.order_id)
        *_, info = await env.step([0.5])
        assert info["verdicts"] == {ETH: "ok"}, "a refused order leaves nothing behind"
    with closing(sqlite3.connect(tmp_path / "journal.db")) as link:
        assert link.execute("SELECT count(*) FROM intents WHERE cause = 'hand'").fetchone() == (0,)


async def test_halted_daemon_takes_orders_that_close_and_no_others() -> None:
    async with LiveTradingEnv(test_mode=True) as env:
        await env.reset(seed=1)
        await env.step([0.5])
        held = env.positions[ETH]
        env._seat.daemon.trader.gate.halt()
        more = await env.create_order("buy", 0.1)
        less = await env.create_order("sell", held)
        assert more.reason.startswith("halted")
        assert (await following(env, less.order_id, 120))[-1] == "closed"
        assert env.positions == {ETH: 0.0}
        assert (await env.step([0.5]))[2], "halted and flat: it is over"


@pytest.mark.parametrize("deadband", [0.0, 0.05])
async def test_bars_that_pass_without_a_wish_change_nothing(deadband: float) -> None:
    settings = changed(Settings(), "risk", deadband=deadband, max_change=1.0)
    async with LiveTradingEnv(settings, test_mode=True) as env:
        await env.reset(seed=1)
        await env.step([0.37])
        held, orders = env.positions, len(list(env.orders))
        order = await env.create_order("buy", 0.1, 0.5 * env.prices[ETH])
        await following(env, order.order_id, 3_600)
        assert env.positions == held
        assert len(list(env.orders)) == orders + 1


async def test_intent_is_durable_before_the_order_is_known_anywhere(tmp_path: Path) -> None:
    settings = changed(Settings(), "store", dir=tmp_path)
    async with LiveTradingEnv(settings, test_mode=True) as env:
        await env.reset()
        order = await env.create_order("buy", 0.5)
        with closing(sqlite3.connect(tmp_path / "journal.db")) as link:
            found = link.execute("SELECT quantity, cause FROM intents WHERE client_id = ?", [order.order_id]).fetchall()
        assert found == [("0.5", "hand")]


async def test_journal_that_cannot_be_written_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with LiveTradingEnv(test_mode=True) as env:
        await env.reset(seed=1)
        journal: Any = env._seat.daemon.journal
        commit = journal.commit

        async def full(*_: object) -> None:
            raise StateError("the disk is full")

        monkeypatch.setattr(journal, "commit", full)
        order = await env.create_order("buy", 0.5)
        assert order.status is OrderStatus.REJECTED
        assert "the journal cannot be written" in order.reason or "disk is full" in order.reason
        monkeypatch.setattr(journal, "commit", commit)
        await env.step([0.0])
        *_, info = await env.step([0.5])
        assert info["mode"] == "RUNNING"
        assert env.positions[ETH] > 0.0


async def test_names_of_orders_never_come_twice_over_restarts(tmp_path: Path) -> None:
    settings = changed(Settings(), "store", dir=tmp_path)
    names = []
    for _ in range(3):
        async with LiveTradingEnv(settings, test_mode=True) as env:
            await env.reset()
            names += [(await env.create_order("buy", 0.1, 0.9 * env.prices[ETH])).order_id for _ in range(3)]
    assert len(set(names)) == 9
    with closing(sqlite3.connect(tmp_path / "journal.db")) as link:
        assert link.execute("SELECT count(*) FROM orders WHERE open").fetchone() == (0,), "a stop cancels what rests"


@pytest.mark.parametrize(
    ("side", "amount", "price", "words"),
    [
        ("long", 1.0, None, "'buy' or 'sell'"),
        ("buy", 0.0, None, "positive number"),
        ("buy", float("nan"), None, "positive number"),
        ("buy", 1.0, -5.0, "positive number"),
        ("buy", 1.0, float("inf"), "positive number"),
    ],
)
async def test_order_that_makes_no_sense_is_refused(side: str, amount: float, price: Any, words: str) -> None:
    async with LiveTradingEnv(test_mode=True) as env:
        await env.reset()
        with pytest.raises(ConfigError, match=words):
            await env.create_order(side, amount, price)


def test_status_of_an_order_is_json() -> None:
    assert json.dumps(OrderStatus.PARTIAL) == '"partial"'
