"""The log of an environment is what it traded."""

import json
from pathlib import Path

import pytest

from klined.errors import ConfigError
from klined_models.doors import CryptoTradingConfig, create_crypto_env, create_environment_logger
from klined_models.doors.logger import EnvironmentLogger


def test_every_fill_of_an_environment_is_logged_by_itself(tmp_path: Path) -> None:
    logger = create_environment_logger("eth")
    env = create_crypto_env(CryptoTradingConfig(assets=["ETH"], max_steps=60), logger=logger)
    _, info = env.reset(seed=1)
    for k in range(40):
        *_, info = env.step([1.0 if k % 20 < 10 else 0.0])
    logger.export_events(tmp_path / "events.json")
    told = json.loads((tmp_path / "events.json").read_text())
    assert len(told) == len(env.fills) == info["trades"] > 1
    assert sum(each["data"]["fees"] for each in told) == pytest.approx(info["total_fees"])
    cash = 10_000.0
    for each in told:
        data = each["data"]
        cash += (data["trade_value"] if data["side"] == "sell" else -data["trade_value"]) - data["fees"]
    assert cash == pytest.approx(info["balance"])
    assert not list(tmp_path.glob("*.part"))


def test_metrics_are_summed_up_and_times_are_the_clocks() -> None:
    now = iter(range(100))
    logger = EnvironmentLogger("x", clock=lambda: float(next(now)))
    for value in (1.0, 3.0):
        logger.log_performance_metric("sharpe_ratio", value, step=7)
    logger.log_portfolio_update(10.0, 5.0, {"ETH": 1.0})
    told = logger.get_performance_summary()
    assert told == {"sharpe_ratio": {"current": 3.0, "mean": 2.0, "min": 1.0, "max": 3.0, "count": 2.0}}
    assert [event.timestamp for event in logger.events] == [0.0, 1.0, 2.0]


def test_what_cannot_be_logged_or_written_is_said(tmp_path: Path) -> None:
    logger = create_environment_logger("x")
    with pytest.raises(ConfigError, match="side 'long' must be buy or sell"):
        logger.log_trade_execution("BTC", "long", 1.0, 1.0, 0.0)
    with pytest.raises(ConfigError, match="cannot write events to"):
        logger.export_events(tmp_path / "nowhere" / "events.json")
    with pytest.raises(ConfigError, match="needs a name"):
        create_environment_logger("")
