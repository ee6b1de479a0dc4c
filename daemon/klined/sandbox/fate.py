"""What faults do that need neither a call nor an event: clock, bans, halts, rules, disconnections, lagging reads."""

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec.structs import replace

from klined.sandbox.faults import Fault, FaultKind
from klined.world.venue import TRADING

if TYPE_CHECKING:
    from klined.sandbox.exchange import SandboxExchange

BOTH = ("spot", "perp")


class Fate:
    """Applies such faults, and ends them when their time is over."""

    def __init__(self, exchange: "SandboxExchange") -> None:
        self._exchange = exchange
        self.read_lag_ms = 0
        self._lag_until_ms = self._skew_until_ms = 0
        self._halts: dict[tuple[str, str], int] = {}
        self._effects: dict[FaultKind, Callable[[Fault, int], None]] = {
            FaultKind.CLOCK_SKEW: self._skew,
            FaultKind.BAN: self._ban,
            FaultKind.READ_LAG: self._lag,
            FaultKind.HALT: self._halt,
            FaultKind.RESUME: self._halt,
            FaultKind.RULES: self._rules,
            FaultKind.LISTEN_KEY_EXPIRED: self._expire_keys,
            FaultKind.SHUTDOWN: self._shutdown,
            FaultKind.DISCONNECT: self._disconnect,
        }

    def befall(self, fault: Fault, now_ms: int) -> None:
        self._effects[fault.kind](fault, now_ms)

    def relent(self, now_ms: int) -> None:
        """End what is over."""
        clock = self._exchange.clock
        if clock.skew_ms and now_ms >= self._skew_until_ms:
            clock.skew_ms = 0
        if self.read_lag_ms and now_ms >= self._lag_until_ms:
            self.read_lag_ms = 0
        for (kind, name), until_ms in list(self._halts.items()):
            if now_ms >= until_ms:
                self._exchange.venue(kind).states[name] = TRADING
                del self._halts[kind, name]

    def _skew(self, fault: Fault, now_ms: int) -> None:
        self._exchange.clock.skew_ms, self._skew_until_ms = int(fault.value), now_ms + fault.duration_ms

    def _ban(self, fault: Fault, now_ms: int) -> None:
        for kind in _kinds(fault):
            self._exchange.rates[kind].ban("*", now_ms + fault.duration_ms)

    def _lag(self, fault: Fault, now_ms: int) -> None:
        self.read_lag_ms, self._lag_until_ms = fault.delay_ms, now_ms + fault.duration_ms

    def _halt(self, fault: Fault, now_ms: int) -> None:
        for kind in _kinds(fault):
            venue = self._exchange.venue(kind)
            for name in [fault.symbol] if fault.symbol else list(venue.listed):
                if name not in venue.states:
                    continue
                if fault.kind is FaultKind.RESUME:
                    venue.states[name] = TRADING
                    self._halts.pop((kind, name), None)
                else:
                    venue.states[name] = fault.text or "BREAK"
                    self._halts[kind, name] = now_ms + fault.duration_ms

    def _rules(self, fault: Fault, now_ms: int) -> None:
        del now_ms
        changes = {rule: Decimal(value) for rule, value in fault.rules.items()}
        for kind in _kinds(fault):
            venue = self._exchange.venue(kind)
            for name in [fault.symbol] if fault.symbol else list(venue.listed):
                if name in venue.listed:
                    venue.rule(name, replace(venue.listed[name], **changes))

    def _expire_keys(self, fault: Fault, now_ms: int) -> None:
        del fault
        self._exchange.users["perp"].expire(now_ms, all_keys=True)

    def _shutdown(self, fault: Fault, now_ms: int) -> None:
        """Announce it; who is still there after `delay_ms` is disconnected."""
        for kind in _kinds(fault):
            self._exchange.streams[kind].shutdown(self._exchange.clock.told_ms())
        passed_ms = now_ms - self._exchange.faults.start_ms
        self._exchange.faults.arm(
            replace(fault, kind=FaultKind.DISCONNECT, from_ms=passed_ms + fault.delay_ms, until_ms=0)
        )

    def _disconnect(self, fault: Fault, now_ms: int) -> None:
        del now_ms
        for kind in _kinds(fault):
            self._exchange.streams[kind].disconnect()
            self._exchange.users[kind].disconnect()


def _kinds(fault: Fault) -> tuple[str, ...]:
    return (fault.market,) if fault.market else BOTH
