"""The verb that sums up a day: report. A timer asks for it every night; see `klined service`."""

import argparse
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec

from klined.cli.options import places
from klined.cli.output import clock, emit, money
from klined.errors import ConfigError
from klined.store.day import Day, summary

FOLDER = "reports"


def report_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--day", default="today", metavar="DAY", help="YYYY-MM-DD, today or yesterday, in UTC (today)")
    parser.add_argument("--write", action="store_true", help="also write it to reports/ in the state directory")


def report(args: argparse.Namespace) -> int:
    state = places(args)[0]
    found = summary(state / "journal.db", _day(args.day))
    lines = list(_told(found))
    if args.write:
        lines.append(f"  report    {_write(state, found, lines)}")
    if args.json:
        emit(msgspec.to_builtins(found))
    else:
        print("\n".join(lines))
    return 0


def _day(text: str) -> date:
    today = datetime.now(UTC).date()
    if text in {"today", "yesterday"}:
        return today - timedelta(days=text == "yesterday")
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"--day {text}: a day is YYYY-MM-DD, today or yesterday") from error


def _write(state: Path, found: Day, lines: list[str]) -> Path:
    """Both files, as a session's: to read and to process. A later report of the same day replaces them."""
    folder = state / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"day-{found.day}.json"
    (folder / f"day-{found.day}.log").write_text("\n".join(lines) + "\n")
    path.write_text(json.dumps(msgspec.to_builtins(found), indent=2) + "\n")
    return path


def _told(found: Day) -> Iterator[str]:
    yield f"{found.day} (UTC)"
    yield f"  decisions {found.decisions}: {found.approved} approved, {_counts(found.held, 'held')}"
    yield f"  blocked   {_counts(found.refused, 'refused')}"
    for symbol, traded in found.traded.items():
        yield (
            f"  traded    {symbol}: {traded.fills} fills, bought {traded.bought}, sold {traded.sold}, "
            f"worth {money(traded.notional)}"
        )
    if not found.traded:
        yield "  traded    nothing"
    yield f"  fees      {', '.join(f'{amount} {asset}' for asset, amount in found.fees.items()) or 'none'}"
    if found.equity is not None:
        yield f"  equity    {money(found.equity[0])} after the first fill, {money(found.equity[1])} after the last"
        yield f"  realised  {money(found.realised)}"
    yield f"  trouble   {', '.join(f'{name} {count}' for name, count in found.trouble.items()) or 'none'}"
    for run in found.runs:
        end = f"to {clock(run.ended_ms)}: {run.outcome}" if run.ended_ms else "not ended: it runs, or was killed"
        yield f"  run       from {clock(run.started_ms)} {end}"


def _counts(counts: dict[str, int], what: str) -> str:
    """`12 held (hold_deadband 10, hold_dust 2)`."""
    listed = ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))
    return f"{sum(counts.values())} {what}" + (f" ({listed})" if listed else "")
