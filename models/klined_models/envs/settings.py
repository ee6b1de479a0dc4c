"""What an environment is made of, apart from its bars: actions, observation, reward, sizing, limits, costs, episodes.

    Settings(actions=Levels((0, 0.5, 1)), reward={"log_return": 1, "turnover": 0.01}, ...) ─▶ row Z of the kernels

Every field has a default that trades like the daemon on paper. Names that do not exist are refused with the nearest
that does.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from klined.backtest.lanes import Terms
from klined.domain import Instrument, MarketKind
from klined.errors import ConfigError
from klined.feeds.timeframe import TIMEFRAMES_MS
from klined.kernels import game, rewards, scaling
from klined.ports import Signal
from klined.trader.book import Costs
from klined.trader.limits import Limits
from klined.trader.plans import PLANS, Plan

COSTS = Costs(half_spread=1e-4, impact=1.0, participation=0.1)
TERMS = {
    "log_return": rewards.LOG_RETURN,
    "profit": rewards.PROFIT,
    "risk_adjusted": rewards.RISK_ADJUSTED,
    "differential_sharpe": rewards.SHARPE,
    "differential_sortino": rewards.SORTINO,
    "excess": rewards.EXCESS,
    "drawdown": rewards.DRAWDOWN,
    "turnover": rewards.TURNOVER,
    "cvar": rewards.CVAR,
    "original": rewards.ORIGINAL,
}
"""Terms of the reward by name; what each is stands in `klined.kernels.rewards`."""
STATIC_BLOCKS = ("indicators", "sentiment", "microstructure", "regime")
BLOCKS = (*STATIC_BLOCKS, "window", "portfolio")


@dataclass(frozen=True)
class Levels:
    """Discrete: an index into targets, per symbol."""

    targets: tuple[float, ...] | None = None  # None: 0, 1/2, 1, and for perpetuals -1 and -1/2 before them

    def of(self, kind: MarketKind) -> tuple[float, ...]:
        if self.targets is not None:
            return self.targets
        return (0.0, 0.5, 1.0) if kind is MarketKind.SPOT else (-1.0, -0.5, 0.0, 0.5, 1.0)


@dataclass(frozen=True)
class Continuous:
    """A target in [-1, 1] per symbol; it is where the exposure shall be, not what shall be added to it."""


@dataclass(frozen=True)
class Weights:
    """A weight in [0, 1] of equity per symbol, and at last that of cash; they must sum to one.

    With `normalise` any weights are made to. `cap` holds after that: what exceeds it stays cash.
    """

    cap: float = 1.0
    normalise: bool = False


@dataclass(frozen=True)
class Orders:
    """Per symbol (target in [-1, 1], limit offset in [0, 1], stop distance in [0, 1]), in parts of these maxima.

    Offset 0 is a market order, distance 0 no stop. Both hold for one bar.
    """

    offset_max: float = 0.01  # fraction of price
    stop_max: float = 0.05


Actions = Levels | Continuous | Weights | Orders
ACTIONS: dict[str, Actions] = {
    "levels": Levels(),
    "continuous": Continuous(),
    "weights": Weights(),
    "orders": Orders(),
}


@dataclass(frozen=True)
class Sizing:
    """How large a wish may become; see `klined.kernels.scaling`. Every part is off at 0."""

    fixed: float = 1.0  # factor on every target
    volatility: float = 0.0  # wanted standard deviation of the account's return per bar
    kelly: float = 0.0  # fraction of the Kelly exposure
    shrink: float = 1.645  # standard errors taken off the mean return before it counts as an edge
    leverage: float | None = None  # largest exposure by volatility or Kelly; None: max_exposure
    drawdown: float = 0.0  # fall from the peak at which nothing is left

    @property
    def is_on(self) -> bool:
        return self != Sizing()


@dataclass(frozen=True)
class Steps:
    """What one step did to every lane, for rewards written in Python; arrays of shape (n,), in quote."""

    equity_before: NDArray[np.float64]
    equity_after: NDArray[np.float64]
    hold_before: NDArray[np.float64]  # value of equal parts bought at the start, 1 then
    hold_after: NDArray[np.float64]
    peak: NDArray[np.float64]
    traded: NDArray[np.float64]  # notional
    exposure: NDArray[np.float64]  # net notional over equity at the close


Custom = Callable[[Steps], NDArray[np.float64]]
"""A reward in Python: one call a step for all lanes, an array of shape (n,) back."""


@dataclass(frozen=True)
class Rewards:
    """Named terms and their weights, added up, and what the terms need to know."""

    terms: Mapping[str | Custom, float] = field(default_factory=lambda: {"log_return": 1.0})
    eta: float = 0.01  # of the differential ratios: 1 / eta is how many bars they remember
    span: float = 60.0  # bars, of the deviation under risk_adjusted
    cvar_bars: int = 100
    cvar_fraction: float = 0.05  # worst part of them

    def __post_init__(self) -> None:
        for name in self.terms:
            if isinstance(name, str) and name not in TERMS:
                raise ConfigError(f"reward {name!r} is not known; {nearest(name, TERMS)}")
        if not 0.0 < self.eta < 1.0 or not self.span >= 1.0:
            raise ConfigError(f"eta = {self.eta} must lie in (0, 1) and span = {self.span} must be 1 bar or more")
        if self.cvar_bars < 1 or not 0.0 < self.cvar_fraction <= 1.0:
            raise ConfigError(f"CVaR of {self.cvar_fraction} of {self.cvar_bars} bars: a part in (0, 1] of 1 or more")

    @property
    def customs(self) -> tuple[tuple[Custom, float], ...]:
        return tuple((term, weight) for term, weight in self.terms.items() if not isinstance(term, str))

    def write(self, z: NDArray[np.float64]) -> None:
        for term, weight in self.terms.items():
            if isinstance(term, str):
                z[rewards.WEIGHT0 + TERMS[term]] = weight
        named = {term for term in self.terms if isinstance(term, str)}
        z[rewards.SIMPLE] = float(named <= {"log_return", "profit"})
        z[rewards.ETA], z[rewards.SPAN], z[rewards.CVAR_BARS] = self.eta, self.span, self.cvar_bars
        z[rewards.CVAR_WORST] = max(1, int(np.ceil(self.cvar_bars * self.cvar_fraction)))


@dataclass(frozen=True)
class Observation:
    """Which blocks an observation has, in which order they stand is fixed: as in BLOCKS.

    `as_dict` gives a Dict of them instead of one flat Box. Sentiment reads (score, 1) where a signal tells one and
    (0, 0) where none does; microstructure its columns and 1, or zeros where there is no data.
    """

    blocks: tuple[str, ...] = ("indicators",)
    window: int = 32  # bars of block `window`
    as_dict: bool = False

    def __post_init__(self) -> None:
        for block in self.blocks:
            if block not in BLOCKS:
                raise ConfigError(f"observation block {block!r} is not known; {nearest(block, BLOCKS)}")
        if not self.blocks or self.window < 1:
            raise ConfigError(f"an observation of blocks {self.blocks} and a window of {self.window} shows nothing")

    @property
    def window_bars(self) -> int:
        return self.window if "window" in self.blocks else 0


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All of it. See docs/environments.md for what each does."""

    symbols: tuple[str, ...] | str = ("ETH/USDT",)
    kind: MarketKind | Literal["spot", "perp"] = MarketKind.SPOT
    interval: str = "1m"
    instruments: Sequence[Instrument] | None = None  # None: what is usual for these symbols
    plan: Plan | str = "eth15"
    actions: Actions | str = "levels"
    observation: Observation = field(default_factory=Observation)
    reward: Rewards | str | Mapping[str | Custom, float] = "log_return"
    sizing: Sizing = field(default_factory=Sizing)
    limits: Limits | Sequence[Limits] = field(
        default_factory=Limits
    )  # several: lane k trades under k modulo their number
    costs: Costs | Sequence[Costs] = COSTS
    balance: float = 10_000.0  # quote
    episode_bars: int = 1440  # 0: to the end of the series
    start: Literal["random", "first"] = "random"
    ruin: float = 0.1  # an episode ends when this part of the balance is left
    signals: Mapping[str, Signal] | Signal | None = None  # sentiment, available-at times respected
    microstructure: NDArray[np.float64] | None = None  # (n, T, columns) beside the bars, NaN where absent
    engine: Literal["lookup", "loop"] = "lookup"  # "loop": features and gauges are stepped in every lane

    def __post_init__(self) -> None:
        if isinstance(self.symbols, str):
            object.__setattr__(self, "symbols", (self.symbols,))
        if self.interval not in TIMEFRAMES_MS:
            raise ConfigError(f"interval {self.interval!r} is not known; {nearest(self.interval, TIMEFRAMES_MS)}")
        if isinstance(self.plan, str) and self.plan not in PLANS:
            raise ConfigError(f"plan {self.plan!r} is not known; {nearest(self.plan, PLANS)}")
        if isinstance(self.actions, str) and self.actions not in ACTIONS:
            raise ConfigError(f"actions {self.actions!r} are not known; {nearest(self.actions, ACTIONS)}")
        if self.start not in {"random", "first"} or self.engine not in {"lookup", "loop"}:
            raise ConfigError(
                f"start = {self.start!r} must be random or first, engine = {self.engine!r} lookup or loop"
            )
        if not self.balance > 0.0 or not 0.0 <= self.ruin < 1.0 or self.episode_bars < 0:
            raise ConfigError(
                f"balance = {self.balance} must be positive, ruin = {self.ruin} lie in [0, 1) "
                f"and episode_bars = {self.episode_bars} be 0 or more"
            )
        self.rewards  # noqa: B018 - raises what its terms raise

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Settings":
        """Settings from keyword arguments.

        Raises:
            ConfigError: a name that does not exist, or a value that cannot be.
        """
        known = [each.name for each in fields(cls)]
        for name in options:
            if name not in known:
                raise ConfigError(f"environment parameter {name!r} is not known; {nearest(name, known)}")
        return cls(**options)

    @property
    def market_kind(self) -> MarketKind:
        return MarketKind(self.kind)

    @property
    def interval_ms(self) -> int:
        return TIMEFRAMES_MS[self.interval]

    @property
    def features(self) -> Plan:
        return PLANS[self.plan] if isinstance(self.plan, str) else self.plan

    @property
    def action_kind(self) -> Actions:
        return ACTIONS[self.actions] if isinstance(self.actions, str) else self.actions

    @property
    def rewards(self) -> Rewards:
        if isinstance(self.reward, Rewards):
            return self.reward
        return Rewards({self.reward: 1.0} if isinstance(self.reward, str) else self.reward)

    @property
    def terms(self) -> tuple[Terms, ...]:
        """Limits and costs of the lanes, one after the other."""
        limits = (self.limits,) if isinstance(self.limits, Limits) else tuple(self.limits)
        costs = (self.costs,) if isinstance(self.costs, Costs) else tuple(self.costs)
        count = max(len(limits), len(costs))
        return tuple(Terms(limits[k % len(limits)], costs[k % len(costs)], self.balance) for k in range(count))

    def game(self) -> NDArray[np.float64]:
        """Row Z, but for what follows the end of an episode."""
        z = np.zeros(game.NZ)
        self.rewards.write(z)
        sizing, at = self.sizing, game.SCALING
        z[at + scaling.FIXED], z[at + scaling.VOLATILITY] = sizing.fixed, sizing.volatility
        z[at + scaling.KELLY], z[at + scaling.SHRINK], z[at + scaling.FALL] = (
            sizing.kelly,
            sizing.shrink,
            sizing.drawdown,
        )
        exposure = max(each.limits.max_exposure for each in self.terms)
        z[at + scaling.LEVERAGE] = exposure if sizing.leverage is None else sizing.leverage
        z[game.BALANCE], z[game.RUIN], z[game.INTERVAL] = self.balance, self.ruin, self.interval_ms
        z[game.WINDOW] = self.observation.window_bars
        z[game.PORTFOLIO] = float("portfolio" in self.observation.blocks)
        z[game.SCALED] = float(sizing.is_on)
        z[game.COMPARED] = float(bool(self.rewards.customs) or z[rewards.EXCESS] != 0.0 or z[rewards.ORIGINAL] != 0.0)
        match self.action_kind:
            case Levels():
                z[game.MODE] = game.LEVELS
            case Continuous():
                z[game.MODE] = game.CONTINUOUS
            case Weights(cap, normalise):
                z[game.MODE], z[game.CAP], z[game.STRICT] = game.WEIGHTS, cap, float(not normalise)
            case Orders(offset_max, stop_max):
                z[game.MODE], z[game.OFFSET_MAX], z[game.STOP_MAX] = game.ORDERS, offset_max, stop_max
        return z


def nearest(name: object, known: Iterable[str]) -> str:
    """Which of the known names was meant, in words."""
    names = sorted(known)
    close = difflib.get_close_matches(str(name), names, 1)
    return f"did you mean {close[0]!r}?" if close else f"there are {', '.join(names)}"
