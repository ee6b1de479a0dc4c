"""A policy may bring its own plan: the formulas in its manifest are enough to show it what it was trained on."""

from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from klined.errors import ModelError
from klined.policies import golden
from klined.trader.manifest import Golden, Manifest, check_plan, features_of, plan_of
from klined.trader.plans import ETH44, Plan, declared_plan
from policies.conftest import tiny_manifest, walk

OWN = declared_plan(
    "own",
    ["position", "open_profit", "rsi = rsi(14, flat=50) / 50 - 1", "squash(per(close - ema(9), atr))@5m", "er(10)"],
)


def manifest_of(plan: Plan) -> Manifest:
    account = tuple(f.name for f in plan.features if f.source == "account")
    rows = walk(plan.warmup_bars + 4)[:, -5:]
    seen = np.zeros((4, plan.dim), dtype=np.float32)
    return replace(
        tiny_manifest(),
        plan=plan.name,
        features=features_of(plan),
        account_features=account,
        dim=plan.dim,
        warmup_bars=plan.warmup_bars,
        golden=Golden(
            symbol="ETH/USDT",
            first_open_ms=0,
            bars=rows.astype("<f8").tobytes(),
            observations=seen.tobytes(),
            actions=bytes(16),
        ),
    )


@pytest.mark.parametrize("plan", [OWN, ETH44], ids=lambda plan: plan.name)
def test_plan_is_declared_anew_from_the_manifest_and_replays_its_golden_bars(plan: Plan) -> None:
    manifest = manifest_of(plan)
    assert plan_of(manifest).canonical() == plan.canonical()
    check_plan(manifest, plan_of(manifest))
    seen = golden.replay(manifest)
    assert seen.shape == (4, plan.dim)
    assert np.isfinite(seen).all()
    assert (seen[:, plan.names.index("rsi")] != 0.0).all()


def test_formula_that_this_klined_does_not_know_is_refused_by_name() -> None:
    features: Any = (*features_of(OWN)[:-1], replace(features_of(OWN)[-1], name="x", formula="wizardry(3)"))
    with pytest.raises(ModelError, match="unknown feature 'wizardry'"):
        plan_of(replace(manifest_of(OWN), features=features))
