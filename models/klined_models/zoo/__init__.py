"""Shipped policies: files that a command in this repository trained, and that say so in their manifest.

Entry points of group `klined.zoo` name functions that return a file's path; importing this loads no model.
"""

from pathlib import Path

FOLDER = Path(__file__).parent


def eth15_clone() -> str:
    """The behaviour clone of the cost-aware oracle; made by `python -m klined_models.cloning`."""
    return str(FOLDER / "eth15-clone.onnx")
