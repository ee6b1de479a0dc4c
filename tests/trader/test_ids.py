"""Client ids: allowed by the venue, the same in a replay, never the same twice."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klined.errors import StateError
from klined.trader.ids import ID_MAX, ClientIds, base36

ALLOWED = re.compile(r"^[.A-Z:/a-z0-9_-]{1,36}$")
TIMES = st.integers(0, 4_102_444_800_000)
IDS = ClientIds("7f3a9c1b2d")


def test_id_tells_installation_bar_symbol_and_number() -> None:
    assert IDS.order(1_747_008_000_000, 3) == f"kl-7f3a9c-{base36(1_747_008_000)}-3-0"
    assert int(base36(1_747_008_000), 36) == 1_747_008_000


@given(bar_time_ms=TIMES, now_ms=TIMES, index=st.integers(0, 99))
def test_every_id_is_allowed_by_the_venue_and_ours(bar_time_ms: int, now_ms: int, index: int) -> None:
    for name in (IDS.order(bar_time_ms, index), IDS.flatten(bar_time_ms, index, now_ms)):
        assert ALLOWED.match(name)
        assert len(name) <= ID_MAX
        assert IDS.ours(name)
        assert not ClientIds("7f3a9d").ours(name)


@given(bars=st.sets(st.tuples(st.integers(0, 10**10), st.integers(0, 20), st.integers(0, 3)), max_size=50))
def test_different_bar_symbol_or_number_gives_a_different_id(bars: set[tuple[int, int, int]]) -> None:
    assert len({IDS.order(second * 1_000, index, n) for second, index, n in bars}) == len(bars)


def test_two_tries_to_flatten_on_one_bar_have_different_ids() -> None:
    first, second = (IDS.flatten(60_000, 0, now_ms) for now_ms in (61_000, 61_001))
    assert len({first, second, IDS.order(60_000, 0)}) == 3


@pytest.mark.parametrize("installation", ["", "abc", "7F3A9C", "kl-7f3"])
def test_installation_that_cannot_stand_in_an_id_is_refused(installation: str) -> None:
    with pytest.raises(StateError, match="six of a-z and 0-9"):
        ClientIds(installation)
