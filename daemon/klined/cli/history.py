"""Verbs that read the journal, whether a daemon runs or not: logs, trades, explain."""

import argparse
import re
import sys
import time
from pathlib import Path

import msgspec

from klined.cli.options import places
from klined.cli.output import DIM, RED, YELLOW, clock, emit, number, paint, table
from klined.domain import Approved, Decision, Event, Fill, Held, Refused
from klined.errors import KlinedError
from klined.store.export import trades as exported
from klined.store.export import write_csv, write_jsonl
from klined.store.reading import LEVELS, Chain, Reader

COLOURS = {"debug": DIM, "warning": YELLOW, "error": RED}
UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
FOLLOW_S = 0.5  # between looks of `logs -f`: the journal is another process's file, and tells nobody
FOLLOWED_MAX = 1_000  # events printed at one look


def logs_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--follow", action="store_true", help="go on until Ctrl+C")
    parser.add_argument("--since", type=_seconds, metavar="AGE", help="not older than, like 30m, 1h, 7d")
    parser.add_argument("--level", choices=LEVELS, default="info", help="least important level (info)")
    parser.add_argument("--name", default="", help="events whose name begins like this, such as feed.")
    parser.add_argument("--last", type=int, default=100, metavar="N", help="at most the newest N (100)")


def logs(args: argparse.Namespace) -> int:
    with Reader(places(args)[0]) as reader:
        shown = reader.events(args.last, level=args.level, since_ms=_from_ms(args), name=args.name)
        for event in shown:
            _print_event(args, event)
        while args.follow:
            sys.stdout.flush()
            time.sleep(FOLLOW_S)
            since_ms = shown[-1].time_ms if shown else _from_ms(args)
            newer = reader.events(FOLLOWED_MAX, level=args.level, since_ms=since_ms, name=args.name)
            fresh = newer[_overlap(shown, newer) :]
            for event in fresh:
                _print_event(args, event)
            shown = newer or shown
    return 0


def trades_arguments(parser: argparse.ArgumentParser) -> None:
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="comma-separated, with a header")
    form.add_argument("--jsonl", action="store_true", help="one JSON object a line")
    parser.add_argument("--since", type=_seconds, metavar="AGE", help="not older than, like 30m, 1h, 7d")


def trades(args: argparse.Namespace) -> int:
    journal = places(args)[0] / "journal.db"
    if args.csv:
        write_csv(journal, sys.stdout, _from_ms(args))
        return 0
    if args.jsonl:
        write_jsonl(journal, sys.stdout, _from_ms(args))
        return 0
    found = list(exported(journal, _from_ms(args)))
    if args.json:
        emit([msgspec.to_builtins(trade) for trade in found])
        return 0
    rows = [
        (
            clock(t.time_ms),
            t.side.upper(),
            t.quantity,
            t.symbol,
            t.price,
            t.fee,
            t.fee_asset,
            t.cause or "",
            t.client_id,
        )
        for t in found
    ]
    head = ("time (UTC)", "side", "quantity", "symbol", "price", "fee", "in", "cause", "order")
    print(table([head, *rows], right=(2, 4, 5)) if rows else "no fills yet")
    return 0


def explain_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("order", metavar="ORDER", help="client id, as klined trades lists them")


def explain(args: argparse.Namespace) -> int:
    """The causal chain of one order: bar, policy output, verdict, intent, answers, fills."""
    with Reader(places(args)[0]) as reader:
        chain = reader.chain(args.order)
    if args.json:
        emit(_plain(chain))
    else:
        print(_told(chain))
    return 0


def last_decisions(state: Path, count: int, symbol: str | None) -> list[dict[str, object]]:
    """The newest decisions, oldest first, as the daemon's `why` answers them."""
    with Reader(state) as reader:
        return [_decided(decision) for decision in reversed(reader.decisions(count, symbol))]


def last_stop(state: Path) -> str:
    """One sentence on how the last run ended; what to do when there was none."""
    try:
        with Reader(state) as reader:
            run = reader.show()["last_run"]
    except KlinedError:
        return "Start one: klined run, or klined demo"
    if not isinstance(run, dict):
        return "It never ran here: klined run"
    if run["ended_ms"] is None:
        return "The last run was killed; the next start recovers"
    return f"Last stop {clock(run['ended_ms'])}: {run['outcome']}"


def _decided(decision: Decision) -> dict[str, object]:
    verdict, reason, detail = _verdict(decision)
    return {
        "bar_time_ms": decision.bar_time_ms,
        "symbol": decision.symbol,
        "target": number(decision.target),
        "verdict": verdict,
        "reason": reason,
        "detail": detail,
    }


def _verdict(decision: Decision) -> tuple[str, str, str]:
    match decision.verdict:
        case Approved(intent):
            return "approved", "ok", f"order {intent.client_id}: {intent.quantity}"
        case Held(_, reason):
            return "held", reason.name.lower(), ""
        case Refused(_, reason, detail):
            return "refused", reason.name.lower(), detail


def _plain(chain: Chain) -> dict[str, object]:
    """A chain as JSON has it: bytes that are JSON become it, an observation its size."""
    return {
        "client_id": chain.client_id,
        "bar": msgspec.to_builtins(chain.bar),
        "decision": _decided(chain.decision) | {"output": chain.decision.output} if chain.decision else None,
        "intent": msgspec.to_builtins(chain.intent),
        "answers": [{"seq": a.seq, "time_ms": a.time_ms, "body": msgspec.json.decode(a.body)} for a in chain.answers],
        "order": msgspec.json.decode(chain.state) if chain.state else None,
        "fills": [msgspec.to_builtins(fill) for fill in chain.fills],
    }


def _told(chain: Chain) -> str:
    intent, bar, decision = chain.intent, chain.bar, chain.decision
    numbers = f"  close {bar.close:g}  volume {bar.volume:g}" if bar else "  (its bar is no longer stored)"
    lines = [
        f"order {chain.client_id}  {intent.symbol}  {intent.quantity:+}  {intent.kind}  {intent.cause}",
        f"  bar       opened {clock(intent.bar_time_ms)}{numbers}",
    ]
    if decision:
        output = ", ".join(f"{value:.4g}" for value in decision.output) or "-"
        lines += [
            f"  observed  {len(decision.observation) // 4} values",
            f"  policy    target {decision.target:+.4f}  output {output}",
            f"  gate      {': '.join(part for part in _verdict(decision) if part)}",
        ]
    else:
        lines.append(f"  decision  none: {intent.cause} acted outside the policy")
    lines.append(f"  intent    durable before it was sent{', reduce only' if intent.reduce_only else ''}")
    lines += [f"  heard     {clock(a.time_ms)}  {a.body.decode(errors='replace')[:100]}" for a in chain.answers]
    state = msgspec.json.decode(chain.state) if chain.state else {}
    if state:
        lines.append(f"  order     {state.get('type', '?')}" + (f": {state['reason']}" if state.get("reason") else ""))
    lines += [f"  fill      {_filled(fill)}" for fill in chain.fills] or ["  fill      none"]
    return "\n".join(lines)


def _filled(fill: Fill) -> str:
    return f"{clock(fill.time_ms)}  {fill.quantity:+} @ {fill.price}  fee {fill.fee} {fill.fee_asset}  {fill.trade_id}"


def _print_event(args: argparse.Namespace, event: Event) -> None:
    if args.json:
        emit(msgspec.to_builtins(event))
        return
    level = "" if event.level == "info" else f"{event.level.upper()} "
    text = " ".join(f"{key}={value}" for key, value in event.data.items())
    print(paint(f"{clock(event.time_ms)} {level}{event.name:<20} {text}".rstrip(), COLOURS.get(event.level, "")))


def _overlap(shown: list[Event], newer: list[Event]) -> int:
    """How many of `newer`, which begins at the time of the last event shown, were shown already."""
    return sum(1 for event in shown if event.time_ms >= newer[0].time_ms) if newer else 0


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip())
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no age; write 30m, 1h or 7d")
    return float(found[1]) * UNITS_S[found[2]]


def _from_ms(args: argparse.Namespace) -> int:
    return int((time.time() - args.since) * 1000) if args.since else 0
