"""The market maker's formula: symmetric when flat, leaning when not, bounded by its inventory."""

from math import inf, isnan, log, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from klined.errors import ConfigError
from klined.policies.maker import MarketMaker
from klined.policies.registry import load_policy
from klined.policies.rules import POSITION
from klined.ports import Policy, Quoter


def seen(position: float) -> np.ndarray:  # type: ignore[type-arg]
    row = np.zeros((1, 15), np.float32)
    row[0, POSITION] = position
    return row


def test_it_is_found_by_name_and_quotes() -> None:
    made = load_policy("market_maker", {"size": 0.2})
    assert isinstance(made, Quoter)
    policy: Policy = made
    assert policy.plan == "eth15"


def test_a_flat_account_quotes_evenly_as_far_away_as_the_paper_says() -> None:
    maker = MarketMaker(gamma=0.5, k=1.5)
    quote = maker.quote(maker.decide(seen(0.0))[0])
    assert quote is not None
    assert quote.bid == quote.ask == pytest.approx(0.25 + 2.0 * log(4.0 / 3.0))
    assert quote.buy == quote.sell == 0.1


@given(st.floats(-1.0, 1.0, width=32), st.floats(0.05, 2.0), st.floats(0.2, 5.0))
def test_the_more_it_holds_the_more_it_leans_and_never_beyond_its_inventory(q: float, gamma: float, k: float) -> None:
    maker = MarketMaker(size=0.1, inventory=0.4, gamma=gamma, k=k)
    quote = maker.quote(maker.decide(seen(q))[0])
    assert quote is not None
    assert min(quote.bid, quote.ask) >= 0.2
    assert (quote.bid >= quote.ask) == (q >= 0.0) or quote.bid == quote.ask
    assert max(q + quote.buy, -(q - quote.sell)) <= max(0.4, abs(q)) + 1e-6
    assert min(quote.buy, quote.sell) >= 0.0


@pytest.mark.parametrize("position", [nan, inf])
def test_what_it_holds_must_be_known(position: float) -> None:
    maker = MarketMaker()
    (choice,) = maker.decide(seen(position))
    assert isnan(choice[0])
    assert maker.quote(choice) is None


@pytest.mark.parametrize("wrong", [{"size": 0.0}, {"size": 0.6}, {"inventory": 1.1}, {"gamma": 0.0}, {"k": -1.0}])
def test_a_wrong_option_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        MarketMaker(**wrong)
