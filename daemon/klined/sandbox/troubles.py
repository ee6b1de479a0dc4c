"""What scenarios do to calls and streams: they arm faults for as long as they last.

halt ─▶ orders refused     outage ─▶ disconnected, silent, 503     latency_storm ─▶ every answer late
"""

from collections.abc import Sequence

from klined.sandbox.faults import Fault, FaultKind
from klined.world.scenarios import Scenario

ANY = ""


def troubles(scenarios: Sequence[Scenario], interval_ms: int, into_ms: int) -> list[Fault]:
    """Faults of all scenarios; the first bar had begun `into_ms` before the sandbox's clock."""
    found: list[Fault] = []
    for one in scenarios:
        from_ms = max(0, one.start * interval_ms - into_ms)
        until_ms = (one.start + one.bars) * interval_ms - into_ms
        strain, lasts_ms = one.strain, until_ms - from_ms
        if lasts_ms <= 0:
            continue
        if strain.refuses == "halted":
            found.append(Fault(kind=FaultKind.HALT, from_ms=from_ms, duration_ms=lasts_ms, text="HALT"))
        elif strain.refuses == "down":
            found += [
                Fault(kind=FaultKind.DISCONNECT, from_ms=from_ms),
                Fault(kind=FaultKind.SILENT, from_ms=from_ms, until_ms=until_ms, duration_ms=lasts_ms),
                Fault(kind=FaultKind.UNAVAILABLE, where=".", count=0, from_ms=from_ms, until_ms=until_ms),
            ]
        if strain.latency_ms:
            delay_ms = int(strain.latency_ms)
            found.append(
                Fault(kind=FaultKind.SLOW, where=".", count=0, from_ms=from_ms, until_ms=until_ms, delay_ms=delay_ms)
            )
    return found
