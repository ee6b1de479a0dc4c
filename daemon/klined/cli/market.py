"""The verb that makes markets and troubles, judges and measures them: list, generate, lay, check, calibrate."""

import argparse
import gzip
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from klined.backtest.calibration import calibrate
from klined.cli.output import RED, emit, paint, table
from klined.cli.running import file_overrides
from klined.errors import ConfigError
from klined.feeds.columns import read_columns
from klined.feeds.timeframe import TIMEFRAMES_MS, timeframe_name
from klined.world.facts import Report, stylised_facts
from klined.world.filters import venue_symbol
from klined.world.generators import SAYS, START_MS, Copula, generate
from klined.world.laying import lay
from klined.world.names import spelled
from klined.world.scenarios import SCENARIOS, Scenario, parsed
from klined.world.tables import COLUMNS

Bars = NDArray[np.float64]
BARS = 43_200  # a month of minutes
SECONDS_MAX = 86_400


def market_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="{list,generate,lay,check,calibrate}")
    actions.add_parser("list", help="every generator and every scenario")
    make = actions.add_parser("generate", help="bars of a made-up market, as CSV")
    make.add_argument("--kind", default="market", metavar="NAME", help="like garch, or garch:alpha=0.1,beta=0.85")
    make.add_argument("--bars", type=int, default=BARS, metavar="N", help=f"of each symbol ({BARS})")
    make.add_argument("--seed", type=int, default=7, metavar="S", help="another one, other bars (7)")
    make.add_argument("--out", type=Path, metavar="FILE", help=".csv or .csv.gz; of several symbols a directory")
    make.add_argument("--start", type=int, default=START_MS, metavar="MS", help="first open time, UTC ms (2025)")
    make.add_argument("--correlation", type=float, metavar="R", help="between symbols, in [0, 1) (0.7)")
    make.add_argument("--base", action="append", type=Path, default=[], metavar="FILE", help="for bootstrap: real bars")
    _market_of(make)
    trouble = actions.add_parser("lay", help="lay scenarios over bars, as CSV")
    trouble.add_argument("file", type=Path, nargs="+", metavar="FILE", help="bars, like ETHUSDT-1m.csv.gz")
    trouble.add_argument(
        "--scenario", action="append", required=True, metavar="NAME", help="like flash_crash:start=600,depth=0.2"
    )
    trouble.add_argument("--out", type=Path, metavar="FILE", help=".csv or .csv.gz; of several symbols a directory")
    _market_of(trouble)
    judge = actions.add_parser("check", help="does it behave like a market? Stylised facts, with bands")
    judge.add_argument("file", type=Path, metavar="FILE", help="bars, like ETHUSDT-1m.csv.gz")
    _market_of(judge)
    measure = actions.add_parser("calibrate", help="what trading costs, measured on a recorded order book")
    measure.add_argument(
        "file", type=Path, metavar="FILE", help="depth, quote and trade frames of Binance, one a line, with times"
    )
    measure.add_argument("--symbol", default="ETH/USDT", help="whose frames (ETH/USDT)")
    measure.add_argument("--seconds", type=float, default=15.0, metavar="S", help="length of a bar (15)")


def _market_of(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--symbol", action="append", default=[], help="ETH/USDT; may be repeated")
    parser.add_argument("--timeframe", choices=TIMEFRAMES_MS, help="of the bars; else as the file is named, or 1m")


def market(args: argparse.Namespace) -> int:
    match args.action:
        case "list":
            return _list(args)
        case "generate":
            return _generate(args)
        case "lay":
            return _lay(args)
        case "calibrate":
            return _calibrate(args)
        case _:
            return _check(args)


def _list(args: argparse.Namespace) -> int:
    if args.json:
        emit({"generators": SAYS, "scenarios": {name: _parameters(kind) for name, kind in SCENARIOS.items()}})
        return 0
    print(f"generators\n{table([(f'  {name}', says) for name, says in SAYS.items()])}\n")
    rows = []
    for name, kind in SCENARIOS.items():
        given = " ".join(f"{key}={value}" for key, value in _parameters(kind).items() if key != "start")
        rows += [(f"  {name}", kind.says), ("", given)]
    print(f"scenarios (each also start={SCENARIOS['halt']().start}, in bars)\n{table(rows)}")
    return 0


def _parameters(kind: type[Scenario]) -> dict[str, Any]:
    """With their defaults."""
    return msgspec.structs.asdict(kind())


def _lay(args: argparse.Namespace) -> int:
    scenarios = [parsed(text) for text in args.scenario]
    tables, interval_ms = read_bars(args.file, args.symbol, args.timeframe)
    bars = lay(tables, scenarios)
    told = write_bars(bars, args.out, interval_ms)
    if args.json and args.out:
        emit({"ok": True, "files": told, "bars": {symbol: len(rows) for symbol, rows in bars.items()}})
    elif args.out:
        print(f"{', '.join(args.scenario)} over {', '.join(bars)}: {', '.join(told)}")
    return 0


def _generate(args: argparse.Namespace) -> int:
    kind, texts = spelled(args.kind)
    parameters: dict[str, Any] = dict(texts)
    symbols, interval_ms = args.symbol or ["ETH/USDT"], TIMEFRAMES_MS[args.timeframe or "1m"]
    base: dict[str, Bars] = {}
    if args.base:
        base, interval_ms = read_bars(args.base, args.symbol, args.timeframe)
        symbols = list(base)
    together = None if args.correlation is None else Copula(correlation=args.correlation)
    bars = generate(
        kind, symbols, args.bars, seed=args.seed, interval_ms=interval_ms, start_ms=args.start, together=together,
        base=base, **parameters,
    )  # fmt: skip
    told = write_bars(bars, args.out, interval_ms)
    if args.json and args.out:
        emit({"ok": True, "kind": kind, "seed": args.seed, "bars": args.bars, "files": told})
    elif args.out:
        print(f"{args.bars:,} bars of {kind}, seed {args.seed}: {', '.join(told)}")
    return 0


def _check(args: argparse.Namespace) -> int:
    """Exit code 0 when every fact lies in its band, else 1."""
    found, _ = read_bars([args.file], args.symbol, args.timeframe)
    report = stylised_facts(next(iter(found.values())))
    if args.json:
        facts = [{**msgspec.to_builtins(fact), "passed": fact.passed} for fact in report.facts]
        emit({"bars": report.bars, "sigma": report.sigma, "realistic": report.realistic, "facts": facts})
    else:
        print(_page(args.file.name, report))
    return 0 if report.realistic else 1


def _calibrate(args: argparse.Namespace) -> int:
    """The lines of [costs] that the book asks for, and how well they tell what orders would have paid."""
    if not 0.001 <= args.seconds <= SECONDS_MAX:
        raise ConfigError(f"--seconds {args.seconds:g} must lie between 0.001 and {SECONDS_MAX}, a day")
    found = calibrate(args.file, args.symbol, round(args.seconds * 1000))
    if args.json:
        emit(msgspec.to_builtins(found))
        return 0
    print(
        f"# {args.file.name}: {found.symbol}, {found.bars:,} bars of {args.seconds:g} s, {found.orders:,} orders tried"
    )
    print(f"# half the spread in 99 % of the time: {found.half_spread_worst_bps:.3g} bp or less")
    print(f"# the law of impact errs by {found.error_bps:.2g} bp")
    print(f"[costs]\nhalf_spread_bps = {found.half_spread_bps:.3g}\nimpact = {found.impact:.2g}")
    return 0


def _page(name: str, report: Report) -> str:
    rows: list[tuple[str, ...]] = [("fact", "value", "band", "", "")]
    for fact in report.facts:
        mark = "ok" if fact.passed else paint("outside", RED)
        rows.append((fact.name, f"{fact.value:.3g}", f"{fact.low:.3g} .. {fact.high:.3g}", mark, fact.says))
    verdict = "behaves like a market" if report.realistic else f"is no market: {', '.join(report.missing)}"
    head = f"{name}: {report.bars:,} bars, sigma {report.sigma * 1e4:.2f} bp a bar"
    return f"{head}\n{table(rows, right=(1,))}\n{name} {verdict}"


def read_bars(files: Sequence[Path], symbols: Sequence[str], timeframe: str | None) -> tuple[dict[str, Bars], int]:
    """Bars (n, 6) of each symbol in the files, and their interval; what is no bar is left out.

    Raises:
        ConfigError: see feeds.columns.
    """
    named = dict(entry.split("=", 1) for entry in file_overrides(files, symbols, timeframe))
    interval_ms = TIMEFRAMES_MS[named.get("market.timeframe", "1m")]
    columns = read_columns(named.get("market.symbols", "ETH/USDT").split(","), interval_ms, files)
    tables = {s: np.column_stack((c.times.astype(np.float64), c.values)) for s, c in columns.items()}
    return tables, interval_ms


def write_bars(bars: Mapping[str, Bars], out: Path | None, interval_ms: int) -> list[str]:
    """As CSV, to `out` or to stdout; several symbols into a directory, in files that are named as others are read.

    Raises:
        ConfigError: several symbols and no directory, or it cannot be written.
    """
    if out is None and len(bars) > 1:
        raise ConfigError(f"{len(bars)} symbols need a directory to stand in: --out DIR")
    told: list[str] = []
    try:
        for symbol, rows in bars.items():
            path = out
            if out is not None and (len(bars) > 1 or out.is_dir()):
                out.mkdir(parents=True, exist_ok=True)
                kind = "_um" if ":" in symbol else ""
                path = out / f"{venue_symbol(symbol)}-{timeframe_name(interval_ms)}{kind}.csv.gz"
            _write(path, rows)
            told.append(str(path))
    except OSError as error:
        raise ConfigError(f"cannot write {out}: {error.strerror or error}") from error
    return told


def _write(path: Path | None, rows: Bars) -> None:
    lines = [",".join(("open_time", *COLUMNS[1:]))]
    lines += [f"{time:.0f},{','.join(map(repr, numbers))}" for time, *numbers in rows.tolist()]
    text = "\n".join(lines) + "\n"
    if path is None:
        sys.stdout.write(text)
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode(), mtime=0))
    else:
        path.write_text(text)
