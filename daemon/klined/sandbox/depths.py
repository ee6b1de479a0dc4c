"""Diffs of a book, so that whoever keeps a copy of it has the same book after every one.

snapshot (GET depth, id N) ─▶ events U..u with U <= N + 1 <= u ─▶ the next begins where this one ended

A level that is gone is told with size 0: what the stream told before, and what snapshots since then showed.
"""

from collections import deque
from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]
Side = dict[str, str]  # size by price
SNAPSHOTS_KEPT = 64


class Depths:
    """One symbol's book as it was shown, by snapshots and by each stream."""

    def __init__(self) -> None:
        self._snapshots: deque[tuple[int, Side, Side]] = deque(maxlen=SNAPSHOTS_KEPT)
        self._told: dict[str, tuple[int, Side, Side]] = {}

    def snapshot(self, shown: Json) -> None:
        """GET depth showed this."""
        self._snapshots.append((shown["lastUpdateId"], dict(shown["bids"]), dict(shown["asks"])))

    def diff(self, stream: str, shown: Json) -> tuple[int, list[list[str]], list[list[str]]] | None:
        """(the last update before, bids, asks) since `stream` told it last; None when nothing has changed."""
        last, bids, asks = shown["lastUpdateId"], dict(shown["bids"]), dict(shown["asks"])
        before, told_bids, told_asks = self._told.get(stream, (0, {}, {}))
        newer = [each for each in self._snapshots if each[0] >= before]
        changed_bids = _changes(told_bids, [each[1] for each in newer], bids)
        changed_asks = _changes(told_asks, [each[2] for each in newer], asks)
        if before == last or not (changed_bids or changed_asks):
            return None
        self._told[stream] = (last, bids, asks)
        return before, changed_bids, changed_asks


def _changes(told: Side, snapshots: Iterable[Side], now: Side) -> list[list[str]]:
    changed = [
        [price, size] for price, size in now.items() if told.get(price) != size or _differs(snapshots, price, size)
    ]
    gone = {price: None for each in (told, *snapshots) for price in each if price not in now}
    return [*changed, *([price, "0.00000000"] for price in gone)]


def _differs(snapshots: Iterable[Side], price: str, size: str) -> bool:
    """Whether a snapshot showed another size than now."""
    return any(each.get(price, size) != size for each in snapshots)
