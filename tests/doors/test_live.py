"""Live trading by the seeds' names: their snippets as they stand, and settings made of few words."""

import asyncio
import re
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from envs.living import settings_on
from klined.config.settings import Settings
from klined.errors import ConfigError
from klined_models import doors
from klined_models.doors import ActionConfig, CryptoTradingConfig, ObservationConfig, create_crypto_env
from klined_models.doors.live import LiveCryptoEnvironment, LiveTradingEnvironment, WebSocketLoader
from klined_models.envs.live import LiveTradingEnv
from klined_models.envs.orders import Order, OrderStatus
from klined_models.envs.switches import changed
from wire.driver import exchange

BLOCK = re.compile(r"\.\. code-block:: python\n\n((?:    .*\n|\n)+)")
USAGE, ORDERS = "# Initialize environment", "# Create specific orders"
SEEN = ObservationConfig(include_prices=False, include_regime=False, include_portfolio=False)


@pytest.fixture(scope="module")
def snippets() -> list[str]:
    found = sorted((Path(__file__).parents[3] / "shared" / "seeds").glob("000_*.txt"))
    if not found:
        pytest.skip("the seeds' texts are not beside the repository (../shared/seeds)")
    return [textwrap.dedent(each) for each in BLOCK.findall(found[0].read_text())]


async def ran(source: str, **names: Any) -> dict[str, Any]:
    """The snippet, which awaits, as the body of a function; its names afterwards."""
    body = textwrap.indent(source, "    ")
    scope: dict[str, Any] = {**names}
    exec(compile(f"async def snippet():\n{body}\n    return locals()", "seed", "exec"), scope)  # noqa: S102 - what this test is for
    told: dict[str, Any] = await scope["snippet"]()
    return told


async def test_usage_of_the_seed_runs_as_it_stands(snippets: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The snippets import nothing, so that the names alone are given."""
    [usage] = [each for each in snippets if USAGE in each]
    [orders] = [each for each in snippets if ORDERS in each]
    scope = await ran(usage, LiveTradingEnvironment=LiveTradingEnvironment)
    env = scope["env"]
    async with env:
        assert scope["obs"].shape == env.observation_space.shape
        assert (scope["done"], scope["truncated"]) == (False, False)
        assert scope["info"]["position"] == pytest.approx([0.5], abs=0.02), "0.5 is a target: half of what may be held"
        told = await ran(orders, env=env, OrderStatus=OrderStatus)
        order = told["order"]
        assert (order.status, order.size, order.price) == ("rejected", 1.0, 50_000.0)
        assert order.reason, "one whole coin is more than this account can pay"
    assert "Order status:" in capsys.readouterr().out


async def test_order_of_the_seed_has_its_fields_and_the_lists_hold_it() -> None:
    async with LiveTradingEnvironment("ETH/USDT", 5_000.0, 0.001, test_mode=True) as env:
        _, info = await env.reset(seed=2)
        assert info["portfolio_value"] == 5_000.0
        order = await env.create_order(side="buy", amount=0.5, price=0.9 * env.prices["ETH/USDT"])
        assert isinstance(order, Order)
        assert {"order_id", "symbol", "type", "size", "price", "timestamp", "status", "filled_size"} <= set(vars(order))
        assert env.active_orders == {order.order_id: order}
        assert await env.cancel_order(order.order_id)
        assert (env.active_orders, env.canceled_orders) == ({}, {order.order_id: order})
        assert env.cancelled_orders == env.canceled_orders
        bought = await env.create_order("buy", 0.5)
        async for _ in env.monitor_order(bought.order_id, 300):
            pass
        assert env.filled_orders == {bought.order_id: bought}
        cash = 5_000.0 - env.balance
        [fill] = [each for each in (await env.step([0.5]))[4]["events"] if each.name == "order.filled"]
        assert float(fill.data["fee"]) == pytest.approx(0.001 * 0.5 * float(fill.data["price"]))
        assert cash == pytest.approx(1.001 * 0.5 * float(fill.data["price"]))


def test_few_words_become_settings() -> None:
    paper = LiveTradingEnvironment("BTC/USDT:USDT", 1_000.0, 0.0005)
    assert paper.settings.market.kind == "perp"
    assert (paper.settings.market.exchange, paper.settings.mode.paper) == ("binance", True)
    assert paper.settings.costs.taker_fee_bps == pytest.approx(5.0)
    client = SimpleNamespace(id="kraken", apiKey="a", secret="b", password=None)  # noqa: S106 - made up
    tested = LiveTradingEnvironment("ETH/USD", exchange=client).settings
    assert (tested.market.exchange, tested.mode.paper, tested.mode.live) == ("kraken", False, False)
    assert tested.exchange.testnet
    assert "b" not in repr(tested.exchange.api_secret)
    socket = WebSocketLoader(timeframe="5m", url="wss://there/stream", rest_url="https://there")
    told = LiveTradingEnvironment("ETH/USDT", websocket=socket).settings.market
    assert (told.timeframe, told.stream_url, told.rest_url) == ("5m", "wss://there/stream", "https://there")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"symbol": "ETH/USDT", "initial_balance": -1.0}, "paper.balance"),
        ({"symbol": "ETH/USDT", "trading_fee": 2.0}, "costs.taker_fee_bps"),
        ({"symbol": "ETH/USDT", "exchange": 3}, "must be a name"),
        ({"symbol": "ETH/USDT", "websocket": WebSocketLoader(timeframe="1min")}, "market.timeframe"),
        ({"symbol": "ETH/USDT", "live": True}, "mode.live = true in the settings"),
        ({"symbol": "ETH/USDT", "settings": changed(Settings(), "mode", live=True)}, "live=True"),
    ],
)
def test_what_cannot_be_is_refused(words: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        LiveTradingEnvironment(**words)


async def test_loader_gives_the_last_bars_and_then_each_as_it_closes(tmp_path: Path) -> None:
    async with exchange(tmp_path, speed=600) as there:
        ws = there.base.replace("http", "ws")
        loader = WebSocketLoader(url=f"{ws}/stream", rest_url=there.base)
        times = []
        bars = loader.bars("ETH/USDT", history=5)
        async for bar in bars:
            times.append(bar.open_time_ms)
            if len(times) == 8:
                break
        await bars.aclose()
    assert np.diff(times).tolist() == [60_000] * 7


def test_live_config_shows_what_training_showed_and_holds_what_it_allows() -> None:
    config = CryptoTradingConfig(
        assets=["BTC", "ETH"],
        data_source="live",
        enable_futures_trading=True,
        initial_balance=2_000.0,
        observation_config=SEEN,
        action_config=ActionConfig(max_position_size=0.4),
    )
    trained = create_crypto_env(CryptoTradingConfig(assets=["BTC", "ETH"], enable_futures_trading=True,
                                                    observation_config=SEEN))  # fmt: skip
    env = LiveCryptoEnvironment(config, test_mode=True)
    try:
        assert env.observation_space.shape == trained.observation_space.shape
        assert env.observation_space == trained.observation_space
        seen, info = env.reset(seed=1)
        assert env.observation_space.contains(seen)
        assert info["portfolio_value"] == 2_000.0
        env.step([1.0, -1.0])
        told = env.get_market_info()
        assert told["data_source"] == "live"
        held = {asset: told["portfolio_summary"]["positions"][asset] * price
                for asset, price in told["current_prices"].items()}  # fmt: skip
        assert held == pytest.approx({"BTC": 800.0, "ETH": -800.0}, rel=0.05)
        assert set(told["technical_indicators"]["ETH"]) >= {"sma_20", "rsi_14"}
    finally:
        env.close()


async def test_live_config_trades_paper_money_on_the_exchanges_own_bars(tmp_path: Path) -> None:
    config = CryptoTradingConfig(assets=["ETH"], data_source="live", observation_config=SEEN)
    async with exchange(tmp_path, speed=120) as there:
        settings = settings_on(tmp_path, there, mode__paper="true")
        env = LiveCryptoEnvironment(config, settings=settings)
        try:
            seen, info = await asyncio.to_thread(env.reset)
        finally:
            env.close()
        assert not (await there.truth())["spot"]["orders"], "nothing leaves the process"
    assert env.observation_space.contains(seen)
    assert info["mode"] == "RUNNING"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "include_prices=False, include_regime=False, include_portfolio=False"),
        ({"observation_config": SEEN, "enable_sentiment_signals": True}, "include_sentiment=False"),
        ({"observation_config": SEEN, "action_config": ActionConfig(action_mode="portfolio")}, "'continuous' or"),
        ({"observation_config": SEEN, "scenarios": ("flash_crash",)}, "for training"),
    ],
)
def test_live_config_that_only_lanes_can_play_is_refused(options: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        create_crypto_env(CryptoTradingConfig(data_source="live", **options))


def test_names_of_live_trading_are_doors_too() -> None:
    assert doors.LiveTradingEnvironment is LiveTradingEnvironment
    assert doors.LiveTradingEnv is LiveTradingEnv
    assert doors.OrderStatus.CANCELED == "canceled"
    with pytest.raises(AttributeError):
        doors.LiveTrading  # noqa: B018 - looking it up is what fails
