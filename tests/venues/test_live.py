"""The daemon on a real wire: it trades at the exchange of the double, and its journal says what that ledger says."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from klined.config.load import load
from klined.config.settings import Settings
from klined.domain import Batch, Event, Mode, Purpose
from klined.errors import ConfigError, Retryable
from klined.ports import Choice
from klined.runtime import assembly, reconciling, remote
from klined.runtime.assembly import assemble
from klined.runtime.daemon import Daemon
from klined.store.journal import AsyncJournal
from klined.testing import ScriptedFeed, closes
from venues.binance_double import KEY, SECRET, Double, serving

MINUTE_MS = 60_000
OPENED: list[AsyncJournal] = []
PAST = 700
SPOT, PERP = "ETH/USDT", "ETH/USDT:USDT"


class Wants:
    """A policy that wants what it is told."""

    name, plan = "wants", "eth15"

    def __init__(self, *targets: float) -> None:
        self.targets = list(targets)

    def decide(self, observations: NDArray[np.float32]) -> list[Choice]:
        target = self.targets.pop(0) if len(self.targets) > 1 else self.targets[0]
        return [(target, ())] * len(observations)

    def state(self) -> bytes:
        return b""

    def restore(self, state: bytes) -> None:
        pass


class Market(ScriptedFeed):
    """History up to now, then so many bars, each shown when the test lets it."""

    def __init__(self, symbol: str, bars: int) -> None:
        now_ms = time.time_ns() // 1_000_000
        start_ms = now_ms - (PAST + 1) * MINUTE_MS
        prices = [2000.0 + (k % 7) for k in range(PAST)]
        past = closes(symbol, prices, start_ms=start_ms, volume=1e6, purpose=Purpose.WARMUP)
        # Bars that close now: older ones would be refused as stale.
        self.live = [Batch(now_ms, (closes(symbol, [2000.0], start_ms=now_ms - MINUTE_MS, volume=1e6)[0].bars[0],))]
        super().__init__(self.live[:bars], past)
        self.ended = asyncio.Event()

    async def next(self) -> Batch | None:
        batch = await super().next()
        if batch is None:
            await self.ended.wait()
        return batch


class Ear:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def observe(self, item: object) -> None:
        if isinstance(item, Event):
            self.events.append(item)

    def names(self) -> list[str]:
        return [event.name for event in self.events]


def settings_for(double: Double, url: str, state: Path, **more: str) -> Settings:
    told = {
        "market.exchange": "binance",
        "market.kind": "perp" if double.perp else "spot",
        "market.symbols": PERP if double.perp else SPOT,
        "mode.paper": "false",
        "exchange.rest_url": url,
        "exchange.user_stream": "false",
        "exchange.reconcile_s": "1",
        "policy.name": "flat",
        "store.dir": str(state),
        "runtime.flatten_deadline_s": "10",
        **more,
    }
    keys = {"KLINED_EXCHANGE__API_KEY": KEY, "KLINED_EXCHANGE__API_SECRET": SECRET}
    return load(None, [f"{key}={value}" for key, value in told.items()], keys)


async def started(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, *targets: float, bars: int = 1, ear: Ear | None = None
) -> tuple[Daemon, Market, AsyncJournal]:
    market = Market(settings.market.symbols[0], bars)
    monkeypatch.setattr(assembly, "make_feed", lambda _: market)
    monkeypatch.setattr(assembly, "make_policy", lambda _: Wants(*targets))
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    journal = await AsyncJournal.open(settings.state_dir / "journal.db")
    OPENED.append(journal)
    try:
        daemon = await assemble(
            settings, journal=journal, installation="7f3a9c00", forgiving=True, observers=[ear] if ear else []
        )
    except BaseException:
        await journal.close()
        raise
    return daemon, market, journal


async def until(claim: object, *, seconds: float = 10.0) -> None:
    """Let the loop run until `claim()` holds."""
    assert callable(claim)
    async with asyncio.timeout(seconds):
        while not claim():  # noqa: ASYNC110 - whatever changes it has no event to wait for
            await asyncio.sleep(0)


@pytest.fixture(params=[False, True], ids=["spot", "perp"])
def double(request: pytest.FixtureRequest) -> Double:
    return Double(perp=request.param)


@pytest.fixture(autouse=True)
async def impatient(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    monkeypatch.setattr(reconciling, "LOOK_AGAIN_S", 0.05)
    monkeypatch.setattr(reconciling, "LAG_S", 0.05)
    monkeypatch.setattr(remote, "FIRST_WAIT_S", 0.01)
    yield
    while OPENED:  # a test that failed leaves a thread that would hold up the process
        await OPENED.pop().close()


def held(double: Double) -> Decimal:
    return double.position if double.perp else double.balances["ETH"]


async def test_it_trades_and_stops_flat_on_the_exchanges_own_ledger(
    double: Double, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(double) as url:
        daemon, market, journal = await started(settings_for(double, url, tmp_path), monkeypatch, 0.5)
        serving_task = asyncio.create_task(daemon.serve())
        await until(lambda: daemon.trader.book.ledger.position(market.live[0].bars[0].symbol).quantity)  # type: ignore[union-attr]  # a bar
        assert held(double) > 0
        assert daemon.trader.book.ledger.cash == double.balances["USDT"]
        daemon.stop("test")
        assert await serving_task == 0
        await journal.close()
    assert held(double) == 0
    assert daemon.trader.left() == {}
    assert daemon.trader.book.ledger.cash == double.balances["USDT"]
    names = [order["clientOrderId"] for order in double.orders]
    assert len(names) == len(set(names)) == len(double.posts) == 2
    if double.perp:
        assert double.posts[-1]["reduceOnly"] == "true"


@pytest.mark.parametrize("fault", ["executed cut", "executed 503", "executed reset"])
async def test_a_lost_answer_makes_no_second_order_and_is_booked(
    double: Double, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(double) as url:
        daemon, market, journal = await started(settings_for(double, url, tmp_path), monkeypatch, 0.5)
        double.faults.append(fault)
        serving_task = asyncio.create_task(daemon.serve())
        symbol = daemon.trader.instruments[0].symbol
        await until(lambda: daemon.trader.book.ledger.position(symbol).quantity == held(double) != 0)
        assert len(double.posts) == 1
        daemon.stop("test")
        assert await serving_task == 0
        await journal.close()
    assert held(double) == 0
    assert market.closed


async def test_a_trade_by_hand_is_booked_and_told(
    double: Double, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ear = Ear()
    async with serving(double) as url:
        settings = settings_for(double, url, tmp_path)
        daemon, _, journal = await started(settings, monkeypatch, 0.0, ear=ear)
        serving_task = asyncio.create_task(daemon.serve())
        await until(lambda: daemon.trader.minutes.seq)
        double.place(
            {"symbol": "ETHUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.3", "newClientOrderId": "by-hand"}
        )
        symbol = daemon.trader.instruments[0].symbol
        await until(lambda: daemon.trader.book.ledger.position(symbol).quantity == Decimal("0.3"))
        await until(lambda: "order.foreign" in ear.names())
        assert daemon.trader.book.ledger.cash == double.balances["USDT"]
        daemon.stop("test")
        assert await serving_task == 0
        await journal.close()
    assert held(double) == 0


async def test_what_the_account_held_before_is_neither_profit_nor_loss(
    double: Double, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    double.balances |= {"USDT": Decimal(7000)}
    if double.perp:
        double.position = Decimal(1)
    else:
        double.balances["ETH"] = Decimal(1)
    async with serving(double) as url:
        daemon, _, journal = await started(settings_for(double, url, tmp_path), monkeypatch, 0.0, bars=0)
        await daemon.start()
        ledger = daemon.trader.book.ledger
        assert ledger.position(daemon.trader.instruments[0].symbol).quantity == 1
        assert ledger.cash == 7000
        assert ledger.books.realised == 0
        await daemon.venue.close()
        await journal.close()


async def test_a_restart_settles_what_the_last_process_left(
    double: Double, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(double) as url:
        settings = settings_for(double, url, tmp_path)
        daemon, _, journal = await started(settings, monkeypatch, 0.5)
        double.faults.append("executed slow")
        serving_task = asyncio.create_task(daemon.serve())
        await until(lambda: double.orders)
        daemon.flatten.run = refuse  # type: ignore[method-assign,assignment]  # killed, not stopped
        serving_task.cancel()
        await asyncio.gather(serving_task, return_exceptions=True)
        await journal.close()
        assert held(double) > 0

        daemon, _, journal = await started(settings, monkeypatch, 0.5, bars=0)
        await daemon.start()
        symbol = daemon.trader.instruments[0].symbol
        assert daemon.trader.book.ledger.position(symbol).quantity == held(double)
        assert daemon.trader.open_orders() == []
        assert len(double.posts) == 1
        await daemon.flatten_now("test")
        await daemon.venue.close()
        await journal.close()
    assert held(double) == 0


async def refuse(_why: str, _deadline_s: float) -> bool:
    return False


async def test_a_key_that_stops_working_halts(double: Double, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(double) as url:
        daemon, _, journal = await started(settings_for(double, url, tmp_path), monkeypatch, 0.0)
        serving_task = asyncio.create_task(daemon.serve())
        await until(lambda: daemon.trader.minutes.seq)
        double.key_code = -2015
        await until(lambda: daemon.mode is Mode.HALTED)
        double.key_code = 0
        daemon.stop("test")
        assert await serving_task == 0
        await journal.close()


@pytest.mark.parametrize(("code", "sentence"), [(-2015, "refuses this API key"), (-1022, "refuses this API key")])
async def test_a_wrong_key_refuses_to_start_in_one_sentence(
    double: Double, code: int, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    double.key_code = code
    async with serving(double) as url:
        with pytest.raises(ConfigError, match=sentence):
            await started(settings_for(double, url, tmp_path), monkeypatch, 0.0)
    assert len(double.requests) < 10


async def test_no_network_ends_after_bounded_tries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Retryable, match="cannot reach"):
        await started(settings_for(Double(), "http://127.0.0.1:9", tmp_path), monkeypatch, 0.0)


async def test_live_money_and_a_test_network_contradict_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(Double(), "http://127.0.0.1:9", tmp_path, **{"mode.live": "true"})
    with pytest.raises(ConfigError, match="testnet = false"):
        await started(settings, monkeypatch, 0.0)


async def test_orders_without_a_key_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(None, ["market.exchange=binance", "mode.paper=false", f"store.dir={tmp_path}"], {})
    with pytest.raises(ConfigError, match="KLINED_EXCHANGE__API_KEY"):
        await started(settings, monkeypatch, 0.0)


def test_bars_come_from_the_network_that_takes_the_orders() -> None:
    def told(*words: str) -> Sequence[str]:
        market = remote.market_of(load(None, ["market.exchange=binance", *words], {}))
        return market.stream_url, market.rest_url

    assert told() == ("", "")
    assert told("mode.paper=false") == (
        "wss://stream.testnet.binance.vision/stream",
        "https://testnet.binance.vision",
    )
    assert told("mode.paper=false", "exchange.demo=true")[1] == "https://demo-api.binance.com"
    assert told("mode.live=true") == ("", "")


async def test_a_stop_is_heard_while_a_start_waits_for_the_market(
    double: Double, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(double) as url:
        daemon, market, journal = await started(settings_for(double, url, tmp_path), monkeypatch, 0.0)
        waiting = asyncio.Event()

        async def never(_count: int, _after_ms: int | None) -> Sequence[Batch]:
            waiting.set()
            await asyncio.Event().wait()
            return ()

        monkeypatch.setattr(market, "history", never)
        serving_task = asyncio.create_task(daemon.serve())
        async with asyncio.timeout(10):
            await waiting.wait()
            daemon.stop("test")
            assert await serving_task == 0
        await journal.close()


def stops(double: Double) -> list[tuple[str, str, str]]:
    working = (algo for algo in double.algos if algo["algoStatus"] == "NEW")
    return [(algo["side"], algo["quantity"], algo["triggerPrice"]) for algo in working]


async def test_a_position_gets_a_stop_that_rests_at_the_exchange(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    double, ear = Double(perp=True), Ear()
    async with serving(double) as url:
        settings = settings_for(double, url, tmp_path, **{"exits.resting": "0.05"})
        daemon, _, journal = await started(settings, monkeypatch, 0.5, ear=ear)
        serving_task = asyncio.create_task(daemon.serve())
        await until(lambda: stops(double))
        assert stops(double) == [("SELL", str(double.position.normalize()), "1900")]
        await until(daemon.trader.protected)
        await until(lambda: "position.covered" in ear.names())
        assert not daemon.trader.unknown()
        double.trigger(double.algos[0]["clientAlgoId"])  # the mark price reaches it
        await until(lambda: not daemon.trader.left())
        assert double.position == 0
        daemon.stop("test")
        assert await serving_task == 0
        await journal.close()
    assert stops(double) == []
    assert daemon.trader.book.ledger.cash == double.balances["USDT"]


async def test_a_position_that_no_stop_can_cover_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    double, ear = Double(perp=True), Ear()
    async with serving(double) as url:
        settings = settings_for(double, url, tmp_path, **{"exits.resting": "0.05"})
        daemon, _, journal = await started(settings, monkeypatch, 0.5, ear=ear)
        double.faults.extend(["", "code -2021"])
        serving_task = asyncio.create_task(daemon.serve())
        await until(lambda: "position.escaped" in ear.names())
        await until(lambda: not daemon.trader.left())
        assert double.position == 0
        daemon.stop("test")
        assert await serving_task == 0
        await journal.close()
