"""A live environment on a market inside the process: gymnasium's five values over a whole daemon."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from klined.config.settings import Settings
from klined.domain import Event, MarketKind
from klined.errors import ConfigError, StateError
from klined_models.envs import Continuous, Levels, Weights
from klined_models.envs.blocking import SyncLiveTradingEnv
from klined_models.envs.live import LiveTradingEnv
from klined_models.envs.switches import changed

ETH = "ETH/USDT"


def kept(folder: Path, **market: Any) -> Settings:
    """Settings whose state outlives the environment."""
    return changed(changed(Settings(), "store", dir=folder), "market", **market)


def rows(folder: Path, what: str) -> list[Any]:
    with closing(sqlite3.connect(folder / "journal.db")) as link:
        return link.execute(what).fetchall()


async def test_steps_are_gymnasiums_five_values_over_a_daemons_journal(tmp_path: Path) -> None:
    async with LiveTradingEnv(kept(tmp_path), test_mode=True) as env:
        seen, info = await env.reset()
        assert env.observation_space.contains(seen)
        assert info["portfolio_value"] == info["balance"] == 10_000.0
        before = info["equity"]
        for action in (0.5, 0.5, 1.0, 0.0):
            time_ms = info["time_ms"]
            seen, reward, terminated, truncated, info = await env.step([action])
            assert env.observation_space.contains(seen)
            assert reward == pytest.approx(np.log(info["equity"] / before))
            assert not terminated
            assert not truncated
            assert info["time_ms"] == time_ms + 60_000
            before = info["equity"]
        assert env.positions == {ETH: 0.0}
        assert [each.status for each in env.orders] == ["closed"] * 3
    decided = rows(tmp_path, "SELECT target FROM decisions ORDER BY bar_time_ms LIMIT 4")
    assert [target for (target,) in decided] == [0.5, 0.5, 1.0, 0.0]
    assert rows(tmp_path, "SELECT count(*) FROM intents") == [(3,)]
    assert rows(tmp_path, "SELECT count(*) FROM fills") == [(3,)]


async def test_half_asked_twice_is_held_and_not_doubled() -> None:
    async with LiveTradingEnv(test_mode=True) as env:
        await env.reset(seed=3)
        held = [(await env.step(0.5))[4]["position"][0] for _ in range(6)]
    assert held == pytest.approx([0.5] * 6, abs=0.02)


async def test_seed_says_which_market_and_reset_begins_it_anew() -> None:
    async with LiveTradingEnv(test_mode=True, actions=Levels((0.0, 1.0))) as env:
        lives = []
        for seed in (1, 1, 2):
            first, _ = await env.reset(seed=seed)
            lives.append(np.stack([first, *[(await env.step(k % 2))[0] for k in range(5)]]).tobytes())
    assert lives[0] == lives[1] != lives[2]


async def test_reset_of_a_running_one_shows_the_open_bar_again(tmp_path: Path) -> None:
    async with LiveTradingEnv(kept(tmp_path), test_mode=True) as env:
        await env.reset()
        seen, *_, info = await env.step([0.5])
        again, told = await env.reset()
        assert (seen == again).all()
        assert told["time_ms"] == info["time_ms"]
        assert told["run"] == 1


async def test_closed_one_is_flat_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    async with LiveTradingEnv(kept(tmp_path), test_mode=True) as env:
        await env.reset()
        *_, info = await env.step([1.0])
        assert env.positions[ETH] > 0.0
        await env.close()
        with pytest.raises(ConfigError, match="await reset"):
            await env.step([0.0])
        _, told = await env.reset()
        assert env.positions == {ETH: 0.0}
        assert told["run"] == 2
        assert told["time_ms"] > info["time_ms"]
        assert told["equity"] < info["equity"], "the flatten paid its fee"


async def test_market_that_ends_truncates_and_a_daemon_that_fails_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with LiveTradingEnv(kept(tmp_path, bars=3), test_mode=True) as env:
        await env.reset()
        ends = [(await env.step([0.5]))[3] for _ in range(3)]
        assert ends == [False, False, True]
        with pytest.raises(ConfigError, match="has ended"):
            await env.step([0.5])

    async def full(*_: object) -> None:
        raise StateError("the disk is full")

    async with LiveTradingEnv(test_mode=True) as env:
        await env.reset()
        monkeypatch.setattr(env._seat.daemon.pipeline.outbox, "commit_batch", full)
        with pytest.raises(StateError, match="disk is full"):
            await env.step([0.5])


async def test_gate_refuses_here_as_everywhere() -> None:
    settings = changed(Settings(), "risk", max_trades_hour=1, deadband=0.0)
    async with LiveTradingEnv(settings, test_mode=True) as env:
        await env.reset(seed=1)
        *_, first = await env.step([0.5])
        *_, second = await env.step([1.0])
    assert first["verdicts"] == {ETH: "ok"}
    assert second["verdicts"][ETH].startswith("trades_hour")


async def test_events_come_with_the_step_that_heard_them() -> None:
    async with LiveTradingEnv(test_mode=True) as env:
        await env.reset(seed=1)
        await env.step([0.5])
        *_, info = await env.step([0.5])
        told = [each for each in info["events"] if isinstance(each, Event) and each.name == "order.filled"]
        assert len(told) == 1
        *_, info = await env.step([0.5])
        assert not info["events"]


async def test_several_symbols_share_an_account_and_a_perpetual_may_be_short() -> None:
    names = ("BTC/USDT:USDT", "ETH/USDT:USDT")
    settings = changed(Settings(), "market", kind=MarketKind.PERP, symbols=names)
    async with LiveTradingEnv(settings, test_mode=True) as env:
        seen, _ = await env.reset(seed=1)
        assert seen.shape == (30,)
        *_, info = await env.step([0.3, -0.3])
        assert info["position"] == pytest.approx([0.3, -0.3], abs=0.02)
        with pytest.raises(ConfigError, match="name one of"):
            await env.create_order("buy", 1.0)


Made = Callable[[], object]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LiveTradingEnv(changed(Settings(), "mode", live=True)), "live=True"),
        (lambda: LiveTradingEnv(live=True), "needs mode.live"),
        (lambda: LiveTradingEnv(changed(Settings(), "mode", paper=False)), "orders need an exchange"),
        (lambda: LiveTradingEnv(plan="eth16"), "did you mean 'eth15'"),
        (lambda: LiveTradingEnv(actions="weights"), "not for live trading"),
        (lambda: LiveTradingEnv(actions=Weights()), "not for live trading"),
    ],
)
def test_what_cannot_be_made_is_refused(make: Made, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()


def test_test_mode_stays_inside_whatever_the_settings_say() -> None:
    settings = changed(changed(Settings(), "market", exchange="binance"), "mode", live=True, paper=False)
    env = LiveTradingEnv(settings, test_mode=True)
    assert not env.settings.mode.live
    assert env.settings.mode.paper
    assert env.settings.market.exchange == "sim"
    assert env.settings.market.feed_name == "generated"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda env: env.step([0.5]), "await reset"),
        (lambda env: env.create_order("buy", 1.0), "await reset"),
        (lambda env: env.cancel_order("x"), "await reset"),
    ],
)
async def test_use_before_reset_is_refused(call: Callable[[LiveTradingEnv], Awaitable[Any]], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        await call(LiveTradingEnv(test_mode=True))


@pytest.mark.parametrize(
    ("kind", "action", "words"),
    [
        (Continuous(), [1.5], "outside"),
        (Continuous(), [float("nan")], "outside"),
        (Continuous(), [0.1, 0.2], "does not fit"),
        (Continuous(), "buy", "does not fit"),
        (Levels(), 3, "outside"),
        (Levels(), 0.5, "outside"),
    ],
)
async def test_action_outside_its_space_decides_nothing(kind: Any, action: Any, words: str, tmp_path: Path) -> None:
    async with LiveTradingEnv(kept(tmp_path), test_mode=True, actions=kind) as env:
        _, info = await env.reset()
        with pytest.raises(ConfigError, match=words):
            await env.step(action)
        assert (await env.reset())[1]["time_ms"] == info["time_ms"]


async def test_start_that_fails_says_why_and_can_be_tried_again(tmp_path: Path) -> None:
    env = LiveTradingEnv(kept(tmp_path, feed="recorded"), test_mode=True)
    for _ in range(2):
        with pytest.raises(ConfigError, match="files"):
            await env.reset()
    await env.close()


async def test_two_environments_cannot_share_a_directory(tmp_path: Path) -> None:
    async with LiveTradingEnv(kept(tmp_path), test_mode=True) as one:
        await one.reset()
        with pytest.raises(StateError, match="is used by pid"):
            await LiveTradingEnv(kept(tmp_path), test_mode=True).reset()


async def test_cancelled_step_leaves_an_environment_that_goes_on(tmp_path: Path) -> None:
    async with LiveTradingEnv(kept(tmp_path), test_mode=True) as env:
        await env.reset()
        step = asyncio.create_task(env.step([0.5]))
        await asyncio.sleep(0)
        step.cancel()
        await asyncio.gather(step, return_exceptions=True)
        seen, _ = await env.reset()
        assert env.observation_space.contains(seen)
        assert rows(tmp_path, "SELECT target FROM decisions ORDER BY bar_time_ms LIMIT 1") == [(0.5,)]


@pytest.mark.parametrize("actions", ["continuous", "levels"])
def test_blocking_one_passes_gymnasiums_checker(actions: str) -> None:
    env = SyncLiveTradingEnv(test_mode=True, actions=actions)
    try:
        check_env(env, skip_render_check=True)
    finally:
        env.close()


def test_blocking_one_is_the_asynchronous_one() -> None:
    async def awaited() -> list[bytes]:
        async with LiveTradingEnv(test_mode=True) as env:
            first, _ = await env.reset(seed=4)
            return [first.tobytes(), *[(await env.step([k / 5]))[0].tobytes() for k in range(5)]]

    env = SyncLiveTradingEnv(test_mode=True)
    first, _ = env.reset(seed=4)
    seen = [first.tobytes(), *[env.step([k / 5])[0].tobytes() for k in range(5)]]
    order = env.create_order("buy", 0.1)
    assert list(env.monitor_order(order.order_id))[-1] == "closed"
    assert not env.cancel_order(order.order_id)
    env.close()
    assert order in list(env.orders)
    assert seen == asyncio.run(awaited())
