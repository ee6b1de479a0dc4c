"""The verb that puts klined under systemd: service install, uninstall, show.

    systemd/*.service, *.timer ─ path of this Python ─▶ /etc/systemd/system, or ~/.config/systemd/user with --user

Units are templates: klined@NAME reads NAME.toml. Nothing is started or enabled; what to say next is printed.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import klined
from klined.cli.output import emit
from klined.errors import ConfigError, KlinedError

PYTHON = "/opt/klined/bin/python"  # what the templates have in its place
UNITS = ("klined@.service", "klined-report@.service", "klined-report@.timer")
HOMES = ("home", "root")  # folders of / that ProtectHome hides
NAME = "klined"
SYSTEMCTL_S = 60.0

Files = dict[Path, str]


def service_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("install", "uninstall", "show"), help="show prints what install would write")
    parser.add_argument("name", nargs="?", default=NAME, metavar="NAME", help=f"instance and settings file ({NAME})")
    parser.add_argument("--user", action="store_true", help="for your own account, without root")
    parser.add_argument("--live", action="store_true", help="with install: let this instance send real orders")
    parser.add_argument("--root", type=Path, metavar="DIR", help="write below DIR, and tell systemd nothing")


def service(args: argparse.Namespace) -> int:
    if not args.name.replace("-", "").replace("_", "").isalnum() or len(args.name) > 20:
        raise ConfigError(f"{args.name!r}: a name has at most 20 letters, digits, - and _, like eth-15m")
    folder = _folder(args)
    files = dict(_files(folder, args.name, user=args.user, live=args.live))
    if args.action == "show":
        return _show(args, files)
    try:
        done = _install(files) if args.action == "install" else _uninstall(args, folder)
    except PermissionError as error:
        raise KlinedError(f"cannot write {error.filename}; run it as root, or with --user") from error
    except OSError as error:
        raise KlinedError(f"cannot change {error.filename}: {error.strerror}") from error
    if args.root is None:
        _systemctl(args, "daemon-reload")
    if args.json:
        emit({args.action: [str(path) for path in done]})
    else:
        print("\n".join([*(f"{args.action}ed {path}" for path in done), *_next(args)]))
    return 0


def _show(args: argparse.Namespace, files: Files) -> int:
    if args.json:
        emit({str(path): text for path, text in files.items()})
    else:
        print("\n".join(f"# {path}\n{text}" for path, text in files.items()))
    return 0


def _install(files: Files) -> list[Path]:
    for path, text in files.items():
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)
    return list(files)


def _uninstall(args: argparse.Namespace, folder: Path) -> list[Path]:
    """All units and drop-ins; state, settings and credentials stay."""
    if args.root is None and (running := _systemctl(args, "list-units", "--plain", "--no-legend", "klined@*.service")):
        names = " ".join(line.split()[0] for line in running.splitlines())
        raise KlinedError(f"{names} is loaded; stop it first, which flattens: systemctl disable --now {names}")
    gone = [path for unit in UNITS if (path := folder / unit).exists()]
    gone += [path for pattern in ("klined@*.service.d", "klined-report@*.service.d") for path in folder.glob(pattern)]
    for path in gone:
        if path.is_dir():
            for inner in path.glob("klined-*.conf"):
                inner.unlink()
            if not any(path.iterdir()):  # what somebody else put there stays
                path.rmdir()
        else:
            path.unlink()
    return gone


def _files(folder: Path, name: str, *, user: bool, live: bool) -> Iterator[tuple[Path, str]]:
    for unit in UNITS:
        text = (_templates() / ("user" if user else "") / unit).read_text(encoding="utf-8")
        yield folder / unit, text.replace(PYTHON, sys.executable)
    if not user and (hidden := _hidden(sys.path)):
        text = (
            "# This Python lives where units may not look: show it that, and nothing else there.\n"
            f"[Service]\nProtectHome=tmpfs\nBindReadOnlyPaths={' '.join(hidden)}\n"
        )
        for unit in ("klined@.service", "klined-report@.service"):
            yield folder / f"{unit}.d" / "klined-python.conf", text
    if live:
        text = "# Real orders, with mode.live = true in the settings.\n[Service]\nEnvironment=RUN_OPTIONS=--live\n"
        yield folder / f"klined@{name}.service.d" / "klined-live.conf", text


def _folder(args: argparse.Namespace) -> Path:
    if args.user:
        home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        folder = home / "systemd" / "user"
    else:
        folder = Path("/etc/systemd/system")
    return folder if args.root is None else args.root / folder.relative_to("/")


def _templates() -> Path:
    """The folder systemd/ of a checkout, or what the wheel put into share/."""
    for folder in (Path(klined.__file__).parents[2] / "systemd", Path(sys.prefix) / "share" / "klined" / "systemd"):
        if (folder / UNITS[0]).is_file():
            return folder
    raise KlinedError("the unit files are not part of this installation; install klined from its wheel or a checkout")


def _hidden(path: Sequence[str]) -> list[str]:
    """What this Python needs of the folders that ProtectHome hides, outermost only."""
    needed = {Path(place).resolve() for place in (sys.prefix, sys.base_prefix, *path) if place and Path(place).is_dir()}
    homely = sorted(place for place in needed if len(place.parts) > 2 and place.parts[1] in HOMES)
    return [str(place) for place in homely if not any(other in place.parents for other in homely)]


def _systemctl(args: argparse.Namespace, *words: str) -> str:
    command = ["systemctl", *(["--user"] if args.user else []), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SYSTEMCTL_S, check=True)  # noqa: S603 - fixed words
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", "") or error
        raise KlinedError(f"{' '.join(command)} failed: {str(said).strip()}") from error
    return done.stdout.strip()


def _next(args: argparse.Namespace) -> list[str]:
    if args.action == "uninstall":
        return ["state, settings and credentials were left where they are"]
    systemctl = f"systemctl{' --user' if args.user else ''}"
    config = "~/.config/klined" if args.user else "/etc/klined"
    return [
        f"next: settings in {config}/{args.name}.toml (klined init {config}/{args.name}.toml)",
        f"      {systemctl} enable --now klined@{args.name} klined-report@{args.name}.timer",
    ]
