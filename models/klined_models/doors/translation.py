"""A seed's configuration as settings and bars of an environment.

CryptoTradingConfig ─▶ settings_of ─▶ Settings        bars_of ─▶ arrays by symbol, scenarios laid over them
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from klined.backtest.history import history_of
from klined.domain import Instrument, MarketKind
from klined.errors import ConfigError
from klined.feeds.columns import read_columns
from klined.feeds.generated import START_MS
from klined.feeds.timeframe import TIMEFRAMES_MS
from klined.ports import Signal
from klined.trader.limits import Limits
from klined.world.filters import default_instrument
from klined.world.laying import lay
from klined.world.markets import Market
from klined.world.scenarios import parsed
from klined_models.doors.configs import ActionConfig, ActionMode, CryptoTradingConfig
from klined_models.doors.indicators import indicator_plan
from klined_models.envs.bars import GENERATED_BARS, GENERATED_SEED, series_of
from klined_models.envs.sentiment import fear_and_greed
from klined_models.envs.settings import Actions, Continuous, Levels, Observation, Orders, Settings, Sizing, Weights

DEADBAND = 0.1  # of what an action of 1 means
DRAWDOWN_SIZED = 0.2  # fall at which drawdown sizing leaves nothing


class Blend:
    """Implements `ports.Signal`: the mean of what sources tell now, times a weight; None where none tells."""

    def __init__(self, signals: Sequence[Signal], weight: float) -> None:
        self._signals, self._weight = tuple(signals), weight

    def score(self, symbol: str, at_ms: int) -> float | None:
        told = [score for signal in self._signals if (score := signal.score(symbol, at_ms)) is not None]
        return self._weight * sum(told) / len(told) if told else None


def settings_of(config: CryptoTradingConfig, **changes: Any) -> Settings:
    """The settings that `config` means; `changes` are fields of Settings that say otherwise.

    Raises:
        ConfigError: as Settings.
    """
    seen, reward = config.observation_config, config.reward
    options: dict[str, Any] = {
        "symbols": config.symbols,
        "kind": MarketKind.PERP if config.enable_futures_trading else MarketKind.SPOT,
        "interval": config.tick_frequency,
        "actions": _actions(config.action_config),
        "observation": Observation(_blocks(config), window=seen.history_length, as_dict=seen.as_dict),
        "reward": "log_return" if hasattr(reward, "calculate_reward") else reward,
        "sizing": _sizing(config.action_config),
        "limits": config.limits or _limits(config),
        "balance": config.initial_balance,
        "episode_bars": config.max_steps,
        "signals": _signals(config),
    }
    if seen.include_technical_indicators and seen.technical_indicators:
        interval_ms = TIMEFRAMES_MS[config.tick_frequency]
        options["plan"] = indicator_plan(seen.technical_indicators, interval_ms, seen.normalization)
    return Settings.of({**options, **changes})


def bars_of(config: CryptoTradingConfig) -> Any:
    """The bars that `config` names, or made-up ones, under its scenarios.

    Raises:
        ConfigError: bars that cannot be, a scenario that does not exist.
    """
    interval_ms, symbols = TIMEFRAMES_MS[config.tick_frequency], list(config.symbols)
    if config.historical_data_path is None:
        seed = GENERATED_SEED if config.random_seed is None else config.random_seed
        count = max(GENERATED_BARS, 4 * config.max_steps)
        tables: Mapping[str, Any] = Market(seed, symbols, interval_ms, START_MS).arrays(count)
    elif _are_files(config.historical_data_path):
        tables = _common(config, interval_ms)
    elif not config.scenarios:
        return config.historical_data_path
    else:
        series = series_of(config.historical_data_path, _listed(config), interval_ms)
        if len(series) > 1:
            raise ConfigError(f"scenarios are laid over one series of bars, not over {len(series)}; give them apart")
        tables = dict(zip(symbols, series[0].bars, strict=True))
    return lay(tables, [parsed(text) for text in config.scenarios]) if config.scenarios else tables


def _listed(config: CryptoTradingConfig) -> list[Instrument]:
    kind = MarketKind.PERP if config.enable_futures_trading else MarketKind.SPOT
    return [default_instrument(symbol, kind) for symbol in config.symbols]


def _are_files(path: Any) -> bool:
    each = path if isinstance(path, list | tuple) else [path]
    return all(isinstance(one, str | Path) for one in each)


def _common(config: CryptoTradingConfig, interval_ms: int) -> dict[str, Any]:
    """Bars of the files at the times at which every asset has one; in between the gate sees a gap, as it does live.

    Raises:
        ConfigError: files of different times, of which less than half are common.
    """
    path, symbols = config.historical_data_path, list(config.symbols)
    files = [Path(each) for each in (path if isinstance(path, list | tuple) else [path])]
    history = history_of(read_columns(symbols, interval_ms, files), _listed(config), interval_ms)
    whole = np.asarray(np.isfinite(history.bars).all(axis=(0, 2)))
    if 2 * int(whole.sum()) < len(whole):
        raise ConfigError(
            f"of {len(whole)} bars in {', '.join(map(str, files))} only {int(whole.sum())} are there for all of "
            f"{', '.join(symbols)}; give files of the same time"
        )
    return {symbol: bars[whole] for symbol, bars in zip(symbols, history.bars, strict=True)}


def _blocks(config: CryptoTradingConfig) -> tuple[str, ...]:
    seen = config.observation_config
    shown = {
        "indicators": seen.include_technical_indicators and bool(seen.technical_indicators),
        "sentiment": seen.include_sentiment or config.enable_sentiment_signals,
        "microstructure": seen.include_order_book or config.enable_order_book,
        "regime": seen.include_regime,
        "window": seen.include_prices,
        "portfolio": seen.include_portfolio,
    }
    return tuple(name for name, wanted in shown.items() if wanted)


def _actions(config: ActionConfig) -> Actions:
    orders = Orders(offset_max=config.limit_offset_max, stop_max=config.stop_distance_max)
    match config.action_mode:
        case ActionMode.DISCRETE:
            return Levels()
        case ActionMode.PORTFOLIO:
            return Weights(cap=config.max_position_size, normalise=True)
        case ActionMode.ORDERS:
            return orders
        case _:
            return orders if config.enable_limit_orders else Continuous()


def _sizing(config: ActionConfig) -> Sizing:
    if not config.enable_position_sizing:
        return Sizing()
    match config.position_sizing_method:
        case "kelly":
            return Sizing(kelly=config.kelly_fraction)
        case "volatility":
            return Sizing(volatility=config.target_volatility)
        case "drawdown":
            return Sizing(drawdown=DRAWDOWN_SIZED)
        case _:
            return Sizing()


def _limits(config: CryptoTradingConfig) -> Limits:
    """The daemon's own limits, with what the configuration says of size, leverage, losses and stops."""
    weights = config.action_config.action_mode is ActionMode.PORTFOLIO
    most = 1.0 if weights else config.action_config.max_position_size
    fall, leverage = config.max_drawdown, config.max_leverage
    return Limits(
        max_exposure=most,
        deadband=DEADBAND * most,
        max_gross=leverage,
        max_net=leverage,
        max_cluster=leverage,
        max_leverage=max(leverage, Limits().max_leverage),
        max_drawdown=fall,
        reduce_drawdown=fall,
        max_day_loss=fall,
        max_week_loss=fall,
        stop_fixed=config.stop_loss_threshold or 0.0,
    )


def _signals(config: CryptoTradingConfig) -> Signal | None:
    """Whatever of the wanted sources has a signal, together; a path is a Fear & Greed file."""
    given = [config.sentiment_signals[name] for name in config.sentiment_sources if name in config.sentiment_signals]
    if not given:
        return None
    signals = [fear_and_greed(each) if isinstance(each, str | Path) else each for each in given]
    return Blend(signals, config.sentiment_weight)
