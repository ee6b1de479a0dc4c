"""A policy that saw more in training than its feed tells is told of."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from klined.domain import Bar
from klined.kernels.micro import MICRO
from klined.runtime import log
from klined.trader.plans import PLANS, declared_plan
from runtime.playing import play, settings_of

FLOW = ["book.imbalance(5)", "trades.imbalance(20)"]
FLOWING = declared_plan("flowing", ["rsi(14) / 100", *FLOW, "position"])


@pytest.mark.parametrize(("told", "masked"), [((), FLOW), ((3.0,), FLOW[:1]), ((3.0,) * MICRO, [])])
def test_features_are_masked_by_what_a_bar_does_not_tell(told: tuple[float, ...], masked: list[str]) -> None:
    assert FLOWING.program is not None
    assert FLOWING.program.masked(Bar("ETH/USDT", 0, 1.0, 1.0, 1.0, 1.0, 5.0, told)) == masked


def test_start_names_the_features_that_its_feed_leaves_at_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PLANS, "eth15", FLOWING)
    log.configure("warning", "json")
    with capture_logs() as told:
        code, *_ = play(settings_of(tmp_path / "state", 5, "policy.name=flat"))
    assert code == 0
    assert [line["features"] for line in told if line["event"] == "features.masked"] == [FLOW]


def test_start_is_silent_about_a_plan_that_reads_prices_alone(tmp_path: Path) -> None:
    log.configure("warning", "json")
    with capture_logs() as told:
        play(settings_of(tmp_path / "state", 5))
    assert not [line for line in told if line["event"] == "features.masked"]
