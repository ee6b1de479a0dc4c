"""What goes wrong on purpose: armed one by one or by a schedule, seeded, and kept in a list of what has fired.

A fault waits until a call, an event or a bar matches it, `after` that many matches, and fires `count` times
(0: always), each with `probability`. `from_ms` and `until_ms` are sandbox times after the start. Some do their work at
once when they are armed: see AT_ONCE.
"""

import re
from collections import deque
from enum import StrEnum
from typing import Any

from msgspec import Struct

from klined.world.dice import Dice
from klined.world.frictions import Frictions


class FaultKind(StrEnum):
    # calls
    LOST_ANSWER = "lost_answer"  # executed, then the connection is reset
    LATE = "late"  # the connection is reset, and it is executed `delay_ms` later if recvWindow still allows
    UNKNOWN_EXECUTED = "unknown_executed"  # 503 "Unknown error", executed
    UNKNOWN = "unknown"  # 503 "Unknown error", not executed
    UNAVAILABLE = "unavailable"  # 503 "Service Unavailable.", not executed
    CODE = "code"  # `code` and `status`; executed if `executed`
    EMPTY = "empty"  # 200 without a body, executed
    TRUNCATED = "truncated"  # 200 with half a body, executed
    HTML = "html"  # an HTML page with `status`; executed if `executed`
    RESET = "reset"  # connection reset, not executed
    SLOW = "slow"  # executed, answered `delay_ms` later
    READ_LAG = "read_lag"  # queries see the account as it was `delay_ms` ago, for `duration_ms`
    PARTIAL = "partial"  # the order fills to `value` (a fraction) and expires
    # user events
    DUPLICATE_EVENT = "duplicate_event"
    REORDER_EVENTS = "reorder_events"
    MISSING_EVENT = "missing_event"
    LISTEN_KEY_EXPIRED = "listen_key_expired"
    # market streams
    SILENT = "silent"  # connected, nothing comes, for `duration_ms`
    MISSING_CLOSE = "missing_close"  # no x:true
    DUPLICATE_CLOSE = "duplicate_close"
    REVISED_BAR = "revised_bar"  # REST later tells another close
    BAD_FRAME = "bad_frame"  # `text` instead of the frame
    DISCONNECT = "disconnect"
    SHUTDOWN = "shutdown"  # serverShutdown, then disconnect after `delay_ms`
    # the exchange
    CLOCK_SKEW = "clock_skew"  # `value` ms, for `duration_ms`
    BAN = "ban"  # 418 for `duration_ms`
    REJECT_STOP = "reject_stop"  # refused when placed; with executed: when triggered
    RULES = "rules"  # `rules`: tick, lot, quantity_min, notional_min of `symbol`
    HALT = "halt"  # `symbol` has status `text` (BREAK) for `duration_ms`
    RESUME = "resume"


CALLS = (
    FaultKind.LOST_ANSWER, FaultKind.LATE, FaultKind.UNKNOWN_EXECUTED, FaultKind.UNKNOWN, FaultKind.UNAVAILABLE,
    FaultKind.CODE, FaultKind.EMPTY, FaultKind.TRUNCATED, FaultKind.HTML, FaultKind.RESET, FaultKind.SLOW,
)  # fmt: skip
AT_ONCE = {
    FaultKind.CLOCK_SKEW, FaultKind.BAN, FaultKind.HALT, FaultKind.RESUME, FaultKind.RULES,
    FaultKind.LISTEN_KEY_EXPIRED, FaultKind.SHUTDOWN, FaultKind.DISCONNECT, FaultKind.READ_LAG,
}  # fmt: skip
ORDER_CALLS = r"POST /(api/v3|fapi/v1)/(order|algoOrder|batchOrders|orderList.*)$|order\.place|algoOrder\.place"


LOG_MAX = 10_000


class Fault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: FaultKind
    where: str = ""  # regular expression on "POST /api/v3/order", "order.place", an event's or a stream's name
    symbol: str = ""  # the venue's name; empty: any
    market: str = ""  # spot or perp; empty: both
    after: int = 0
    count: int = 1
    probability: float = 1.0
    from_ms: int = 0
    until_ms: int = 0  # 0: for ever
    delay_ms: int = 1000
    duration_ms: int = 60_000
    code: int = -1006
    status: int = 503
    executed: bool = False
    value: float = 0.5
    text: str = ""
    rules: dict[str, str] = {}


class Fired(Struct, frozen=True):
    """A fault that did its work."""

    time_ms: int
    kind: FaultKind
    where: str


class Armed(Struct):
    fault: Fault
    number: int
    seen: int = 0
    fired: int = 0
    started: bool = False


class Faults:
    """All faults that are armed, oldest first."""

    def __init__(self, seed: int, start_ms: int, frictions: Frictions | None = None) -> None:
        self.armed: list[Armed] = []
        self.log: deque[Fired] = deque(maxlen=LOG_MAX)
        self.start_ms = start_ms
        self._seed, self._numbers = seed, 0
        self._frictions, self._calls, self._orders = frictions, 0, 0

    def arm(self, fault: Fault) -> int:
        self._numbers += 1
        self.armed.append(Armed(fault, self._numbers))
        return self._numbers

    def clear(self) -> None:
        self.armed.clear()

    def due(self, now_ms: int) -> list[Fault]:
        """Faults that work at once and whose time has come; each is told once."""
        found: list[Fault] = []
        for armed in list(self.armed):
            if armed.fault.kind in AT_ONCE and now_ms >= self.start_ms + armed.fault.from_ms:
                self.armed.remove(armed)
                found.append(armed.fault)
                self.log.append(Fired(now_ms, armed.fault.kind, armed.fault.where or armed.fault.symbol))
        return found

    def take(self, kinds: tuple[FaultKind, ...], where: str, now_ms: int, **about: str) -> Fault | None:
        """The first armed fault of these kinds that matches; it is counted as fired. `about`: symbol, market."""
        for armed in self.armed:
            if armed.fault.kind in kinds and self._matches(armed, where, now_ms, about) and self._falls(armed):
                armed.fired += 1
                if armed.fault.count and armed.fired >= armed.fault.count:
                    self.armed.remove(armed)
                self.log.append(Fired(now_ms, armed.fault.kind, where))
                return armed.fault
        return self._chance(where, now_ms) if kinds is CALLS and self._frictions else None

    def _chance(self, where: str, now_ms: int) -> Fault | None:
        """What happens to a call without anybody having armed anything: an outage, a refusal, or it takes its time."""
        frictions = self._frictions
        if frictions is None:
            return None
        number = self._calls
        self._calls += 1
        if frictions.down(self._seed, now_ms):
            return self._logged(Fault(kind=FaultKind.UNAVAILABLE), where, now_ms)
        if re.search(ORDER_CALLS, where):
            refusal = frictions.refusal(self._seed, self._orders)
            self._orders += 1
            if refusal is not None:
                fault = Fault(kind=FaultKind.CODE, code=refusal.code, status=refusal.status, text=refusal.message)
                return self._logged(fault, where, now_ms)
        delay_ms = int(frictions.delays_ms(self._seed, number, 1)[0])
        return Fault(kind=FaultKind.SLOW, delay_ms=delay_ms) if delay_ms else None

    def _logged(self, fault: Fault, where: str, now_ms: int) -> Fault:
        self.log.append(Fired(now_ms, fault.kind, where))
        return fault

    def status(self) -> dict[str, Any]:
        return {"armed": self.armed, "fired": list(self.log)}

    def _matches(self, armed: Armed, where: str, now_ms: int, about: dict[str, str]) -> bool:
        fault, passed = armed.fault, now_ms - self.start_ms
        pattern = fault.where or (ORDER_CALLS if fault.kind in {*CALLS, FaultKind.PARTIAL} else "")
        return (
            passed >= fault.from_ms
            and (not fault.until_ms or passed < fault.until_ms)
            and (not fault.symbol or about.get("symbol", "") in {"", fault.symbol})
            and (not fault.market or about.get("market", "") == fault.market)
            and re.search(pattern, where) is not None
        )

    def _falls(self, armed: Armed) -> bool:
        armed.seen += 1
        if armed.seen <= armed.fault.after:
            return False
        if armed.fault.probability >= 1.0:
            return True
        dice = Dice(self._seed, f"fault/{armed.number}", 1)
        return float(dice.uniform(0, armed.seen)[0]) < armed.fault.probability
