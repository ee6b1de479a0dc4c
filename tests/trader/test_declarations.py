"""A declaration reads back as it is written, shares what is equal, and is refused where it makes no sense."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from klined.errors import ConfigError
from klined.kernels import program as op
from klined.trader.declarations import Binary, Frame, Name, Node, Number, canonical, parse
from klined.trader.plans import ETH44, ETH44_MTF, Plan, declared_plan
from klined.trader.programs import build

NAMES = st.sampled_from(["close", "volume", "rsi", "zscore", "x9"])
NUMBERS = st.one_of(st.integers(0, 99).map(float), st.floats(0.0, 1e6, allow_nan=False))


def nodes() -> st.SearchStrategy[Node]:
    leaf = st.one_of(st.builds(Number, NUMBERS, st.just(0)), st.builds(_name, NAMES))

    def deeper(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
        return st.one_of(
            st.builds(Binary, st.sampled_from("+-*/"), inner, inner, st.just(0)),
            st.builds(Frame, st.builds(_name, NAMES), st.sampled_from([5, 60]), st.just(0)),
            st.builds(_name, NAMES, st.lists(inner.filter(lambda n: not isinstance(n, Number)), max_size=2),
                      st.lists(NUMBERS, max_size=3)),
        )  # fmt: skip

    return st.recursive(leaf, deeper, max_leaves=8)


def _name(name: str, series: list[Node] | None = None, numbers: list[float] | None = None) -> Node:
    return Name(name, tuple(series or ()), tuple(numbers or ()), (), "", 0)


@given(nodes())
def test_canonical_form_reads_back_as_itself(node: Node) -> None:
    text = canonical(node)
    assert canonical(parse(text).node) == text


def rows(*declared: str) -> int:
    return sum(row[op.OP] not in {op.BASE, op.FRAME, op.WRITE} for row in build(declared).code)


def test_equal_expressions_share_one_row_and_numbers_fold_into_one() -> None:
    assert rows("adx(14)", "plus_di(14)", "minus_di(n=14)", "dmi.dx") == 1
    assert rows("rsi(14) / 50 - 1", "rsi(14, flat=0) * 2 / 100 - 1") <= 3
    assert rows("macd.hist / atr(14)", "macd.signal / atr(14)") == 4
    assert rows("squash(3 * per(mom(10), atr(14)))") == 3
    assert rows("ema(5)@5m", "ema(5)@15m", "ema(5)") == 3


def test_bounds_follow_from_the_parts() -> None:
    told = {
        r.name: (r.low, r.high)
        for r in build(["a = rsi / 50 - 1", "b = 1 - er", "c = clip(change, 3) * -2", "d = squash(volume)"]).results
    }
    assert told == {"a": (-1.0, 1.0), "b": (0.0, 1.0), "c": (-6.0, 6.0), "d": (0.0, 1.0)}


def test_longer_bars_need_bars_of_the_plan_that_divide_them() -> None:
    assert build(["ema(5)@5m"], 300_000).code[0][op.OP] == op.BASE
    for declared in ("ema(5)@7m", "ema(5)@1m"):
        with pytest.raises(ConfigError, match="cannot be made"):
            build([declared], 300_000)


def test_plan_of_declarations_has_a_canonical_form_that_reads_back() -> None:
    plan = declared_plan("mine", ["position", "r = rsi(14) / 50 - 1", "ema(9)@5m - close", "sentiment_score"])
    assert plan.names == ("position", "r", "ema(9)@5m - close", "sentiment_score")
    assert plan.slots == (-1, 0, 1, -7)
    assert msgspec.json.decode(plan.canonical(), type=Plan) == plan
    again = declared_plan("mine", ["position", f"r = {plan.features[1].formula}", plan.features[2].formula,
                                   "sentiment_score"])  # fmt: skip
    assert again.canonical() == plan.canonical()
    for declared in (["position"], ["a = close", "a = open"], ["3"]):
        with pytest.raises(ConfigError):
            declared_plan("wrong", declared)


def test_eth44_is_bounded_and_has_the_groups_it_promises() -> None:
    market = [f for f in ETH44.features if f.source == "market"]
    assert (ETH44.dim, len(market)) == (60, 44 + 4 + 5)
    assert all(f.low is not None and f.high is not None and -1.0 <= f.low < f.high <= 1.0 for f in market)
    assert all(f.stable_bars is not None for f in market)


def test_longer_bars_are_added_to_eth44_bounded_and_soon_forgotten() -> None:
    own = {f.name for f in ETH44.features}
    added = [f for f in ETH44_MTF.features if f.name not in own]
    assert {f.name.rpartition("_")[2] for f in added} == {"5m", "15m", "1h"}
    assert len(added) == ETH44_MTF.dim - ETH44.dim == 18
    assert all(f.low is not None and f.high is not None and -1.0 <= f.low < f.high <= 1.0 for f in added)
    assert ETH44_MTF.warmup_bars <= 37 * 60
