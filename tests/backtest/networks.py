"""Policy files over any plan: a random network, decided enough to trade, with a manifest that tells the plan."""

from pathlib import Path

import numpy as np
import onnx
from msgspec.structs import replace

from backtest.markets import bars_of
from klined.kernels.layout import KERNEL_ABI
from klined.policies import golden
from klined.trader.manifest import ActionMap, CostModel, Golden, Manifest, Sentiment, Split, TrainedOn, features_of
from klined.trader.plans import ACCOUNT, ETH44, Plan, declared_plan
from klined_models.export import graph_bytes, write
from klined_models.network import Network

LEVELS = (-1.0, -0.5, 0.0, 0.5, 1.0)
SHOWN = 4  # golden bars that are answered
OWN = declared_plan(
    "own",
    (
        *("position", "open_profit", "held", "retreat", "last_target", "position_change"),
        "rsi = rsi(14, flat=50) / 50 - 1",
        "far = squash(per(close - ema(9), atr))@5m",
        "slow = ema(20)@15m / close - 1",
        "er(10).signed",
        "sentiment_score",
    ),
)
PLANS = (OWN, ETH44)


def write_policy(folder: Path, plan: Plan, seed: int = 5) -> Path:
    """An ONNX file made for `plan`."""
    network = Network((plan.dim, 8, len(LEVELS)), seed)
    network.weights[-1] *= 20.0
    rows = bars_of(["ETH/USDT"], plan.warmup_bars + SHOWN)[0]
    manifest = Manifest(
        name=f"random-{plan.name}",
        plan=plan.name,
        features=features_of(plan),
        account_features=tuple(feature.name for feature in plan.features if feature.source == ACCOUNT),
        sentiment=Sentiment(),
        dim=plan.dim,
        bar_interval_ms=60_000,
        warmup_bars=plan.warmup_bars,
        action=ActionMap(kind="levels", levels=LEVELS, deadband=0.1, max_change=2.0),
        cost=CostModel(taker_fee=0.0004, half_spread=0.00005),
        kernel_abi=KERNEL_ABI,
        trained_on=TrainedOn(
            origin="generated", symbols=("ETH/USDT",), first_open_ms=0, last_open_ms=1, bars=2, data_sha256="0" * 64
        ),
        split=Split(kind="none", train_bars=0, validation_bars=0, purge_bars=0, horizon_bars=1),
        seeds=(seed,),
        metrics_oos=(),
        exporter={"onnx": onnx.__version__},
        golden=Golden(
            symbol="ETH/USDT",
            first_open_ms=int(rows[0, 0]),
            bars=np.ascontiguousarray(rows[:, 1:], "<f8").tobytes(),
            observations=bytes(4 * SHOWN * plan.dim),
            actions=bytes(4 * SHOWN),
        ),
    )
    seen = golden.replay(manifest)
    actions = np.array(LEVELS, "<f4")[network.choose(seen.astype(float))]
    shown = replace(manifest.golden, observations=seen.astype("<f4").tobytes(), actions=actions.tobytes())
    path = folder / f"{plan.name}.onnx"
    write(graph_bytes(network, np.zeros(plan.dim), np.ones(plan.dim), replace(manifest, golden=shown)), path)
    return path
