"""Libraries that report home are told not to."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

LOAD = """
from klined.config.settings import Settings
from klined.runtime.assembly import make_policy
make_policy(Settings())
"""
NOT_WANTED = {"ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "CI"}  # each of these switches reports off


def test_loading_a_policy_leaves_no_device_id_and_queues_no_report(tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if name not in NOT_WANTED and "XDG" not in name}
    subprocess.run([sys.executable, "-c", LOAD], env=environ | {"HOME": str(tmp_path)}, check=True)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_switch_is_one_that_this_library_knows() -> None:
    """Asked of the file, not by letting it report."""
    spec = importlib.util.find_spec("onnxruntime")
    assert spec is not None
    assert spec.origin is not None
    [library] = (Path(spec.origin).parent / "capi").glob("onnxruntime_pybind11_state*.so")
    code = library.read_bytes()
    assert b"OneCollector" not in code or b"ORT_DISABLE_TELEMETRY" in code
