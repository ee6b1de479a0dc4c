"""Fee tiers: who trades more pays less. The tier of a day follows from the thirty days before it, as at Binance."""

from collections.abc import Sequence
from decimal import Decimal

from msgspec import Struct

from klined.domain import ZERO
from klined.errors import ConfigError

DAY_MS = 86_400_000
DAYS = 30


class FeeTier(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fees from a volume on, as fractions of the notional; a maker may be paid."""

    volume: Decimal  # quote, of thirty days
    maker: Decimal
    taker: Decimal


class Fees:
    """The tiers of one account and its turnover by day."""

    def __init__(self, tiers: Sequence[FeeTier] = ()) -> None:
        """Raises ConfigError when the tiers do not begin at 0 and ascend; none: every instrument has its own fees."""
        volumes = [tier.volume for tier in tiers]
        if tiers and (volumes[0] != 0 or volumes != sorted(set(volumes))):
            raise ConfigError(f"fee tiers begin at volume 0 and ascend; these are {', '.join(map(str, volumes))}")
        self._tiers = tuple(tiers)
        self._days: dict[int, Decimal] = {}

    def __bool__(self) -> bool:
        return bool(self._tiers)

    def add(self, notional: Decimal, time_ms: int) -> None:
        """A trade of ours. Days that no longer count are forgotten."""
        day = time_ms // DAY_MS
        if day not in self._days:
            self._days = {one: total for one, total in self._days.items() if one >= day - DAYS}
        self._days[day] = self._days.get(day, ZERO) + notional

    def volume(self, time_ms: int) -> Decimal:
        """Of the thirty whole days before the day of `time_ms`."""
        today = time_ms // DAY_MS
        return sum((total for day, total in self._days.items() if today - DAYS <= day < today), ZERO)

    def tier(self, time_ms: int) -> FeeTier | None:
        """The one that holds on that day; None without tiers."""
        volume = self.volume(time_ms)
        return next((tier for tier in reversed(self._tiers) if volume >= tier.volume), None)
