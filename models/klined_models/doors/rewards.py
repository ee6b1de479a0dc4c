"""Rewards as objects with `calculate_reward`, by the seeds' names, and what is mended in them.

    create_sharpe_reward(window, target) ─▶ object ─▶ CryptoTradingEnvironment(config, reward=object)

They see values of the account, which are net of fees and slippage already, so neither is taken off a second time.
Ratios are of the window, per bar; a target is per year and scaled to a bar, so that the length of bars does not matter.
The seeds' factors that made a worse ratio cost less (1 - tanh) and their bonus for being good already are gone: every
reward here rises with the return it rates. For training many lanes, take the compiled terms of `envs.settings.Rewards`.
"""

import math
from collections import deque
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from klined.errors import ConfigError

BARS_PER_YEAR = 365.0 * 1440.0
RATIO_SCALE = 10.0
RATIO_BARS_MIN = 10  # no ratio of fewer returns
RATIO_MAX = 10.0  # a ratio without a denominator
VOLATILITY_BARS = 10

TradeInfo = Mapping[str, float]
"""What the last step traded: trades, total_fees and traded (quote)."""


@runtime_checkable
class RewardFunction(Protocol):
    """Whatever the environment can ask; with a `reset()`, that is called when an episode begins."""

    def calculate_reward(self, portfolio_value: float, previous_value: float, trade_info: TradeInfo, /) -> float: ...


class ProfitReward:
    """Return x scale; with a risk penalty, less 2 x drawdown and 0.1 x deviation of the last ten returns x scale."""

    def __init__(self, profit_scale: float = 100.0, *, enable_risk_penalty: bool = True) -> None:
        if not profit_scale > 0.0:
            raise ConfigError(f"profit_scale = {profit_scale} must be positive")
        self.scale, self.with_penalty = profit_scale, enable_risk_penalty
        self._peak = 0.0
        self._returns: deque[float] = deque(maxlen=VOLATILITY_BARS)

    def reset(self) -> None:
        self._peak = 0.0
        self._returns.clear()

    def calculate_reward(
        self,
        portfolio_value: float,
        previous_value: float,
        trade_info: TradeInfo | None = None,  # noqa: ARG002 - the seeds' signature; costs are in the values
        market_info: Mapping[str, object] | None = None,  # noqa: ARG002 - the seeds' signature
    ) -> float:
        gain = gained(portfolio_value, previous_value)
        self._returns.append(gain)
        self._peak = max(self._peak, previous_value, portfolio_value)
        return self.rated(gain) - self.penalty(portfolio_value)

    def rated(self, gain: float) -> float:
        """The return in units of the reward."""
        return gain * self.scale

    def penalty(self, value: float) -> float:
        if not self.with_penalty or self._peak <= 0.0:
            return 0.0
        spread = deviation(self._returns) if len(self._returns) == VOLATILITY_BARS else 0.0
        return 2.0 * (1.0 - value / self._peak) + 0.1 * spread * self.scale


class RiskAdjustedProfitReward(ProfitReward):
    """The same, where a good ratio of the window enlarges gains and softens losses by up to half, and a bad one not."""

    def __init__(self, profit_scale: float = 100.0, lookback_window: int = 50) -> None:
        super().__init__(profit_scale)
        self._window: deque[float] = deque(maxlen=window_of(lookback_window))

    def reset(self) -> None:
        super().reset()
        self._window.clear()

    def rated(self, gain: float) -> float:
        self._window.append(gain)
        lean = 0.5 * math.tanh(sharpe(self._window)) if len(self._window) >= RATIO_BARS_MIN else 0.0
        return gain * self.scale * (1.0 + lean if gain > 0.0 else 1.0 - lean)


class SharpeReward:
    """10 x (Sharpe ratio of the window - target), both per bar; 0 until ten returns are known."""

    def __init__(
        self,
        lookback_window: int = 50,
        target_sharpe: float = 1.0,
        risk_free_rate: float = 0.0,
        bars_per_year: float = BARS_PER_YEAR,
    ) -> None:
        if not bars_per_year > 0.0:
            raise ConfigError(f"bars_per_year = {bars_per_year} must be positive")
        self.target = target_sharpe / math.sqrt(bars_per_year)
        self.free = risk_free_rate / bars_per_year
        self._window: deque[float] = deque(maxlen=window_of(lookback_window))

    def reset(self) -> None:
        self._window.clear()

    def calculate_reward(
        self,
        portfolio_value: float,
        previous_value: float,
        trade_info: TradeInfo | None = None,  # noqa: ARG002 - the seeds' signature
        market_info: Mapping[str, object] | None = None,  # noqa: ARG002 - the seeds' signature
    ) -> float:
        self._window.append(gained(portfolio_value, previous_value) - self.free)
        if len(self._window) < RATIO_BARS_MIN:
            return 0.0
        return RATIO_SCALE * (self.ratio() - self.target)

    def ratio(self) -> float:
        return sharpe(self._window)


class SortinoReward(SharpeReward):
    """The same with the deviation of what fell short of `minimum_acceptable_return` per bar."""

    def __init__(
        self,
        lookback_window: int = 50,
        target_sortino: float = 0.0,
        minimum_acceptable_return: float = 0.0,
        bars_per_year: float = BARS_PER_YEAR,
    ) -> None:
        super().__init__(lookback_window, target_sortino, bars_per_year=bars_per_year)
        self.least = minimum_acceptable_return

    def ratio(self) -> float:
        short = [min(0.0, gain - self.least) for gain in self._window]
        return over(
            sum(self._window) / len(self._window) - self.least,
            math.sqrt(sum(each * each for each in short) / len(short)),
        )


def create_simple_profit_reward(profit_scale: float = 100.0, *, enable_risk_penalty: bool = True) -> ProfitReward:
    """Profit in parts of the account."""
    return ProfitReward(profit_scale, enable_risk_penalty=enable_risk_penalty)


def create_risk_adjusted_profit_reward(
    profit_scale: float = 100.0, lookback_window: int = 50
) -> RiskAdjustedProfitReward:
    """Profit, weighed by the Sharpe ratio of the window."""
    return RiskAdjustedProfitReward(profit_scale, lookback_window)


def create_sharpe_reward(
    lookback_window: int = 50,
    target_sharpe: float = 1.0,
    risk_free_rate: float = 0.0,
    bars_per_year: float = BARS_PER_YEAR,
) -> SharpeReward:
    """Sharpe ratio of the window above a yearly target."""
    return SharpeReward(lookback_window, target_sharpe, risk_free_rate, bars_per_year)


def create_sortino_reward(
    lookback_window: int = 50,
    target_sortino: float = 0.0,
    minimum_acceptable_return: float = 0.0,
    bars_per_year: float = BARS_PER_YEAR,
) -> SortinoReward:
    """Sortino ratio of the window above a yearly target."""
    return SortinoReward(lookback_window, target_sortino, minimum_acceptable_return, bars_per_year)


def gained(value: float, before: float) -> float:
    """Return of a step; 0 for an account that had nothing."""
    return value / before - 1.0 if before > 0.0 else 0.0


def deviation(returns: deque[float]) -> float:
    mean = sum(returns) / len(returns)
    return math.sqrt(sum((each - mean) * (each - mean) for each in returns) / len(returns))


def sharpe(returns: deque[float]) -> float:
    """Mean over deviation, per bar."""
    return over(sum(returns) / len(returns), deviation(returns))


def over(mean: float, risk: float) -> float:
    """A ratio within +-RATIO_MAX; without risk it is that, or 0 when nothing was earned."""
    if risk < 1e-12:
        return math.copysign(RATIO_MAX, mean) if abs(mean) > 1e-12 else 0.0
    return max(-RATIO_MAX, min(RATIO_MAX, mean / risk))


def window_of(bars: int) -> int:
    if bars < RATIO_BARS_MIN:
        raise ConfigError(f"lookback_window = {bars} must be {RATIO_BARS_MIN} bars or more")
    return bars
