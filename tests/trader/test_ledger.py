"""The ledger: exact in Decimal, each thing booked once, and equal to what the kernels book in float lanes."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from klined.domain import ZERO, Account, Fill, Funded, Instrument, MarketKind, Position, Transferred
from klined.errors import ConfigError
from klined.kernels import layout as at
from klined.kernels.account import apply_fill, apply_funding
from klined.kernels.rows import Block, write_market
from klined.trader.ledger import SEEN_MAX, Ledger, count_risk


def instrument(kind: MarketKind, base: str = "ETH") -> Instrument:
    symbol = f"{base}/USDT" if kind is MarketKind.SPOT else f"{base}/USDT:USDT"
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


SPOT, PERP = instrument(MarketKind.SPOT), instrument(MarketKind.PERP)
START = {"USDT": Decimal(10_000)}
_serial = iter(range(10**9))


def fill(
    quantity: str | Decimal,
    price: str | Decimal,
    fee: str | Decimal = "0",
    asset: str = "USDT",
    *,
    of: Instrument = PERP,
    order: str | None = None,
) -> Fill:
    n = next(_serial)
    return Fill(
        trade_id=str(n),
        client_id=order or f"kl-{n}",
        symbol=of.symbol,
        quantity=Decimal(quantity),
        price=Decimal(price),
        fee=Decimal(fee),
        fee_asset=asset,
        time_ms=1_000 + n,
    )


def booked(instruments: Sequence[Instrument], *fills: Fill) -> Ledger:
    ledger = Ledger(instruments, START)
    for item in fills:
        ledger.book(item)
    return ledger


quantities = st.integers(-5_000, 5_000).filter(bool).map(lambda n: Decimal(n) * Decimal("0.001"))
prices = st.integers(1, 10_000_000).map(lambda n: Decimal(n) * Decimal("0.01"))
fees = st.integers(0, 10**9).map(lambda n: Decimal(n) * Decimal("1e-8"))
trades = st.lists(st.tuples(quantities, prices, fees, st.integers(-(10**9), 10**9)), min_size=1, max_size=30)


@given(trades, prices)
def test_equity_of_a_perpetual_changes_by_fills_fees_and_funding_and_nothing_else(
    history: list[tuple[Decimal, Decimal, Decimal, int]], mark: Decimal
) -> None:
    ledger, equity = Ledger([PERP], START), Fraction(10_000)
    for i, (quantity, price, fee, funding) in enumerate(history):
        amount = Decimal(funding) * Decimal("1e-8")
        ledger.book(fill(quantity, price, fee))
        ledger.fund(Funded(PERP.symbol, amount, i, str(i)))
        equity += Fraction(quantity) * (Fraction(mark) - Fraction(price)) - Fraction(fee) + Fraction(amount)
    marks = {PERP.symbol: mark}
    assert Fraction(ledger.equity(marks)) == equity
    books = ledger.books
    parts = books.realised + ledger.unrealised(marks) - books.fees + books.funding
    assert ledger.equity(marks) == 10_000 + parts


@given(trades, prices, st.sampled_from(["ETH", "USDT"]))
def test_equity_of_spot_changes_by_fills_and_fees_in_either_asset(
    history: list[tuple[Decimal, Decimal, Decimal, int]], mark: Decimal, asset: str
) -> None:
    ledger, quote, base = Ledger([SPOT], START), Fraction(10_000), Fraction(0)
    for quantity, price, fee, _ in history:
        ledger.book(fill(quantity, price, fee, asset, of=SPOT))
        quote -= Fraction(quantity) * Fraction(price) + (0 if asset == "ETH" else Fraction(fee))
        base += Fraction(quantity) - (Fraction(fee) if asset == "ETH" else 0)
    assert Fraction(ledger.cash) == quote
    assert Fraction(ledger.balance("ETH")) == base
    marks = {SPOT.symbol: mark}
    assert Fraction(ledger.equity(marks)) == quote + base * Fraction(mark)
    assert ledger.equity(marks) == 10_000 + ledger.books.realised + ledger.unrealised(marks) - ledger.books.fees


@given(trades, st.sampled_from([SPOT, PERP]))
def test_view_leaves_the_rows_as_the_kernels_book_them(
    history: list[tuple[Decimal, Decimal, Decimal, int]], of: Instrument
) -> None:
    lane_a, lane_q, a, q, m = Block(1, at.NA), Block(1, at.NQ), Block(1, at.NA), Block(1, at.NQ), Block(1, at.NM)
    write_market(m.row[0], of, 0.0, 0.0, 1.0)
    ledger = Ledger([of], START)
    for rows in (lane_a, a):
        rows.row[0][at.CASH], rows.row[0][at.CAPACITY] = 10_000.0, 5_000.0
    for i, (quantity, price, fee, funding) in enumerate(history):
        item = fill(quantity, price, fee, of=of)
        amount = Decimal(funding) * Decimal("1e-8")
        lots = float(quantity / of.lot)
        apply_fill(lane_a.row[0], lane_q.row[0], m.row[0], lots, float(price), float(fee), float(item.time_ms))
        ledger.book(item)
        ledger.view(a.row[0], q.row[0], 0)
        a.row[0][at.CAPACITY] = lane_a.row[0][at.CAPACITY] = 5_000.0 + i
        if of is PERP:
            apply_funding(lane_a.row[0], float(amount))
            ledger.fund(Funded(of.symbol, amount, i, str(i)))
        ledger.view(a.row[0], q.row[0], 0)
        turnover = 10_000 + sum(abs(float(n * p)) for n, p, _, _ in history)
        for name in (at.LOTS, at.ENTRY_TIME, at.EXTREME):
            assert q.row[0][name] == lane_q.row[0][name]
        assert q.row[0][at.ENTRY] == pytest.approx(lane_q.row[0][at.ENTRY], rel=1e-8)
        assert q.row[0][at.CHANGE] == pytest.approx(lane_q.row[0][at.CHANGE], rel=1e-8)
        assert q.row[0][at.TRIP] == pytest.approx(lane_q.row[0][at.TRIP], rel=1e-8, abs=1e-8 * turnover)
        for name in (at.CASH, at.REALISED, at.FEES, at.FUNDING, at.LAST_SETTLED):
            assert a.row[0][name] == pytest.approx(lane_a.row[0][name], rel=1e-8, abs=1e-8 * turnover)


@given(trades, st.sampled_from([SPOT, PERP]))
def test_ledger_that_is_dumped_and_loaded_goes_on_the_same(
    history: list[tuple[Decimal, Decimal, Decimal, int]], of: Instrument
) -> None:
    whole, parts = Ledger([of], START), Ledger([of], START)
    for quantity, price, fee, _ in history:
        item = fill(quantity, price, fee, of=of)
        assert whole.book(item) == parts.book(item)
        raw = parts.dump()
        parts = Ledger([of])
        parts.load(raw)
        assert parts.book(item) is None, "what was booked before the restart is not booked after it"
        assert parts.dump() == raw == whole.dump()


def test_average_entry_follows_adding_and_stays_when_reducing() -> None:
    ledger = booked([PERP], fill("1", "100"), fill("3", "200"), fill("-2", "500"))
    assert ledger.position(PERP.symbol) == Position(PERP.symbol, Decimal(2), Decimal(175))
    assert ledger.books.realised == 2 * (500 - 175)
    assert ledger.cash == 10_000 + 650


def test_short_that_is_turned_long_settles_and_opens_at_the_price() -> None:
    ledger = booked([PERP], fill("-1", "100", "1"))
    result = ledger.book(fill("3", "90", "3"))
    assert result is not None
    assert result.settled == 10 - 1 - 1, "a third of the second fee belongs to the closing"
    assert ledger.books.holdings[PERP.symbol].trip == -2
    assert ledger.position(PERP.symbol).entry == 90


def test_fee_in_base_makes_the_position_smaller_and_is_worth_its_price() -> None:
    ledger = booked([SPOT], fill("1", "2000", "0.001", "ETH", of=SPOT))
    assert ledger.balance("ETH") == Decimal("0.999")
    assert ledger.cash == 8_000
    assert ledger.books.fees == 2
    assert ledger.equity({SPOT.symbol: Decimal(2000)}) == 9_998


def test_fee_in_base_leaves_dust_that_ends_the_round_trip() -> None:
    ledger = booked([SPOT], fill("1", "2000", "0.0005", "ETH", of=SPOT))
    result = ledger.book(fill("-0.999", "2100", of=SPOT))
    assert result is not None
    assert result.settled == Decimal("0.999") * 100 - 1
    a, q = Block(1, at.NA), Block(1, at.NQ)
    ledger.view(a.row[0], q.row[0], 0)
    assert q.row[0][at.LOTS] == q.row[0][at.ENTRY] == 0.0
    assert ledger.balance("ETH") == Decimal("0.0005")


def test_fee_in_a_third_asset_is_valued_by_a_rate_or_kept_apart() -> None:
    ledger = Ledger([PERP], {**START, "BNB": Decimal(1)})
    apart = ledger.book(fill("1", "100", "0.01", "BNB"))
    valued = ledger.book(fill("1", "100", "0.01", "BNB"), rate=Decimal(600))
    assert apart is not None
    assert valued is not None
    assert [apart.fee, valued.fee] == [ZERO, Decimal(6)]
    assert ledger.books.fees_apart == {"BNB": Decimal("0.01")}
    assert ledger.balance("BNB") == Decimal("0.98")
    marks = {PERP.symbol: Decimal(100)}
    assert ledger.equity(marks) == 10_000
    assert ledger.equity(marks, {"BNB": Decimal(600)}) == 10_000 + 600 - 12


def test_repeated_fills_funding_and_transfers_are_booked_once() -> None:
    ledger = Ledger([PERP], START)
    item, funded = fill("1", "100", "1"), Funded(PERP.symbol, Decimal(-2), 5, "f1")
    deposit = Transferred("USDT", Decimal(50), 5, "d1")
    assert ledger.book(item) is not None
    assert ledger.book(item) is None
    assert ledger.fund(funded)
    assert not ledger.fund(funded)
    assert [ledger.transfer(deposit), ledger.transfer(deposit)] == [50, 0]
    assert ledger.cash == 10_000 - 1 - 2 + 50


def test_same_trade_id_on_another_symbol_is_another_trade() -> None:
    other = instrument(MarketKind.PERP, "BTC")
    ledger = Ledger([PERP, other], START)
    first = fill("1", "100")
    second = Fill(
        trade_id=first.trade_id,
        client_id="kl-x",
        symbol=other.symbol,
        quantity=Decimal(1),
        price=Decimal(100),
        fee=ZERO,
        fee_asset="USDT",
        time_ms=1,
    )
    assert ledger.book(first) is not None
    assert ledger.book(second) is not None


def test_transfers_are_no_profit_in_quote_or_base() -> None:
    ledger = booked([SPOT], fill("1", "2000", of=SPOT))
    marks = {SPOT.symbol: Decimal(2500)}
    profit = ledger.unrealised(marks) + ledger.books.realised
    assert ledger.transfer(Transferred("USDT", Decimal(-500), 1, "w1")) == -500
    assert ledger.transfer(Transferred("ETH", Decimal(2), 1, "d1"), rate=Decimal(2500)) == 5_000
    assert ledger.unrealised(marks) + ledger.books.realised == profit
    assert ledger.equity(marks) == 10_000 + 500 - 500 + 5_000
    assert ledger.books.transfers == 4_500


def test_adopting_the_venues_word_is_no_profit() -> None:
    ledger = booked([PERP], fill("1", "100"))
    marks = {PERP.symbol: Decimal(120)}
    account = Account(9, {"USDT": Decimal(9_000), "BNB": Decimal(2)}, (Position(PERP.symbol, Decimal(3)),), ())
    profit = ledger.books.realised + ledger.unrealised(marks)
    moved = ledger.adopt(account, marks)
    assert ledger.position(PERP.symbol) == Position(PERP.symbol, Decimal(3), Decimal(120))
    assert ledger.equity(marks) == 9_000 == 10_020 + moved
    assert ledger.books.transfers == moved
    assert profit == 20
    assert ledger.adopt(account, marks) == 0


def test_risk_counters_count_an_order_once_and_a_losing_round_trip() -> None:
    a, p = Block(1, at.NA).row[0], Block(1, at.NP).row[0]
    p[at.LOSSES_MAX], p[at.COOLDOWN_MS] = 1.0, 60_000.0
    ledger = Ledger([PERP], START)
    closing = fill("-2", "90", "2", order="y")
    for item in (fill("1", "100", "1", order="x"), fill("1", "100", "1", order="x"), closing):
        result = ledger.book(item)
        assert result is not None
        count_risk(result, a, p)
    assert a[at.TRADES_DAY] == 2
    assert a[at.TURNOVER_DAY] == 380
    assert a[at.FEES_DAY] == 4
    assert a[at.LOSSES] == 1
    assert a[at.COOLDOWN_UNTIL] == closing.time_ms + 60_000


def test_memory_against_repeats_is_bounded() -> None:
    ledger = booked([PERP], *(fill("0.001", "100") for _ in range(2 * SEEN_MAX)))
    assert len(ledger.books.seen) == SEEN_MAX


def test_two_quote_assets_on_one_account_are_refused() -> None:
    other = replace(SPOT, quote="BTC", symbol="ETH/BTC")
    with pytest.raises(ConfigError, match="one quote asset"):
        Ledger([SPOT, other])
