"""`klined status` as a person reads it. Every part of the answer may be missing: what is there is shown.

version mode live up_s symbols timeframe exchange policy{name, sha}
last_bar{close_time_ms, age_s, lag_ms, gaps_today}   positions[{symbol, quantity, entry, mark, pnl, exposure}]
equity{value, today, week, drawdown, drawdown_max}   risk{state, used[{name, used, limit}]}
last_act{time_ms, text}   queues{stage: waiting}   step_ms_p99
"""

from collections.abc import Callable, Mapping
from typing import Any

from klined.cli.output import BOLD, GREEN, RED, YELLOW, clock, money, paint, signed_percent, span

Data = Mapping[str, Any]
COLOURS = {"RUNNING": GREEN, "SAFE": YELLOW, "HALTED": RED}


def render_status(data: Data) -> str:
    """One header and a line for each part that the daemon told."""
    parts: tuple[tuple[str, Callable[[Data], str]], ...] = (
        ("last bar", _last_bar),
        ("position", _positions),
        ("equity", _equity),
        ("risk", _risk),
        ("last act", _last_act),
        ("pipeline", _pipeline),
    )
    lines = [_header(data)]
    for name, render in parts:
        if text := render(data):
            first, *more = text.split("\n")
            lines += [f"  {name:<10} {first}", *(f"  {'':<10} {line}" for line in more)]
    return "\n".join(lines)


def _header(data: Data) -> str:
    mode = str(data.get("mode", "?"))
    money_kind = paint("LIVE", BOLD) if data.get("live") else "paper"
    policy = data.get("policy") or {}
    sha = f" (sha {str(policy['sha'])[:7]})" if policy.get("sha") else ""
    symbols = " ".join(data.get("symbols", ()))
    return (
        f"klined {data.get('version', '')}  {paint(mode, COLOURS.get(mode, BOLD))}  {money_kind}"
        f"  up {span(float(data.get('up_s', 0)))}   {symbols} {data.get('timeframe', '')}  {data.get('exchange', '')}"
        f"   policy {policy.get('name', '-')}{sha}"
    )


def _last_bar(data: Data) -> str:
    bar = data.get("last_bar")
    if not bar or bar.get("close_time_ms") is None:
        return "none yet"
    parts = [clock(bar["close_time_ms"])]
    if bar.get("age_s") is not None:
        parts.append(f"age {span(float(bar['age_s']))}")
    if bar.get("lag_ms") is not None:
        parts.append(f"lag {float(bar['lag_ms']):.0f} ms")
    parts.append(f"gaps today {bar.get('gaps_today', 0)}")
    return "  ".join(parts)


def _positions(data: Data) -> str:
    held = [position for position in data.get("positions", ()) if float(position.get("quantity", 0))]
    return "\n".join(_position(position) for position in held) or "flat"


def _position(position: Data) -> str:
    quantity = float(position["quantity"])
    base = str(position.get("symbol", "")).partition("/")[0]
    side = "LONG" if quantity > 0 else "SHORT"
    return (
        f"{side} {abs(quantity):g} {base}  entry {money(position.get('entry'))}  mark {money(position.get('mark'))}"
        f"  {float(position.get('pnl') or 0):+,.2f}   exposure {float(position.get('exposure') or 0) * 100:.0f}%"
    )


def _equity(data: Data) -> str:
    equity = data.get("equity")
    if not equity:
        return ""
    limit = equity.get("drawdown_max")
    return (
        f"{money(equity.get('value'))}   today {signed_percent(equity.get('today'))}"
        f"   7 d {signed_percent(equity.get('week'), 1)}   drawdown {signed_percent(equity.get('drawdown'), 1)}"
        + (f" (limit {signed_percent(-abs(limit), 1)})" if limit is not None else "")
    )


def _risk(data: Data) -> str:
    risk = data.get("risk")
    if not risk:
        return ""
    used = [f"{item['name']} {item['used']}/{item['limit']}" for item in risk.get("used", ())]
    return "  ".join([str(risk.get("state", "ok")), *used])


def _last_act(data: Data) -> str:
    act = data.get("last_act")
    return f"{clock(act.get('time_ms'))} {act.get('text', '')}" if act else "none yet"


def _pipeline(data: Data) -> str:
    queues = data.get("queues")
    if not queues:
        return ""
    p99 = data.get("step_ms_p99")
    waiting = " · ".join(f"{stage} {count}" for stage, count in queues.items())
    return f"{waiting} queued" + (f"   p99 {float(p99):.1f} ms" if p99 is not None else "")
