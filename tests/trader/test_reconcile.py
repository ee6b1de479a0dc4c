"""Reconciliation: each kind of difference is found, none is found where there is none, and nothing is changed."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klined.domain import ZERO, Account, Fill, Instrument, Intent, MarketKind, OpenOrder, Position
from klined.trader.ledger import Ledger
from klined.trader.orders import Closed, Filled, Order, Unknown, Working
from klined.trader.reconcile import (
    Agreed,
    DriftedBalance,
    ExternalPosition,
    Finding,
    ForeignOrder,
    LostOrder,
    MissingFill,
    Moved,
    VanishedOrder,
    agrees,
    compare,
    persisting,
)

PREFIX = "kl-"
ETH, BTC = "ETH/USDT", "BTC/USDT"
PERP = "ETH/USDT:USDT"


def instrument(symbol: str, kind: MarketKind = MarketKind.SPOT) -> Instrument:
    base = symbol.split("/", maxsplit=1)[0]
    return Instrument(
        symbol=symbol,
        venue_symbol=f"{base}USDT",
        kind=kind,
        base=base,
        quote="USDT",
        tick=Decimal("0.01"),
        lot=Decimal("0.001"),
        quantity_min=Decimal("0.001"),
        quantity_max=Decimal(9000),
        notional_min=Decimal(5),
    )


def ledger(quantity: str = "2") -> Ledger:
    books = Ledger([instrument(ETH), instrument(BTC)], {"USDT": Decimal(10_000)})
    if Decimal(quantity):
        books.book(
            Fill(
                trade_id="1",
                client_id="kl-0",
                symbol=ETH,
                quantity=Decimal(quantity),
                price=Decimal(1000),
                fee=ZERO,
                fee_asset="USDT",
                time_ms=1,
            )
        )
    return books


def account(eth: str = "2", usdt: str = "8000", *orders: OpenOrder) -> Account:
    balances = {"USDT": Decimal(usdt), "ETH": Decimal(eth)}
    return Account(10, balances, (Position(ETH, Decimal(eth)), Position(BTC, ZERO)), orders)


def intent(client_id: str = "kl-1", quantity: str = "3") -> Intent:
    return Intent(client_id=client_id, symbol=ETH, quantity=Decimal(quantity), bar_time_ms=0)


def listed(client_id: str = "kl-1", quantity: str = "3", filled: str = "0") -> OpenOrder:
    return OpenOrder(client_id, ETH, Decimal(quantity), Decimal(filled))


BOTH: list[Finding] = [Agreed(ETH), Agreed(BTC)]
CASES: list[tuple[str, Account, list[Order], list[Finding]]] = [
    ("everything agrees", account(), [], BOTH),
    ("dust below a lot", account("2.000999"), [], BOTH),
    ("dust below a lot, missing", account("1.999001"), [], BOTH),
    ("order that works at both", account("2", "8000", listed()), [Working(intent())], BOTH),
    ("closed orders are no concern", account(), [Closed(intent(), ZERO, "expired"), Filled(intent("kl-2"))], BOTH),
    ("unknown that did not happen", account(), [Unknown(intent(), 1)], BOTH),
    (
        "fill the venue proves",
        account("3", "7000", listed(filled="1")),
        [Working(intent())],
        [MissingFill("kl-1", ETH, Decimal(1), proved=True), Agreed(BTC)],
    ),
    (
        "position that an unknown order explains",
        account("5", "5000"),
        [Unknown(intent(), 1)],
        [MissingFill("kl-1", ETH, Decimal(3), proved=False), Agreed(BTC)],
    ),
    (
        "position that no order explains",
        account("1", "9000"),
        [Unknown(intent(), 1)],
        [ExternalPosition(ETH, Decimal(2), Decimal(1)), Agreed(BTC)],
    ),
    (
        "position beyond what the order could",
        account("6", "4000"),
        [Unknown(intent(), 1)],
        [ExternalPosition(ETH, Decimal(2), Decimal(6)), Agreed(BTC)],
    ),
    (
        "working order that is gone",
        account(),
        [Working(intent())],
        [VanishedOrder("kl-1", ETH), Agreed(BTC)],
    ),
    (
        "order of somebody else",
        account("2", "8000", listed("web_1", "-2", "-0.5")),
        [],
        [ForeignOrder("web_1", ETH, Decimal("-1.5")), Agreed(BTC)],
    ),
    (
        "order with our name that we think ended",
        account("2", "8000", listed()),
        [Closed(intent(), ZERO, "expired")],
        [LostOrder("kl-1", ETH, Decimal(3)), Agreed(BTC)],
    ),
    ("small drift of cash", account("2", "7990"), [], [*BOTH, DriftedBalance("USDT", Decimal(8000), Decimal(7990))]),
    ("rounding of cash", account("2", "7999.99"), [], BOTH),
    ("deposit", account("2", "9000"), [], [*BOTH, Moved("USDT", Decimal(1000))]),
    ("withdrawal", account("2", "7000"), [], [*BOTH, Moved("USDT", Decimal(-1000))]),
]


@pytest.mark.parametrize(("_name", "venue", "orders", "expected"), CASES, ids=[case[0] for case in CASES])
def test_comparison_finds_what_there_is(
    _name: str, venue: Account, orders: list[Order], expected: list[Finding]
) -> None:
    books = ledger()
    before = books.dump()
    found = compare(venue, books, orders, PREFIX)
    assert sorted(found, key=repr) == sorted(expected, key=repr)
    assert books.dump() == before


def test_perpetual_compares_the_position_and_not_the_base_balance() -> None:
    books = Ledger([instrument(PERP, MarketKind.PERP)], {"USDT": Decimal(100)})
    venue = Account(1, {"USDT": Decimal(100), "ETH": Decimal(7)}, (Position(PERP, Decimal(-1)),), ())
    assert compare(venue, books, [], PREFIX) == [ExternalPosition(PERP, ZERO, Decimal(-1))]


def test_position_of_a_symbol_that_we_do_not_trade_is_external() -> None:
    books = Ledger([instrument(PERP, MarketKind.PERP)], {"USDT": Decimal(100)})
    venue = Account(1, {"USDT": Decimal(100)}, (Position("XRP/USDT:USDT", Decimal(5)),), ())
    assert ExternalPosition("XRP/USDT:USDT", ZERO, Decimal(5)) in compare(venue, books, [], PREFIX)


def test_third_asset_is_compared_where_the_ledger_holds_it() -> None:
    books = Ledger([instrument(PERP, MarketKind.PERP)], {"USDT": Decimal(100), "BNB": Decimal(2)})
    venue = Account(1, {"USDT": Decimal(100), "BNB": Decimal(1), "DOGE": Decimal(9)}, (), ())
    assert compare(venue, books, [], PREFIX) == [Agreed(PERP), Moved("BNB", Decimal(-1))]


def test_only_unlisted_orders_leave_a_symbol_in_agreement() -> None:
    assert agrees([VanishedOrder("kl-1", ETH), ExternalPosition(BTC, ZERO, Decimal(1))], ETH)
    for finding in (
        MissingFill("kl-1", ETH, Decimal(1), proved=False),
        ForeignOrder("x", ETH, Decimal(1)),
        LostOrder("kl-1", ETH, Decimal(1)),
        ExternalPosition(ETH, ZERO, Decimal(1)),
    ):
        assert not agrees([finding], ETH)


def test_difference_counts_when_two_looks_agree_on_it() -> None:
    first = compare(account("1", "9000"), ledger(), [], PREFIX)
    second = compare(account("1.5", "8500"), ledger(), [], PREFIX)
    assert persisting(first, second) == [Agreed(BTC)]
    assert ExternalPosition(ETH, Decimal(2), Decimal(1)) in persisting(first, first)


@given(ours=st.integers(-4000, 4000), theirs=st.integers(-4000, 4000), unknown=st.booleans())
def test_agreement_is_claimed_if_and_only_if_positions_agree_to_a_lot(ours: int, theirs: int, *, unknown: bool) -> None:
    step = Decimal("0.0005")
    books = ledger(str(ours * step))
    orders: list[Order] = [Unknown(intent(), 1)] if unknown else []
    venue = account(str(theirs * step), str(books.cash))
    found = compare(venue, books, orders, PREFIX)
    assert (Agreed(ETH) in found) == (abs(ours - theirs) < 2)
    assert agrees(found, ETH) == (Agreed(ETH) in found)
