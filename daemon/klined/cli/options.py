"""From the options of a command to settings, or to the places of a daemon."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from klined.config.places import find_places

if TYPE_CHECKING:  # pydantic takes longer to import than status may take in all
    from klined.config.settings import Settings

DEFAULT_FILE = Path("klined.toml")


def settings_file(args: argparse.Namespace) -> Path | None:
    """-c, else $KLINED_CONFIG, else klined.toml if it is there."""
    given: Path | None = args.config or (Path(os.environ["KLINED_CONFIG"]) if os.environ.get("KLINED_CONFIG") else None)
    return given or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)


def overrides(args: argparse.Namespace, own: Sequence[str] = ()) -> list[str]:
    """What the command line sets: a verb's `own` choices, then --state and --set, which may correct them."""
    state = [f"store.dir={args.state}"] if args.state else []
    return [*own, *state, *args.set]


def load_settings(args: argparse.Namespace, own: Sequence[str] = (), *, needs_file: bool = False) -> "Settings":
    """The settings of this command.

    Raises:
        ConfigError: wrong settings; or no file where one is needed.
    """
    from klined.config.load import load  # noqa: PLC0415 - see above

    path = settings_file(args)
    return load(path or (DEFAULT_FILE if needs_file else None), overrides(args, own))


def places(args: argparse.Namespace) -> tuple[Path, Path]:
    """State directory and control socket; a demo's, when no settings file says where else to look."""
    path = settings_file(args)
    state, control = find_places(path, overrides(args), os.environ)
    if path is None and not args.state and not control.exists():
        demo = find_places(None, [*overrides(args), "runtime.name=demo"], os.environ)
        return demo if demo[1].exists() else (state, control)
    return state, control
