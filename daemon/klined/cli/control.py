"""Verbs that talk to the running daemon: status, why, pause, resume, flatten, reload."""

import argparse
import sys
from pathlib import Path
from typing import Any

from klined.cli.client import ask
from klined.cli.options import places
from klined.cli.output import clock, emit
from klined.cli.status import render_status
from klined.errors import ConfigError, NotFlat, NotRunning

FLATTEN_TIMEOUT_S = 3_700.0  # the longest deadline that can be set, and some
DECISIONS = 10


def status_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--watch", action="store_true", help="repeat every 2 s until Ctrl+C")


def status(args: argparse.Namespace) -> int:
    while True:
        data = _ask(args, {"verb": "status"})
        if args.watch and sys.stdout.isatty():
            print("\033[H\033[J", end="")
        emit(data) if args.json else print(render_status(data))
        if not args.watch:
            return 0
        _wait(2.0)


def why_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--last", type=int, default=DECISIONS, metavar="N", help=f"decisions shown ({DECISIONS})")
    parser.add_argument("--symbol", help="of this symbol only, like ETH/USDT")


def why(args: argparse.Namespace) -> int:
    """Ask the daemon; without one, the journal knows as well."""
    try:
        found = _ask(args, {"verb": "why", "last": args.last, "symbol": args.symbol})
        decisions: list[dict[str, Any]] = found["decisions"] if isinstance(found, dict) else found
    except NotRunning as error:
        state, _ = places(args)
        if not (state / "journal.db").is_file():
            raise
        print(f"klined: {error}; this is what its journal says", file=sys.stderr)
        from klined.cli.history import last_decisions  # noqa: PLC0415 - the store, only when nobody answers

        decisions = last_decisions(state, args.last, args.symbol)
    if args.json:
        emit(decisions)
    elif not decisions:
        print("no decision yet")
    else:
        print("\n".join(_decision(d) for d in sorted(decisions, key=lambda d: d.get("bar_time_ms") or 0)))
    return 0


def pause(args: argparse.Namespace) -> int:
    return _say(args, _ask(args, {"verb": "pause"}), "paused: no new exposure; exits still work. Again: klined resume")


def resume(args: argparse.Namespace) -> int:
    return _say(args, _ask(args, {"verb": "resume"}), "trading again, within the limits")


def flatten_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def flatten(args: argparse.Namespace) -> int:
    """Close everything; asks first, because nothing undoes it."""
    if not args.yes:
        if not sys.stdin.isatty():
            raise ConfigError("flatten closes every position; say --yes where nobody can be asked")
        if input("close every position and pause? [y/N] ").strip().lower() not in {"y", "yes"}:
            print("nothing was done")
            return 0
    data = _ask(args, {"verb": "flatten"}, FLATTEN_TIMEOUT_S)
    flat = not isinstance(data, dict) or bool(data.get("flat", True))
    _say(args, data, "flat, and paused. Again: klined resume" if flat else "NOT FLAT at the deadline; klined status")
    return 0 if flat else NotFlat.exit_code


def reload_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, metavar="FILE", help="swap the policy for this .onnx file")


def reload(args: argparse.Namespace) -> int:
    model = str(args.model.absolute()) if args.model else None
    data = _ask(args, {"verb": "reload", "model": model}, timeout_s=60.0)
    changed = data.get("changed", []) if isinstance(data, dict) else []
    return _say(args, data, f"reloaded: {', '.join(changed) or 'nothing changed'}")


def _ask(args: argparse.Namespace, request: dict[str, Any], timeout_s: float = 10.0) -> Any:
    state, control = places(args)
    try:
        return ask(control, request, timeout_s)
    except NotRunning as error:
        from klined.cli.history import last_stop  # noqa: PLC0415

        raise NotRunning(f"{error}. {last_stop(state)}") from error


def _say(args: argparse.Namespace, data: object, sentence: str) -> int:
    if args.json:
        emit(data)
    else:
        said = data.get("text") if isinstance(data, dict) else None
        print(said or sentence)
    return 0


def _decision(decision: dict[str, Any]) -> str:
    target = decision.get("target")
    wanted = "target   -  " if target is None else f"target {target:+.2f}"
    reason = str(decision.get("detail") or decision.get("reason", "")).replace("_", " ").lower()
    verdict = str(decision.get("verdict", ""))
    when, symbol = clock(decision.get("bar_time_ms")), str(decision.get("symbol", ""))
    return f"{when}  {symbol:<14} {wanted}  {verdict:<8} {reason}".rstrip()


def _wait(seconds: float) -> None:
    import time  # noqa: PLC0415 - only --watch needs it

    time.sleep(seconds)
