"""The slow reference against figures worked out by hand, so that two wrongs cannot agree."""

from decimal import Decimal as D  # noqa: N817 # hand-worked figures stay readable
from itertools import pairwise
from math import log

from reference.slow import Costs, Holding, SlowBar, fill_price, range_sigma, recompute


def bar(t: int, open_: str, close: str, volume: str = "100") -> SlowBar:
    low, high = sorted([D(open_), D(close)])
    return SlowBar(t * 60_000, D(open_), high, low, D(close), D(volume))


def one(*bars: SlowBar) -> list[dict[str, SlowBar]]:
    return [{"X": b} for b in bars]


def decided(*quantities: str) -> list[dict[str, D]]:
    return [{"X": D(q)} if q != "0" else {} for q in quantities]


TEN = one(bar(0, "100", "100"), bar(1, "101", "102"), bar(2, "103", "104"), bar(3, "105", "90"))


def test_spot_round_trip_costs_spread_and_fee_at_the_next_open() -> None:
    costs = {"X": Costs(D("0.01"), D("0.1"), half_spread=D("0.001"), taker=D("0.01"))}
    account = recompute(TEN, decided("2", "0", "-2", "0"), costs, D(1000))
    assert [(f.bar, f.quantity, f.price) for f in account.fills] == [(1, D(2), D("101.11")), (3, D(-2), D("104.89"))]
    assert account.fees == D("2.0222") + D("2.0978")
    assert account.equity[1] == 1000 - D("202.22") - D("2.0222") + 2 * 102
    assert account.equity[3] == account.quote == 1000 + 2 * (D("104.89") - D("101.11")) - account.fees


def test_order_is_capped_by_volume_in_whole_lots_and_the_rest_expires() -> None:
    costs = {"X": Costs(D("0.01"), D("0.3"), participation=D("0.01"))}
    account = recompute(TEN, decided("2", "0", "0", "0"), costs, D(1000))
    assert [f.quantity for f in account.fills] == [D("0.9")]


def test_bar_without_volume_fills_nothing() -> None:
    bars = one(bar(0, "100", "100"), bar(1, "100", "100", "0"), bar(2, "100", "100"))
    assert recompute(bars, decided("1", "0", "0"), {"X": Costs(D("0.01"), D("0.1"))}, D(1000)).fills == []


def test_spot_never_sells_what_it_has_not() -> None:
    costs = {"X": Costs(D("0.01"), D("0.1"))}
    account = recompute(TEN, decided("1", "-5", "-1", "0"), costs, D(1000))
    assert [f.quantity for f in account.fills] == [D(1), D(-1)]


def test_spot_buys_no_more_than_the_cash_pays() -> None:
    costs = {"X": Costs(D("0.01"), D("0.1"), taker=D("0.01"))}
    account = recompute(TEN, decided("50", "0", "0", "0"), costs, D(1000))
    assert [f.quantity for f in account.fills] == [D("9.8")]  # 1000 / (101.01 x 1.01) = 9.801
    assert account.quote == 1000 - D("9.8") * D("101.01") * D("1.01")


def test_half_spread_is_never_under_half_a_tick() -> None:
    assert fill_price(1, bar(1, "100", "100"), D(1), D(0), Costs(D("0.5"), D(1))) == D("100.5")
    assert fill_price(-1, bar(1, "100", "100"), D(1), D(0), Costs(D("0.5"), D(1))) == D("99.5")


def test_sigma_of_the_bar_is_its_range_by_parkinson() -> None:
    assert abs(float(range_sigma(bar(1, "100", "102"))) - 0.02 / (2 * log(2) ** 0.5)) < 1e-15


def test_perpetual_averages_its_entry_and_turns_over_through_zero() -> None:
    costs = {"X": Costs(D("0.01"), D(1), perp=True)}
    account = recompute(TEN, decided("1", "1", "-3", "0"), costs, D(1000))
    assert [f.realised for f in account.fills] == [
        D(0),
        D(0),
        D("5.96"),
    ]  # 2 bought at 102.01 on average, sold at 104.99
    assert account.positions[-1] == {"X": D(-1)}
    assert account.equity[-1] == 1000 + D("5.96") + D("14.99")  # short one from 104.99, now 90


def test_funding_is_paid_on_what_was_held_when_it_fell_due() -> None:
    costs = {"X": Costs(D("0.01"), D(1), perp=True)}
    rates = {"X": {60_000: D(1), 120_000: D("0.001"), 180_000: D("-0.001")}}
    account = recompute(TEN, decided("1", "-2", "0", "0"), costs, D(1000), rates)
    assert account.funding == -1 * D("0.001") * 103 + -1 * D("0.001") * 105
    assert account.equity[-1] == 1000 + (D("102.99") - D("101.01")) + (D("102.99") - 90) + account.funding


def test_impact_follows_the_square_root_of_the_share_of_volume() -> None:
    costs = Costs(D("0.01"), D(1), half_spread=D("0.001"), impact=D(1))
    wide = bar(1, "100", "100")
    assert fill_price(1, wide, D(1), D("0.01"), costs) == D("100.20")
    assert fill_price(1, wide, D(25), D("0.01"), costs) == D("100.60")
    assert fill_price(-1, wide, D(26), D("0.01"), costs) == D("99.39"), "rounded against us"


def test_sigma_is_the_exponentially_weighted_deviation_of_log_returns() -> None:
    holding = Holding()
    assert holding.sigma() == 0
    closes, variance = [100, 101, 99, 99], None
    for before, after in pairwise(closes):
        r = log(after / before)
        variance = r * r if variance is None else variance * (1 - 2 / 61) + r * r * 2 / 61
    for close in closes:
        holding.see_close(D(close))
    assert variance is not None
    assert abs(float(holding.sigma()) - variance**0.5) < 1e-15
