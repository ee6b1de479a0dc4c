"""Short names of indicators are declared features, and what does not exist is named with what does."""

import re
from typing import Any

import numpy as np
import pytest

from klined.errors import ConfigError
from klined.trader.inspection import run
from klined.world.markets import Market
from klined_models.doors.indicators import FORMS, NORMALISATIONS, OTHER_NAMES, declaration, indicator_plan


@pytest.fixture(scope="module")
def bars() -> Any:
    return Market(3, ["ETH/USDT"], 60_000, 1_735_689_600_000).arrays(700)["ETH/USDT"]


def mean(values: Any, n: int) -> Any:
    return np.convolve(values, np.full(n, 1.0 / n), "valid")


def test_raw_values_are_the_definitions(bars: Any) -> None:
    rows = np.asarray(
        run(indicator_plan(["sma_20", "sma_7", "bb_upper", "mom_3"], normalisation="none"), bars.tolist())
    )
    close = bars[:, 4]
    rows, close = rows[100:], close[100:]  # from warm-up on they are those of any window
    assert rows[19:, 0] == pytest.approx(mean(close, 20))
    assert rows[6:, 1] == pytest.approx(mean(close, 7))
    windows = np.lib.stride_tricks.sliding_window_view(close, 20)
    assert rows[19:, 2] == pytest.approx(windows.mean(axis=1) + 2.0 * windows.std(axis=1))
    assert rows[3:, 3] == pytest.approx(close[3:] - close[:-3])


def test_every_name_is_bounded_unless_it_shall_be_raw() -> None:
    for name in (*FORMS, *OTHER_NAMES):
        for normalisation in ("bounded", "zscore"):
            (feature,) = indicator_plan([name], normalisation=normalisation).features
            assert feature.low is not None, name
            assert feature.high is not None, name
            assert feature.low >= -1.0 - 1e-9, name
            assert feature.high <= 1.0 + 1e-9, name
        assert indicator_plan([name], normalisation="none").dim == 1


def test_numbers_are_parameters_in_order_and_the_rest_is_usual() -> None:
    assert declaration("macd_5_35", "none") == "macd_5_35 = macd(5, 35, 9).macd"
    assert declaration("bb_upper_30_2.5", "none") == "bb_upper_30_2_5 = bbands(30, 2.5).upper"
    assert declaration("RSI_14") == "rsi_14 = rsi(14, flat=50) / 50 - 1"
    assert declaration("tsi") == "tsi = tsi(25, 13) / 100", "as eth44 has it"
    assert declaration("ema(20)@15m") == "ema(20)@15m", "a declaration passes as it is"


@pytest.mark.parametrize(
    ("indicator", "words"),
    [
        ("smaa_20", "did you mean 'sma'"),
        ("bb_uper", "did you mean 'bb_upper'"),
        ("macd-signal", "did you mean 'macd_signal'"),
        ("rsi_14_2", "has 2 numbers; rsi takes 1 at most"),
        ("rsi_0", "rsi"),
        ("", "is not known"),
    ],
)
def test_what_is_no_indicator_is_named(indicator: str, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        indicator_plan([indicator])


def test_plans_need_indicators_each_once_and_a_known_normalisation() -> None:
    with pytest.raises(ConfigError, match="no indicators were given"):
        indicator_plan([])
    with pytest.raises(ConfigError, match="two features named 'rsi'"):
        indicator_plan(["rsi", "rsi"])
    with pytest.raises(ConfigError, match="did you mean 'zscore'"):
        indicator_plan(["rsi"], normalisation="z-score")  # type: ignore[arg-type]
    assert NORMALISATIONS[0] == "bounded"
