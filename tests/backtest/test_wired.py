"""A live daemon, told the same bars by an exchange over websockets, decides and trades what its replay does."""

from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from backtest import test_parity
from backtest.networks import write_policy
from backtest.test_parity import FEW, STOPPED, made_up
from klined.backtest.certificate import WIRE, Certificate, certify
from klined.backtest.parity import Divergence
from klined.cli.main import main
from klined.config.settings import Settings
from klined.sandbox import candles
from klined.trader.plans import ETH44
from replay.worlds import WORLDS

DAY = "market.bars=1440"


def proved(settings: Settings) -> Certificate:
    certificate = test_parity.proved(settings, sandbox=True)
    assert certificate.ways[-1] == WIRE
    return certificate


@pytest.mark.parametrize(("name", "skipped"), [("eth_2021_crash", 0), ("eth_2021_outage", 1_500), ("eth_perp_2025", 0)])
def test_a_day_over_the_wire_is_the_day_replayed(shared_data: Path, tmp_path: Path, name: str, skipped: int) -> None:
    """The outage lacks bars: the feed asks for them, is told that there are none, and goes on."""
    world = next(world for world in WORLDS if world.name == name)
    world = replace(world, first=world.first + skipped, rows=1_440)
    certificate = proved(world.settings(shared_data, tmp_path / "state", "ema_cross", STOPPED))
    lasted = (certificate.to_ms - certificate.from_ms) // 60_000 + 1
    assert certificate.bars == 1440
    assert (lasted > 1440) == world.gap


@pytest.mark.parametrize("policy", ["momentum", "onnx"])
def test_any_policy_over_the_wire_is_the_policy_replayed(tmp_path: Path, policy: str) -> None:
    proved(made_up(tmp_path, ("ETH/USDT",), "spot", f"policy.name={policy}", DAY))


def test_declared_plan_over_the_wire_is_the_plan_replayed(tmp_path: Path) -> None:
    policy = write_policy(tmp_path, ETH44)
    proved(made_up(tmp_path, ("ETH/USDT",), "perp", "policy.name=onnx", f"policy.model={policy}"))


def test_another_bar_on_the_wire_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: the exchange tells bar 700 a tick too high."""
    remember, count = candles.History.append, iter(range(10_000))

    def otherwise(self: candles.History, candle: candles.Candle) -> None:
        if next(count) == 700:
            candle.close = round(candle.close + 0.01, 2)
            candle.high = max(candle.high, candle.close)
        remember(self, candle)

    monkeypatch.setattr(candles.History, "append", otherwise)
    found = certify(made_up(tmp_path, ("ETH/USDT",), "spot", DAY), sandbox=True)
    assert isinstance(found, Divergence)
    assert found.bar == 700
    assert found.sides == ("pipeline", WIRE)


def test_the_command_tells_that_the_wire_was_tried(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    data = shared_data / "small/ETHUSDT-1m_spot_2025-05_08.csv.gz"
    words = ["parity", "--data", str(data), "--policy", "ema_cross", "--bars", "400", "--sandbox"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert out.startswith("EQUAL: pipeline = interpreted lane = compiled lane = run on the sandbox\n")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("policy", ["ema_cross", "momentum", "mean_reversion", "onnx"])
def test_a_month_over_the_wire_is_the_month_replayed(shared_data: Path, tmp_path: Path, policy: str) -> None:
    world = next(world for world in WORLDS if world.name == FEW[0])
    settings = world.whole.settings(shared_data, tmp_path / "state", policy, (*STOPPED, "market.bars=43200"))
    certificate = proved(settings)
    assert certificate.bars == 43_200
    assert np.isfinite(certificate.sums.equity)
