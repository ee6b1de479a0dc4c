"""The in-process exchange: certain, deterministic, conserving, and the same after a restart."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from klined.domain import (
    Accepted,
    Bar,
    Batch,
    Cause,
    Denied,
    Ended,
    Fill,
    Funded,
    Instrument,
    Intent,
    Liquidated,
    MarketKind,
    News,
    OrderKind,
    Purpose,
    Traded,
    Unsent,
)
from klined.errors import StateError
from klined.world.exchange import Exchange
from klined.world.filters import default_instrument
from klined.world.markets import Market

MINUTE_MS = 60_000
START_MS = 1_735_689_600_000  # a funding time
SPOT, PERP = MarketKind.SPOT, MarketKind.PERP


def listed(kind: MarketKind, bases: Sequence[str] = ("ETH",)) -> list[Instrument]:
    settle = ":USDT" if kind is PERP else ""
    return [default_instrument(f"{base}/USDT{settle}", kind) for base in bases]


def opened(
    kind: MarketKind, *, cash: int = 10_000, rate: float | None = None, bases: Sequence[str] = ("ETH",)
) -> Exchange:
    funding = None if rate is None else (lambda _symbol, _time_ms: rate)
    return Exchange(listed(kind, bases), {"USDT": Decimal(cash)}, funding=funding)


def batch(exchange: Exchange, minute: int, price: float = 2_000.0, **change: float) -> Batch:
    """One calm bar of every symbol, unless told otherwise."""
    open_ms = START_MS + minute * MINUTE_MS
    o, c = change.get("open", price), change.get("close", price)
    h, low = change.get("high", max(o, c)), change.get("low", min(o, c))
    volume = change.get("volume", 1_000.0)
    bars = tuple(Bar(symbol, open_ms, o, h, low, c, volume) for symbol in exchange.instruments)
    return Batch(open_ms + MINUTE_MS, bars)


def intent(exchange: Exchange, quantity: str, client_id: str = "kl-1", **more: object) -> Intent:
    symbol = more.pop("symbol", next(iter(exchange.instruments)))
    return Intent(client_id=client_id, symbol=symbol, quantity=Decimal(quantity), bar_time_ms=0, **more)  # type: ignore[arg-type]


def fills(news: Sequence[News]) -> list[Fill]:
    return [item.fill for item in news if isinstance(item, Traded | Liquidated)]


@pytest.mark.parametrize("kind", [SPOT, PERP])
def test_an_order_fills_at_the_next_open_a_spread_worse(kind: MarketKind) -> None:
    exchange = opened(kind)
    exchange.on_batch(batch(exchange, 0))
    assert exchange.submit(intent(exchange, "1.5")) == [Accepted("kl-1", "1")]
    (fill,) = fills(exchange.on_batch(batch(exchange, 1, open=2_010.0, high=2_015.0)))
    assert fill.quantity == Decimal("1.5")
    assert Decimal(2_010) * Decimal("1.0001") < fill.price < Decimal(2_012)
    assert fill.price % exchange.instruments[fill.symbol].tick == 0
    assert fill.time_ms == START_MS + MINUTE_MS
    assert fill.fee == fill.price * fill.quantity * exchange.instruments[fill.symbol].taker_fee
    (position,) = exchange.account().positions
    assert position.quantity == Decimal("1.5")
    paid = fill.price * fill.quantity + fill.fee if kind is SPOT else fill.fee
    assert exchange.account().balances["USDT"] == 10_000 - paid


def test_what_the_bar_cannot_fill_expires_at_its_close() -> None:
    exchange = opened(PERP)
    exchange.on_batch(batch(exchange, 0))
    exchange.submit(intent(exchange, "1.5"))
    news = exchange.on_batch(batch(exchange, 1, volume=10.0))
    assert [fill.quantity for fill in fills(news)] == [Decimal(1)]  # a tenth of the volume
    assert news[-1] == Ended("kl-1", "expired")
    exchange.submit(intent(exchange, "1.5", "kl-2"))
    assert exchange.on_batch(batch(exchange, 2, volume=0.0)) == [Ended("kl-2", "expired")]
    missing = Batch(START_MS + 4 * MINUTE_MS, (None,))
    exchange.submit(intent(exchange, "1.5", "kl-3"))
    assert exchange.on_batch(missing) == [Ended("kl-3", "expired")]
    assert exchange.account().orders == ()


def test_a_flatten_executes_at_once_around_the_last_close() -> None:
    exchange = opened(PERP)
    exchange.on_batch(batch(exchange, 0))
    exchange.submit(intent(exchange, "1.5"))
    exchange.on_batch(batch(exchange, 1, close=2_050.0))
    news = exchange.submit(intent(exchange, "-1.5", "kl-2", cause=Cause.FLATTEN, reduce_only=True))
    assert isinstance(news[0], Accepted)
    (fill,) = fills(news)
    assert fill.price < Decimal(2050) * Decimal("0.9999")
    assert fill.time_ms == START_MS + 2 * MINUTE_MS
    assert exchange.account().positions[0].quantity == 0
    assert exchange.query("kl-2") == news


@pytest.mark.parametrize(
    ("kind", "quantity", "more", "reason"),
    [
        (SPOT, "1.00005", {}, "LOT_SIZE"),
        (SPOT, "0.001", {}, "NOTIONAL"),
        (SPOT, "-1", {}, "insufficient balance"),
        (SPOT, "1", {"symbol": "NO/USDT"}, "Invalid symbol"),
        (SPOT, "1", {"kind": OrderKind.STOP}, "A limit or stop order needs a price"),
        (SPOT, "1", {"kind": OrderKind.STOP, "price": Decimal(1_990)}, "immediately trigger"),
        (PERP, "0.001", {}, "-4164"),
        (PERP, "200", {}, "-2019 Margin is insufficient"),
        (PERP, "1", {"reduce_only": True}, "-2022"),
    ],
)
def test_an_order_that_binance_would_refuse_is_refused(
    kind: MarketKind, quantity: str, more: dict[str, object], reason: str
) -> None:
    exchange = opened(kind)
    exchange.on_batch(batch(exchange, 0))
    before = exchange.dump()
    (denied,) = exchange.submit(intent(exchange, quantity, **more))
    assert isinstance(denied, Denied)
    assert any(part in denied.reason for part in reason.split("|"))
    assert before
    assert exchange.dump() == []
    assert exchange.query("kl-1") == [Unsent("kl-1")]


def test_without_a_price_nothing_trades() -> None:
    exchange = opened(SPOT)
    (denied,) = exchange.submit(intent(exchange, "1", cause=Cause.FLATTEN))
    assert isinstance(denied, Denied)
    assert "no bar" in denied.reason


def test_a_client_id_is_refused_only_while_its_order_is_open() -> None:
    exchange = opened(PERP)
    exchange.on_batch(batch(exchange, 0))
    exchange.submit(intent(exchange, "1"))
    (again,) = exchange.submit(intent(exchange, "1"))
    assert isinstance(again, Denied)
    exchange.on_batch(batch(exchange, 1))
    assert exchange.submit(intent(exchange, "1")) == [Accepted("kl-1", "2")]  # the trap: it would buy twice
    exchange.on_batch(batch(exchange, 2))
    assert exchange.account().positions[0].quantity == 2


def test_query_and_cancel_tell_what_is_known_and_prove_what_never_came() -> None:
    exchange = opened(PERP)
    exchange.on_batch(batch(exchange, 0))
    assert exchange.cancel("kl-1") == [Unsent("kl-1")]
    exchange.submit(intent(exchange, "1"))
    assert exchange.query("kl-1") == [Accepted("kl-1", "1")]
    assert exchange.cancel("kl-1") == [Ended("kl-1", "canceled")]
    assert exchange.query("kl-1") == [Accepted("kl-1", "1"), Ended("kl-1", "canceled")]
    assert exchange.on_batch(batch(exchange, 1)) == ()


def test_spot_buys_no_more_than_cash_pays() -> None:
    exchange = opened(SPOT, cash=1_000)
    exchange.on_batch(batch(exchange, 0))
    exchange.submit(intent(exchange, "0.6"))
    news = exchange.on_batch(batch(exchange, 1))
    (fill,) = fills(news)
    assert fill.quantity < Decimal("0.5")
    assert news[-1] == Ended("kl-1", "expired")
    assert 0 <= exchange.account().balances["USDT"] < Decimal("0.3")


def test_a_resting_stop_fills_when_a_bar_reaches_it_and_ends_with_its_position() -> None:
    exchange = opened(PERP)
    exchange.on_batch(batch(exchange, 0))
    exchange.submit(intent(exchange, "1"))
    stop = {"kind": OrderKind.STOP, "price": Decimal(1_950), "reduce_only": True}
    assert exchange.on_batch(batch(exchange, 1))
    assert exchange.submit(intent(exchange, "-1", "stop", **stop)) == [Accepted("stop", "2")]
    assert exchange.submit(intent(exchange, "-1", "twin", **stop)) == [Accepted("twin", "3")]
    assert exchange.on_batch(batch(exchange, 2, low=1_951.0)) == []
    assert [order.client_id for order in exchange.account().orders] == ["stop", "twin"]
    news = exchange.on_batch(batch(exchange, 3, low=1_940.0))
    (fill,) = fills(news)
    assert (fill.client_id, fill.quantity) == ("stop", Decimal(-1))
    assert Decimal(1_940) < fill.price < Decimal(1_950)
    assert news[-1] == Ended("twin", "expired: nothing to reduce")


@pytest.mark.parametrize(("quantity", "sign"), [("1", -1), ("-1", 1)])
def test_funding_is_paid_by_longs_to_shorts_at_funding_times_only(quantity: str, sign: int) -> None:
    exchange = opened(PERP, rate=0.0001)
    exchange.on_batch(batch(exchange, 0))
    exchange.submit(intent(exchange, quantity))
    exchange.on_batch(batch(exchange, 1))
    cash = exchange.account().balances["USDT"]
    heard = [item for minute in range(2, 490) for item in exchange.on_batch(batch(exchange, minute))]
    time_ms = START_MS + 480 * MINUTE_MS
    amount = sign * Decimal("0.2")
    assert heard == [Funded("ETH/USDT:USDT", amount, time_ms, f"ETH/USDT:USDT-{time_ms}")]
    assert exchange.account().balances["USDT"] == cash + amount


def test_the_exchange_liquidates_and_leaves_no_debt() -> None:
    exchange = opened(PERP, cash=1_000)
    exchange.on_batch(batch(exchange, 0))
    exchange.submit(intent(exchange, "5"))
    exchange.on_batch(batch(exchange, 1))
    news = exchange.on_batch(batch(exchange, 2, open=1_990.0, low=1_500.0, close=1_600.0))
    (liquidated,) = news
    assert isinstance(liquidated, Liquidated)
    assert liquidated.fill.client_id.startswith("autoclose-")
    assert liquidated.fill.quantity == -5
    account = exchange.account()
    assert account.positions[0].quantity == 0
    assert 0 <= account.balances["USDT"] < 50


def test_warm_up_bars_move_clock_and_prices_and_nothing_else() -> None:
    exchange = opened(PERP, rate=0.01)
    exchange.on_batch(batch(exchange, 0))
    exchange.submit(intent(exchange, "1"))
    shown = batch(exchange, 1, close=1_900.0)
    assert exchange.on_batch(Batch(shown.close_time_ms, shown.bars, Purpose.WARMUP)) == ()
    account = exchange.account()
    assert account.time_ms == shown.close_time_ms
    assert len(account.orders) == 1
    assert exchange.on_batch(shown) == ()  # not newer than the clock


actions = st.lists(st.tuples(st.integers(-800, 800), st.booleans(), st.integers(0, 1)), min_size=1, max_size=25)


def wanted(exchange: Exchange, lots: int, which: int, minute: int, *, flatten: bool) -> Intent:
    instrument = list(exchange.instruments.values())[which]
    step = instrument.lot * (10 if which == 0 else 1)
    return Intent(
        client_id=f"kl-{minute}",
        symbol=instrument.symbol,
        quantity=lots * step,
        bar_time_ms=0,
        cause=Cause.FLATTEN if flatten else Cause.POLICY,
    )


def worth(exchange: Exchange, last: Batch) -> Decimal:
    account, total = exchange.account(), Decimal(0)
    for position, bar in zip(account.positions, last.bars, strict=True):
        assert bar is not None
        spot = exchange.instruments[position.symbol].kind is SPOT
        total += position.quantity * (Decimal(repr(bar.close)) - (0 if spot else position.entry))
    return total + account.balances["USDT"]


@pytest.mark.parametrize("kind", [SPOT, PERP])
@given(actions=actions, seed=st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_equity_is_cash_flows_of_the_news_and_ids_never_repeat(
    kind: MarketKind, actions: list[tuple[int, bool, int]], seed: int
) -> None:
    """What a listener books from the news alone is what the exchange has."""
    exchange = opened(kind, cash=3_000, rate=0.001, bases=("ETH", "BTC"))
    market = Market(seed, list(exchange.instruments), 60 * MINUTE_MS, START_MS)
    last = market.next()
    heard: list[News] = list(exchange.on_batch(last))
    for minute, (lots, flatten, which) in enumerate(actions):
        heard.extend(exchange.submit(wanted(exchange, lots, which, minute, flatten=flatten)))
        last = market.next()
        heard.extend(exchange.on_batch(last))
    cash, held = Decimal(3_000), dict.fromkeys(exchange.instruments, Decimal(0))
    for fill in fills(heard):
        cash -= fill.quantity * fill.price + fill.fee
        held[fill.symbol] += fill.quantity
    cash += sum((item.amount for item in heard if isinstance(item, Funded)), Decimal(0))
    for symbol, bar in zip(exchange.instruments, last.bars, strict=True):
        assert bar is not None
        cash += held[symbol] * Decimal(repr(bar.close))
    assert abs(worth(exchange, last) - cash) < Decimal("1e-9")
    assert {position.symbol: position.quantity for position in exchange.account().positions} == held
    ids = [fill.trade_id for fill in fills(heard)]
    assert len(ids) == len(set(ids))
    if kind is SPOT:
        assert min(exchange.account().balances.values()) >= Decimal("-1e-9")


@pytest.mark.parametrize("kind", [SPOT, PERP])
@given(actions=actions, cut=st.integers(0, 25), seed=st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_an_exchange_restarted_from_its_rows_goes_on_identically(
    kind: MarketKind, actions: list[tuple[int, bool, int]], cut: int, seed: int
) -> None:
    """Rows are taken after each batch, as the journal does; the process dies with an order sent or not sent."""

    def run(kill_at: int) -> tuple[list[News], dict[str, bytes]]:
        exchange = opened(kind, cash=3_000, rate=0.001, bases=("ETH", "BTC"))
        market = Market(seed, list(exchange.instruments), 60 * MINUTE_MS, START_MS)
        rows: dict[str, bytes] = {}
        heard: list[News] = []
        for minute, (lots, flatten, which) in enumerate(actions):
            last = market.next()
            heard.extend(exchange.on_batch(last))
            rows.update(exchange.dump())
            order = wanted(exchange, lots, which, minute, flatten=flatten)
            if minute == kill_at:
                exchange.submit(order)  # lost with the process: the journal never saw its rows
                exchange = opened(kind, cash=3_000, rate=0.001, bases=("ETH", "BTC"))
                shown = Batch(last.close_time_ms, last.bars, Purpose.WARMUP)
                if seed % 2:
                    exchange.on_batch(shown)
                exchange.load(list(rows.items()))
                if not seed % 2:
                    exchange.on_batch(shown)
                assert exchange.query(order.client_id) == [Unsent(order.client_id)]
            heard.extend(exchange.submit(order))
        rows.update(exchange.dump())
        return heard, rows

    assert run(cut) == run(-1)


def test_damaged_or_foreign_rows_are_refused() -> None:
    exchange = opened(PERP)
    exchange.on_batch(batch(exchange, 0))
    exchange.submit(intent(exchange, "1"))
    rows = exchange.dump()
    assert exchange.dump() == []
    with pytest.raises(StateError, match="damaged"):
        opened(PERP).load(rows[:1])
    with pytest.raises(StateError, match="damaged"):
        opened(PERP).load([(key, raw[:-3]) for key, raw in rows])
    with pytest.raises(StateError, match="former symbols"):
        opened(PERP, bases=("ETH", "BTC")).load(rows)


def test_an_old_batch_changes_nothing() -> None:
    exchange = opened(PERP)
    exchange.on_batch(batch(exchange, 5))
    assert exchange.on_batch(batch(exchange, 4, price=1_000.0)) == ()
    (fill,) = fills(exchange.submit(intent(exchange, "1", cause=Cause.FLATTEN)))
    assert fill.price > 2_000
    assert exchange.account().time_ms == START_MS + 6 * MINUTE_MS


@pytest.mark.parametrize("loaded_first", [True, False], ids=["loaded-then-shown", "shown-then-loaded"])
def test_after_quiet_batches_and_a_restart_a_flatten_trades_at_the_last_close(*, loaded_first: bool) -> None:
    exchange = opened(PERP)
    exchange.on_batch(batch(exchange, 0))
    exchange.submit(intent(exchange, "1"))
    exchange.on_batch(batch(exchange, 1))
    rows = exchange.dump()
    last = batch(exchange, 2, price=2_050.0)
    exchange.on_batch(last)
    assert exchange.dump() == []
    again = opened(PERP)
    shown = Batch(last.close_time_ms, last.bars, Purpose.WARMUP)
    for loads in (loaded_first, not loaded_first):
        if loads:
            again.load(rows)
        else:
            again.on_batch(shown)
    order = intent(exchange, "-1", "kl-2", cause=Cause.FLATTEN)
    assert again.submit(order) == exchange.submit(order)
    assert again.account() == exchange.account()
