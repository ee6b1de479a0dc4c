"""A trained policy: one ONNX file that says what it is, or it is not loaded.

    file ─▶ bytes ─▶ graph ─▶ manifest + digest ─▶ inputs, outputs, shapes ─▶ golden bars through this engine ─▶ decide

Normalisation and action map live inside the graph, so that nothing beside the file can differ from training.
Every symbol is run on its own with buffers bound once: a row's answer never depends on how many rows came along,
and binding is a third faster than `run` with a dict (4.8 against 7.3 us for the shipped net).
"""

from collections.abc import Mapping
from math import nan
from os import PathLike
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from klined.errors import ModelError
from klined.policies import golden
from klined.ports import Choice
from klined.trader.manifest import KEY, KEY_SHA256, REMEDY, Manifest, parse

FILE_BYTES_MAX = 256 * 1024 * 1024
CPU = "cpu"
FLOAT = "tensor(float)"


class OnnxPolicy:
    """A verified graph behind the `Policy` port.

    The graph takes `obs` float32 (batch, dim) and gives `target` float32 (batch,) and, optionally, `probs` float32
    (batch, n) for the journal; recurrent state goes in and out by the names in the manifest.
    """

    def __init__(self, raw: bytes, where: str = "policy") -> None:
        """Build from the bytes of a file; golden vectors are not replayed here (`load` does).

        Raises:
            ModelError: not an ONNX graph, no manifest, or graph and manifest disagree.
        """
        session = _session(raw, where)
        self.manifest: Manifest = _manifest(session.get_modelmeta().custom_metadata_map, where)
        _check_graph(session, self.manifest, where)
        self.name = self.manifest.name
        self.plan = self.manifest.plan
        action = self.manifest.action
        self._low = action.levels[0] if action.kind == "levels" else action.low
        self._high = action.levels[-1] if action.kind == "levels" else action.high
        self._run = session.run_with_iobinding
        self._binding = session.io_binding()
        self._observation = np.zeros((1, self.manifest.dim), np.float32)
        self._bind_input("obs", self._observation)
        self._target_slot = _floats(self._bind_output("target", (1,)))
        probs = [self._bind_output("probs", (1, node.shape[1])) for node in _others(session)]
        self._output_slots = _floats(probs[0]) if probs else ()
        self._states_in = [np.zeros((1, *state.shape), np.float32) for state in self.manifest.recurrent]
        for state, buffer in zip(self.manifest.recurrent, self._states_in, strict=True):
            self._bind_input(state.input, buffer)
        self._states_out = [self._bind_output(state.output, (1, *state.shape)) for state in self.manifest.recurrent]
        self._memory: list[bytes] = []  # recurrent state of each symbol, in configured order

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "OnnxPolicy":
        """Read, check and prove a policy file.

        Raises:
            ModelError: the file is missing, damaged or without manifest, or this engine does not reproduce it; names
                the field or feature.
        """
        file = Path(path)
        try:
            size = file.stat().st_size
            if size > FILE_BYTES_MAX:
                raise ModelError(f"policy file {file} has {size} bytes, more than {FILE_BYTES_MAX}; {REMEDY}")
            raw = file.read_bytes()
        except OSError as error:
            raise ModelError(
                f"policy file {file} cannot be read ({error.strerror}); check `policy.name` in the config"
            ) from None
        policy = cls(raw, f"policy file {file}")
        golden.verify(policy.manifest, policy.decide, f"policy file {file}")
        policy.restore(b"")
        return policy

    def decide(self, observations: NDArray[np.float32]) -> list[Choice]:
        """One choice per row; a row whose answer is not finite or outside the action map gets a NaN target."""
        if self._states_in:
            return [self._remembering(row, index) for index, row in enumerate(observations)]
        if len(observations) == 1:
            return [self._one(observations)]
        return [self._one(row) for row in observations]

    def state(self) -> bytes:
        return b"".join(self._memory)

    def restore(self, state: bytes) -> None:
        """Continue from `state()`; empty bytes mean the start.

        Raises:
            ModelError: `state` is no whole number of this policy's recurrent states.
        """
        width = sum(buffer.nbytes for buffer in self._states_in)
        if state and (width == 0 or len(state) % width):
            raise ModelError(
                f"recurrent state of {len(state)} bytes is not of policy {self.name!r} ({width} bytes a symbol); "
                "start cold with an empty state"
            )
        self._memory = [state[at : at + width] for at in range(0, len(state), width)] if state else []

    def _one(self, row: NDArray[np.float32]) -> Choice:
        self._observation[:] = row
        self._run(self._binding)
        target = self._target_slot[0]
        output = tuple(self._output_slots)
        total = sum(output)
        if self._low <= target <= self._high and total - total == 0.0:  # neither NaN nor infinite
            return target, output
        return nan, output

    def _remembering(self, row: NDArray[np.float32], index: int) -> Choice:
        """Run one symbol of a recurrent graph: its own state in, the new state kept."""
        while len(self._memory) <= index:
            self._memory.append(bytes(sum(buffer.nbytes for buffer in self._states_in)))
        memory, at = self._memory[index], 0
        for buffer in self._states_in:
            buffer[...] = np.frombuffer(memory, np.float32, buffer.size, at).reshape(buffer.shape)
            at += buffer.nbytes
        choice = self._one(row)
        self._memory[index] = b"".join(buffer.tobytes() for buffer in self._states_out)
        if not all(np.isfinite(buffer).all() for buffer in self._states_out):
            return nan, choice[1]
        return choice

    def _bind_input(self, name: str, buffer: NDArray[np.float32]) -> None:
        self._binding.bind_input(name, CPU, 0, np.float32, buffer.shape, buffer.ctypes.data)

    def _bind_output(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        buffer = np.zeros(shape, np.float32)
        self._binding.bind_output(name, CPU, 0, np.float32, shape, buffer.ctypes.data)
        return buffer


def _floats(buffer: NDArray[np.float32]) -> "memoryview[float]":
    """The buffer as plain Python floats; the memoryview keeps it alive."""
    return buffer.reshape(-1).data.cast("B").cast("f")


def _session(raw: bytes, where: str) -> ort.InferenceSession:
    """One thread, CPU, in order: the same bytes in give the same bytes out."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4  # what is wrong is said once, by the error
    if not raw:
        raise ModelError(f"{where} is empty; {REMEDY}")
    try:
        return ort.InferenceSession(raw, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - onnxruntime's exceptions share no public base
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"{where} is truncated or not an ONNX graph ({why}); {REMEDY}") from None


def _manifest(props: Mapping[str, str], where: str) -> Manifest:
    for key in (KEY, KEY_SHA256):
        if key not in props:
            raise ModelError(f"{where} has no {key} in its metadata, so what it was trained on is unknown; {REMEDY}")
    try:
        return parse(props[KEY], props[KEY_SHA256])
    except ModelError as error:
        raise ModelError(f"{where}: {error}") from None


def _check_graph(session: ort.InferenceSession, manifest: Manifest, where: str) -> None:
    """Compare what the graph declares with what the manifest promises."""
    batch = "batch"
    inputs: dict[str, list[int | str]] = {"obs": [batch, manifest.dim]}
    outputs: dict[str, list[int | str]] = {"target": [batch]}
    for state in manifest.recurrent:
        inputs[state.input] = [batch, *state.shape]
        outputs[state.output] = [batch, *state.shape]
    given = {node.name: node for node in session.get_inputs()}
    made = {node.name: node for node in session.get_outputs()}
    for kind, wanted, found in (("input", inputs, given), ("output", outputs, made)):
        for name, shape in wanted.items():
            if name not in found:
                raise ModelError(f"{where} lacks {kind} {name!r}, it has {sorted(found)}; {REMEDY}")
            node = found[name]
            if node.type != FLOAT:
                raise ModelError(f"{where}: dtype of {kind} {name!r} is {node.type}, not {FLOAT}; {REMEDY}")
            if not _fits(node.shape, shape):
                raise ModelError(f"{where}: shape of {kind} {name!r} is {node.shape}, not {shape}; {REMEDY}")
    extra = set(given) - set(inputs)
    if extra:
        raise ModelError(f"{where} wants input {min(extra)!r}, which the manifest does not name; {REMEDY}")
    for node in _others(session):
        if node.type != FLOAT or len(node.shape) != 2 or not isinstance(node.shape[1], int):
            raise ModelError(f"{where}: output 'probs' is {node.type} {node.shape}, not {FLOAT} (batch, n); {REMEDY}")


def _fits(shape: list[int | str | None], wanted: list[int | str]) -> bool:
    """The batch axis may be symbolic or 1; every other axis is a number and equal."""
    if len(shape) != len(wanted):
        return False
    return (not isinstance(shape[0], int) or shape[0] == 1) and shape[1:] == wanted[1:]


def _others(session: ort.InferenceSession) -> list[ort.NodeArg]:
    """The optional `probs` output, or nothing."""
    return [node for node in session.get_outputs() if node.name == "probs"]
