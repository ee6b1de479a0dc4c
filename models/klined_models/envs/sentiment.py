"""Recorded scores as a `Signal`: known from when they were published, masked before and once they are stale.

date,fng ─▶ ((value - 50) / 50, available at the end of that UTC day) ─▶ score(symbol, at_ms)
"""

import csv
import gzip
from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from klined.errors import ConfigError

DAY_MS = 86_400_000


class RecordedSignal:
    """Implements `ports.Signal` over scores and the times from which each was available."""

    def __init__(self, available_ms: Sequence[int], scores: Sequence[float], *, stale_ms: int = 2 * DAY_MS) -> None:
        """Raises: ConfigError: times out of order, or a score outside [-1, 1]."""
        if len(available_ms) != len(scores) or any(b <= a for a, b in pairwise(available_ms)):
            raise ConfigError(f"{len(scores)} scores and {len(available_ms)} times: one for each, in order, is needed")
        wrong = [score for score in scores if not -1.0 <= score <= 1.0]
        if wrong:
            raise ConfigError(f"a score of {wrong[0]} must lie in [-1, 1]")
        self._available, self._scores, self._stale_ms = list(available_ms), list(scores), stale_ms

    def score(self, symbol: str, at_ms: int) -> float | None:  # noqa: ARG002 - one mood for the whole market
        """The last score that was available at `at_ms`; None before the first and when it is stale."""
        k = bisect_right(self._available, at_ms) - 1
        if k < 0 or at_ms - self._available[k] >= self._stale_ms:
            return None
        return self._scores[k]


def fear_and_greed(path: str | Path) -> RecordedSignal:
    """The Fear & Greed index from a CSV of `date,fng` (0 to 100), gzipped or not.

    A day's value counts from the end of that day: the files do not say at which hour it was published, and earlier
    would be guessing.

    Raises:
        ConfigError: the file cannot be read as that.
    """
    path = Path(path)
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        rows = sorted((row["date"], float(row["fng"])) for row in csv.DictReader(raw.decode().splitlines()))
        days = [int(datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()) * 1000 for day, _ in rows]
    except (OSError, KeyError, ValueError) as fault:
        raise ConfigError(f"{path}: no Fear & Greed file, which has columns date and fng: {fault}") from fault
    return RecordedSignal([day + DAY_MS for day in days], [(value - 50.0) / 50.0 for _, value in rows])
