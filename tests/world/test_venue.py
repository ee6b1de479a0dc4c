"""The real-time venue's parts: book, path, triggers, memory."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klined.domain import Bar, MarketKind
from klined.world.book import Book, Depth
from klined.world.filters import default_instrument
from klined.world.path import Path
from klined.world.perpetual import PerpetualVenue
from klined.world.spot import SpotVenue
from klined.world.tickets import Declined, OrderType, Status, Ticket

SPOT = default_instrument("ETH/USDT", MarketKind.SPOT)
PERP = default_instrument("ETH/USDT:USDT", MarketKind.PERP)
PRICES = {"ETHUSDT": Decimal(2000)}

price_in_ticks = st.integers(1_000, 10_000_000)


@st.composite
def bars(draw: st.DrawFn) -> Bar:
    low = draw(st.floats(1, 1e5))
    span = low * draw(st.floats(0, 0.5))
    open_, close = (low + span * draw(st.floats(0, 1)) for _ in range(2))
    return Bar("ETH/USDT", draw(st.integers(0, 10**6)) * 60_000, open_, max(low + span, open_, close), low, close, 1.0)


@given(price_in_ticks, st.floats(0.01, 100))
def test_a_book_is_ordered_and_never_crossed(ticks: int, liquidity: float) -> None:
    book = Book(SPOT, ticks * SPOT.tick, Depth(liquidity=liquidity))
    asks, bids = book.side(buy=True), book.side(buy=False)
    assert bids[0].price < book.last < asks[0].price
    assert [level.price for level in asks] == sorted({level.price for level in asks})
    assert [level.price for level in bids] == sorted({level.price for level in bids}, reverse=True)
    assert all(level.quantity > 0 and level.quantity % SPOT.lot == 0 for level in (*asks, *bids))


@given(takings=st.lists(st.integers(1, 400_000), min_size=1, max_size=8), buy=st.booleans())
def test_a_book_gives_no_more_than_it_shows(*, takings: list[int], buy: bool) -> None:
    book = Book(SPOT, Decimal(2000), Depth())
    shown = sum(level.quantity for level in book.side(buy=buy))
    got = sum(level.quantity for lots in takings for level in book.take(lots * SPOT.lot, buy=buy, limit=None))
    assert got == min(shown, sum(takings) * SPOT.lot)
    book.move(2000.0)
    assert sum(level.quantity for level in book.side(buy=buy)) == shown


@given(bars(), st.integers(0, 9), st.lists(st.floats(0, 1), max_size=12))
def test_a_path_sees_all_of_its_bar_and_nothing_else(bar: Bar, seed: int, stops: list[float]) -> None:
    path, before, seen = Path(bar, seed), -1.0, []
    for stop in (*sorted(stops), 1.0):
        seen += path.between(before, stop)
        before = max(before, stop)
    prices = [point.price for point in seen]
    assert (prices[0], prices[-1]) == (bar.open, bar.close)
    assert (max(prices), min(prices)) == pytest.approx((bar.high, bar.low))
    assert [point.fraction for point in seen] == sorted(point.fraction for point in seen)


wishes = st.lists(
    st.tuples(st.sampled_from(["buy", "sell", "move"]), st.integers(1, 40), st.integers(-40, 40)), max_size=25
)


@given(wishes)
def test_a_perpetual_wallet_is_its_income(actions: list[tuple[str, int, int]]) -> None:
    venue = PerpetualVenue([PERP], PRICES, {"USDT": Decimal(5_000)})
    for number, (what, size, percent) in enumerate(actions):
        last = venue.books["ETHUSDT"].last
        if what == "move":
            venue.move("ETHUSDT", float(last) * (1 + percent / 1000), 100.0, number)
            continue
        ticket = Ticket(
            client_id=str(number), symbol="ETHUSDT", buy=what == "buy", type=OrderType.MARKET,
            quantity=Decimal(size) / 10,
        )  # fmt: skip
        try:
            venue.place(ticket, number)
        except Declined:
            continue
    incomes = sum((entry.amount for entry in venue.memory.incomes.values()), Decimal(0))
    wallet = venue.holdings.ledger.wallets["USDT"]
    liquidated = any(order.client_id.startswith("autoclose") for order in venue.memory.orders.values())
    assert wallet == 5_000 + incomes or (liquidated and wallet >= 0)
    signed = (trade.quantity if trade.buy else -trade.quantity for trade in venue.memory.trades.values())
    assert venue.holdings.position("ETHUSDT").amount == sum(signed, Decimal(0))


@given(wishes)
def test_a_spot_venue_restored_from_its_rows_is_the_same(actions: list[tuple[str, int, int]]) -> None:
    def made() -> SpotVenue:
        return SpotVenue([SPOT], PRICES, {"USDT": Decimal(5_000), "ETH": Decimal(5)})

    venue, rows = made(), {}
    for number, (what, size, percent) in enumerate(actions):
        price = (venue.books["ETHUSDT"].last * (1000 + percent) / 1000) // SPOT.tick * SPOT.tick
        if what == "move":
            venue.move("ETHUSDT", float(price), 10.0, number)
        else:
            ticket = Ticket(
                client_id=str(number), symbol="ETHUSDT", buy=what == "buy", type=OrderType.LIMIT,
                quantity=Decimal(size) / 100, price=price,
            )  # fmt: skip
            try:
                venue.place(ticket, number)
            except Declined:
                continue
        rows.update(venue.memory.dump())
        rows["account"] = venue.state() or rows.get("account", b"")
    other = made()
    other.memory.load([(key, row) for key, row in rows.items() if row is not None])
    if rows.get("account"):
        other.restore(rows["account"])
    assert other.totals == venue.totals
    assert other.memory.orders == venue.memory.orders
    assert other.memory.open_orders() == venue.memory.open_orders()
    assert other.locked("USDT") == venue.locked("USDT")
    assert all(total >= 0 for total in venue.totals.values())
    assert all(order.status is not Status.REJECTED for order in venue.memory.orders.values())
