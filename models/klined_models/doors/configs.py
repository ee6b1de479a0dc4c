"""What a seed's configuration says, field by field, checked when it is made.

    CryptoTradingConfig ─┬─ ObservationConfig   what the agent sees
                         └─ ActionConfig        what it may ask for            ─▶ settings.py ─▶ envs.Settings

A name that is not known is refused with the nearest that is; a field that means nothing here does not exist.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from klined.errors import ConfigError
from klined.feeds.timeframe import TIMEFRAMES_MS
from klined.ports import Signal
from klined.trader.limits import Limits
from klined_models.doors.indicators import NORMALISATIONS, Normalisation, declaration
from klined_models.envs.settings import Rewards, nearest

SYNTHETIC, HISTORICAL, LIVE = "synthetic", "historical", "live"
EXCHANGES = ("binance", "coinbase")
DATA_SOURCES = (SYNTHETIC, HISTORICAL, LIVE, *EXCHANGES)
SENTIMENT_SOURCES = ("twitter", "reddit", "news", "fear_greed_index")
SIZINGS = ("fixed", "kelly", "volatility", "drawdown")

Bars = Any
"""A file, files whose names begin with their symbol, arrays by symbol, or whatever `envs.bars.Data` names."""


class ActionMode(StrEnum):
    """What an action is. In all of them it names a target, where the position shall be: 0.5 twice is 0.5."""

    DISCRETE = "discrete"  # an index into 0, 1/2, 1 (futures: -1, -1/2, 0, 1/2, 1) per asset
    CONTINUOUS = "continuous"  # in [-1, 1] per asset, times max_position_size; with limit orders as ORDERS
    PORTFOLIO = "portfolio"  # weights in [0, 1] per asset and of cash, made to sum to one, then capped
    ORDERS = "orders"  # per asset (target, limit offset, stop distance)

    @classmethod
    def _missing_(cls, value: object) -> "ActionMode":
        raise ConfigError(f"action mode {value!r} is not known; {nearest(value, [str(each) for each in cls])}")


@dataclass
class ActionConfig:
    """What the agent may ask for.

    Raises:
        ConfigError: an unknown mode or method of sizing, a size outside (0, 1].
    """

    action_mode: ActionMode | str = ActionMode.CONTINUOUS
    max_position_size: float = 1.0  # of equity, per asset: what an action of 1 means
    enable_limit_orders: bool = False  # CONTINUOUS: adds offset and stop distance, as ORDERS
    enable_position_sizing: bool = False
    position_sizing_method: str = "fixed"
    kelly_fraction: float = 0.5  # of the Kelly exposure; 0 while no edge is proven
    target_volatility: float = 0.001  # of the account's return per bar
    limit_offset_max: float = 0.05  # fraction of price
    stop_distance_max: float = 0.05

    def __post_init__(self) -> None:
        self.action_mode = ActionMode(self.action_mode)
        if self.position_sizing_method not in SIZINGS:
            raise ConfigError(
                f"position sizing {self.position_sizing_method!r} is not known; "
                f"{nearest(self.position_sizing_method, SIZINGS)}"
            )
        if not 0.0 < self.max_position_size <= 1.0:
            raise ConfigError(f"max_position_size = {self.max_position_size} must lie in (0, 1], a part of equity")


@dataclass
class ObservationConfig:
    """What the agent sees; everything lies in [-1, 1] unless `normalization` is none.

    Raises:
        ConfigError: an unknown indicator or normalisation, nothing to see, a length or frequency under 1.
    """

    include_prices: bool = True  # the last `history_length` bars
    include_technical_indicators: bool = True
    technical_indicators: Sequence[str] = ("sma_20", "ema_12", "rsi_14", "bb_20", "macd")
    include_sentiment: bool = False
    include_order_book: bool = False  # spread, imbalance and flow: masked, as bars tell none
    include_portfolio: bool = True
    include_regime: bool = True
    history_length: int = 50
    normalization: Normalisation = "bounded"
    update_frequency: int = 1  # bars: in between, the market part of the observation stays; the account's does not
    as_dict: bool = False

    def __post_init__(self) -> None:
        if self.normalization not in NORMALISATIONS:
            raise ConfigError(
                f"normalisation {self.normalization!r} is not known; {nearest(self.normalization, NORMALISATIONS)}"
            )
        for indicator in self.technical_indicators:
            declaration(indicator, self.normalization)
        if self.history_length < 1 or self.update_frequency < 1:
            raise ConfigError(
                f"history_length = {self.history_length} and update_frequency = {self.update_frequency} "
                "must be 1 bar or more"
            )


@dataclass
class BaseTradingConfig:
    """What every trading environment needs: length, money, and where the gate stops a run.

    Raises:
        ConfigError: a value outside its range.
    """

    max_steps: int = 1000  # bars of an episode
    initial_balance: float = 10_000.0  # quote
    random_seed: int | None = None  # of the first reset that names none, and of a synthetic market
    max_leverage: float = 1.0  # sum of all positions, times equity
    max_drawdown: float = 0.2  # fall from the peak that ends the episode
    stop_loss_threshold: float | None = None  # fraction from the entry price
    limits: Limits | None = None  # instead of what follows from the fields above
    reward: Any = "log_return"  # a term, terms by weight, Rewards, or an object with calculate_reward

    def __post_init__(self) -> None:
        if self.max_steps < 1 or not self.initial_balance > 0.0:
            raise ConfigError(
                f"max_steps = {self.max_steps} must be 1 or more, initial_balance = {self.initial_balance} positive"
            )
        if not 0.0 < self.max_drawdown < 1.0 or not 0.0 < self.max_leverage <= 20.0:
            raise ConfigError(
                f"max_drawdown = {self.max_drawdown} must lie in (0, 1), max_leverage = {self.max_leverage} in (0, 20]"
            )
        if isinstance(self.reward, str):
            Rewards({self.reward: 1.0})


@dataclass
class CryptoTradingConfig(BaseTradingConfig):
    """Which market, and what is seen and done on it.

    Raises:
        ConfigError: an unknown source or frequency, a file that is missing, no assets or one twice.
    """

    assets: Sequence[str] = ("BTC", "ETH", "BNB", "ADA", "SOL")
    base_currency: str = "USDT"
    data_source: str = SYNTHETIC
    historical_data_path: Bars = None
    tick_frequency: str = "1m"
    enable_futures_trading: bool = False
    enable_order_book: bool = False  # as ObservationConfig.include_order_book
    enable_sentiment_signals: bool = False  # as ObservationConfig.include_sentiment
    sentiment_sources: Sequence[str] = SENTIMENT_SOURCES
    sentiment_signals: Mapping[str, Signal | str | Path] = field(default_factory=dict)  # by source; others are masked
    sentiment_weight: float = 1.0  # factor on the score in the observation
    scenarios: Sequence[str] = ()  # laid over the bars: "flash_crash:start=600,depth=0.2"
    observation_config: ObservationConfig = field(default_factory=ObservationConfig)
    action_config: ActionConfig = field(default_factory=ActionConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.assets or len(set(self.assets)) != len(self.assets):
            raise ConfigError(f"assets {list(self.assets)} must be at least one, none of them twice")
        if self.data_source not in DATA_SOURCES:
            raise ConfigError(
                f"data source {self.data_source!r} is not known; {nearest(self.data_source, DATA_SOURCES)}"
            )
        if self.tick_frequency not in TIMEFRAMES_MS:
            raise ConfigError(
                f"tick frequency {self.tick_frequency!r} is not known; {nearest(self.tick_frequency, TIMEFRAMES_MS)}"
            )
        self._check_files()
        for source in (*self.sentiment_sources, *self.sentiment_signals):
            if source not in SENTIMENT_SOURCES:
                raise ConfigError(f"sentiment source {source!r} is not known; {nearest(source, SENTIMENT_SOURCES)}")
        if not 0.0 <= self.sentiment_weight <= 1.0:
            raise ConfigError(f"sentiment_weight = {self.sentiment_weight} must lie in [0, 1]")

    @property
    def symbols(self) -> tuple[str, ...]:
        """The assets as the daemon writes them: BTC/USDT, or BTC/USDT:USDT for futures."""
        settle = f":{self.base_currency}" if self.enable_futures_trading else ""
        return tuple(
            asset if "/" in asset else f"{asset.upper()}/{self.base_currency}{settle}" for asset in self.assets
        )

    def _check_files(self) -> None:
        path = self.historical_data_path
        if path is None and self.data_source == HISTORICAL:
            raise ConfigError(
                "data source 'historical' needs bars; set historical_data_path to files of open time, open, high, low, "
                "close and volume (their names begin with BTCUSDT and so on), or take data_source='synthetic'"
            )
        if path is not None and self.data_source == SYNTHETIC:
            raise ConfigError(
                f"historical_data_path = {path!r:.80} is not read by data source 'synthetic'; take 'historical'"
            )
        files = [path] if isinstance(path, str | Path) else path if isinstance(path, list | tuple) else []
        for each in files:
            if isinstance(each, str | Path) and not Path(each).is_file():
                raise ConfigError(f"no file {each}; correct historical_data_path")
