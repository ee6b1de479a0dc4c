"""The manifest's text is canonical, and whatever does not fit is refused by field."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from klined.errors import ModelError
from klined.kernels.layout import KERNEL_ABI
from klined.kernels.observe import outside
from klined.trader.manifest import (
    ActionMap,
    CostModel,
    Golden,
    Manifest,
    Sentiment,
    Split,
    TrainedOn,
    check_plan,
    digest,
    features_of,
    parse,
)
from klined.trader.plans import ETH15, ORIGINAL

MANIFEST = Manifest(
    name="ours",
    plan="eth15",
    features=features_of(ETH15),
    account_features=("position", "position_change"),
    sentiment=Sentiment(),
    dim=15,
    bar_interval_ms=60_000,
    warmup_bars=300,
    action=ActionMap(kind="levels", levels=(0.0, 0.5, 1.0), deadband=0.1, long_only=True),
    cost=CostModel(taker_fee=0.0004, half_spread=0.00005),
    kernel_abi=KERNEL_ABI,
    trained_on=TrainedOn(
        origin="generated", symbols=("ETH/USDT",), first_open_ms=0, last_open_ms=60_000, bars=2, data_sha256="0" * 64
    ),
    split=Split(kind="purged time", train_bars=1, validation_bars=1, purge_bars=315, horizon_bars=15),
    seeds=(7,),
    metrics_oos=(),
    exporter={"numpy": "2"},
    golden=Golden(
        symbol="ETH/USDT", first_open_ms=0, bars=bytes(40 * 301), observations=bytes(4 * 15), actions=bytes(4)
    ),
)


def test_canonical_text_is_sorted_without_spaces_and_survives_a_round_trip() -> None:
    text = MANIFEST.canonical()
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    assert parse(text, digest(text)) == MANIFEST
    assert parse(text).canonical() == text


@given(value=st.floats(1e-12, 0.5))
def test_floats_are_written_as_repr_and_come_back_equal(value: float) -> None:
    text = replace(MANIFEST, cost=CostModel(taker_fee=value, half_spread=0.0)).canonical()
    assert f'"taker_fee":{value!r}' in text
    assert parse(text).cost.taker_fee == value


def test_manifest_of_the_same_plan_fits() -> None:
    check_plan(MANIFEST, ETH15, 60_000)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"plan": "original"}, "plan is 'original'"),
        ({"kernel_abi": KERNEL_ABI + 1}, f"kernel_abi is {KERNEL_ABI + 1}, the engine has {KERNEL_ABI}"),
        ({"features": features_of(ETH15)[::-1]}, r"features\[0\]\.name \(position\) is 'sentiment_score'"),
        ({"features": features_of(ETH15)[:14], "dim": 14}, "dim is 14, the engine has 15"),
        ({"account_features": ("position",)}, "account_features is"),
        ({"warmup_bars": 60}, "warmup_bars is 60, the engine has 300"),
        (
            {"features": (replace(features_of(ETH15)[0], formula="lots"), *features_of(ETH15)[1:])},
            r"features\[0\]\.formula \(position\) is 'lots'",
        ),
        (
            {"features": (*features_of(ETH15)[:9], replace(features_of(ETH15)[9], params={"rsi": 7.0}))},
            r"features\[9\]\.params \(rsi_norm\) is \{'rsi': 7\.0\}, the engine computes \{'rsi': 14\.0\}",
        ),
    ],
)
def test_first_difference_to_the_plan_is_named(changed: dict[str, object], sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        check_plan(replace(MANIFEST, **changed), ETH15)


def test_bars_of_another_interval_are_refused() -> None:
    with pytest.raises(ModelError, match="bar_interval_ms is 60000, but the feed gives bars of 300000"):
        check_plan(MANIFEST, ETH15, 300_000)


def test_plan_without_bounds_still_has_a_canonical_manifest() -> None:
    manifest = replace(MANIFEST, plan="original", features=features_of(ORIGINAL))
    assert parse(manifest.canonical()) == manifest
    check_plan(manifest, ORIGINAL)


def test_distance_outside_the_training_range_is_the_worst_slots() -> None:
    low, high = (-1.0, 0.0), (1.0, 0.5)
    assert outside(low, high, (0.0, 0.5), 2) == 0.0
    assert outside(low, high, (-1.5, 0.6), 2) == pytest.approx(0.5)
    assert outside(low, high, (0.0, float("nan")), 2) == float("inf")
    assert outside(low, high, (float("inf"), 0.0), 2) == float("inf")
