"""The shipped policy is no ornament: it trades, it knows more than the class prior, and its command makes it again."""

import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from klined.policies import golden
from klined.policies.onnx import OnnxPolicy
from klined.policies.registry import load_policy
from klined.trader.manifest import OutOfSample
from klined_models import cloning, dataset, export
from klined_models.evaluation import closed_loop, judge, sharpe_interval
from klined_models.teaching import Pupil, Recipe, Series, lessons, series, train
from klined_models.zoo import eth15_clone

SMALL = Recipe(name="small", hidden=(8,), epochs=1, batch=256)


@pytest.fixture(scope="module")
def shipped() -> OnnxPolicy:
    return OnnxPolicy.load(eth15_clone())


@pytest.fixture(scope="module")
def small() -> tuple[Pupil, list[dataset.Bars]]:
    bars = [dataset.generated(3_000, seed=5)]
    return train([series("small", part, SMALL) for part in bars], SMALL), bars


def judged(policy: OnnxPolicy, part: Series) -> OutOfSample:
    def choose(rows: np.ndarray) -> np.ndarray:
        return np.array([target for target, _ in policy.decide(rows)])

    action = policy.manifest.action
    cost = policy.manifest.cost.taker_fee + policy.manifest.cost.half_spread
    run = closed_loop(choose, part.features, part.returns, cost, action)
    return judge(run, part.values, np.array(action.levels), part.returns, part.data, "")


def assert_no_ornament(found: OutOfSample) -> None:
    assert len(found.levels_used) >= 3
    assert found.fills >= 50
    assert found.oracle_agreement > found.class_prior


def test_shipped_policy_trades_sensibly_on_a_generated_market_it_never_saw(shipped: OnnxPolicy) -> None:
    bars = dataset.generated(20_300, seed=4_242)
    found = judged(shipped, series("other seed", bars, Recipe()))
    assert_no_ornament(found)
    assert found.turnover < 500.0


@pytest.mark.parametrize("file", ["ETHUSDT-1m_spot_2025-05_08.csv.gz", "ETHUSDT-1m_um_2025-05.csv.gz"])
def test_shipped_policy_trades_sensibly_on_real_bars_as_its_manifest_says(
    file: str, shipped: OnnxPolicy, shared_data: Path
) -> None:
    bars = dataset.read_bars(shared_data / "small" / file)[-20_300:]
    found = judged(shipped, series(cloning.REAL[file], bars, Recipe()))
    assert_no_ornament(found)
    said = next(line for line in shipped.manifest.metrics_oos if line.data == cloning.REAL[file])
    assert found.fills == said.fills
    assert found.net_log_return == pytest.approx(said.net_log_return, abs=1e-5)
    assert found.oracle_agreement == pytest.approx(said.oracle_agreement, abs=1e-5)


def test_policy_that_never_trades_would_be_called_an_ornament(shipped: OnnxPolicy) -> None:
    part = series("other seed", dataset.generated(3_300, seed=4_242), Recipe())
    run = closed_loop(lambda rows: np.zeros(len(rows)), part.features, part.returns, 0.0005, shipped.manifest.action)
    found = judge(run, part.values, np.array(Recipe().levels), part.returns, "flat", "")
    assert (found.fills, found.net_log_return, found.sharpe_annual) == (0, 0.0, None)
    with pytest.raises(AssertionError):
        assert_no_ornament(found)


def test_shipped_file_is_small_and_says_what_it_was_trained_on(shipped: OnnxPolicy) -> None:
    manifest = shipped.manifest
    assert Path(eth15_clone()).stat().st_size < 200_000
    assert manifest.trained_on.origin == "generated"
    parts = cloning.training_bars(None, Recipe().purge_bars)
    assert manifest.trained_on.data_sha256 == dataset.bars_sha256(parts)
    assert manifest.metrics_oos[0].data.startswith("generated")
    assert all("NOT PROVEN" in line.remark for line in manifest.metrics_oos)
    assert load_policy("eth15-clone").name == "eth15-clone"


@pytest.mark.slow
def test_command_makes_the_shipped_file_again_byte_for_byte(tmp_path: Path) -> None:
    known = Path(eth15_clone())
    figures = known.with_suffix(".real.json")
    (tmp_path / figures.name).write_bytes(figures.read_bytes())
    command = [sys.executable, "-m", "klined_models.cloning", "--out", str(tmp_path / known.name)]
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / known.name).read_bytes() == known.read_bytes()


def test_figures_of_other_weights_stay_out_of_the_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloning, "TRAINING_BARS", 2_000)
    monkeypatch.setattr(cloning, "JUDGED_BARS", 2_000)
    forged = cloning.Figures("0" * 64, OnnxPolicy.load(eth15_clone()).manifest.metrics_oos)
    (tmp_path / "small.real.json").write_bytes(msgspec.json.encode(forged))
    manifest = cloning.clone(tmp_path / "small.onnx", None, None, SMALL)
    assert len(manifest.metrics_oos) == 1
    first = (tmp_path / "small.onnx").read_bytes()
    cloning.clone(tmp_path / "small.onnx", None, None, SMALL)
    assert (tmp_path / "small.onnx").read_bytes() == first


def test_exported_graph_answers_as_the_network_over_many_steps(small: tuple[Pupil, list[dataset.Bars]]) -> None:
    pupil, bars = small
    manifest = cloning.manifest_of(pupil, SMALL, bars, ())
    raw = export.graph_bytes(pupil.network, pupil.scaler.mean, pupil.scaler.scale, manifest)
    policy = OnnxPolicy(raw)
    golden.verify(manifest, policy.decide, "small")
    part = series("small", bars[0], SMALL)
    run = closed_loop(pupil, part.features, part.returns, SMALL.cost, SMALL.action)
    logits = pupil.network.logits(pupil.scaler(run.observed))
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    for row, target, wanted in zip(run.observed, run.target.tolist(), probs, strict=True):
        choice = policy.decide(row[None, :])[0]
        assert choice[0] == target
        assert choice[1] == pytest.approx(wanted, abs=2e-6)


def test_long_only_map_is_trained_exported_and_never_short(tmp_path: Path) -> None:
    recipe = msgspec.structs.replace(SMALL, levels=(0.0, 0.5, 1.0), change_weight=2.0)
    bars = [dataset.generated(3_000, seed=5)]
    pupil = train([series("long", part, recipe) for part in bars], recipe)
    manifest = cloning.manifest_of(pupil, recipe, bars, ())
    assert manifest.action.long_only
    path = tmp_path / "long.onnx"
    export.write(export.graph_bytes(pupil.network, pupil.scaler.mean, pupil.scaler.scale, manifest), path)
    policy = OnnxPolicy.load(path)
    rows = np.random.default_rng(1).uniform(-1.0, 1.0, (2_000, 15)).astype(np.float32)
    assert {target for target, _ in policy.decide(rows)} <= {0.0, 0.5, 1.0}
    assert len({target for target, _ in policy.decide(rows)}) > 1


def test_export_with_another_network_fails_its_golden_replay(small: tuple[Pupil, list[dataset.Bars]]) -> None:
    pupil, bars = small
    manifest = cloning.manifest_of(pupil, SMALL, bars, ())
    flipped = -pupil.scaler.scale
    policy = OnnxPolicy(export.graph_bytes(pupil.network, pupil.scaler.mean, flipped, manifest))
    with pytest.raises(Exception, match=r"golden bar \d+, target"):
        golden.verify(manifest, policy.decide, "small")


def test_every_lesson_has_its_mirror_image(small: tuple[Pupil, list[dataset.Bars]]) -> None:
    taught = lessons([series("small", small[1][0], SMALL)], [], SMALL)
    half = len(taught.observations) // 2
    assert (dataset.mirrored(taught.observations[:half]) == taught.observations[half:]).all()
    assert taught.labels[:half] == pytest.approx(taught.labels[half:, ::-1])


def test_features_of_mirrored_prices_are_the_mirrored_features() -> None:
    bars = dataset.generated(500, seed=3)
    centre = 2.0 * bars[0, 1]
    upside_down = bars.copy()
    upside_down[:, [1, 2, 3, 4]] = centre - bars[:, [1, 3, 2, 4]]
    zero = np.zeros(200)
    rows = dataset.observations(dataset.market_features(bars)[300:], zero, zero)
    flipped = dataset.observations(dataset.market_features(upside_down)[300:], zero, zero)
    assert flipped == pytest.approx(dataset.mirrored(rows), abs=0.02)


def test_sharpe_interval_covers_the_truth_about_95_times_in_100() -> None:
    random = np.random.default_rng(8)
    hits = 0
    for _ in range(300):
        _, low, high, _ = sharpe_interval(random.normal(0.0, 0.001, 60 * 300))
        assert low is not None
        assert high is not None
        hits += low <= 0.0 <= high
    assert 270 <= hits <= 297


def test_longer_record_is_needed_for_a_weaker_edge() -> None:
    random = np.random.default_rng(9)
    noise = random.normal(0.0, 0.001, 60 * 500)
    strong, weak = (sharpe_interval(noise - noise.mean() + edge)[3] for edge in (1e-5, 3e-6))
    assert strong is not None
    assert weak is not None
    assert strong < weak
    assert sharpe_interval(noise - noise.mean() - 1e-5)[3] is None
