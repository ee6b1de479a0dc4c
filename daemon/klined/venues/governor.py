"""How many requests the venue still takes from us: a minute's weight, our share of it, and a reserve. Pure.

    limit ──── share ────▶ what this instance may use
                └─ reserve ─▶ kept for cancel, flatten and reconciliation: a ban with a position is no way out

The headers of every answer tell what the address has used, other programs included; they correct our own count. A 429
or 418 stops everything until its Retry-After is over, since going on makes a ban longer.
"""

from collections.abc import Mapping
from math import inf

MINUTE_S = 60.0
RESERVE = 0.2  # of the share
RETRY_AFTER_S = 60.0  # when a 429 does not say
BAN_S = 300.0  # when a 418 does not say
USED_HEADERS = ("x-mbx-used-weight-1m", "x-mbx-used-weight")


class Governor:
    """Counts weight by the minute. Times are monotonic seconds; `limit` is the venue's per minute."""

    def __init__(self, limit: int, *, share: float = 0.5, reserve: float = RESERVE) -> None:
        self.limit, self.share, self.reserve = limit, share, reserve
        self.used = 0.0
        self.blocked_until_s = 0.0
        self.banned = False
        self._minute = -inf

    def wait_s(self, weight: int, now_s: float, *, urgent: bool) -> float:
        """Seconds until a request of `weight` may go, 0 when now; what may go counts at once."""
        if now_s < self.blocked_until_s:
            return self.blocked_until_s - now_s
        self._roll(now_s)
        budget = self.limit * self.share
        if not urgent:
            budget *= 1.0 - self.reserve
        if self.used and self.used + weight > budget:
            return (self._minute + 1.0) * MINUTE_S - now_s
        self.used += weight
        return 0.0

    def hear(self, status: int, headers: Mapping[str, str], now_s: float) -> None:
        """Learn from an answer; header names in small letters."""
        self._roll(now_s)
        for name in USED_HEADERS:
            if (told := _number(headers.get(name))) is not None:
                self.used = told
                break
        if status in {418, 429}:
            self.banned = status == 418
            after_s = _number(headers.get("retry-after"))
            usual_s = BAN_S if self.banned else RETRY_AFTER_S
            self.blocked_until_s = max(self.blocked_until_s, now_s + (usual_s if after_s is None else after_s))

    def blocked(self, now_s: float) -> str:
        """Why nothing may be sent now; empty when something may."""
        left_s = self.blocked_until_s - now_s
        if left_s <= 0.0:
            return ""
        return f"{'banned' if self.banned else 'told to wait'} for {left_s:.0f} s more by the exchange"

    def _roll(self, now_s: float) -> None:
        minute = now_s // MINUTE_S
        if minute != self._minute:
            self._minute, self.used = minute, 0.0


def _number(text: str | None) -> float | None:
    """A count or a time that a header tells; None when it is absent or nonsense."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0.0 <= value < inf else None
