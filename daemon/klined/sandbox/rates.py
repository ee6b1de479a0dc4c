"""Request weight per IP and minute, orders per account and window, and the ban for who does not listen."""

from collections.abc import Iterator
from typing import Any

from klined.sandbox.answers import ApiError
from klined.sandbox.settings import Limits

MINUTE_MS = 60_000
FIVE_MS = 5 * MINUTE_MS
WINDOWS = (("10S", "SECOND", 10, 10_000), ("1M", "MINUTE", 1, MINUTE_MS), ("1D", "DAY", 1, 86_400_000))
NAMES = {span_ms: name for name, _, _, span_ms in WINDOWS}


class Rates:
    """The counters of one kind of market."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._minute: dict[str, int] = {}
        self._used: dict[str, int] = {}
        self._ignored: dict[str, int] = {}
        self._banned: dict[str, int] = {}
        self._windows: dict[tuple[str, str], tuple[int, int]] = {}  # of an IP: window, count
        self._orders: dict[str, tuple[int, int]] = dict.fromkeys(NAMES.values(), (0, 0))  # window, orders

    def ban(self, ip: str, until_ms: int) -> None:
        self._banned[ip] = until_ms

    def unban(self) -> None:
        self._banned.clear()

    def used(self, ip: str, now_ms: int) -> int:
        self._roll(ip, now_ms)
        return self._used[ip]

    def charge(self, ip: str, weight: int, now_ms: int) -> None:
        """Count a request.

        Raises:
            ApiError: over the limit (429), or banned for not heeding that (418).
        """
        self._roll(ip, now_ms)
        until_ms = max(self._banned.get(ip, 0), self._banned.get("*", 0))
        if now_ms < until_ms:
            raise self._ban_answer(until_ms, now_ms)
        if self._count("raw", ip, now_ms, self.limits.raw_5m):
            message = f"Too many requests; current limit is {self.limits.raw_5m} raw requests per 5 MINUTE."
            raise ApiError(-1003, message, 429, Retry_After=str(self._rest_s(now_ms)))
        self._used[ip] += weight
        if self._used[ip] <= self.limits.weight:
            return
        self._ignored[ip] = self._ignored.get(ip, 0) + 1
        if self._ignored[ip] > self.limits.ban_after:
            self.ban(ip, now_ms + self.limits.ban_s * 1000)
            raise self._ban_answer(now_ms + self.limits.ban_s * 1000, now_ms)
        wait_s = (MINUTE_MS - now_ms % MINUTE_MS) // 1000 + 1
        message = (
            f"Too much request weight used; current limit is {self.limits.weight} request weight per 1 MINUTE. "
            "Please use WebSocket Streams for live updates to avoid polling the API."
        )
        raise ApiError(-1003, message, 429, Retry_After=str(wait_s))

    def connect(self, ip: str, now_ms: int) -> None:
        """Count a websocket that is opened.

        Raises:
            ApiError: too many in five minutes (429), or banned (418).
        """
        until_ms = max(self._banned.get(ip, 0), self._banned.get("*", 0))
        if now_ms < until_ms:
            raise self._ban_answer(until_ms, now_ms)
        if self._count("connections", ip, now_ms, self.limits.connections_5m):
            message = f"Too many connections; current limit is {self.limits.connections_5m} attempts per 5 MINUTE."
            raise ApiError(-1003, message, 429, Retry_After=str(self._rest_s(now_ms)))

    def _count(self, what: str, ip: str, now_ms: int, limit: int) -> bool:
        """Count one more in the current five minutes; whether that is one too many."""
        window, count = self._windows.get((what, ip), (0, 0))
        count = count + 1 if window == now_ms // FIVE_MS else 1
        self._windows[what, ip] = now_ms // FIVE_MS, count
        return bool(limit) and count > limit

    @staticmethod
    def _rest_s(now_ms: int) -> int:
        return (FIVE_MS - now_ms % FIVE_MS) // 1000 + 1

    def refund(self, ip: str, weight: int) -> None:
        """A call that turned out to cost nothing."""
        self._used[ip] = max(0, self._used.get(ip, 0) - weight)

    def check_orders(self, now_ms: int, count: int = 1) -> None:
        """Raises ApiError (429, surely not placed) when an order more would be too many."""
        for name, interval, number, span_ms in WINDOWS:
            limit = self._limit(name)
            if limit and self.orders(span_ms, now_ms) + count > limit:
                message = f"Too many new orders; current limit is {limit} orders per {number} {interval}."
                raise ApiError(-1015, message, 429, Retry_After=str(span_ms // 1000))

    def count_order(self, now_ms: int) -> None:
        for name, _, _, span_ms in WINDOWS:
            self._orders[name] = (now_ms // span_ms, self.orders(span_ms, now_ms) + 1)

    def forgive_order(self) -> None:
        """A filled order does not count (spot)."""
        self._orders = {name: (window, max(0, count - 1)) for name, (window, count) in self._orders.items()}

    def orders(self, span_ms: int, now_ms: int) -> int:
        """Orders counted in the current window of that span."""
        window, count = self._orders[NAMES[span_ms]]
        return count if window == now_ms // span_ms else 0

    def headers(self, ip: str, now_ms: int, *, orders: bool) -> dict[str, str]:
        used = str(self.used(ip, now_ms))
        found = {"X-MBX-USED-WEIGHT": used, "X-MBX-USED-WEIGHT-1M": used}
        if orders:
            for name, _, _, span_ms in WINDOWS:
                if self._limit(name):
                    found[f"X-MBX-ORDER-COUNT-{name}"] = str(self.orders(span_ms, now_ms))
        return found

    def rules(self) -> list[dict[str, Any]]:
        """As exchangeInfo lists them."""
        weight = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1}
        raw = {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": self.limits.raw_5m}
        return [{**weight, "limit": self.limits.weight}, *self._order_rules(), *([raw] if raw["limit"] else [])]

    def counts(self, ip: str, now_ms: int, *, orders: bool) -> list[dict[str, Any]]:
        """As websocket answers list them."""
        spans = {(interval, number): span_ms for _, interval, number, span_ms in WINDOWS}
        found = [
            {**rule, "count": self.orders(spans[rule["interval"], rule["intervalNum"]], now_ms)}
            for rule in self._order_rules()
        ]
        weight = {**self.rules()[0], "count": self.used(ip, now_ms)}
        return [*found, weight] if orders else [weight]

    def _order_rules(self) -> Iterator[dict[str, Any]]:
        for name, interval, number, _ in WINDOWS:
            if limit := self._limit(name):
                yield {"rateLimitType": "ORDERS", "interval": interval, "intervalNum": number, "limit": limit}

    def _limit(self, window: str) -> int:
        limits = self.limits
        return {"10S": limits.orders_10s, "1M": limits.orders_1m, "1D": limits.orders_1d}[window]

    def _roll(self, ip: str, now_ms: int) -> None:
        minute = now_ms // MINUTE_MS
        if self._minute.get(ip) != minute:
            self._minute[ip], self._used[ip] = minute, 0
            self._ignored.pop(ip, None)

    def _ban_answer(self, until_ms: int, now_ms: int) -> ApiError:
        message = (
            f"Way too much request weight used; IP banned until {until_ms}. "
            "Please use WebSocket Streams for live updates to avoid bans."
        )
        return ApiError(-1003, message, 418, Retry_After=str(max(1, (until_ms - now_ms) // 1000)))
