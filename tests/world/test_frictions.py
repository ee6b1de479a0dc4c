"""Latency, outages and refusals by chance: the shares that are told, the same in every run."""

import numpy as np
import pytest

from klined.errors import ConfigError
from klined.world.frictions import DAY_MS, Frictions

DAY = 20_000


def test_latency_has_the_median_and_the_tail_it_is_given() -> None:
    frictions = Frictions(median_ms=80.0, p99_ms=800.0)
    delays = frictions.delays_ms(7, 0, 40_000)
    assert np.quantile(delays, [0.5, 0.99]) == pytest.approx([80.0, 800.0], rel=0.06)
    assert np.array_equal(frictions.delays_ms(7, 100, 50), delays[100:150])
    assert not Frictions(median_ms=0.0, p99_ms=0.0).delays_ms(7, 0, 9).any()


def test_outages_come_as_often_and_last_as_long_as_they_are_told() -> None:
    frictions = Frictions(outages_per_week=2.0, outage_minutes=15.0)
    found = [outage for day in range(DAY, DAY + 3_500) if (outage := frictions.outages(7, day))]
    assert len(found) / 500.0 == pytest.approx(2.0, rel=0.1)
    assert np.mean([end - begin for begin, end in found]) == pytest.approx(15.0 * 60_000, rel=0.1)
    for begin, end in found[:50]:
        assert frictions.down(7, begin)
        assert frictions.down(7, end - 1)
        assert not frictions.down(7, begin - 1) or frictions.outages(7, begin // DAY_MS - 1)
    assert not any(Frictions().down(7, DAY * DAY_MS + hour * 3_600_000) for hour in range(200))


def test_refusals_hit_the_share_that_is_told_each_in_binances_words() -> None:
    frictions = Frictions(refusal_share=0.1)
    told = [frictions.refusal(7, number) for number in range(5_000)]
    assert sum(refusal is not None for refusal in told) / 5_000 == pytest.approx(0.1, abs=0.02)
    assert {refusal.code for refusal in told if refusal} == {-1008, -1015, -1021}
    assert told == [frictions.refusal(7, number) for number in range(5_000)]
    assert told != [frictions.refusal(8, number) for number in range(5_000)]


@pytest.mark.parametrize(
    "wrong", [{"median_ms": 900.0}, {"outages_per_week": 8.0}, {"outage_minutes": 0.0}, {"refusal_share": 1.1}]
)
def test_frictions_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"latency|has to be in"):
        Frictions(**wrong)
