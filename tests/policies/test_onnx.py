"""A policy file is loaded when it proves what it is, and refused in one sentence otherwise."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from msgspec.structs import replace
from onnx import TensorProto, helper

from klined.errors import ModelError
from klined.policies.onnx import OnnxPolicy
from klined.trader.manifest import KEY, KEY_SHA256, digest
from klined_models.export import seal

Save = Callable[[bytes], Path]


def with_text(raw: bytes, text: str, sha256: str | None = None) -> bytes:
    """The same graph under another manifest text."""
    model = onnx.load_from_string(raw)
    helper.set_model_props(model, {KEY: text, KEY_SHA256: sha256 or digest(text)})
    return bytes(model.SerializeToString())


def edited(files: Any, change: Callable[[dict[str, Any]], None]) -> bytes:
    """The tiny policy with its manifest changed and hashed again, as a careless exporter would write it."""
    raw = files.policy()
    values = json.loads(files.manifest().canonical())
    change(values)
    return with_text(raw, json.dumps(values))


def swap_features(values: dict[str, Any]) -> None:
    values["features"][1], values["features"][2] = values["features"][2], values["features"][1]


def drop_feature(values: dict[str, Any]) -> None:
    values["features"].pop()
    values["dim"] = 14


def change_window(values: dict[str, Any]) -> None:
    values["features"][1]["params"]["window"] = 120.0


BROKEN_MANIFESTS = {
    "order": (swap_features, r"features\[1\].name \(z_score\) is 'zone_norm'"),
    "params": (change_window, r"features\[1\].params \(z_score\)"),
    "short": (drop_feature, r"golden\.observations and golden\.actions are not 14"),
    "dim": (lambda values: values.update(dim=16), "dim is 16, but 15 features"),
    "dtype": (lambda values: values.update(dtype="float64"), "dtype is 'float64'"),
    "schema": (lambda values: values.update(schema=99), "schema is 99"),
    "missing field": (lambda values: values.pop("cost"), "cost"),
    "unknown field": (lambda values: values.update(colour="red"), "colour"),
    "wrong type": (lambda values: values["features"][3].update(name=7), r"\$\.features\[3\]\.name|features"),
    "plan": (lambda values: values.update(plan="eth44"), "plan 'eth44'"),
    "kernel": (lambda values: values.update(kernel_abi=0), "kernel_abi is 0"),
    "warm-up": (lambda values: values.update(warmup_bars=10), "warmup_bars is 10"),
    "levels": (lambda values: values["action"].update(levels=[1.0, 0.0]), "action.levels"),
    "short in long-only": (lambda values: values["action"].update(long_only=True), "action.long_only"),
    "golden": (lambda values: values["golden"].update(bars="AAAA"), "golden.bars"),
}


@pytest.mark.parametrize("case", BROKEN_MANIFESTS)
def test_manifest_that_does_not_fit_is_refused_by_field(case: str, files: Any, saved: Save) -> None:
    change, sentence = BROKEN_MANIFESTS[case]
    with pytest.raises(ModelError, match=sentence):
        OnnxPolicy.load(saved(edited(files, change)))


BROKEN_GRAPHS = {
    "dtype of input": ({"dtype": TensorProto.DOUBLE}, r"dtype of input 'obs' is tensor\(double\)"),
    "shape of input": ({"dim": 14}, r"shape of input 'obs' is \['batch', 14\], not \['batch', 15\]"),
    "shape of output": ({"shape": ("batch", 1)}, r"shape of output 'target' is \['batch', 1\]"),
    "name of output": ({"target": "action"}, r"lacks output 'target', it has \['action'\]"),
}


@pytest.mark.parametrize("case", BROKEN_GRAPHS)
def test_graph_that_contradicts_its_manifest_is_refused(case: str, files: Any, saved: Save) -> None:
    options, sentence = BROKEN_GRAPHS[case]
    with pytest.raises(ModelError, match=sentence):
        OnnxPolicy.load(saved(seal(files.graph(**options), files.manifest())))


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.onnx cannot be read \(No such file"):
        OnnxPolicy.load(tmp_path / "none.onnx")


@pytest.mark.parametrize("damage", [b"", b"not a graph", b"\x80\x04K\x01.", 0.3, 0.9])
def test_damaged_file_is_refused(damage: bytes | float, files: Any, saved: Save) -> None:
    raw = files.policy()
    raw = raw[: int(len(raw) * damage)] if isinstance(damage, float) else damage
    with pytest.raises(ModelError, match=r"empty|truncated|no klined\.manifest"):
        OnnxPolicy.load(saved(raw))


def test_graph_without_manifest_is_refused(files: Any, saved: Save) -> None:
    model = helper.make_model(files.graph(), opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    with pytest.raises(ModelError, match=r"has no klined\.manifest in its metadata"):
        OnnxPolicy.load(saved(model.SerializeToString()))


def test_manifest_changed_after_export_is_refused(files: Any, saved: Save) -> None:
    text = files.manifest().canonical()
    forged = with_text(files.policy(), text.replace('"deadband":0.1', '"deadband":0.0'), digest(text))
    with pytest.raises(ModelError, match="manifest was changed after export: sha256"):
        OnnxPolicy.load(saved(forged))


def test_observation_that_training_did_not_see_is_refused_by_bar_and_feature(files: Any, saved: Save) -> None:
    manifest = files.manifest()
    rows = manifest.golden.observation_rows(15).copy()
    rows[5, 9] += 1e-3
    wrong = replace(manifest, golden=replace(manifest.golden, observations=rows.tobytes()))
    with pytest.raises(ModelError, match="golden bar 5, feature 'rsi_norm'"):
        OnnxPolicy.load(saved(files.policy(wrong)))


def test_action_that_training_did_not_take_is_refused(files: Any, saved: Save) -> None:
    manifest = files.manifest()
    actions = manifest.golden.action_rows().copy()
    actions[7] += 0.5
    wrong = replace(manifest, golden=replace(manifest.golden, actions=actions.tobytes()))
    with pytest.raises(ModelError, match="golden bar 7, target"):
        OnnxPolicy.load(saved(files.policy(wrong)))


def test_weights_that_answer_nan_fail_the_golden_replay(files: Any, saved: Save) -> None:
    with pytest.raises(ModelError, match="golden bar 0, target is nan"):
        OnnxPolicy.load(saved(seal(files.graph(nan=True), files.manifest())))


def test_nan_output_is_a_nan_target(files: Any) -> None:
    policy = OnnxPolicy(seal(files.graph(nan=True), files.manifest()))
    assert np.isnan(policy.decide(np.zeros((1, 15), np.float32))[0][0])


def test_nan_in_an_observation_gives_a_nan_target_for_its_row_only(files: Any) -> None:
    policy = OnnxPolicy(files.policy())
    rows = np.zeros((3, 15), np.float32)
    rows[1, 4] = np.nan
    targets = [target for target, _ in policy.decide(rows)]
    assert np.isnan(targets[1])
    assert targets[0] == targets[2]
    assert targets[0] in policy.manifest.action.levels


def test_target_outside_the_action_map_is_a_nan_target(files: Any) -> None:
    policy = OnnxPolicy(seal(files.graph(), files.manifest()))
    assert np.isnan(policy.decide(np.full((1, 15), 1.5, np.float32))[0][0])
    assert policy.decide(np.full((1, 15), 0.5, np.float32))[0][0] == 0.5


def test_loaded_policy_answers_as_the_network_did_row_by_row(files: Any, saved: Save) -> None:
    policy = OnnxPolicy.load(saved(files.policy()))
    rows = np.random.default_rng(2).uniform(-1, 1, (200, 15)).astype(np.float32)
    together = policy.decide(rows)
    assert together == [policy.decide(row[None, :])[0] for row in rows]
    levels = np.array(policy.manifest.action.levels)
    assert [target for target, _ in together] == levels[files.network().choose(rows.astype(float))].tolist()
    assert len({target for target, _ in together}) >= 3
    assert policy.plan == "eth15"
    assert policy.state() == b""


def test_recurrent_state_is_kept_per_symbol_and_survives_a_restart(files: Any) -> None:
    policy = OnnxPolicy(files.counter())
    rows = np.zeros((2, 15), np.float32)
    assert [target for target, _ in policy.decide(rows)] == [0.25, 0.25]
    assert [target for target, _ in policy.decide(rows)] == [0.5, 0.5]
    state = policy.state()
    again = OnnxPolicy(files.counter())
    again.restore(state)
    assert [target for target, _ in again.decide(rows)] == [0.75, 0.75]
    again.restore(b"")
    assert [target for target, _ in again.decide(rows)] == [0.25, 0.25]
    with pytest.raises(ModelError, match="recurrent state of 3 bytes"):
        again.restore(b"abc")
