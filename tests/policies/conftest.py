"""Small policy files to load, and to break."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from msgspec.structs import replace
from onnx import TensorProto, helper, numpy_helper

from klined.kernels.layout import KERNEL_ABI
from klined.trader.manifest import (
    ActionMap,
    CostModel,
    Golden,
    Manifest,
    Sentiment,
    Split,
    TrainedOn,
    features_of,
)
from klined.trader.plans import ETH15
from klined_models.export import golden_vectors, graph_bytes, seal
from klined_models.network import Network

LEVELS = (-1.0, -0.5, 0.0, 0.5, 1.0)


def walk(count: int, seed: int = 1) -> np.ndarray:
    """Bars of a random walk, shape (count, 6)."""
    random = np.random.default_rng(seed)
    close = 2_000.0 * np.exp(np.cumsum(random.normal(0.0, 0.001, count)))
    opened = np.concatenate([[2_000.0], close[:-1]])
    spread = np.abs(random.normal(0.0, 0.0005, (2, count)))
    high, low = np.maximum(opened, close) * (1 + spread[0]), np.minimum(opened, close) * (1 - spread[1])
    return np.column_stack([np.arange(count) * 60_000.0, opened, high, low, close, random.uniform(1, 50, count)])


def tiny_network(levels: tuple[float, ...] = LEVELS) -> Network:
    network = Network((15, 8, len(levels)), seed=11)
    network.weights[-1] *= 10.0  # decided enough to use several levels
    return network


def tiny_manifest(network: Network | None = None, action: ActionMap | None = None) -> Manifest:
    action = action or ActionMap(kind="levels", levels=LEVELS, deadband=0.1, max_change=1.0)
    network = network or tiny_network(action.levels)
    levels = np.array(action.levels)

    def choose(rows: np.ndarray) -> np.ndarray:
        return np.asarray(levels[network.choose(rows.astype(float))])

    return Manifest(
        name="tiny",
        plan="eth15",
        features=features_of(ETH15),
        account_features=("position", "position_change"),
        sentiment=Sentiment(),
        dim=15,
        bar_interval_ms=60_000,
        warmup_bars=300,
        action=action,
        cost=CostModel(taker_fee=0.0004, half_spread=0.00005),
        kernel_abi=KERNEL_ABI,
        trained_on=TrainedOn(
            origin="generated", symbols=("ETH/USDT",), first_open_ms=0, last_open_ms=1, bars=2, data_sha256="0" * 64
        ),
        split=Split(kind="none", train_bars=0, validation_bars=0, purge_bars=0, horizon_bars=1),
        seeds=(11,),
        metrics_oos=(),
        exporter={"onnx": onnx.__version__},
        golden=golden_vectors(choose, "ETH/USDT", walk(364), 64, action),
    )


def tiny_policy(manifest: Manifest | None = None, network: Network | None = None) -> bytes:
    manifest = manifest or tiny_manifest()
    network = network or tiny_network(manifest.action.levels)
    return graph_bytes(network, np.zeros(15), np.ones(15), manifest)


def graph(
    target: str = "target",
    dim: int = 15,
    dtype: int = TensorProto.FLOAT,
    shape: tuple[int | str, ...] = ("batch",),
    *,
    nan: bool = False,
) -> onnx.GraphProto:
    """`target = mean of the observation`, in whatever shape and type a broken exporter might choose."""
    nodes = [helper.make_node("ReduceMean", ["obs", "axis"], ["mean"], keepdims=0)]
    constants = [numpy_helper.from_array(np.array([1], np.int64), "axis")]
    out = "mean"
    if nan:
        constants.append(numpy_helper.from_array(np.array(np.nan, np.float32), "poison"))
        nodes.append(helper.make_node("Mul", [out, "poison"], ["bad"]))
        out = "bad"
    if len(shape) == 2:
        nodes.append(helper.make_node("Unsqueeze", [out, "axis"], ["column"]))
        out = "column"
    nodes.append(helper.make_node("Identity", [out], [target]))
    return helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("obs", dtype, ["batch", dim])],
        [helper.make_tensor_value_info(target, dtype, list(shape))],
        constants,
    )


def counter() -> bytes:
    """A recurrent policy: `count` grows by 0.25 each bar of its symbol, and `target` is what it has become."""
    one = numpy_helper.from_array(np.array([[0.25, 0.0]], np.float32), "quarter")
    pick = numpy_helper.from_array(np.array(0, np.int64), "first")
    nodes = [
        helper.make_node("Add", ["count", "quarter"], ["count_next"]),
        helper.make_node("Gather", ["count_next", "first"], ["target"], axis=1),
    ]
    state = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]) for name in ("count", "count_next")]
    obs = helper.make_tensor_value_info("obs", TensorProto.FLOAT, ["batch", 15])
    target = helper.make_tensor_value_info("target", TensorProto.FLOAT, ["batch"])
    from klined.trader.manifest import Recurrent

    manifest = replace(
        tiny_manifest(),
        action=ActionMap(kind="range"),
        recurrent=(Recurrent(input="count", output="count_next", shape=(2,)),),
    )
    return seal(helper.make_graph(nodes, "tiny", [obs, state[0]], [target, state[1]], [one, pick]), manifest)


class Files:
    """Everything above, for tests that cannot import a conftest."""

    walk = staticmethod(walk)
    network = staticmethod(tiny_network)
    manifest = staticmethod(tiny_manifest)
    policy = staticmethod(tiny_policy)
    graph = staticmethod(graph)
    counter = staticmethod(counter)
    golden = Golden


@pytest.fixture(scope="session")
def files() -> type[Files]:
    return Files


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[bytes], Path]:
    def save(raw: bytes) -> Path:
        path = tmp_path / "policy.onnx"
        path.write_bytes(raw)
        return path

    return save
