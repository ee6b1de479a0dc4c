"""Does a series of bars behave like a market? Stylised facts, each with the band in which real crypto bars lie.

    bars (n, 6) ─▶ returns, sizes, volumes ─▶ Fact (value, band, passed) ... ─▶ Report (realistic, or what is missing)

Bands are set so that recorded spot and perpetual bars of 1m, 5m and 1h pass them all, and geometric Brownian motion
fails every one that is `telling`. The others must hold in any market without a free lunch, so they fail no random walk
and catch broken data. Sizes and volumes are cut off at their 99.9 % quantile: one crash does not make a statistic.

Sources: Cont, Empirical properties of asset returns (2001); arXiv 1707.07618, 2009.06874, 2402.11930 (crypto).
"""

from math import inf, sqrt

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from klined.errors import ConfigError
from klined.world.dice import Floats
from klined.world.tables import CLOSE, VOLUME, checked

BARS_MIN = 5_000  # fewer: an autocorrelation of noise would reach the bands
LONG = 60  # bars of the slow statistics
SUM = 20  # bars of the sums that are still not normal
CUT = 0.999
HOUR_MS = 3_600_000


class Fact(Struct, frozen=True):
    """One statistic and the band it has to lie in."""

    name: str
    value: float
    low: float
    high: float
    says: str
    telling: bool = True  # a random walk lies outside

    @property
    def passed(self) -> bool:
        return self.low <= self.value <= self.high


class Report(Struct, frozen=True):
    """What was found in `bars` bars."""

    bars: int
    sigma: float  # standard deviation of a bar's log return
    facts: tuple[Fact, ...]

    @property
    def realistic(self) -> bool:
        """Every fact lies in its band."""
        return all(fact.passed for fact in self.facts)

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the facts outside their bands."""
        return tuple(fact.name for fact in self.facts if not fact.passed)

    def __getitem__(self, name: str) -> Fact:
        return next(fact for fact in self.facts if fact.name == name)


def stylised_facts(bars: Floats) -> Report:
    """The facts of `bars` (n, 6), `BARS_MIN` or more; returns over gaps in time are left out.

    Raises:
        ConfigError: too few bars, or no bars at all.
    """
    bars = checked(bars, BARS_MIN)
    steps = np.diff(bars[:, 0])
    interval_ms = float(np.median(steps))
    whole = steps == interval_ms
    returns = np.diff(np.log(bars[:, CLOSE]))[whole]
    if len(returns) < BARS_MIN // 2 or returns.std() == 0.0:
        raise ConfigError(f"{len(returns)} returns without a gap, or none that moves: nothing to judge a market by")
    volume = _cut(bars[1:, VOLUME][whole])
    size = _cut(np.abs(returns))
    moves = np.clip(returns, -size.max(), size.max())
    facts = (
        *_tails(returns),
        _telling("clusters over 1 bar", _echo(size, 1), 0.12, 0.7, "of a return's size with the one before"),
        _telling("clusters over 10 bars", _echo(size, 10), 0.08, 0.6, "and with that ten bars before"),
        _telling("clusters over 60 bars", _echo(size, LONG), 0.05, 0.5, "and sixty before: it fades slowly"),
        _telling("volume follows the move", _alike(volume, size), 0.25, 0.9, "correlation of volume with size"),
        _telling("volume persists", _echo(np.log1p(volume / volume.mean()), 1), 0.3, 0.99, "of log volume"),
        *_rhythm(bars[1:, 0][whole], size, interval_ms),
        _sane("no momentum", max(abs(_echo(moves, lag)) for lag in range(1, 11)), 0.0, 0.1,
             "largest correlation of a return with one of the ten before"),
        _sane("spread grows as time's root", _ratio(returns), 0.65, 1.35,
             "variance of 60 bars over 60 variances of one; 1 for a random walk"),
        _sane("it moves", float((returns == 0.0).mean()), 0.0, 0.5, "share of bars without a change"),
        _sane("falls frighten", _alike(size[1:], moves[:-1]), -0.15, 0.1,
             "leverage effect, weak in crypto: correlation of a return with the next size"),
    )  # fmt: skip
    return Report(len(bars), float(returns.std()), facts)


def _telling(name: str, value: float, low: float, high: float, says: str) -> Fact:
    return Fact(name, value, low, high, says)


def _sane(name: str, value: float, low: float, high: float, says: str) -> Fact:
    return Fact(name, value, low, high, says, telling=False)


def _tails(returns: Floats) -> tuple[Fact, ...]:
    kurtosis = float(((returns - returns.mean()) ** 4).mean() / returns.var() ** 2 - 3.0)
    return (
        _telling("fat tails", kurtosis, 2.0, inf, "excess kurtosis of a return; 0 for the normal distribution"),
        _telling("tail index", _hill(np.abs(returns)), 1.5, 6.0, "Hill's, of the largest 1 % of size; near 3"),
        _telling("sums stay fat", _peaked(_sums(returns)), 0.152, 0.5,
             "L-kurtosis of sums over 20 bars, 0.123 for the normal: slow aggregational Gaussianity"),
    )  # fmt: skip


def _rhythm(times_ms: Floats, size: Floats, interval_ms: float) -> tuple[Fact, ...]:
    """Median size of the day's busiest hour over its quietest; the band allows for the noise of few bars."""
    if interval_ms > HOUR_MS:
        return ()
    hour = (times_ms // HOUR_MS).astype(np.int64) % 24
    if np.bincount(hour, minlength=24).min() == 0:
        return ()
    medians = [float(np.median(size[hour == h])) for h in range(24)]
    ratio = max(medians) / max(min(medians), 1e-12)
    least = 1.05 + 6.0 / sqrt(len(size) / 24.0)
    return (_telling("the day has a rhythm", ratio, least, 20.0, "median size, busiest hour over quietest"),)


def _cut(values: Floats) -> Floats:
    return np.minimum(values, np.quantile(values, CUT))


def _echo(values: Floats, lag: int) -> float:
    """Autocorrelation."""
    centred = values - values.mean()
    return float((centred[:-lag] * centred[lag:]).mean() / max((centred * centred).mean(), 1e-300))


def _alike(a: Floats, b: Floats) -> float:
    """Correlation; 0 where one does not vary."""
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).mean() / max(a.std() * b.std(), 1e-300))


def _hill(sizes: Floats) -> float:
    """Tail index of the largest 1 %, at least 50 of them (Hill, 1975)."""
    count = max(50, len(sizes) // 100)
    largest: NDArray[np.float64] = np.sort(sizes)[-count - 1 :]
    return float(1.0 / max(np.log(largest[1:] / largest[0]).mean(), 1e-12)) if largest[0] > 0.0 else 0.0


def _sums(returns: Floats) -> Floats:
    whole = len(returns) // SUM * SUM
    return np.asarray(returns[:whole].reshape(-1, SUM).sum(axis=1))


def _peaked(values: Floats) -> float:
    """L-kurtosis (Hosking, 1990), in (-0.25, 1); 0.1226 for the normal distribution. Bounded, so outliers are tame."""
    x, n = np.sort(values), len(values)
    i = np.arange(n, dtype=np.float64)
    b0, b1 = x.mean(), (i * x).mean() / (n - 1)
    b2 = (i * (i - 1) * x).mean() / ((n - 1) * (n - 2))
    b3 = (i * (i - 1) * (i - 2) * x).mean() / ((n - 1) * (n - 2) * (n - 3))
    return float((20 * b3 - 30 * b2 + 12 * b1 - b0) / max(2 * b1 - b0, 1e-300))


def _ratio(returns: Floats) -> float:
    """Variance ratio over overlapping sums of 60 bars (Lo and MacKinlay, 1988)."""
    path = np.cumsum(returns)
    sums = path[LONG:] - path[:-LONG]
    return float(sums.var() / (LONG * returns.var()))
