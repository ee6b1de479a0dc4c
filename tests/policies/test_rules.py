"""Rules decide from documented slots, go flat instead of short when told so, and never invent a target."""

import numpy as np
import pytest

from klined.errors import ConfigError
from klined.policies.rules import EmaCross, Flat, MeanReversion, Momentum, Rule


def seen(**slots: float) -> np.ndarray:
    """One eth15 row, zero but for the named slots."""
    names = {"position": 0, "z_score": 1, "momentum": 3, "macd": 6}
    row = np.zeros((1, 15), np.float32)
    for name, value in slots.items():
        row[0, names[name]] = value
    return row


def target(policy: Rule | Flat, **slots: float) -> float:
    return policy.decide(seen(**slots))[0][0]


def test_ema_cross_follows_the_sign_of_macd() -> None:
    policy = EmaCross()
    assert [target(policy, macd=value) for value in (0.2, -0.2, 0.0)] == [1.0, -1.0, 0.0]
    assert policy.decide(seen(macd=0.25))[0][1] == (0.25,)


def test_long_only_turns_shorts_into_flat() -> None:
    assert target(EmaCross(long_only=True), macd=-0.2) == 0.0
    assert target(MeanReversion(long_only=True), z_score=0.9) == 0.0


def test_size_scales_every_target() -> None:
    assert target(EmaCross(size=0.5), macd=0.2) == 0.5
    assert target(EmaCross(size=0.5), macd=-0.2) == -0.5


def test_momentum_goes_with_a_large_bar_and_stays() -> None:
    policy = Momentum(enter=2.0)
    assert target(policy, momentum=0.41) == 1.0
    assert target(policy, momentum=-0.41) == -1.0
    assert target(policy, momentum=0.2, position=-0.9) == -1.0
    assert target(policy, momentum=0.2) == 0.0


def test_mean_reversion_buys_low_holds_and_leaves_at_the_mean() -> None:
    policy = MeanReversion(enter=2.0, leave=0.5)
    assert target(policy, z_score=-0.5) == 1.0
    assert target(policy, z_score=-0.2, position=1.0) == 1.0
    assert target(policy, z_score=-0.05, position=1.0) == 0.0
    assert target(policy, z_score=0.2, position=1.0) == 0.0
    assert target(policy, z_score=0.5, position=1.0) == -1.0
    assert target(policy, z_score=-0.2) == 0.0


@pytest.mark.parametrize("policy", [EmaCross(), Momentum(), MeanReversion()])
def test_nan_observation_gives_a_nan_target(policy: Rule) -> None:
    assert np.isnan(policy.decide(np.full((1, 15), np.nan, np.float32))[0][0])


def test_flat_wants_nothing_for_every_symbol() -> None:
    assert Flat().decide(np.ones((3, 15), np.float32)) == [(0.0, ())] * 3


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: EmaCross(size=0.0), r"policy\.size = 0\.0"),
        (lambda: Momentum(enter=6.0), r"policy\.enter = 6\.0"),
        (lambda: MeanReversion(enter=1.0, leave=1.5), r"policy\.leave = 1\.5"),
    ],
)
def test_parameter_out_of_range_is_refused_by_name(make: type[Rule], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        make()
