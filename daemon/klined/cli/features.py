"""The verb that tells what a policy may see: features list, show, check."""

import argparse
from pathlib import Path

import msgspec
import numpy as np

from klined.cli.output import RED, YELLOW, emit, number, paint, table
from klined.cli.running import file_overrides
from klined.errors import ConfigError
from klined.feeds.columns import read_columns
from klined.feeds.timeframe import TIMEFRAMES_MS
from klined.trader.declarations import parse, unknown
from klined.trader.functions import ALIASES, FUNCTIONS, MACROS
from klined.trader.indicators import FAMILIES, INDICATORS, SERIES, Indicator, Param
from klined.trader.inspection import Report, bars_needed, inspect
from klined.trader.plans import OUTSIDE, PLANS, Plan, declared_plan

BARS = 4_000  # newest bars of a file that `check` looks at, unless told otherwise
DAY_MS = 86_400_000


def features_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="{list,show,check}")
    actions.add_parser("list", help="every indicator, function, series and plan, with lookbacks")
    show = actions.add_parser("show", help="one of them, or a plan, or what a declaration comes to")
    show.add_argument("name", metavar="NAME", help="rsi, eth44, or 'squash(per(macd.hist, atr(14)))'")
    check = actions.add_parser("check", help="leaks, warm-up and stability on your bars")
    check.add_argument("file", type=Path, metavar="FILE", help="recorded bars, like ETHUSDT-1m.csv.gz")
    check.add_argument("--plan", default="eth15", metavar="NAME", help="one that ships (eth15)")
    check.add_argument("--feature", action="append", default=[], metavar="TEXT", help="declared; instead of a plan")
    check.add_argument("--symbol", default="", help="ETH/USDT; else as the file is named")
    check.add_argument("--timeframe", choices=TIMEFRAMES_MS, help="else as the file is named")
    check.add_argument("--bars", type=int, metavar="N", help=f"the newest N ({BARS}, and as many as the plan needs)")


def features(args: argparse.Namespace) -> int:
    match args.action:
        case "list":
            return _list(args)
        case "show":
            return _show(args)
        case _:
            return _check(args)


def _list(args: argparse.Namespace) -> int:
    if args.json:
        emit([_told(indicator) for indicator in INDICATORS.values()])
        return 0
    for family, indicators in FAMILIES.items():
        print(f"{family}\n{table(_rows(indicators), right=(2, 3))}\n")
    print(f"other names\n{table([(f'  {name}', meant) for name, meant in ALIASES.items()])}\n")
    functions = [(f"  {f.name}({_wanted('x, y'[: 3 * f.series - 2], f.params)})", f.says) for f in FUNCTIONS.values()]
    macros = [(f"  {name}", f"= {text}") for name, (text, _) in MACROS.items()]
    hidden = ("  hmm(x, ..., numbers).p0", "probability of hidden states; python -m klined_models.regimes fits them")
    print(f"functions\n{table([*functions, *macros, hidden])}\n")
    print(f"series     {', '.join(SERIES)}")
    print(f"account    {', '.join(OUTSIDE)}")
    print(f"plans      {', '.join(f'{plan.name} ({plan.dim})' for plan in PLANS.values())}")
    return 0


def _rows(indicators: tuple[Indicator, ...]) -> list[tuple[str, ...]]:
    rows = []
    for one in indicators:
        lookback, stable = _bars(one)
        outputs = " ".join(output.name for output in one.outputs if output.name)
        says = one.says + (f"; .{outputs.replace(' ', ' .')}" if outputs else "")
        call = f"{one.name}({_wanted('', one.params)})" if one.params else one.name
        rows.append((f"  {call}", "", str(lookback), "never" if stable is None else str(stable), says))
    return [("  name", "", "lookback", "stable", ""), *rows]


def _wanted(series: str, params: tuple[Param, ...]) -> str:
    told = [p.name if p.default is None else f"{p.name}={p.default:g}" for p in params]
    return ", ".join([series] * bool(series) + told)


def _bars(one: Indicator) -> tuple[int, int | None]:
    """Lookback and bars to forget the start, with its defaults (20 where it has none)."""
    wholes = [20 if param.default is None else int(param.default) for param in one.wholes]
    return one.outputs[0].lookback(*wholes), one.stable(*wholes)


def _told(one: Indicator) -> dict[str, object]:
    lookback, stable = _bars(one)
    return {
        "name": one.name,
        "says": one.says,
        "source": (one.kernel.__doc__ or "").strip(),
        "inputs": one.inputs,
        "params": [msgspec.to_builtins(param) for param in one.params],
        "outputs": [{"name": o.name, "low": number(o.low), "high": number(o.high)} for o in one.outputs],
        "lookback": lookback,
        "stable_bars": stable,
        "numbers_of_state": one.size(*(20 if p.default is None else int(p.default) for p in one.wholes)),
    }


def _show(args: argparse.Namespace) -> int:
    name = ALIASES[args.name].partition(".")[0] if args.name in ALIASES else args.name
    if name in INDICATORS:
        told = _told(INDICATORS[name])
    elif args.name in FUNCTIONS:
        told = {"name": args.name, "says": FUNCTIONS[args.name].says}
    elif args.name in PLANS:
        return _show_plan(args, PLANS[args.name])
    elif args.name.isidentifier() and args.name not in {*SERIES, *MACROS}:
        raise unknown(args.name, 1, "feature", args.name, {*INDICATORS, *FUNCTIONS, *ALIASES, *PLANS, *SERIES})
    else:
        return _show_plan(args, declared_plan("declared", [args.name]))
    if args.json:
        emit(told)
        return 0
    for key, value in told.items():
        print(f"{key.replace('_', ' '):<18}{_plainly(value)}")
    return 0


def _plainly(value: object) -> str:
    match value:
        case dict():
            return " ".join(f"{key} {part}" for key, part in value.items() if part not in {"", None})
        case [dict(), *_]:
            return "; ".join(map(_plainly, value))
        case tuple() | list():
            return ", ".join(map(str, value))
        case None:
            return "never"
        case _:
            return " ".join(str(value).split())


def _show_plan(args: argparse.Namespace, plan: Plan) -> int:
    if args.json:
        emit(msgspec.json.decode(plan.canonical()))
        return 0
    rows = [("  feature", "formula", "from bar", "stable")]
    for one in plan.features:
        rows.append((f"  {one.name}", one.formula, str(one.first_bar), str(one.stable_bars)))  # noqa: PERF401 - reads as a table
    print(f"{plan.name}: {plan.dim} values, warm-up {plan.warmup_bars} bars, {plan.state_size} numbers of state")
    print(table(rows, right=(2, 3)))
    return 0


def _check(args: argparse.Namespace) -> int:
    """Exit code 0 when nothing is wrong, else 1."""
    whole, interval_ms = _read(args)
    if args.feature:
        plan = declared_plan("declared", [parse(text).source for text in args.feature], interval_ms)
    elif args.plan in PLANS:
        plan = PLANS[args.plan]
    else:
        raise unknown(args.plan, 1, "plan", args.plan, PLANS)
    count = args.bars or max(BARS, bars_needed(plan))
    report = inspect(plan, np.ascontiguousarray(whole[-count:]))
    if args.json:
        emit({**msgspec.to_builtins(report), "clean": report.clean})
    else:
        print(_page(plan, report))
    return 0 if report.clean else 1


def _read(args: argparse.Namespace) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.float64]], int]:
    """The bars of the file, shape (T, 6), and their interval."""
    overrides = dict(
        entry.split("=", 1)
        for entry in file_overrides([args.file], [args.symbol] if args.symbol else [], args.timeframe)
    )
    symbol, timeframe = overrides.get("market.symbols", "ETH/USDT"), overrides.get("market.timeframe", "1m")
    interval_ms = TIMEFRAMES_MS[timeframe]
    columns = read_columns([symbol], interval_ms, [args.file])[symbol]
    if args.bars is not None and args.bars <= 0:
        raise ConfigError(f"--bars {args.bars}: nothing to look at")
    return np.column_stack((columns.times.astype(np.float64), columns.values)), interval_ms


def _page(plan: Plan, report: Report) -> str:
    rows: list[tuple[str, ...]] = [("feature", "low", "mean", "high", "stable", "drift", "")]
    for seen in report.features:
        what = seen.fault
        mark = paint(what, RED if seen.leaks else YELLOW) if what else "ok"
        numbers = (f"{value:+.3g}" for value in (seen.low, seen.mean, seen.high))
        rows.append((seen.name, *numbers, str(seen.stable_bars), f"{seen.drift:.0e}", mark))
    faults = sum(bool(seen.fault) for seen in report.features)
    told = "no feature knows the future" if not report.leaks else "THE FUTURE LEAKS"
    return (
        f"{plan.name} over {report.bars} bars: first complete row at bar {report.first_bar}, told {plan.first_bar}; "
        f"warm-up {plan.warmup_bars}\n{table(rows, right=(1, 2, 3, 4, 5))}\n{told}; "
        f"{faults or 'none'} of {len(report.features)} features need a look"
    )
