"""Trouble laid over any market: a flash crash, thin books, an outage. One registry for training, replay and sandbox.

    name, parameters ─▶ Scenario ─▶ level, stretch, wick, volume, absence of bar `number` ─▶ laying.lay | laying.Laying
                               └──▶ strain: spread, liquidity, latency, funding, refusals while it lasts

Bars are counted from the first one that is traded. A scenario begins with bar `start` and lasts `bars`; before that it
changes nothing, and afterwards only the price level that it left behind. No chance: the same bars give the same bars.
Calibrated by 10 Oct 2025 (BTC 117k to 104k within minutes, most of it back) and 19 May 2021.
"""

import hashlib
from math import log
from typing import Any, ClassVar

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from klined.errors import ConfigError
from klined.world.dice import Dice, Floats
from klined.world.names import made, spelled

Numbers = NDArray[np.int64]
DAY_BARS = 1_440
ROUGHNESS = 0.5  # of a crash: noise of its level, in tenths of its depth where there is room for it


class Strain(Struct, frozen=True, kw_only=True):
    """What a scenario does beside bars, while it lasts."""

    spread: float = 1.0  # factor on the spread and on the spacing of the book
    liquidity: float = 1.0  # factor on the book's sizes
    latency_ms: float = 0.0  # added to every answer
    funding_rate: float | None = None  # instead of the market's
    refuses: str = ""  # halted: orders are refused; down: nothing answers


class Scenario(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing happens: the others change what they need to. All functions take numbers (n,) of bars."""

    says: ClassVar[str] = ""

    start: int = 600
    bars: int = 60

    def __post_init__(self) -> None:
        if self.start < 0 or self.bars < 0:
            raise ConfigError(f"a scenario cannot start at bar {self.start} and last {self.bars} bars")
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, float) and not LIMITS[name][0] <= value <= LIMITS[name][1]:
                raise ConfigError(f"{name} = {value} has to lie in {LIMITS[name][0]:g} .. {LIMITS[name][1]:g}")

    def covers(self, numbers: Numbers) -> NDArray[np.bool_]:
        return (numbers >= self.start) & (numbers < self.start + self.bars)

    def passed(self, numbers: Numbers) -> Floats:
        """Share of the scenario that is over when a bar begins, in [0, 1]; 1 at once when it lasts no bar."""
        return np.asarray(np.clip((numbers - self.start) / max(self.bars, 1), 0.0, 1.0))

    def level(self, numbers: Numbers, symbol: str) -> Floats:
        """Factor on the price at which a bar begins; the next number's is where it ends."""
        del symbol
        return np.ones(len(numbers))

    def wick(self, numbers: Numbers) -> tuple[Floats, Floats]:
        """Factors by which highs and lows reach beyond open and close, at least and at most 1."""
        return np.ones(len(numbers)), np.ones(len(numbers))

    @property
    def stretch(self) -> float:
        """Factor on log returns while it lasts."""
        return 1.0

    @property
    def volume_factor(self) -> float:
        return 1.0

    @property
    def absent(self) -> bool:
        """While it lasts there are no bars."""
        return False

    @property
    def strain(self) -> Strain:
        return Strain()


LIMITS: dict[str, tuple[float, float]] = {
    "depth": (0.0, 0.95), "fall": (0.01, 0.99), "recovery": (0.0, 1.0), "volume": (0.0, 1e4), "spread": (1.0, 1e3),
    "liquidity": (1e-4, 1e3), "factor": (0.0, 50.0), "drift": (-0.05, 0.05), "rate": (-0.1, 0.1),
    "latency_ms": (0.0, 600_000.0), "share": (0.0, 1.0),
}  # fmt: skip


class FlashCrash(Scenario, frozen=True, kw_only=True):
    says: ClassVar[str] = "down by `depth` in the first `fall` of it, then `recovery` of the loss comes back"

    bars: int = 30
    depth: float = 0.15
    fall: float = 0.3
    recovery: float = 0.7
    volume: float = 10.0
    spread: float = 20.0
    liquidity: float = 0.02

    def level(self, numbers: Numbers, symbol: str) -> Floats:
        """Rough but for its beginning, its bottom and its end, which are where they are told to be."""
        passed, depth = self.passed(numbers), self.depth * self._beta(symbol)
        rough = Dice(0, "crash", self.bars + 1).normal(0, 0)[np.clip(numbers - self.start, 0, self.bars)]
        room = np.minimum(np.minimum(passed, 1.0 - passed), np.abs(passed - self.fall))
        return _fallen(passed, depth, self.fall, self.recovery) * np.exp(
            ROUGHNESS * depth * rough * np.minimum(room, 0.1)
        )

    def _beta(self, symbol: str) -> float:
        del symbol
        return 1.0

    @property
    def volume_factor(self) -> float:
        return self.volume

    @property
    def strain(self) -> Strain:
        return Strain(spread=self.spread, liquidity=self.liquidity)


class CorrelatedCrash(FlashCrash, frozen=True, kw_only=True):
    says: ClassVar[str] = "all symbols fall at once, each 0.8 to 1.2 times `depth`, slowly, and little comes back"

    bars: int = 240
    depth: float = 0.25
    fall: float = 0.8
    recovery: float = 0.2
    volume: float = 6.0
    spread: float = 8.0
    liquidity: float = 0.1

    def _beta(self, symbol: str) -> float:
        """Its own of every coin, whatever the quote."""
        digest = hashlib.sha256(symbol.partition("/")[0].encode()).digest()
        return min(0.8 + 0.4 * digest[0] / 255.0, 0.95 / max(self.depth, 1e-9))


class LowLiquidity(Scenario, frozen=True, kw_only=True):
    says: ClassVar[str] = "a fraction of the volume, a thin and wide book"

    bars: int = 480
    volume: float = 0.1
    spread: float = 5.0
    liquidity: float = 0.1

    @property
    def volume_factor(self) -> float:
        return self.volume

    @property
    def strain(self) -> Strain:
        return Strain(spread=self.spread, liquidity=self.liquidity)


class Wick(Scenario, frozen=True, kw_only=True):
    says: ClassVar[str] = "every `every` bars low (`side` down), high (up) or both reach `depth` further: stops die"

    bars: int = 1
    depth: float = 0.06
    side: str = "down"
    every: int = 1
    spread: float = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.side not in {"down", "up", "both"} or self.every < 1:
            raise ConfigError(f"side {self.side!r} has to be down, up or both, and every {self.every} at least 1")

    def wick(self, numbers: Numbers) -> tuple[Floats, Floats]:
        hit = self.covers(numbers) & ((numbers - self.start) % self.every == 0)
        up, down = self.side != "down", self.side != "up"
        return np.where(hit & up, 1.0 + self.depth, 1.0), np.where(hit & down, 1.0 - self.depth, 1.0)

    @property
    def strain(self) -> Strain:
        return Strain(spread=self.spread)


class Volatility(Scenario, frozen=True, kw_only=True):
    says: ClassVar[str] = "returns are `factor` times as large"

    bars: int = 480
    factor: float = 3.0
    volume: float = 2.0
    spread: float = 2.0

    @property
    def stretch(self) -> float:
        return self.factor

    @property
    def volume_factor(self) -> float:
        return self.volume

    @property
    def strain(self) -> Strain:
        return Strain(spread=self.spread)


class Whipsaw(Scenario, frozen=True, kw_only=True):
    says: ClassVar[str] = "up and down by `depth` every `period` bars, and back where it was: trends that are none"

    bars: int = 240
    depth: float = 0.02
    period: int = 40

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.period < 2:
            raise ConfigError(f"period {self.period}: up and down take two bars at least")

    def level(self, numbers: Numbers, symbol: str) -> Floats:
        """A triangle wave that ends where it began: the last period is cut short of a move."""
        del symbol
        whole = self.bars // self.period * self.period
        phase = np.clip(numbers - self.start, 0, whole) % self.period / self.period
        wave = np.where(phase < 0.25, phase, np.where(phase < 0.75, 0.5 - phase, phase - 1.0)) * 4.0
        return np.asarray(1.0 + self.depth * wave)


class Grind(Scenario, frozen=True, kw_only=True):
    says: ClassVar[str] = "`drift` a bar, quietly and without a rest: returns of their own only `factor` as large"

    bars: int = 1_440
    drift: float = -0.0001
    factor: float = 0.5
    volume: float = 0.7

    def level(self, numbers: Numbers, symbol: str) -> Floats:
        del symbol
        return np.asarray(np.exp(self.drift * np.clip(numbers - self.start, 0, self.bars)))

    @property
    def stretch(self) -> float:
        return self.factor

    @property
    def volume_factor(self) -> float:
        return self.volume


class FundingSpike(Scenario, frozen=True, kw_only=True):
    says: ClassVar[str] = "every funding costs longs `rate`; bars are as they were"

    bars: int = 3 * DAY_BARS
    rate: float = 0.003

    @property
    def strain(self) -> Strain:
        return Strain(funding_rate=self.rate)


class Outage(Scenario, frozen=True, kw_only=True):
    says: ClassVar[str] = "no bars, nothing answers; then the market reopens `depth` lower and stays there"

    bars: int = 30
    depth: float = 0.05

    def level(self, numbers: Numbers, symbol: str) -> Floats:
        del symbol
        return np.where(numbers >= self.start + self.bars, 1.0 - self.depth, 1.0)

    @property
    def absent(self) -> bool:
        return True

    @property
    def strain(self) -> Strain:
        return Strain(refuses="down")


class Halt(Scenario, frozen=True, kw_only=True):
    says: ClassVar[str] = "no bars and orders are refused; the market goes on where it is by then"

    @property
    def absent(self) -> bool:
        return True

    @property
    def strain(self) -> Strain:
        return Strain(refuses="halted")


class BadKlines(Scenario, frozen=True, kw_only=True):
    says: ClassVar[str] = "among the bars stand NaN, zeros, crossed highs, doubles, old ones, times off the grid"

    bars: int = 120
    share: float = 0.5  # of the bars that have a bad one beside them


class Depeg(Scenario, frozen=True, kw_only=True):
    says: ClassVar[str] = "the quote loses `depth`: every price rises, and `recovery` of it comes back"

    bars: int = 2 * DAY_BARS
    depth: float = 0.05
    fall: float = 0.2
    recovery: float = 0.9
    volume: float = 3.0
    spread: float = 3.0

    def level(self, numbers: Numbers, symbol: str) -> Floats:
        del symbol
        return np.asarray(1.0 / _fallen(self.passed(numbers), self.depth, self.fall, self.recovery))

    @property
    def volume_factor(self) -> float:
        return self.volume

    @property
    def strain(self) -> Strain:
        return Strain(spread=self.spread)


class LatencyStorm(Scenario, frozen=True, kw_only=True):
    says: ClassVar[str] = "every answer of the exchange comes `latency_ms` later; bars are as they were"

    bars: int = 30
    latency_ms: float = 2_000.0

    @property
    def strain(self) -> Strain:
        return Strain(latency_ms=self.latency_ms)


SCENARIOS: dict[str, type[Scenario]] = {
    "flash_crash": FlashCrash, "correlated_crash": CorrelatedCrash, "low_liquidity": LowLiquidity, "wick": Wick,
    "volatility": Volatility, "whipsaw": Whipsaw, "grind": Grind, "funding_spike": FundingSpike, "outage": Outage,
    "halt": Halt, "bad_klines": BadKlines, "depeg": Depeg, "latency_storm": LatencyStorm,
}  # fmt: skip


def scenario(name: str, **parameters: Any) -> Scenario:
    """The scenario of that name.

    Raises:
        ConfigError: unknown name or parameter, with the nearest one; a value out of its range.
    """
    return made("scenario", SCENARIOS, name, parameters)


def parsed(text: str) -> Scenario:
    """`flash_crash:start=600,depth=0.2` as a scenario; raises as `scenario`."""
    name, parameters = spelled(text)
    return scenario(name, **parameters)


def strain_now(scenarios: tuple[Scenario, ...], number: int) -> Strain:
    """What all scenarios that cover bar `number` come to: factors multiply, delays add, the last funding rate holds."""
    total = Strain()
    for each in scenarios:
        if not each.start <= number < each.start + each.bars:
            continue
        one = each.strain
        total = Strain(
            spread=total.spread * one.spread,
            liquidity=total.liquidity * one.liquidity,
            latency_ms=total.latency_ms + one.latency_ms,
            funding_rate=total.funding_rate if one.funding_rate is None else one.funding_rate,
            refuses="down" if "down" in {total.refuses, one.refuses} else total.refuses or one.refuses,
        )
    return total


def _fallen(passed: Floats, depth: float, fall: float, recovery: float) -> Floats:
    """Factor on the price: in logs straight down to 1 - depth at `fall`, then back towards 1, slower and slower."""
    bottom = log(1.0 - depth)
    down = np.minimum(passed / fall, 1.0)
    back = np.maximum(passed - fall, 0.0) / (1.0 - fall)
    return np.asarray(np.exp(bottom * down) * (1.0 + (np.exp(-bottom) - 1.0) * recovery * back * (2.0 - back)))
