"""Lanes run whatever plan is declared: the same bytes in both builds and in the pipeline, by the same machine code."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from backtest.markets import STOPS, bars_of, history, holed, perps, spot, terms, write_csv
from backtest.networks import PLANS, write_policy
from klined.backtest.history import History
from klined.backtest.lanes import Policy, Result, run
from klined.cli.main import main
from klined.domain import Instrument
from klined.kernels import jit, tapes
from klined.ports import Choice
from klined.trader.plans import ACCOUNT, ETH44, ETH44_MTF, Plan, declared_plan

COUNT = 1_800
SWAPS = ("BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT:USDT")
ON = terms(long_only=False, max_exposure=0.4, **STOPS)


class Strength:
    """Against the crowd: the fuller the RSI, the shorter."""

    def __init__(self, plan: Plan) -> None:
        self._rsi = plan.names.index("rsi")

    def decide(self, observations: NDArray[np.float32]) -> list[Choice]:
        return [(max(-1.0, min(1.0, -4.0 * row[self._rsi])), ()) for row in observations.tolist()]


def market(symbols: tuple[str, ...]) -> tuple[History, list[Instrument]]:
    bars, instruments = bars_of(symbols, COUNT), perps(*symbols)
    return history(holed(bars, 2) if len(symbols) > 1 else bars, instruments), instruments


def go(plan: Plan, policy: Policy, symbols: tuple[str, ...], kernels: jit.Kernels) -> Result:
    played, instruments = market(symbols)
    (result,) = run(played, instruments, [ON], policy, plan=plan, kernels=kernels, record=True)
    return result


def same(left: Result, right: Result) -> None:
    for name in left.__struct_fields__:
        assert getattr(left, name).tobytes() == getattr(right, name).tobytes(), name


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
@pytest.mark.parametrize("symbols", [SWAPS[1:2], SWAPS], ids=["one", "three"])
def test_lane_over_a_declared_plan_leaves_the_same_bytes_in_both_builds(plan: Plan, symbols: tuple[str, ...]) -> None:
    plain = go(plan, Strength(plan), symbols, jit.interpreted())
    same(plain, go(plan, Strength(plan), symbols, jit.compiled()))
    assert len(plain.fills) > 100
    account = [slot for slot, feature in enumerate(plan.features) if feature.source == ACCOUNT]
    assert (np.abs(plain.observations[..., account]).max(axis=(0, 1)) > 0.0).all()


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
@pytest.mark.parametrize("symbols", [SWAPS[1:2], SWAPS], ids=["one", "three"])
def test_targets_known_beforehand_come_to_the_same_over_a_declared_plan(plan: Plan, symbols: tuple[str, ...]) -> None:
    asked = go(plan, Strength(plan), symbols, jit.compiled())
    targets = np.ascontiguousarray(asked.decisions[..., tapes.TARGET])
    same(asked, go(plan, targets, symbols, jit.compiled()))


def test_another_plan_compiles_nothing_anew() -> None:
    kernels, known = jit.compiled(), []
    for plan in (*PLANS, declared_plan("third", ["rsi = rsi(9) / 50 - 1", "position", "mom(3)@1h / close"])):
        go(plan, Strength(plan), SWAPS, kernels)
        known.append([len(f.signatures) for f in (kernels.lane.open_step, kernels.program.plan_history)])
    assert known[0] == known[1] == known[2]


def write_minutes(folder: Path, count: int) -> Path:
    return write_csv(folder / "ETHUSDT-1m.csv", bars_of(["ETH/USDT"], count)[0])


@pytest.mark.parametrize("plan", [*PLANS, ETH44_MTF], ids=lambda plan: plan.name)
def test_parity_of_a_policy_over_a_declared_plan(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    bars, policy = write_minutes(tmp_path, plan.warmup_bars + 600), write_policy(tmp_path, plan)
    assert main(["parity", "--data", str(bars), "--policy", str(policy), "--json"]) == 0, capsys.readouterr()
    told = json.loads(capsys.readouterr().out)
    assert told["ok"]
    assert told["policy_sha256"]
    assert told["sums"]["fills"] > 10
    assert told["ways"] == ["pipeline", "interpreted lane", "compiled lane"]


def test_every_lane_of_a_declared_plan_is_the_lane_alone() -> None:
    played, instruments = history(bars_of(["ETH/USDT"], COUNT), spot("ETH/USDT")), spot("ETH/USDT")
    others = [terms(long_only=True), terms(long_only=True, max_exposure=0.1, deadband=0.3)]
    many = run(played, instruments, others, Strength(ETH44), plan=ETH44, record=True)
    for result, own in zip(many, others, strict=True):
        same(result, run(played, instruments, [own], Strength(ETH44), plan=ETH44, record=True)[0])
