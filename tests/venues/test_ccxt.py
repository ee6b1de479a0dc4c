"""The venue against an exchange that loses answers and lies: one POST an order, and the truth in the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from klined.domain import (
    Accepted,
    Cause,
    Denied,
    Doubted,
    Ended,
    Fill,
    Intent,
    MarketKind,
    News,
    OrderKind,
    OrderNews,
    Position,
    Traded,
)
from klined.errors import ConfigError, Retryable
from klined.ports import Venue
from klined.runtime.clock import SystemClock
from klined.venues.binance import BinanceDialect
from klined.venues.ccxt import CcxtVenue
from klined.venues.permissions import Setup
from klined.venues.wire import READ_TRIES
from venues.binance_double import KEY, SECRET, Double, serving

SPOT, PERP = "ETH/USDT", "ETH/USDT:USDT"
LOST = ["cut", "empty", "html", "object", "502", "503", "-1006", "-1007", "reset", "slow"]


@asynccontextmanager
async def trading(
    double: Double, *, network: str = "testnet", key: str = KEY, secret: str = SECRET, share: float = 0.5
) -> AsyncIterator[CcxtVenue]:
    async with serving(double) as url:
        clock = SystemClock()
        kind = MarketKind.PERP if double.perp else MarketKind.SPOT
        dialect = BinanceDialect(
            kind,
            network=network,
            api_key=key,
            api_secret=secret,
            recv_window_ms=5_000,
            share=share,
            clock=clock,
            setup=Setup(leverage=5),
            rest_url=url,
        )
        dialect.wire.timeout_s = 0.5
        venue = CcxtVenue(
            "binance",
            dialect,
            clock,
            recv_window_ms=5_000,
            set_offset=lambda offset_ms: setattr(clock, "offset_ms", offset_ms),
        )
        await venue.instruments([symbol_of(double)])
        double.requests.clear()
        try:
            yield venue
        finally:
            double.hang.set()
            await venue.close()


def symbol_of(double: Double) -> str:
    return PERP if double.perp else SPOT


def buy(double: Double, name: str = "kl-7f3a9c-1", quantity: str = "0.5", **words: object) -> Intent:
    plain = {"client_id": name, "symbol": symbol_of(double), "quantity": Decimal(quantity), "bar_time_ms": 0}
    return Intent(**{**plain, **words})  # type: ignore[arg-type]  # words of Intent


def traded(news: object) -> Decimal:
    assert isinstance(news, (list, tuple))
    return sum((item.fill.quantity for item in news if isinstance(item, Traded)), Decimal(0))


async def heard(venue: CcxtVenue, kind: type[News]) -> list[News]:
    """Wait for the venue's own news until one of this kind comes."""
    told: list[News] = []
    async with asyncio.timeout(10):
        while not any(isinstance(item, kind) for item in told):
            told += await venue.news()
    return told


@pytest.fixture(params=[False, True], ids=["spot", "perp"])
def double(request: pytest.FixtureRequest) -> Double:
    return Double(perp=request.param)


async def test_a_market_order_is_accepted_and_filled_with_its_exact_fees(double: Double) -> None:
    async with trading(double) as venue:
        port: Venue = venue
        news = await port.submit(buy(double))
        assert isinstance(news[0], Accepted)
        assert traded(news) == Decimal("0.5")
        fills = [item.fill for item in news if isinstance(item, Traded)]
        assert sum(fill.fee for fill in fills) == Decimal(1)
        assert {fill.fee_asset for fill in fills} == {"USDT"}
        assert {fill.client_id for fill in fills} == {"kl-7f3a9c-1"}
        assert len(double.posts) == 1
        again = await port.query("kl-7f3a9c-1", symbol_of(double))
        assert {item.fill.trade_id for item in again if isinstance(item, Traded)} == {f.trade_id for f in fills}
        assert venue.dialect.wire.posts == 1


@pytest.mark.parametrize("name", LOST)
async def test_an_order_whose_answer_is_lost_is_sent_once_and_found(double: Double, name: str) -> None:
    async with trading(double) as venue:
        double.faults.append(f"executed {name}")
        (doubted,) = await venue.submit(buy(double))
        assert isinstance(doubted, Doubted)
        assert doubted.why
        assert traded(await heard(venue, Traded)) == Decimal("0.5")
        assert traded(await venue.query("kl-7f3a9c-1", symbol_of(double))) == Decimal("0.5")
        assert len(double.posts) == 1


async def test_a_read_whose_answer_is_lost_is_asked_again_at_once_and_not_for_ever(double: Double) -> None:
    async with trading(double) as venue:
        double.lost_reads = READ_TRIES - 1
        assert (await venue.account()).balances["USDT"] == 10_000
        assert not double.lost_reads
        double.requests.clear()
        double.lost_reads = 100
        with pytest.raises(Retryable, match="502"):
            await venue.sync()
        assert len(double.requests) == READ_TRIES


@pytest.mark.parametrize("name", ["503", "502", "reset", "-1007", "empty"])
async def test_an_order_that_never_happened_is_doubted_too(double: Double, name: str) -> None:
    async with trading(double) as venue:
        double.faults.append(f"dropped {name}")
        assert [type(item) for item in await venue.submit(buy(double))] == [Doubted]
        assert await venue.query("kl-7f3a9c-1", symbol_of(double)) == ()
        assert len(double.posts) == 1


@pytest.mark.parametrize("code", [-1013, -1021, -1111, -2010, -2011, -2015])
async def test_a_known_code_denies_for_sure(double: Double, code: int) -> None:
    async with trading(double) as venue:
        double.faults.append(f"code {code}")
        (denied,) = await venue.submit(buy(double))
        assert isinstance(denied, Denied)
        assert str(code) in denied.reason
        assert len(double.posts) == 1


async def test_an_unknown_code_proves_nothing(double: Double) -> None:
    async with trading(double) as venue:
        double.faults.append("code -9876")
        assert [type(item) for item in await venue.submit(buy(double))] == [Doubted]


async def test_503_with_the_sentence_of_futures_is_denied_there_only(double: Double) -> None:
    async with trading(double) as venue:
        double.faults.append("dropped 503 sure")
        (answer,) = await venue.submit(buy(double))
        assert isinstance(answer, Denied if double.perp else Doubted)


async def test_an_unreachable_exchange_is_a_sure_denial(double: Double) -> None:
    async with trading(double) as venue:
        for name, url in venue.dialect.ccxt.urls["api"].items():  # type: ignore[attr-defined]  # ccxt's
            venue.dialect.ccxt.urls["api"][name] = f"http://127.0.0.1:9/{url.rpartition('/')[2]}"  # type: ignore[attr-defined]
        (denied,) = await venue.submit(buy(double))
        assert isinstance(denied, Denied)
        assert "cannot reach 127.0.0.1:9" in denied.reason
        with pytest.raises(Retryable, match="the account could not be read"):
            await venue.account()


async def test_a_redirect_is_not_followed(double: Double) -> None:
    async with trading(double) as venue:
        double.status = 302
        assert [type(item) for item in await venue.submit(buy(double))] == [Doubted]
        assert len(double.requests) == 1


async def test_one_not_found_is_no_news(double: Double) -> None:
    async with trading(double) as venue:
        await venue.submit(buy(double))
        double.hidden = 1
        assert await venue.query("kl-7f3a9c-1", symbol_of(double)) == ()
        assert traded(await venue.query("kl-7f3a9c-1", symbol_of(double))) == Decimal("0.5")


async def test_fills_that_lag_behind_their_order_come_later(double: Double) -> None:
    async with trading(double) as venue:
        double.late_trades = 2
        double.faults.append("" if double.perp else "executed empty")
        news = await venue.submit(buy(double))
        assert traded(news) == 0
        assert traded(await heard(venue, Traded)) == Decimal("0.5")


async def test_a_limit_order_works_until_it_is_cancelled(double: Double) -> None:
    async with trading(double) as venue:
        intent = buy(double, kind=OrderKind.LIMIT, price=Decimal("1900.5"))
        assert [type(item) for item in await venue.submit(intent)] == [Accepted]
        assert double.posts[0]["price"] == "1900.5"
        account = await venue.account()
        (order,) = account.orders
        assert (order.client_id, order.kind, order.quantity) == ("kl-7f3a9c-1", OrderKind.LIMIT, Decimal("0.5"))
        news = await venue.cancel("kl-7f3a9c-1", symbol_of(double))
        assert isinstance(news[-1], Ended)
        assert await venue.cancel("kl-7f3a9c-1", symbol_of(double)) == news
        assert not (await venue.account()).orders


async def test_post_only_and_stops_use_the_words_of_their_market(double: Double) -> None:
    async with trading(double) as venue:
        await venue.submit(buy(double, "kl-7f3a9c-2", kind=OrderKind.POST_ONLY, price=Decimal(1900)))
        stop = buy(double, "kl-7f3a9c-3", "-0.5", kind=OrderKind.STOP, price=Decimal(1800), reduce_only=True)
        await venue.submit(stop)
        maker, protective = double.posts
        if double.perp:
            assert (maker["type"], maker["timeInForce"]) == ("LIMIT", "GTX")
            assert protective["type"] == "STOP_MARKET"
            assert protective["workingType"] == "MARK_PRICE"
            assert protective["reduceOnly"] == "true"
            assert protective["triggerPrice"] == "1800"
        else:
            assert maker["type"] == "LIMIT_MAKER"
            assert (protective["type"], protective["stopPrice"]) == ("STOP_LOSS", "1800")
        orders = {order.client_id: order for order in (await venue.account()).orders}
        assert orders["kl-7f3a9c-3"].kind is OrderKind.STOP
        assert orders["kl-7f3a9c-3"].quantity == Decimal("-0.5")
        assert isinstance((await venue.cancel("kl-7f3a9c-3", symbol_of(double)))[-1], Ended)


async def test_a_triggered_stop_is_found_under_its_own_name() -> None:
    double = Double(perp=True)
    async with trading(double) as venue:
        await venue.submit(buy(double))
        await venue.submit(
            buy(double, "kl-7f3a9c-3", "-0.5", kind=OrderKind.STOP, price=Decimal(1800), reduce_only=True)
        )
        double.trigger("kl-7f3a9c-3")
        assert traded(await venue.query("kl-7f3a9c-3", PERP)) == Decimal("-0.5")
        assert not (await venue.account()).positions
        venue.dialect._stops.clear()  # type: ignore[attr-defined]  # as after a restart
        assert traded(await venue.query("kl-7f3a9c-3", PERP)) == Decimal("-0.5")


async def test_a_flatten_is_reduce_only_on_perpetuals() -> None:
    double = Double(perp=True)
    async with trading(double) as venue:
        await venue.submit(buy(double))
        await venue.submit(buy(double, "kl-7f3a9c-f1", "-0.5", cause=Cause.FLATTEN))
        assert [order.get("reduceOnly") for order in double.posts] == [None, "true"]
        assert (await venue.account()).positions == ()


async def test_the_account_tells_balances_and_positions(double: Double) -> None:
    async with trading(double) as venue:
        await venue.submit(buy(double))
        account = await venue.account()
        entry = Decimal(2000) if double.perp else Decimal(0)
        assert account.positions == (Position(symbol_of(double), Decimal("0.5"), entry),)
        assert account.balances["USDT"] == double.balances["USDT"]


async def test_trades_of_others_bear_their_own_names(double: Double) -> None:
    async with trading(double) as venue:
        await venue.submit(buy(double))
        double.place(
            {"symbol": "ETHUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.2", "newClientOrderId": "by-hand"}
        )
        fills: list[Fill] = list(await venue.fills_since(symbol_of(double), 0))
        assert [fill.client_id for fill in fills] == ["kl-7f3a9c-1"] * 2 + ["by-hand"] * 2
        assert sum(fill.quantity for fill in fills) == Decimal("0.3")


async def test_start_asks_for_the_exchange_info_once(double: Double) -> None:
    async with trading(double) as venue:
        await venue.instruments([symbol_of(double)])
        assert [path for _, path, _ in double.requests] == [f"{double.prefix}/exchangeInfo"]


async def test_the_clock_is_corrected_and_a_wrong_one_opens_nothing(double: Double) -> None:
    double.skew_ms = 60_000
    async with trading(double) as venue:
        assert [type(item) for item in await venue.submit(buy(double, "kl-7f3a9c-0"))] == [Denied]
        await venue.sync()
        assert abs(venue.offset.offset_ms - 60_000) < 500
        (denied,) = await venue.submit(buy(double))
        assert isinstance(denied, Denied)
        assert "this machine's clock is" in denied.reason
        assert len(double.posts) == 1
        closing: list[OrderNews] = list(await venue.submit(buy(double, "kl-7f3a9c-2", "-0.1", reduce_only=True)))
        assert isinstance(closing[0], Accepted)


async def test_a_ban_stops_every_request_until_its_time(double: Double) -> None:
    async with trading(double) as venue:
        double.status = 418
        with pytest.raises(Retryable):
            await venue.account()
        asked = len(double.requests)
        double.status = 0
        (denied,) = await venue.submit(buy(double))
        assert isinstance(denied, Denied)
        assert "banned" in denied.reason
        assert len(double.requests) == asked


async def test_entries_leave_the_reserve_to_those_who_close(double: Double) -> None:
    async with trading(double, share=0.001) as venue:
        governor = venue.dialect.wire.governor
        while governor.used < governor.limit * governor.share * 0.8:
            governor.used += 1
        assert [type(item) for item in await venue.submit(buy(double))] == [Denied]
        governor.used = 1.0
        news = await venue.submit(buy(double, "kl-7f3a9c-2", "-0.1", reduce_only=True))
        assert isinstance(news[0], Accepted)


async def test_a_good_account_passes_its_checks(double: Double) -> None:
    async with trading(double) as venue:
        instruments = await venue.instruments([symbol_of(double)])
        assert await venue.check(list(instruments.values())) == []


@pytest.mark.parametrize("power", ["enableWithdrawals", "enableInternalTransfer", "permitsUniversalTransfer"])
async def test_a_live_key_that_may_move_money_is_refused(double: Double, power: str) -> None:
    double.restrictions[power] = True
    async with trading(double, network="live") as venue:
        with pytest.raises(ConfigError, match=power):
            await venue.check([])


async def test_a_key_that_works_from_anywhere_is_worth_a_warning(double: Double) -> None:
    double.restrictions["ipRestrict"] = False
    async with trading(double, network="live") as venue:
        assert any("restrict it" in sentence for sentence in await venue.check([]))


async def test_hedge_mode_and_a_leverage_that_does_not_hold_are_refused() -> None:
    double = Double(perp=True)
    async with trading(double) as venue:
        instruments = list((await venue.instruments([PERP])).values())
        double.leverage_told = 20
        with pytest.raises(ConfigError, match="leverage 20 after 5"):
            await venue.check(instruments)
        double.hedge = True
        with pytest.raises(ConfigError, match="hedge mode"):
            await venue.check(instruments)


@pytest.mark.parametrize("wrong", ["key", "secret"])
async def test_a_wrong_key_is_one_sentence_at_start_and_a_halt_later(double: Double, wrong: str) -> None:
    words = {"key": KEY, "secret": SECRET, wrong: "wrong"}
    async with trading(double, key=words["key"], secret=words["secret"]) as venue:
        with pytest.raises(ConfigError, match="the exchange refuses this API key"):
            await venue.check([])
        with pytest.raises(Retryable):
            await venue.account()
        alarm = venue.alarms.get_nowait()
        assert alarm.halt
        with pytest.raises(Retryable):
            await venue.account()
        assert venue.alarms.empty()
