"""The environment behind the seeds' names: `TradingEnv` with their configuration, their info and their rewards.

    create_crypto_env(config) ─▶ CryptoTradingEnvironment ─ is a ─▶ BaseTradingEnvironment ─ is a ─▶ envs.TradingEnv

Nothing is simulated here: gate, fills and account are the kernels'. This translates what goes in and tells what came
out in the seeds' words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, TypedDict

import numpy as np

from klined.errors import ConfigError
from klined.kernels import layout as at
from klined.kernels import tapes
from klined.kernels.jit import Kernels
from klined_models.doors.configs import LIVE, SYNTHETIC, CryptoTradingConfig
from klined_models.doors.logger import EnvironmentLogger
from klined_models.doors.rewards import RewardFunction
from klined_models.doors.translation import bars_of, settings_of
from klined_models.envs.bars import Data
from klined_models.envs.lanes import FILLS_KEPT
from klined_models.envs.scene import Scene
from klined_models.envs.settings import Rewards, Settings, nearest
from klined_models.envs.single import TradingEnv
from klined_models.envs.spaces import shown

REGIME_BARS = 60
TREND_LEAST = 0.3  # part of the way that led somewhere
STORM = 2.0  # deviation of the last bars over that of the hours before


class MarketInfo(TypedDict):
    """What `get_market_info` tells, by asset where it says so."""

    data_source: str
    time_ms: int  # close of the bar seen last
    current_prices: dict[str, float]
    price_changes: dict[str, float]  # fraction, over the last bar
    volumes: dict[str, float]  # base
    market_regime: str  # bull, bear, sideways or volatile, of the first asset
    sentiment_scores: dict[str, float | None]  # None: no source tells one
    technical_indicators: dict[str, dict[str, float]]
    portfolio_summary: dict[str, Any]


class BaseTradingEnvironment(TradingEnv):
    """`TradingEnv` that tells portfolio_value, balance, positions (base), total_return, max_drawdown, trades and fees.

    `reward` is an object with `calculate_reward(value, previous_value, trade_info)`, instead of the settings' reward;
    `logger` gets every fill. With `update_frequency` n the market part of the observation is renewed every n bars.
    """

    def __init__(
        self,
        data: Scene | Data = None,
        *,
        settings: Settings | None = None,
        reward: RewardFunction | None = None,
        logger: EnvironmentLogger | None = None,
        update_frequency: int = 1,
        render_mode: str | None = None,
        kernels: Kernels | None = None,
        **options: Any,
    ) -> None:
        """As TradingEnv. Raises: ConfigError: also for a reward that cannot be asked."""
        if reward is not None and not isinstance(reward, RewardFunction):
            raise ConfigError(
                f"reward {reward!r:.80} has no calculate_reward(portfolio_value, previous_value, trade_info)"
            )
        super().__init__(data, settings=settings, render_mode=render_mode, kernels=kernels, **options)
        self.assets = tuple(each.symbol.partition("/")[0] for each in self.scene.instruments)
        self.reward_function, self.logger = reward, logger
        self._every = update_frequency
        self._lots = [float(each.lot) for each in self.scene.instruments]
        self._ticks = [float(each.tick) for each in self.scene.instruments]
        self._portfolio = self.scene.parts.get("portfolio")
        self._fees = self._fall = 0.0
        self._forget()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As TradingEnv; the reward object forgets the last episode."""
        self._forget()
        begin = getattr(self.reward_function, "reset", None)
        if begin is not None:
            begin()
        seen, info = super().reset(seed=seed, options=options)
        self._peak = self.portfolio_value
        self._held = self._row()
        return seen, {**info, **self._told()}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """As TradingEnv, where 0.5 as an action is a target, not an increment: asked twice it is held, not doubled."""
        before = self.portfolio_value
        seen, reward, terminated, truncated, info = super().step(action)
        self._steps += 1
        traded = self._book()
        if self.reward_function is not None:
            reward = float(self.reward_function.calculate_reward(self.portfolio_value, before, traded))
        if self._every > 1:
            seen = self._renewed()
        return seen, reward, terminated, truncated, {**info, **self._told()}

    @property
    def portfolio_value(self) -> float:
        """Equity, quote, marked at the last close."""
        return float(self.lanes.A[0, at.EQUITY])

    @property
    def balance(self) -> float:
        """Cash, quote."""
        return float(self.lanes.A[0, at.CASH])

    @property
    def positions(self) -> dict[str, float]:
        """Units held of each asset, negative for shorts."""
        lots = self.lanes.Q[0, :, at.LOTS].tolist()
        return {asset: held * lot for asset, held, lot in zip(self.assets, lots, self._lots, strict=True)}

    def _told(self) -> dict[str, Any]:
        value, start = self.portfolio_value, self.scene.settings.balance
        self._peak = max(self._peak, value)
        self._fall = max(self._fall, 1.0 - value / self._peak)
        return {
            "portfolio_value": value,
            "balance": self.balance,
            "positions": self.positions,
            "total_return": value / start - 1.0,
            "max_drawdown": self._fall,
            "trades": self._trades,
            "total_fees": self._fees,
        }

    def _forget(self) -> None:
        self._steps = self._seen = self._trades = 0
        self._fees, self._fall = 0.0, 0.0
        self._peak = self.scene.settings.balance
        self._held = np.zeros(0, np.float32)

    def _book(self) -> dict[str, float]:
        """Fills of the last step, counted and logged."""
        count = min(int(self.lanes.W[0, tapes.FILLS]), FILLS_KEPT)
        fees = traded = 0.0
        for row in self.lanes.fills[0, self._seen : count].tolist():
            i = int(row[tapes.FILL_SYMBOL])
            quantity, price = row[tapes.FILL_LOTS] * self._lots[i], row[tapes.FILL_TICKS] * self._ticks[i]
            fees += row[tapes.FILL_FEE]
            traded += abs(quantity) * price
            if self.logger is not None:
                side = "buy" if quantity > 0.0 else "sell"
                self.logger.log_trade_execution(
                    self.assets[i], side, abs(quantity), price, row[tapes.FILL_FEE], self._steps
                )
        new, self._seen = count - self._seen, count
        self._trades += new
        self._fees += fees
        return {"trades": float(new), "total_fees": fees, "traded": traded}

    def _row(self) -> Any:
        return self.lanes.observations[self.lanes.turn, 0].copy()

    def _renewed(self) -> Any:
        """The observation with the market as it was when it was last renewed."""
        row = self._row()
        if self._steps % self._every == 0:
            self._held = row
        elif self._portfolio is not None:
            self._held[self._portfolio.begin : self._portfolio.end] = row[self._portfolio.begin : self._portfolio.end]
        return shown(self.scene, self._held.copy())


class CryptoTradingEnvironment(BaseTradingEnvironment):
    """What a `CryptoTradingConfig` describes; keywords are its fields where no config is given."""

    def __init__(
        self,
        config: CryptoTradingConfig | None = None,
        *,
        reward: RewardFunction | Rewards | Mapping[str, float] | str | None = None,
        logger: EnvironmentLogger | None = None,
        render_mode: str | None = None,
        kernels: Kernels | None = None,
        **changes: Any,
    ) -> None:
        """`reward` instead of the config's. Raises: ConfigError: a configuration that cannot be, or a live one."""
        self.config = _configured(config, changes)
        if isinstance(reward, str | Mapping | Rewards):
            self.config, reward = replace(self.config, reward=reward), None
        if self.config.data_source == LIVE:
            raise ConfigError(
                "data source 'live' is no simulation; create_crypto_env(config) makes a LiveCryptoEnvironment of it, "
                "or take data_source='historical' or 'synthetic'"
            )
        rated = self.config.reward if hasattr(self.config.reward, "calculate_reward") else None
        super().__init__(
            bars_of(self.config),
            settings=settings_of(self.config),
            reward=reward or rated,
            logger=logger,
            update_frequency=self.config.observation_config.update_frequency,
            render_mode=render_mode,
            kernels=kernels,
        )

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As TradingEnv; the config's random_seed counts for the first reset that names none.

        Raises:
            ConfigError: the config names an exchange, but no bars of it.
        """
        config = self.config
        if config.data_source != SYNTHETIC and config.historical_data_path is None:
            raise ConfigError(
                f"data source {config.data_source!r} names no bars, so only the spaces are there; set "
                "historical_data_path to its files (klined record stores a feed's), or data_source='synthetic'"
            )
        if seed is None and not self._begun:
            seed = config.random_seed
        return super().reset(seed=seed, options=options)

    def get_market_info(self) -> MarketInfo:
        """The market at the bar that was seen last, and the account in it.

        Raises:
            ConfigError: called before reset.
        """
        if not self._begun:
            raise ConfigError("get_market_info was called before reset; call reset(seed=...) first")
        scene, t = self.scene, self.bar_index
        rows, before = scene.bars[:, t].tolist(), scene.bars[:, t - 1, 4].tolist()
        closes = [row[4] for row in rows]
        time_ms = int(scene.times[t]) + scene.settings.interval_ms
        return {
            "data_source": self.config.data_source,
            "time_ms": time_ms,
            "current_prices": dict(zip(self.assets, closes, strict=True)),
            "price_changes": {
                asset: now / then - 1.0 for asset, now, then in zip(self.assets, closes, before, strict=True)
            },
            "volumes": {asset: row[5] for asset, row in zip(self.assets, rows, strict=True)},
            "market_regime": regime_of(scene.bars[0, max(0, t - 5 * REGIME_BARS) : t + 1, 4]),
            "sentiment_scores": {
                asset: self._score(each.symbol, time_ms)
                for asset, each in zip(self.assets, scene.instruments, strict=True)
            },
            "technical_indicators": {asset: self._indicators(i, t) for i, asset in enumerate(self.assets)},
            "portfolio_summary": self._told(),
        }

    def _score(self, symbol: str, at_ms: int) -> float | None:
        signals = self.scene.settings.signals
        signal = signals.get(symbol) if isinstance(signals, Mapping) else signals
        return None if signal is None else signal.score(symbol, at_ms)

    def _indicators(self, i: int, t: int) -> dict[str, float]:
        plan, row = self.scene.plan, self.scene.features[i, t].tolist()
        market = [j for j, feature in enumerate(plan.features) if feature.source == "market"]
        slots = [plan.slots[j] for j in market] if plan.slots else range(len(market))
        return {plan.names[j]: row[slot] for j, slot in zip(market, slots, strict=True)}


def create_crypto_env(config: CryptoTradingConfig | None = None, **changes: Any) -> Any:
    """An environment by its configuration, or by the fields of one: a `CryptoTradingEnvironment`.

    With data_source "live" it is a `LiveCryptoEnvironment`.
    """
    source = config.data_source if config is not None else changes.get("data_source")
    if source == LIVE:
        from klined_models.doors.live import LiveCryptoEnvironment  # noqa: PLC0415 - brings a whole daemon with it

        return LiveCryptoEnvironment(_configured(config, changes))
    return CryptoTradingEnvironment(config, **changes)


def create_sentiment_crypto_env(
    assets: Sequence[str] = ("BTC", "ETH", "BNB"),
    sentiment_sources: Sequence[str] = ("twitter", "reddit", "news"),
    **changes: Any,
) -> CryptoTradingEnvironment:
    """One whose observation has sentiment, masked for as long as no signal is given: it is never made up."""
    return CryptoTradingEnvironment(
        assets=assets, sentiment_sources=sentiment_sources, enable_sentiment_signals=True, **changes
    )


def regime_of(closes: Any) -> str:
    """Kind of the market over the last REGIME_BARS closes: volatile, else bull or bear where they led somewhere."""
    moves = np.diff(np.log(closes))
    last, earlier = moves[-REGIME_BARS:], moves[:-REGIME_BARS]
    if len(earlier) >= REGIME_BARS and last.std() > STORM * earlier.std():
        return "volatile"
    way = float(np.abs(last).sum())
    trend = float(last.sum()) / way if way > 0.0 else 0.0
    if abs(trend) < TREND_LEAST:
        return "sideways"
    return "bull" if trend > 0.0 else "bear"


def _configured(config: CryptoTradingConfig | None, changes: dict[str, Any]) -> CryptoTradingConfig:
    if config is not None and changes:
        raise ConfigError(f"{', '.join(changes)} belong into the config that was given")
    known = [each.name for each in fields(CryptoTradingConfig)]
    for name in changes:
        if name not in known:
            raise ConfigError(f"CryptoTradingConfig has no {name!r}; {nearest(name, known)}")
    return config or CryptoTradingConfig(**changes)
