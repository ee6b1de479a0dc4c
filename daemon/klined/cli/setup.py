"""Verbs before the first run: init and check."""

import argparse
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from klined.cli.options import DEFAULT_FILE, load_settings
from klined.cli.output import DIM, GREEN, RED, emit, paint, table
from klined.config.reference import rows
from klined.config.settings import Settings
from klined.errors import ConfigError, KlinedError

TEMPLATE = """\
# klined.toml: everything else has a default, see: klined check --all
[market]
exchange  = "sim"          # a market inside this process, or "binance"
symbols   = ["ETH/USDT"]
timeframe = "1m"
[policy]
name = "onnx"              # the shipped model, or a rule such as "ema_cross"
[risk]
max_drawdown = 0.05        # loss from the peak: then flatten and halt
max_day_loss = 0.02        # loss of a day: then no new positions
max_exposure = 1.0         # largest position, as a multiple of equity
[mode]
live = false               # real orders also need: klined run --live
"""


def init_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", type=Path, default=None, metavar="FILE", help=f"to write ({DEFAULT_FILE})")


def init(args: argparse.Namespace) -> int:
    path: Path = args.file or args.config or DEFAULT_FILE
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(TEMPLATE)
    except FileExistsError as error:
        raise ConfigError(f"{path} exists and was left as it is; name another file: klined init FILE") from error
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error
    if args.json:
        emit({"file": str(path)})
    else:
        print(f"wrote {path}; next: klined check, then klined run")
    return 0


def check_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help="print every setting, its value, origin and meaning")
    parser.add_argument(
        "--online", action="store_true", help="also read the account and wait for the feed's first word"
    )


def check(args: argparse.Namespace) -> int:
    """Settings first: they raise with all their faults. Then each thing they point at, all of them."""
    settings = load_settings(args)
    if args.all:
        _print_all(args, settings)
    results: list[dict[str, str | bool]] = []
    code = 0
    for name, look in (CHECKS | ONLINE if args.online else CHECKS).items():
        try:
            found, fine = look(settings), True
        except KlinedError as error:
            found, fine, code = str(error), False, code or error.exit_code
        results.append({"check": name, "ok": fine, "says": found})
    if args.json and not args.all:
        emit({"ok": code == 0, "checks": results})
    elif not args.json:
        marks = {True: paint("ok  ", GREEN), False: paint("FAIL", RED)}
        print("\n".join(f"{marks[bool(result['ok'])]} {result['check']:<10} {result['says']}" for result in results))
        print("nothing was started" if code else "nothing was started; next: klined run")
    return code


def _print_all(args: argparse.Namespace, settings: Settings) -> None:
    found = list(rows(settings))
    if args.json:
        emit([{"key": row.key, "value": row.value, "origin": row.origin, "meaning": row.meaning} for row in found])
        return
    print(table((row.key, row.value, paint(row.origin, DIM), row.meaning) for row in found))
    print()


def _check_settings(settings: Settings) -> str:
    market = settings.market
    from klined.runtime.remote import is_remote, network_of  # noqa: PLC0415 - heavy, only for this

    money = network_of(settings) if is_remote(settings) else "paper"
    money = "LIVE" if money == "live" else money
    return f"{', '.join(market.symbols)} {market.timeframe}, {market.kind}, {market.exchange}, {money}"


def _check_policy(settings: Settings) -> str:
    from klined.runtime.assembly import make_policy  # noqa: PLC0415 - onnxruntime, only for this

    policy = make_policy(settings)
    return f"{policy.name}, features {policy.plan}"


def _check_bars(settings: Settings) -> str:
    market = settings.market
    if market.feed_name != "recorded":
        return f"{market.feed_name} feed"
    from klined.feeds.columns import read_columns  # noqa: PLC0415 - numpy, only for this

    columns = read_columns(market.symbols, market.interval_ms, market.files)
    dropped = sum(sum(column.dropped.values()) for column in columns.values())
    missing = sum(column.missing for column in columns.values())
    return f"{sum(len(column.times) for column in columns.values())} bars, {missing} missing, {dropped} dropped"


def _check_state(settings: Settings) -> str:
    place = settings.state_dir
    nearest = next(parent for parent in _upwards(place) if parent.exists())
    if not nearest.is_dir():
        raise ConfigError(f"{nearest} is no directory; set store.dir")
    try:
        probe = nearest / ".klined-check"
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise ConfigError(f"cannot write in {nearest}: {error.strerror}; set store.dir") from error
    return f"{place}" + ("" if nearest == place else ", to be made at the first run")


def _check_daemon(settings: Settings) -> str:
    path = settings.control_socket
    with socket.socket(socket.AF_UNIX) as link:
        try:
            link.connect(str(path))
        except OSError:
            return "none runs here"
    return f"one is running on {path}"


def _check_exchange(settings: Settings) -> str:
    from klined.cli.online import exchange_says  # noqa: PLC0415 - ccxt, only for this

    return exchange_says(settings)


def _check_feed(settings: Settings) -> str:
    from klined.cli.online import feed_says  # noqa: PLC0415 - websockets, only for this

    return feed_says(settings)


def _upwards(path: Path) -> Iterator[Path]:
    yield path
    yield from path.absolute().parents


CHECKS: dict[str, Callable[[Settings], str]] = {
    "settings": _check_settings,
    "policy": _check_policy,
    "bars": _check_bars,
    "state": _check_state,
    "daemon": _check_daemon,
}
ONLINE: dict[str, Callable[[Settings], str]] = {"exchange": _check_exchange, "feed": _check_feed}
