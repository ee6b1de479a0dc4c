"""Bar intervals by the names that exchanges use. All divide the UTC day, so every grid starts at the epoch."""

TIMEFRAMES_MS = {
    "1s": 1_000,
    "1m": 60_000,
    "3m": 180_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": 3_600_000,
    "2h": 7_200_000,
    "4h": 14_400_000,
    "6h": 21_600_000,
    "8h": 28_800_000,
    "12h": 43_200_000,
    "1d": 86_400_000,
}
"""Weeks and months are left out: their grids are not multiples of the interval."""


def timeframe_name(interval_ms: int) -> str:
    """The name of an interval, `1m` for 60,000; plain milliseconds when it has none."""
    for name, ms in TIMEFRAMES_MS.items():
        if ms == interval_ms:
            return name
    return f"{interval_ms}ms"
