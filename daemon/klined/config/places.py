"""Where a daemon keeps its state and listens: known without validating anything, so that `status` answers fast."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from klined.config.sources import merged, read_layers


def state_dir(given: Path | None, name: str) -> Path:
    """The state directory: as set, else ./state/<name>."""
    return given or Path("state") / name


def control_socket(given: Path | None, state: Path) -> Path:
    return given or state / "control.sock"


def find_places(path: Path | None, overrides: Sequence[str], environ: Mapping[str, str]) -> tuple[Path, Path]:
    """State directory and control socket as the settings have them, right or wrong otherwise.

    Raises:
        ConfigError: the file cannot be read, or is not TOML.
    """
    values, _ = merged(read_layers(path, overrides, environ))
    state = state_dir(_path(values.get("store.dir")), str(values.get("runtime.name", "klined")))
    return state, control_socket(_path(values.get("runtime.control_socket")), state)


def _path(value: object) -> Path | None:
    return Path(str(value)) if value else None
