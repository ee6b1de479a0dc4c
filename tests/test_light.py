"""What a process does not load: a daemon on paper stays small, and help answers at once."""

import subprocess
import sys

import pytest

TRAINING = {"numba", "onnx", "pandas", "torch", "gymnasium", "stable_baselines3", "talib"}
NETWORK = {"ccxt", "aiohttp", "websockets"}
NUMBERS = {"numpy", "onnxruntime", "pydantic"}


def loaded_by(statement: str) -> set[str]:
    """Top packages in a fresh process after `statement`."""
    code = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    return set(ran.stdout.split())


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        ("import klined.runtime.process", TRAINING | NETWORK),
        ("import klined_plugins.notify", TRAINING | NETWORK),
        ("import klined_models.zoo", TRAINING | NETWORK),
        ("import klined.cli.main", TRAINING | NETWORK | NUMBERS),
        ("import klined.cli.control, klined.cli.status", TRAINING | NETWORK | NUMBERS),
    ],
)
def test_process_loads_nothing_that_it_does_not_need(statement: str, heavy: set[str]) -> None:
    assert not loaded_by(statement) & heavy


def test_hunt_for_heavy_packages_finds_a_planted_one() -> None:
    assert "numpy" in loaded_by("import klined.kernels.rows")
