"""The verb that keeps the state directory: show, backup, restore."""

import argparse
from pathlib import Path

from klined.cli.options import places
from klined.cli.output import clock, emit
from klined.errors import ConfigError
from klined.store import backup
from klined.store.reading import Reader


def state_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("show", "backup", "restore"), help="restore needs the daemon to be stopped")
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="of the backup")


def state(args: argparse.Namespace) -> int:
    directory = places(args)[0]
    if args.action == "show":
        return _show(args, directory)
    if args.file is None:
        raise ConfigError(f"which file? klined state {args.action} FILE")
    if args.action == "backup":
        size = backup.backup(directory, args.file)
        said: dict[str, object] = {"file": str(args.file), "bytes": size}
        sentence = f"wrote {args.file}: {size} bytes, whole and checked"
    else:
        kept = backup.restore(directory, args.file)
        said = {"file": str(args.file), "kept": str(kept) if kept else None}
        sentence = f"restored {directory} from {args.file}" + (f"; the old journal is {kept}" if kept else "")
    emit(said) if args.json else print(sentence)
    return 0


def _show(args: argparse.Namespace, directory: Path) -> int:
    with Reader(directory) as reader:
        found = reader.show()
    if args.json:
        emit(found)
        return 0
    rows, memory = found["rows"], found["memory"]
    time_ms = found["time_ms"]
    print(f"{found['path']}  {found['bytes']} bytes, schema {found['schema']}")
    print(f"  newest    input {found['seq']} at {clock(time_ms if isinstance(time_ms, int) else None)}")
    if isinstance(rows, dict):
        print(f"  rows      {'  '.join(f'{name} {count}' for name, count in rows.items())}")
    if isinstance(memory, dict):
        print(f"  flags     {'  '.join(f'{key}={value}' for key, value in memory.items()) or 'none'}")
    orders = found["orders_open"]
    print(f"  open      {', '.join(orders) if isinstance(orders, list) and orders else 'no order'}")
    return 0
