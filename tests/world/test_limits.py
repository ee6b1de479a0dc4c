"""Limit orders of the in-process exchange: taken at the open, met within a bar, never filled by a mere touch."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from klined.domain import Bar, Batch, Ended, Fill, Intent, MarketKind, News, OrderKind, Traded
from klined.kernels import layout as at
from klined.kernels.fills import NOUT, ORDER
from klined.kernels.jit import compiled, interpreted
from klined.kernels.limits import CROSSED, MADE, NOTHING, TOOK
from klined.kernels.rows import Block, write_market
from klined.world.exchange import Exchange
from klined.world.filters import default_instrument

MINUTE_MS = 60_000
LIMIT, POST_ONLY = OrderKind.LIMIT, OrderKind.POST_ONLY
PERP = default_instrument("ETH/USDT:USDT", MarketKind.PERP)


def opened(kind: MarketKind = MarketKind.PERP) -> Exchange:
    exchange = Exchange(
        [default_instrument("ETH/USDT" if kind is MarketKind.SPOT else "ETH/USDT:USDT", kind)],
        {"USDT": Decimal(10_000)},
    )
    exchange.on_batch(bar(exchange, 0))
    return exchange


def bar(exchange: Exchange, minute: int, o: float = 2000.0, h: float = 0.0, low: float = 0.0, v: float = 1e6) -> Batch:
    (symbol,) = exchange.instruments
    open_ms = 60_000 * minute + 1_735_689_600_000
    return Batch(open_ms + MINUTE_MS, (Bar(symbol, open_ms, o, h or o, low or o, o, v),))


def rest(
    exchange: Exchange,
    quantity: str,
    price: str,
    kind: OrderKind = LIMIT,
    name: str = "kl-1",
    *,
    reduce_only: bool = False,
) -> None:
    (symbol,) = exchange.instruments
    (accepted,) = exchange.submit(
        Intent(client_id=name, symbol=symbol, quantity=Decimal(quantity), bar_time_ms=0, kind=kind,
               price=Decimal(price), reduce_only=reduce_only)
    )  # fmt: skip
    assert type(accepted).__name__ == "Accepted", accepted


def fills(news: Sequence[News]) -> list[Fill]:
    return [item.fill for item in news if isinstance(item, Traded)]


@pytest.mark.parametrize("kind", [MarketKind.SPOT, MarketKind.PERP])
def test_a_bar_that_goes_through_the_limit_makes_it_at_the_limit_for_the_makers_fee(kind: MarketKind) -> None:
    exchange = opened(kind)
    rest(exchange, "0.5", "1990", POST_ONLY)
    (fill,) = fills(exchange.on_batch(bar(exchange, 1, low=1989.0)))
    assert (fill.quantity, fill.price, fill.maker) == (Decimal("0.5"), Decimal(1990), True)
    assert fill.fee == fill.quantity * fill.price * exchange.instruments[fill.symbol].maker_fee
    assert exchange.account().orders == ()


def test_a_touch_fills_nothing_and_the_order_rests_on() -> None:
    exchange = opened()
    rest(exchange, "0.5", "1990")
    assert exchange.on_batch(bar(exchange, 1, low=1990.0)) == []
    assert [order.client_id for order in exchange.account().orders] == ["kl-1"]
    assert fills(exchange.on_batch(bar(exchange, 2, low=1989.9)))


def test_a_limit_beyond_the_open_takes_at_the_market_and_post_only_is_refused_there() -> None:
    exchange = opened()
    rest(exchange, "0.5", "2050")
    (fill,) = fills(exchange.on_batch(bar(exchange, 1)))
    assert not fill.maker
    assert Decimal(2000) < fill.price < Decimal(2001)
    rest(exchange, "0.5", "2050", POST_ONLY, "kl-2")
    (ended,) = exchange.on_batch(bar(exchange, 2))
    assert isinstance(ended, Ended)
    assert "would take" in ended.reason


def test_parts_leave_the_rest_at_work_until_it_is_cancelled() -> None:
    exchange = opened()
    rest(exchange, "2.5", "1990")
    (first,) = fills(exchange.on_batch(bar(exchange, 1, low=1980.0, v=10.0)))
    assert first.quantity == 1  # a tenth of the volume
    (order,) = exchange.account().orders
    assert order.filled == 1
    (second,) = fills(exchange.on_batch(bar(exchange, 2, low=1980.0, v=10.0)))
    news = exchange.cancel("kl-1")
    assert [item for item in news if isinstance(item, Ended)]
    assert first.quantity + second.quantity == exchange.account().positions[0].quantity == 2


def test_reduce_only_reduces_and_ends_with_nothing_left() -> None:
    exchange = opened()
    rest(exchange, "0.5", "2050")
    exchange.on_batch(bar(exchange, 1))
    rest(exchange, "-0.5", "2010", name="kl-2", reduce_only=True)
    rest(exchange, "-0.5", "2011", name="kl-3", reduce_only=True)
    news = exchange.on_batch(bar(exchange, 2, h=2100.0))
    assert [fill.client_id for fill in fills(news)] == ["kl-2"]
    assert exchange.account().positions[0].quantity == 0
    assert any(isinstance(item, Ended) and item.client_id == "kl-3" for item in news)


def test_the_side_that_loses_comes_first_and_the_side_that_wins_after_a_stop() -> None:
    """Within a bar that reaches all of it, a long is stopped before it sells at a profit."""
    exchange = opened()
    rest(exchange, "0.5", "2050")
    exchange.on_batch(bar(exchange, 1))
    rest(exchange, "-0.5", "2010", name="kl-2", reduce_only=True)
    rest(exchange, "-0.5", "1990", OrderKind.STOP, "kl-3", reduce_only=True)
    news = exchange.on_batch(bar(exchange, 2, h=2100.0, low=1900.0))
    assert [fill.client_id for fill in fills(news)] == ["kl-3"]


def test_what_rests_survives_a_restart_and_does_not_become_fresh_again() -> None:
    exchange = opened()
    rest(exchange, "2.5", "1990", POST_ONLY)
    exchange.on_batch(bar(exchange, 1, low=1980.0, v=10.0))
    rows = exchange.dump()
    again = opened()
    again.load(rows)
    for one in (exchange, again):  # a fresh post-only order would be refused at this open
        (fill,) = fills(one.on_batch(bar(one, 2, o=1985.0, h=1986.0, low=1984.0)))
        assert (fill.quantity, fill.price) == (Decimal("1.5"), Decimal(1990))
    assert exchange.account().balances == again.account().balances


@settings(deadline=None)  # the first call compiles
@given(
    lots=st.integers(-3_000, 3_000),
    held=st.integers(-1_000, 1_000),
    ticks=st.integers(195_000, 205_000),
    swing=st.tuples(st.floats(0, 30), st.floats(0, 30)),
    volume=st.floats(0, 100),
    flags=st.tuples(st.booleans(), st.booleans()),
)
def test_a_limit_is_never_filled_worse_than_its_price_beyond_its_size_or_by_a_touch(
    lots: int, held: int, ticks: int, swing: tuple[float, float], volume: float, flags: tuple[bool, bool]
) -> None:
    rows = [Block(1, size) for size in (at.NA, at.NQ, at.NM, NOUT)]
    a, q, m, out = (block.row[0] for block in rows)
    write_market(m, PERP, 0.0001, 1.0, 0.1)
    a[at.CASH] = a[at.EQUITY] = 10_000.0
    q[at.LOTS], q[at.ENTRY], q[at.MARK] = float(held), 2000.0 if held else 0.0, 2000.0
    price, high, low = ticks * m[at.TICK], 2000.0 + swing[0], 2000.0 - swing[1]
    fresh, post_only = (float(flag) for flag in flags)
    arguments = (float(lots), price, fresh, post_only, 2000.0, high, low, volume, 1.0)
    twins = [Block(1, size) for size in (at.NA, at.NQ, at.NM, NOUT)]
    for block, twin in zip(rows, twins, strict=True):
        twin.load(block.dump())
    what = interpreted().limits.limit_step(a, q, m, *arguments, out)
    array = [block.array[0] for block in twins]
    assert compiled(boundscheck=True).limits.limit_step(*array[:3], *arguments, array[3]) == what
    assert [block.dump() for block in rows] == [block.dump() for block in twins]
    done, side = out[ORDER], 1 if lots > 0 else -1
    assert (done != 0.0) == (what in {TOOK, MADE})
    assert what in {NOTHING, TOOK, MADE, CROSSED}
    assert 0 <= done * side <= abs(lots)
    assert abs(done) * m[at.LOT] <= 0.1 * volume + 1e-9
    assert q[at.LOTS] == held + done
    if done:
        assert (out[ORDER + 1] - ticks) * side <= 0
    if what == MADE:
        assert low < price - m[at.TICK] / 2 if lots > 0 else high > price + m[at.TICK] / 2
    if what == TOOK:
        assert fresh
        assert not post_only
