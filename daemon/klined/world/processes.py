"""Ways in which a price may move, one bar after the other: the textbook's list, each a few numbers and one recursion.

    uniforms ─▶ shock of unit variance (normal, or t where `nu` is given) ─▶ process ─▶ returns, sigma, activity

`sigma` is that of a one-minute bar's log return; longer bars scale it by the root of their minutes, and rates by them.
Times to halve are in bars. Every process is causal: its first n bars do not depend on how many follow. Returns have no
drift of their own: `drift` is per bar, and the price is a martingale but for it.
"""

from itertools import accumulate
from math import exp, log, sqrt
from typing import ClassVar

import numpy as np
from msgspec import Struct

from klined.errors import ConfigError
from klined.world.dice import Dice, Floats
from klined.world.odds import normal_quantile, poisson, student_quantile


class Moves(Struct, frozen=True, eq=False):
    """What a process made, each (n,): log returns, their conditional standard deviation, activity of mean about 1."""

    returns: Floats
    sigma: Floats
    activity: Floats


class Process(Struct, frozen=True, kw_only=True):
    """What all have in common. `nu` = 0 draws normal shocks, else Student's t with so many degrees, 3 or more."""

    says: ClassVar[str] = ""

    sigma: float = 0.0008
    drift: float = 0.0
    nu: int = 0
    coupling: float = 1.0  # exponent of volatility in volume
    volume_noise: float = 0.4  # standard deviation of log volume by itself
    turnover: float = 400_000.0  # quote traded in a normal minute
    reaction: float = 0.35  # log volume added per sigma of the move
    rhythm: float = 1.0  # strength of the week's seasonality

    def __post_init__(self) -> None:
        if not 0.0 < self.sigma < 0.5 or (self.nu and not 3 <= self.nu <= 64):
            raise ConfigError(f"sigma {self.sigma} has to be in (0, 0.5) and nu {self.nu} be 0 or in 3 to 64")
        if not (self.turnover > 0.0 and 0.0 <= self.rhythm <= 1.5 and 0.0 <= self.volume_noise <= 3.0):
            raise ConfigError("turnover has to be positive, rhythm in [0, 1.5] and volume_noise in [0, 3]")

    def moves(self, uniforms: Floats, draw: Dice, minutes: float) -> Moves:
        """Bars driven by `uniforms` (n,), one a bar; more chance from streams 0 to 9 of `draw`."""
        raise NotImplementedError

    def shocks(self, uniforms: Floats) -> Floats:
        """Of mean 0 and variance 1."""
        return student_quantile(uniforms, self.nu) if self.nu else normal_quantile(uniforms)


class Gbm(Process, frozen=True, kw_only=True):
    """Geometric Brownian motion (Bachelier 1900, Osborne 1959): what no market is; the control."""

    says: ClassVar[str] = "geometric Brownian motion: the control, fails every telling fact"

    reaction: float = 0.0
    rhythm: float = 0.0

    def moves(self, uniforms: Floats, draw: Dice, minutes: float) -> Moves:
        del draw
        sigma = np.full(len(uniforms), self.sigma * sqrt(minutes))
        return _moved(self, sigma, sigma[0], self.shocks(uniforms), minutes)


class Garch(Process, frozen=True, kw_only=True):
    """GARCH(1,1) (Bollerslev, 1986): s2 = w + alpha r2 + beta s2, with w such that the mean of s2 is sigma2."""

    says: ClassVar[str] = "GARCH(1,1) with t shocks: volatility that clusters"

    nu: int = 4
    alpha: float = 0.06
    beta: float = 0.93

    def __post_init__(self) -> None:
        super().__post_init__()
        _stationary(self.alpha, 0.0, self.beta)

    def moves(self, uniforms: Floats, draw: Dice, minutes: float) -> Moves:
        del draw
        return _garched(self, self.shocks(uniforms), (self.alpha, 0.0, self.beta), minutes)


class Gjr(Process, frozen=True, kw_only=True):
    """GJR-GARCH (Glosten, Jagannathan and Runkle, 1993) with t shocks: falls frighten more than rises."""

    says: ClassVar[str] = "GJR-GARCH with t shocks: falls raise volatility more than rises"

    nu: int = 4
    alpha: float = 0.03
    gamma: float = 0.06
    beta: float = 0.93

    def __post_init__(self) -> None:
        super().__post_init__()
        _stationary(self.alpha, self.gamma, self.beta)

    def moves(self, uniforms: Floats, draw: Dice, minutes: float) -> Moves:
        del draw
        return _garched(self, self.shocks(uniforms), (self.alpha, self.gamma, self.beta), minutes)


class Regimes(Process, frozen=True, kw_only=True):
    """A Markov chain of calm, normal and stormy markets (Hamilton, 1989), each with its own volatility and drift."""

    says: ClassVar[str] = "a Markov chain of calm, normal and stormy markets with drifts of their own"

    nu: int = 6
    factors: tuple[float, ...] = (0.5, 1.0, 2.2, 5.0)  # on sigma
    drifts: tuple[float, ...] = (0.0, 0.01, -0.01, -0.03)  # in sigmas of the regime
    stays: tuple[float, ...] = (240.0, 180.0, 60.0, 15.0)  # mean bars

    def __post_init__(self) -> None:
        super().__post_init__()
        if not len(self.factors) == len(self.drifts) == len(self.stays) or min(self.factors, default=0.0) <= 0.0:
            raise ConfigError("factors (positive), drifts and stays are lists of the same length, one entry a regime")

    def moves(self, uniforms: Floats, draw: Dice, minutes: float) -> Moves:
        leave, whither = draw.uniform(0, 0).tolist(), draw.uniform(1, 0).tolist()
        state, states, count = min(1, len(self.factors) - 1), [], len(self.factors)
        quit_at = [1.0 / max(1.0, stay) for stay in self.stays]
        for a, b in zip(leave, whither, strict=True):
            if count > 1 and a < quit_at[state]:
                state = (state + 1 + int(b * (count - 1))) % count
            states.append(state)
        normal = self.sigma * sqrt(minutes)
        sigma = normal * np.array(self.factors)[states]
        return _moved(self, sigma, normal, self.shocks(uniforms) + np.array(self.drifts)[states], minutes)


class Jumps(Process, frozen=True, kw_only=True):
    """Jump diffusion (Merton, 1976): Brownian motion and, now and then, a normal jump; volume jumps with it."""

    says: ClassVar[str] = "Merton's jump diffusion: fat tails without memory"

    rhythm: float = 0.0
    per_day: float = 12.0
    jump: float = 6.0  # standard deviation of a jump, in sigmas of a minute
    jump_mean: float = -0.5

    def moves(self, uniforms: Floats, draw: Dice, minutes: float) -> Moves:
        base = self.sigma * sqrt(minutes)
        chance = min(0.5, self.per_day * minutes / 1440.0)
        size = self.sigma * (self.jump_mean + self.jump * draw.normal(1, 0))
        jumped = np.where(draw.uniform(0, 0) < chance, size, 0.0)
        mean = chance * self.sigma * self.jump_mean
        sigma = np.full(len(uniforms), base)
        plain = _moved(self, sigma, base, self.shocks(uniforms), minutes)
        activity = 1.0 + np.abs(jumped) / base
        return Moves(plain.returns + jumped - mean, sigma + 0.3 * np.abs(jumped), activity)


class Hawkes(Process, frozen=True, kw_only=True):
    """Trades that call for more trades (Hawkes, 1971), counted bar by bar (Kirchner, 2016): activity that clusters.

    Counts are Poisson, of an intensity that each trade raises and that decays over two half-lives, minutes and hours.
    Each trade moves the price by an independent step, so variance and volume follow the count.
    """

    says: ClassVar[str] = "Hawkes-clustered trades: volume and volatility from one self-exciting count"

    nu: int = 6
    trades: float = 2.0  # a minute, on average: large ones, that others follow
    branching: float = 0.985  # trades that one trade calls for, below 1
    fast: float = 2.5  # bars in which half of the excitement is gone
    slow: float = 240.0
    fast_share: float = 0.85  # of the excitement

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.branching < 1.0 or not 0.0 <= self.fast_share <= 1.0 or min(self.fast, self.slow) <= 0.0:
            raise ConfigError(f"branching {self.branching} has to be in [0, 1): else trades call for ever more trades")
        if not 0.0 < self.trades <= 100_000.0:
            raise ConfigError(f"trades {self.trades} a minute: has to be in (0, 100000]")

    def moves(self, uniforms: Floats, draw: Dice, minutes: float) -> Moves:
        mean = self.trades * minutes
        base = mean * (1.0 - self.branching)
        keeps = (exp(-log(2.0) / self.fast), exp(-log(2.0) / self.slow))
        gains = (
            self.branching * self.fast_share * (1.0 - keeps[0]),
            self.branching * (1.0 - self.fast_share) * (1.0 - keeps[1]),
        )
        quick, lasting = self.branching * self.fast_share * mean, self.branching * (1.0 - self.fast_share) * mean
        counts: list[int] = []
        for u, z in zip(draw.uniform(0, 0).tolist(), draw.normal(1, 0).tolist(), strict=True):
            count = poisson(base + quick + lasting, u, z)
            counts.append(count)
            quick, lasting = keeps[0] * quick + gains[0] * count, keeps[1] * lasting + gains[1] * count
        activity = np.array(counts, dtype=np.float64) / mean
        sigma = self.sigma * sqrt(minutes) * np.sqrt(np.maximum(activity, 0.02))
        plain = _moved(self, sigma, sigma, self.shocks(uniforms), minutes)
        return Moves(plain.returns, sigma, activity)


def _stationary(alpha: float, gamma: float, beta: float) -> None:
    if min(alpha, beta, alpha + gamma) < 0.0 or alpha + 0.5 * gamma + beta >= 1.0:
        raise ConfigError(f"alpha {alpha} + gamma {gamma} / 2 + beta {beta} has to stay below 1, none negative")


def _moved(process: Process, sigma: Floats, normal: float | Floats, shocks: Floats, minutes: float) -> Moves:
    """Returns of a known volatility; activity is volatility over `normal`, to the power of the coupling."""
    returns = sigma * shocks - 0.5 * sigma * sigma + process.drift * minutes
    return Moves(returns, sigma, (sigma / normal) ** process.coupling)


def _garched(process: Process, shocks: Floats, memory: tuple[float, float, float], minutes: float) -> Moves:
    """Volatility out of the last return: (alpha, gamma for falls, beta)."""
    alpha, gamma, beta = memory
    mean = process.sigma**2 * minutes
    base = mean * (1.0 - alpha - 0.5 * gamma - beta)
    most = 400.0 * mean  # twenty sigmas: a t shock may have no fourth moment

    def follow(variance: float, shock: float) -> float:
        weight = alpha + gamma if shock < 0.0 else alpha
        return min(most, base + (weight * shock * shock + beta) * variance)

    variances = list(accumulate(shocks.tolist()[:-1], follow, initial=mean))
    sigma = np.sqrt(np.array(variances))
    return _moved(process, sigma, sqrt(mean), shocks, minutes)


PROCESSES: dict[str, type[Process]] = {
    "gbm": Gbm, "garch": Garch, "gjr": Gjr, "regimes": Regimes, "jumps": Jumps, "hawkes": Hawkes,
}  # fmt: skip
