"""The request budget: a share, a reserve for those who close, and obedience to 429 and 418."""

from hypothesis import given
from hypothesis import strategies as st

from klined.venues.governor import Governor


def test_others_stop_where_the_reserve_begins() -> None:
    governor = Governor(100, share=0.5, reserve=0.2)
    assert governor.wait_s(40, 0.0, urgent=False) == 0.0
    assert governor.wait_s(1, 20.0, urgent=False) == 40.0
    assert governor.wait_s(10, 20.0, urgent=True) == 0.0
    assert governor.wait_s(1, 20.0, urgent=True) == 40.0
    assert governor.wait_s(1, 60.0, urgent=False) == 0.0


def test_headers_correct_our_own_count() -> None:
    governor = Governor(100, share=0.5)
    governor.hear(200, {"x-mbx-used-weight-1m": "49"}, 0.0)
    assert governor.wait_s(5, 1.0, urgent=True) == 59.0
    governor.hear(200, {"x-mbx-used-weight-1m": "nonsense"}, 1.0)
    assert governor.used == 49.0


def test_429_and_418_stop_everything_for_as_long_as_they_say() -> None:
    governor = Governor(100)
    governor.hear(429, {"retry-after": "7"}, 0.0)
    assert governor.wait_s(1, 2.0, urgent=True) == 5.0
    assert "told to wait for 5 s" in governor.blocked(2.0)
    governor.hear(418, {}, 2.0)
    assert "banned for 300 s" in governor.blocked(2.0)
    assert governor.wait_s(1, 302.0, urgent=False) == 0.0
    assert governor.blocked(302.0) == ""


@given(st.lists(st.tuples(st.integers(1, 80), st.floats(0, 20), st.booleans()), max_size=60))
def test_no_minute_ever_takes_more_than_the_share_but_for_a_first_request(
    asked: list[tuple[int, float, bool]],
) -> None:
    governor, now_s = Governor(200, share=0.5), 0.0
    sent: dict[int, list[int]] = {}
    for weight, later_s, urgent in asked:
        now_s += later_s
        if governor.wait_s(weight, now_s, urgent=urgent) == 0.0:
            sent.setdefault(int(now_s // 60), []).append(weight)
    assert all(sum(weights) <= 100 or len(weights) == 1 for weights in sent.values())
