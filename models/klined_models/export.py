"""A trained network becomes one self-describing ONNX file.

    obs ─ Gemm ─ Tanh ─ Gemm ─ Tanh ─ Gemm ─┬─ Softmax ─▶ probs   (batch, levels)
                                            └─ ArgMax ─ Gather ─▶ target (batch,)

Only the `onnx` package is needed. Nothing in the file depends on the time or the machine of the export.
"""

import hashlib
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from klined.trader.manifest import KEY, KEY_SHA256, ActionMap, Golden, Manifest, digest
from klined_models import dataset
from klined_models.evaluation import Choose, closed_loop
from klined_models.network import Network
from klined_models.oracle import held_returns

OPSET = 20
IR_VERSION = 10  # read by every onnxruntime since 1.18


def graph_bytes(network: Network, mean: NDArray[np.float64], scale: NDArray[np.float64], manifest: Manifest) -> bytes:
    """The ONNX file: `target = levels[argmax(logits((obs - mean) * scale))]`, with the manifest in its metadata.

    The normalisation is folded into the first layer (it is affine), which leaves two nodes fewer to run per bar.
    """
    weights = [array.astype(np.float32) for array in network.weights]
    biases = [array.astype(np.float32) for array in network.biases]
    first = network.weights[0] * scale[:, None]
    weights[0] = first.astype(np.float32)
    biases[0] = (network.biases[0] - mean @ first).astype(np.float32)
    constants = [numpy_helper.from_array(np.array(manifest.action.levels, np.float32), "levels")]
    nodes = []
    last = len(weights) - 1
    for k, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        constants += [numpy_helper.from_array(weight, f"weight{k}"), numpy_helper.from_array(bias, f"bias{k}")]
        out = "logits" if k == last else f"sum{k}"
        nodes.append(helper.make_node("Gemm", [f"layer{k}" if k else "obs", f"weight{k}", f"bias{k}"], [out]))
        if k < last:
            nodes.append(helper.make_node("Tanh", [out], [f"layer{k + 1}"]))
    nodes += [
        helper.make_node("Softmax", ["logits"], ["probs"], axis=1),
        helper.make_node("ArgMax", ["logits"], ["best"], axis=1, keepdims=0),
        helper.make_node("Gather", ["levels", "best"], ["target"]),
    ]
    inputs = [helper.make_tensor_value_info("obs", TensorProto.FLOAT, ["batch", manifest.dim])]
    outputs = [
        helper.make_tensor_value_info("target", TensorProto.FLOAT, ["batch"]),
        helper.make_tensor_value_info("probs", TensorProto.FLOAT, ["batch", len(manifest.action.levels)]),
    ]
    graph = helper.make_graph(nodes, manifest.name, inputs, outputs, constants)
    return seal(graph, manifest)


def golden_vectors(choose: Choose, symbol: str, bars: dataset.Bars, answers: int, action: ActionMap) -> Golden:
    """The last `answers` of `bars` as the policy saw and answered them in a closed loop without costs."""
    features = dataset.market_features(bars)[-answers:]
    run = closed_loop(choose, features, held_returns(bars[:, 1])[-answers:], 0.0, action)
    return Golden(
        symbol=symbol,
        first_open_ms=int(bars[0, 0]),
        bars=np.ascontiguousarray(bars[:, 1:6], "<f8").tobytes(),
        observations=np.ascontiguousarray(run.observed, "<f4").tobytes(),
        actions=run.target.astype("<f4").tobytes(),
    )


def seal(graph: onnx.GraphProto, manifest: Manifest) -> bytes:
    """A checked model of `graph` with the manifest and its digest in the metadata, as the bytes of a file.

    Raises:
        onnx.checker.ValidationError: the graph is not valid ONNX.
    """
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="klined"
    )
    text = manifest.canonical()
    helper.set_model_props(model, {KEY: text, KEY_SHA256: digest(text)})
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def write(raw: bytes, path: Path) -> str:
    """Write the file in one step; returns its SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(raw)
    part.replace(path)
    return hashlib.sha256(raw).hexdigest()
