"""The real-time venue's parts: book, path, triggers, memory."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from klined.domain import Bar, MarketKind
from klined.world.book import Book, Depth
from klined.world.filters import default_instrument
from klined.world.path import Path
from klined.world.perpetual import PerpetualVenue
from klined.world.spot import SpotVenue
from klined.world.tickets import Declined, Order, OrderType, Status, Ticket, TimeInForce

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
    for _ in range(40):
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


def resting(price: str, quantity: str = "5", **depth: float) -> SpotVenue:
    """A buy that rests; the queue before it is what the book shows there."""
    venue = SpotVenue([SPOT], PRICES, {"USDT": Decimal(500_000)}, depth=Depth(**depth))
    ticket = Ticket(
        client_id="a", symbol="ETHUSDT", buy=True, type=OrderType.LIMIT, quantity=Decimal(quantity),
        price=Decimal(price),
    )  # fmt: skip
    venue.place(ticket, 0)
    return venue


def order_of(venue: SpotVenue) -> Order:
    return venue.memory.orders[1]


def test_a_resting_order_waits_behind_the_queue_of_its_level() -> None:
    venue = resting("1999")
    ahead = order_of(venue).ahead
    levels = {level.price: level.quantity for level in Book(SPOT, Decimal(2000), Depth()).side(buy=False)}
    assert ahead == levels[Decimal(1999)] > 0
    venue.move("ETHUSDT", 1999.0, float(ahead) / 2, 1)
    assert order_of(venue).ahead == ahead - Decimal(repr(float(ahead) / 2))
    assert order_of(venue).filled == 0
    venue.move("ETHUSDT", 1999.0, float(ahead) / 2 + 4.0, 2)  # four more than the queue: half of them are ours
    assert order_of(venue).ahead == 0
    assert order_of(venue).filled == pytest.approx(Decimal(2), abs=Decimal("0.001"))
    assert all(trade.maker for trade in venue.memory.trades.values())


def test_a_price_that_trades_through_leaves_nobody_ahead() -> None:
    venue = resting("1999")
    venue.move("ETHUSDT", 1998.0, 1_000.0, 1, jump=True)
    assert order_of(venue).status is Status.FILLED
    assert order_of(venue).average == Decimal(1999)


def test_inside_the_spread_nobody_is_ahead() -> None:
    venue = resting("1999.95", half_spread=0.001)
    assert order_of(venue).ahead == 0
    venue.move("ETHUSDT", 1999.95, 2.0, 1)
    assert order_of(venue).filled == 1


@given(st.lists(st.tuples(st.integers(199_800, 200_200), st.floats(0.0, 60.0)), max_size=25))
def test_the_queue_ahead_only_shrinks_and_nothing_fills_before_it_is_gone(moves: list[tuple[int, float]]) -> None:
    venue = resting("1999")
    ahead, at_the_price = order_of(venue).ahead, Decimal(0)
    first = ahead
    for number, (cents, volume) in enumerate(moves):
        venue.move("ETHUSDT", cents / 100, volume, number)
        at_the_price += Decimal(repr(volume))
        order = order_of(venue)
        assert order.ahead <= ahead
        ahead = order.ahead
        if cents >= 199_900 and order.filled and all(c >= 199_900 for c, _ in moves[: number + 1]):
            assert at_the_price >= first + order.filled


def test_a_queue_is_remembered_over_a_restart() -> None:
    venue = resting("1999")
    other = SpotVenue([SPOT], PRICES, {"USDT": Decimal(500_000)})
    other.memory.load([(key, row) for key, row in venue.memory.dump() if row is not None])
    assert other.memory.orders[1].ahead == order_of(venue).ahead > 0


def test_what_was_taken_comes_back_by_a_share_of_each_move() -> None:
    book = Book(SPOT, Decimal(2000), Depth(recovery=0.5))
    shown = sum(level.quantity for level in book.side(buy=True))
    got = sum(level.quantity for level in book.take(shown / 2, buy=True, limit=None))
    missing = []
    for _ in range(4):
        missing.append(shown - sum(level.quantity for level in book.side(buy=True)))
        book.move(2000.0)
    assert [float(part / got) for part in missing] == pytest.approx([1.0, 0.5, 0.25, 0.125], abs=1e-3)


@pytest.mark.parametrize(("buy", "sign"), [(True, 1), (False, -1)])
def test_taking_pushes_the_price_for_good_and_for_a_while(*, buy: bool, sign: int) -> None:
    depth = Depth(permanent=0.0001, transient=0.0004, recovery=0.5)
    venue = SpotVenue([SPOT], PRICES, {"USDT": Decimal(10**7), "ETH": Decimal(10**4)}, depth=depth)
    ticket = Ticket(client_id="a", symbol="ETHUSDT", buy=buy, type=OrderType.MARKET, quantity=Decimal(60))
    levels = 60 * 2_000 / depth.level_quote
    venue.place(ticket, 0)
    pushes = []
    for number in range(12):
        venue.move("ETHUSDT", 2_000.0, 0.0, number)
        pushes.append(sign * (float(venue.books["ETHUSDT"].last) / 2_000.0 - 1.0))
    assert pushes[0] == pytest.approx(levels * 0.0005, abs=1e-5)
    assert pushes == sorted(pushes, reverse=True)
    assert pushes[-1] == pytest.approx(levels * 0.0001, abs=1e-5)


def ticket_of(kind: OrderType, *, buy: bool, **more: object) -> Ticket:
    return Ticket(client_id=f"{kind}-{buy}", symbol="ETHUSDT", buy=buy, type=kind, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ticket", "quiet", "wakes", "fills_at"),
    [
        (ticket_of(OrderType.STOP_LOSS, buy=False, stop=Decimal(1990)), 1991, 1989, (1985, 1991)),
        (ticket_of(OrderType.STOP_LOSS, buy=True, stop=Decimal(2010)), 2009, 2011, (2009, 2015)),
        (ticket_of(OrderType.TAKE_PROFIT, buy=False, stop=Decimal(2010)), 2009, 2011, (2005, 2011)),
        (ticket_of(OrderType.TAKE_PROFIT, buy=True, stop=Decimal(1990)), 1991, 1989, (1989, 1995)),
        (
            ticket_of(OrderType.STOP_LOSS_LIMIT, buy=False, stop=Decimal(1990), price=Decimal(1980)),
            1991, 1989, (1980, 1991),
        ),
        (
            ticket_of(OrderType.TAKE_PROFIT_LIMIT, buy=False, stop=Decimal(2010), price=Decimal(2000)),
            2009, 2011, (2000, 2011),
        ),
        (
            ticket_of(OrderType.STOP_LOSS, buy=False, trailing=Decimal("0.01"), stop=Decimal(1980)),
            1985, 1978, (1970, 1981),
        ),
    ],
    ids=lambda value: str(value.type) if isinstance(value, Ticket) else None,
)  # fmt: skip
def test_each_conditional_order_sleeps_until_its_price(
    ticket: Ticket, quiet: float, wakes: float, fills_at: tuple[int, int]
) -> None:
    venue = SpotVenue([SPOT], PRICES, {"USDT": Decimal(50_000), "ETH": Decimal(5)})
    venue.place(msgspec.structs.replace(ticket, quantity=Decimal(1)), 0)
    venue.move("ETHUSDT", quiet, 50.0, 1)
    assert order_of(venue).filled == 0
    venue.move("ETHUSDT", wakes, 50.0, 2)
    assert order_of(venue).status is Status.FILLED
    assert fills_at[0] <= order_of(venue).average <= fills_at[1]


def test_a_trailing_stop_follows_the_best_price_and_never_turns_back() -> None:
    venue = SpotVenue([SPOT], PRICES, {"USDT": Decimal(50_000), "ETH": Decimal(5)})
    venue.place(
        ticket_of(OrderType.STOP_LOSS, buy=False, trailing=Decimal("0.01"), quantity=Decimal(1), stop=Decimal(1900)), 0
    )
    for number, price in enumerate((2_100.0, 2_085.0, 2_200.0, 2_185.0)):
        venue.move("ETHUSDT", price, 50.0, number)
    assert order_of(venue).stop == Decimal(2178)
    assert order_of(venue).filled == 0
    venue.move("ETHUSDT", 2_170.0, 50.0, 9)
    assert order_of(venue).status is Status.FILLED
    assert Decimal(2_165) < order_of(venue).average <= Decimal(2_178)


def test_post_only_never_takes_and_reduce_only_never_opens() -> None:
    spot = SpotVenue([SPOT], PRICES, {"USDT": Decimal(50_000)})
    maker = {"buy": True, "quantity": Decimal(1)}
    with pytest.raises(Declined, match="immediately match"):
        spot.place(ticket_of(OrderType.LIMIT_MAKER, price=Decimal(2_010), **maker), 0)
    spot.place(ticket_of(OrderType.LIMIT_MAKER, price=Decimal(1_990), **maker), 0)
    perp = PerpetualVenue([PERP], PRICES, {"USDT": Decimal(50_000)})
    post = {"tif": TimeInForce.GTX, **maker}
    with pytest.raises(Declined, match="Post Only"):
        perp.place(ticket_of(OrderType.LIMIT, price=Decimal(2_010), **post), 0)
    with pytest.raises(Declined, match="ReduceOnly"):
        perp.place(ticket_of(OrderType.MARKET, buy=False, quantity=Decimal(1), reduce_only=True), 0)
    perp.place(ticket_of(OrderType.MARKET, **maker), 0)
    perp.place(ticket_of(OrderType.MARKET, buy=False, quantity=Decimal(3), reduce_only=True), 1)
    assert perp.holdings.position("ETHUSDT").amount == 0  # never beyond flat
