"""The venue's clock from the fastest answer, and when it is too far from ours."""

from hypothesis import given
from hypothesis import strategies as st

from klined.venues.clock_offset import ClockOffset


def test_the_fastest_answer_is_believed() -> None:
    offset = ClockOffset()
    offset.add(1_000, 1_800, 2_300)
    offset.add(2_000, 2_020, 2_110)
    assert offset.offset_ms == 100
    offset.add(3_000, 2_900, 9_000)  # the clock was set back in between
    assert offset.offset_ms == 100
    offset.forget()
    assert offset.offset_ms == 0


def test_a_clock_off_by_more_than_half_the_window_is_a_fault() -> None:
    offset = ClockOffset()
    offset.add(0, 0, 2_500)
    assert offset.fault(5_000) == ""
    offset.forget()
    offset.add(0, 0, -2_501)
    assert "2501 ms ahead of the exchange's" in offset.fault(5_000)


@given(st.integers(-10_000, 10_000), st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1))
def test_the_error_is_at_most_half_the_shortest_round_trip(true_ms: int, ways: list[tuple[int, int]]) -> None:
    offset, now_ms = ClockOffset(), 1_000_000
    for there_ms, back_ms in ways[-8:]:
        offset.add(now_ms, now_ms + there_ms + back_ms, now_ms + there_ms + true_ms)
        now_ms += 10_000
    best = offset.best
    assert best is not None
    assert abs(offset.offset_ms - true_ms) <= best.round_trip_ms / 2 + 1
