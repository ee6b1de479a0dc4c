"""What lies between us and an exchange, by chance: answers that take their time, outages, refusals without a cause.

    seed, number of the call ─▶ delay_ms, refusal        seed, day ─▶ outages of that day

Nothing here has a state: the n-th call is delayed as much in every run, and a day's outages are known beforehand.
"""

from math import log
from statistics import NormalDist

import numpy as np
from msgspec import Struct

from klined.errors import ConfigError
from klined.world.dice import Dice, Floats

DAY_MS = 86_400_000
Z99 = NormalDist().inv_cdf(0.99)


class Refusal(Struct, frozen=True):
    """One of the refusals that come without a fault of ours: Binance's code, HTTP status and sentence."""

    code: int
    status: int
    message: str


REFUSALS = (
    Refusal(-1008, 503, "Server is currently overloaded with other requests. Please try again in a few minutes."),
    Refusal(-1015, 429, "Too many new orders; current limit is 50 orders per TEN_SECONDS."),
    Refusal(-1021, 400, "Timestamp for this request is outside of the recvWindow."),
)


class Frictions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Latency is lognormal; outages come as a Poisson process, at most one begins a day; refusals hit orders only."""

    median_ms: float = 80.0
    p99_ms: float = 800.0
    outages_per_week: float = 0.0
    outage_minutes: float = 20.0  # mean, exponential
    refusal_share: float = 0.0  # of orders

    def __post_init__(self) -> None:
        if not 0.0 <= self.median_ms <= self.p99_ms:
            raise ConfigError(f"latency: p99_ms {self.p99_ms} is under median_ms {self.median_ms}, or one negative")
        if not (0.0 <= self.outages_per_week <= 7.0 and self.outage_minutes > 0.0 and 0.0 <= self.refusal_share <= 1.0):
            raise ConfigError("outages_per_week has to be in 0 .. 7, outage_minutes positive, refusal_share in 0 .. 1")

    def delays_ms(self, seed: int, first: int, count: int) -> Floats:
        """Of the calls `first` to `first + count`, shape (count,)."""
        if not self.median_ms:
            return np.zeros(count)
        spread = log(self.p99_ms / self.median_ms) / Z99
        return np.asarray(self.median_ms * np.exp(spread * Dice(seed, "latency", count).normal(0, first)))

    def outages(self, seed: int, day: int) -> tuple[int, int] | None:
        """Begin and end, in ms, of the outage that begins on a day (days since the epoch), if there is one."""
        whether, when, length = Dice(seed, "outages", 3).uniform(0, 3 * day).tolist()
        if whether >= self.outages_per_week / 7.0:
            return None
        begin = int(day * DAY_MS + when * DAY_MS)
        return begin, begin + max(1, int(-log(length) * self.outage_minutes * 60_000.0))

    def down(self, seed: int, time_ms: int) -> bool:
        """Whether nothing answers at that time; outages of yesterday may last."""
        today = time_ms // DAY_MS
        found = (self.outages(seed, day) for day in (today - 1, today))
        return any(outage is not None and outage[0] <= time_ms < outage[1] for outage in found)

    def refusal(self, seed: int, number: int) -> Refusal | None:
        """Whether order `number` is refused without a cause, and how."""
        whether, which = Dice(seed, "refusals", 2).uniform(0, 2 * number).tolist()
        return REFUSALS[int(which * len(REFUSALS))] if whether < self.refusal_share else None
