"""Every fault that the sandbox knows, as one daemon meets it alone: what is armed, and what it should say of it."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

SYMBOL = "ETHUSDT"
MINUTE_MS = 60_000
ORDER_EVENTS = "executionReport|ORDER_TRADE_UPDATE"
CLOSES = "kline"


class Wrong(Struct, frozen=True, kw_only=True):
    """One thing that goes wrong. `told`: events of the daemon's log of which one must come."""

    name: str
    kind: str
    about: dict[str, Any] = {}
    markets: Sequence[str] = ("spot", "perp")
    told: Sequence[str] = ()


def _code(name: str, code: int, *, executed: bool, status: int = 503) -> Wrong:
    return Wrong(name=name, kind="code", about={"code": code, "status": status, "executed": executed})


CALLS = (
    Wrong(name="answer lost after execution", kind="lost_answer"),
    Wrong(name="executed late within recvWindow", kind="late", about={"delay_ms": 4000}),
    Wrong(name="503, executed", kind="unknown_executed"),
    Wrong(name="503, not executed", kind="unknown"),
    Wrong(name="503, unavailable", kind="unavailable"),
    _code("-1006, executed", -1006, executed=True),
    _code("-1006, not executed", -1006, executed=False),
    _code("-1007, executed", -1007, executed=True, status=408),
    _code("-1007, not executed", -1007, executed=False, status=408),
    _code("-1008", -1008, executed=False),
    Wrong(name="200 without a body", kind="empty"),
    Wrong(name="half a body", kind="truncated"),
    Wrong(name="an HTML page, executed", kind="html", about={"status": 200, "executed": True}),
    Wrong(name="an HTML page, not executed", kind="html", about={"status": 502}),
    Wrong(name="connection reset", kind="reset"),
    Wrong(name="slow answer", kind="slow", about={"delay_ms": 900_000}),
    Wrong(name="reads that fail", kind="reset", about={"where": "^GET ", "count": 6}),
    Wrong(name="reads that are cut short", kind="truncated", about={"where": "^GET ", "count": 6}),
)
ACCOUNT = (
    Wrong(name="reads that lag", kind="read_lag", about={"delay_ms": 20_000, "duration_ms": 3 * MINUTE_MS}),
    Wrong(name="user events twice", kind="duplicate_event", about={"where": ORDER_EVENTS, "count": 4}),
    Wrong(name="user events in another order", kind="reorder_events", about={"where": ORDER_EVENTS, "count": 2}),
    Wrong(name="user events that are missing", kind="missing_event", about={"where": ORDER_EVENTS, "count": 4}),
    Wrong(name="listen key expired", kind="listen_key_expired", markets=("perp",), told=("user_stream.disconnected",)),
    Wrong(name="filled in part, the rest expired", kind="partial", about={"value": 0.4}),
)
MARKET = (
    Wrong(name="connected and silent", kind="silent", about={"duration_ms": 3 * MINUTE_MS, "where": CLOSES},
          told=("feed.disconnected",)),
    Wrong(name="no x:true", kind="missing_close", about={"where": CLOSES}, told=("feed.refilled",)),
    Wrong(name="x:true twice", kind="duplicate_close", about={"where": CLOSES}),
    Wrong(name="a revised bar", kind="revised_bar", about={"where": CLOSES}),
    Wrong(name="frames of rubbish", kind="bad_frame", about={"where": CLOSES, "text": '{"e":"kline","k":', "count": 5}),
    Wrong(name="disconnected", kind="disconnect", told=("feed.disconnected",)),
    Wrong(name="shut down", kind="shutdown", about={"delay_ms": 10_000}, told=("feed.disconnected",)),
)  # fmt: skip
EXCHANGE = (
    Wrong(name="clock 4 s ahead", kind="clock_skew", about={"value": 4000, "duration_ms": 3 * MINUTE_MS}),
    Wrong(name="clock 4 s behind", kind="clock_skew", about={"value": -4000, "duration_ms": 3 * MINUTE_MS}),
    Wrong(name="banned", kind="ban", about={"duration_ms": 3 * MINUTE_MS}),
    Wrong(name="halted", kind="halt", about={"symbol": SYMBOL, "duration_ms": 3 * MINUTE_MS}),
)
RULES = (
    Wrong(name="coarser lots", kind="rules", about={"symbol": SYMBOL, "rules": {"lot": "0.001", "tick": "0.1"}}),
    Wrong(name="a larger least order", kind="rules", about={"symbol": SYMBOL, "rules": {"notional_min": "50"}}),
)
STOPS = (
    Wrong(name="a stop that is refused", kind="reject_stop", markets=("perp",)),
    Wrong(name="a stop that is refused when it triggers", kind="reject_stop", about={"executed": True},
          markets=("perp",)),
)  # fmt: skip
ALL = (*CALLS, *ACCOUNT, *MARKET, *EXCHANGE, *RULES)
QUICK = ("answer lost after execution", "executed late within recvWindow", "503, not executed", "disconnected")
"""What the normal run tries: an order that happened, one that will, one that did not, and a lost line."""


def mixture(market: str, share: float) -> list[dict[str, Any]]:
    """Every call, event and stream goes wrong with a probability of `share`, for as long as it is armed."""
    chance = {"market": market, "probability": share, "count": 0}
    calls = [
        {"kind": fault.kind, **fault.about, **chance, "probability": share / len(CALLS)}
        for fault in CALLS
        if "where" not in fault.about and fault.kind != "slow"
    ]
    reads = [{"kind": kind, "where": "^GET ", **chance} for kind in ("reset", "truncated", "html")]
    events = [
        {"kind": kind, "where": ORDER_EVENTS, **chance}
        for kind in ("duplicate_event", "reorder_events", "missing_event")
    ]
    bars = [{"kind": kind, "where": CLOSES, **chance} for kind in ("missing_close", "duplicate_close", "revised_bar")]
    return [*calls, {"kind": "partial", "value": 0.3, **chance}, *reads, *events, *bars]
