"""From bars to the shipped file: clone the oracle, judge it on bars it never saw, export it with its proof.

`python -m klined_models.cloning --out models/klined_models/zoo/eth15-clone.onnx` makes the shipped file again, byte for
byte, with the versions that its manifest names. `--real DIR` learns from real bars too. `--judge DIR` measures the
policy on real bars and keeps the figures beside the file: they enter the manifest as long as the weights are those that
were measured, so that the file can be made again without the data.
"""

import argparse
import hashlib
import sys
from pathlib import Path

import msgspec
import numpy as np
import onnx
from msgspec import Struct

from klined.errors import ModelError
from klined.kernels.layout import KERNEL_ABI
from klined.policies.onnx import OnnxPolicy
from klined.trader.manifest import (
    CostModel,
    Manifest,
    OutOfSample,
    Sentiment,
    Split,
    TrainedOn,
    features_of,
)
from klined.trader.plans import ETH15
from klined.world.markets import Climate
from klined_models import dataset, export
from klined_models.dataset import Bars
from klined_models.evaluation import closed_loop, judge
from klined_models.teaching import Pupil, Recipe, series, train

TRAINING = ((101, 0.05), (102, 0.15), (103, 0.25))
"""Seeds of the training markets and how strong a trend each has (drift over sigma; 0.05 is the demo market's)."""
TRAINING_BARS = 40_000
JUDGED_SEED = 991
GOLDEN_SEED = 777
GOLDEN_ANSWERS = 64
JUDGED_BARS = 20_000
REAL = {
    "ETHUSDT-1m_spot_2025-05_08.csv.gz": "ETH/USDT spot 1m, last 20,000 bars to 2025-08-18",
    "ETHUSDT-1m_um_2025-05.csv.gz": "ETH/USDT:USDT perpetual 1m, last 20,000 bars to 2025-06-15",
    "BTCUSDT-1m_spot_2025-05_08.csv.gz": "BTC/USDT spot 1m, last 20,000 bars to 2025-08-18",
}
REMARK = (
    "Policy alone, filled at the next open; fee 4 bp, half spread 0.5 bp, no gate, no impact. NOT "
    "PROVEN: the interval of the Sharpe ratio holds zero, and keeping the position agrees with the oracle as often. "
    "change_weight was set by the number of fills on these bars, not by profit; all other choices did not see them."
)


class Figures(Struct, frozen=True):
    """Out-of-sample figures on real bars, and the weights they belong to."""

    weights_sha256: str
    metrics_oos: tuple[OutOfSample, ...]


def training_bars(real: Path | None, purge_bars: int) -> list[Bars]:
    """Generated markets; with `real`, also the real bars that lie before every judged bar of any series.

    One cut for all series: ETH spot in June knows what the ETH perpetual did in June.
    """
    parts = [dataset.generated(TRAINING_BARS, seed, Climate(trend=trend)) for seed, trend in TRAINING]
    if real is None:
        return parts
    series_read = [dataset.read_bars(real / file) for file in REAL]
    cut = min(bars[-JUDGED_BARS - purge_bars, 0] for bars in series_read)
    return parts + [bars[bars[:, 0] < cut] for bars in series_read]


def judge_generated(pupil: Pupil, recipe: Recipe) -> tuple[OutOfSample, ...]:
    """Figures on the demo market with a seed that training does not use."""
    bars = dataset.generated(JUDGED_BARS + recipe.warmup_bars, JUDGED_SEED)
    return (_judge(pupil, f"generated, seed {JUDGED_SEED}", bars, recipe),)


def judge_real(pupil: Pupil, recipe: Recipe, folder: Path) -> tuple[OutOfSample, ...]:
    """Figures on the last bars of real series, which training never takes."""
    figures = []
    for file, data in REAL.items():
        bars = dataset.read_bars(folder / file)[-(JUDGED_BARS + recipe.warmup_bars) :]
        figures.append(_judge(pupil, data, bars, recipe))
    return tuple(figures)


def manifest_of(pupil: Pupil, recipe: Recipe, parts: list[Bars], metrics: tuple[OutOfSample, ...]) -> Manifest:
    """The manifest of a trained policy, with golden vectors from a market of its own."""
    golden_bars = dataset.generated(recipe.warmup_bars + GOLDEN_ANSWERS, GOLDEN_SEED)
    generated = ", ".join(f"seed {seed} trend {trend}" for seed, trend in TRAINING)
    real = len(parts) > len(TRAINING)
    return Manifest(
        name=recipe.name,
        plan=ETH15.name,
        features=features_of(ETH15),
        account_features=("position", "position_change"),
        sentiment=Sentiment(),
        dim=ETH15.dim,
        bar_interval_ms=dataset.INTERVAL_MS,
        warmup_bars=recipe.warmup_bars,
        action=recipe.action,
        cost=CostModel(taker_fee=recipe.taker_fee, half_spread=recipe.half_spread),
        kernel_abi=KERNEL_ABI,
        trained_on=TrainedOn(
            origin="generated+real" if real else "generated",
            symbols=(dataset.SYMBOL,),
            first_open_ms=int(min(part[0, 0] for part in parts)),
            last_open_ms=int(max(part[-1, 0] for part in parts)),
            bars=sum(len(part) for part in parts),
            data_sha256=dataset.bars_sha256(parts),
            how=f"klined.world.markets, {TRAINING_BARS} bars each: {generated}"
            + (f"; what lies before the judged bars of {', '.join(REAL)}" if real else ""),
        ),
        split=Split(
            kind="other seeds, and real bars never trained on",
            train_bars=sum(len(part) for part in parts),
            validation_bars=sum(figures.bars for figures in metrics),
            purge_bars=recipe.purge_bars,
            horizon_bars=recipe.horizon_bars,
        ),
        seeds=(recipe.seed,),
        metrics_oos=metrics,
        exporter={"numpy": np.__version__, "onnx": onnx.__version__, "opset": str(export.OPSET)},
        golden=export.golden_vectors(pupil, dataset.SYMBOL, golden_bars, GOLDEN_ANSWERS, recipe.action),
    )


def weights_sha256(pupil: Pupil) -> str:
    """Digest of what was learnt, whatever is said about it."""
    digest = hashlib.sha256()
    for array in (*pupil.network.parameters(), pupil.scaler.mean, pupil.scaler.scale):
        digest.update(array.astype("<f4").tobytes())
    return digest.hexdigest()


def clone(out: Path, real: Path | None, judged: Path | None, recipe: Recipe) -> Manifest:
    """Train, judge, export, and load the file as the daemon will.

    Raises:
        ModelError: the exported file does not answer as the network did; nothing is left at `out`.
    """
    bars = training_bars(real, recipe.purge_bars)
    pupil = train([series(str(index), part, recipe) for index, part in enumerate(bars)], recipe)
    metrics = judge_generated(pupil, recipe)
    kept, weights = out.with_suffix(".real.json"), weights_sha256(pupil)
    if judged is not None:
        figures = Figures(weights, judge_real(pupil, recipe, judged))
        kept.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n")
    if kept.exists():
        known = msgspec.json.decode(kept.read_bytes(), type=Figures)
        if known.weights_sha256 == weights:
            metrics += known.metrics_oos
        else:
            print(f"{kept} belongs to other weights and is left out; measure again with --judge", file=sys.stderr)
    manifest = manifest_of(pupil, recipe, bars, metrics)
    raw = export.graph_bytes(pupil.network, pupil.scaler.mean, pupil.scaler.scale, manifest)
    _prove(raw, pupil, recipe)
    print(f"{out}: {len(raw)} bytes, sha256 {export.write(raw, out)}")
    return manifest


def _prove(raw: bytes, pupil: Pupil, recipe: Recipe) -> None:
    """Run graph and network side by side over a market, bar by bar."""
    policy = OnnxPolicy(raw, "exported graph")
    bars = dataset.generated(recipe.warmup_bars + 2_000, GOLDEN_SEED + 1)
    features = dataset.market_features(bars)[recipe.warmup_bars :]
    run = closed_loop(pupil, features, np.zeros(len(features)), 0.0, recipe.action)
    for bar, (row, wanted) in enumerate(zip(run.observed, run.target.tolist(), strict=True)):
        target = policy.decide(row[None, :])[0][0]
        if target != wanted:
            raise ModelError(f"exported graph answers {target} on bar {bar}, the network {wanted}; do not ship it")


def _judge(pupil: Pupil, data: str, bars: Bars, recipe: Recipe) -> OutOfSample:
    part = series(data, bars, recipe)
    run = closed_loop(pupil, part.features, part.returns, recipe.cost, recipe.action)
    return judge(run, part.values, pupil.levels, part.returns, data, REMARK)


def _table(metrics: tuple[OutOfSample, ...]) -> str:
    lines = [
        f"{'bars never seen':58} {'agrees':>7} {'prior':>6} {'holds':>6} {'fills':>6} {'net':>7} {'b&h':>7}  Sharpe"
    ]
    lines += [
        f"{m.data:58} {m.oracle_agreement:7.3f} {m.class_prior:6.3f} {m.hold_agreement:6.3f} {m.fills:6d} "
        f"{m.net_log_return:7.3f} {m.buy_hold_log_return:7.3f}  {m.sharpe_annual} [{m.sharpe_low}, {m.sharpe_high}]"
        for m in metrics
    ]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """The command; prints the out-of-sample figures."""
    parser = argparse.ArgumentParser(prog="klined_models.cloning", description="Clone the oracle into an ONNX policy.")
    parser.add_argument("--out", type=Path, required=True, help="the .onnx file to write")
    parser.add_argument("--real", type=Path, help="folder of real bars to learn from as well")
    parser.add_argument("--judge", type=Path, help="folder of real bars to measure on")
    parser.add_argument("--long-only", action="store_true", help="levels 0, 0.5 and 1 instead of -1 to 1")
    given = parser.parse_args(argv)
    recipe = Recipe(name="eth15-clone-long", levels=(0.0, 0.5, 1.0)) if given.long_only else Recipe()
    manifest = clone(given.out, given.real, given.judge, recipe)
    OnnxPolicy.load(given.out)
    print(_table(manifest.metrics_oos))
    return 0


if __name__ == "__main__":
    sys.exit(main())
