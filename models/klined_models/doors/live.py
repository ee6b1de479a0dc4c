"""Live trading by the seeds' names: nothing here trades, it is all `envs.live` with settings made of few words.

LiveTradingEnvironment(symbol, ...) ─▶ Settings ─▶ LiveTradingEnv         awaited
CryptoTradingConfig(data_source="live") ─▶ LiveCryptoEnvironment ─▶ SyncLiveTradingEnv

Without keys the money is paper and the bars are the exchange's; with keys orders go to its test network; for real money
the settings must say mode.live and the call live=True.
"""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr, ValidationError

from klined.config.settings import Settings
from klined.domain import Bar, MarketKind
from klined.errors import ConfigError
from klined.runtime.assembly import make_feed
from klined_models.doors.configs import LIVE, ActionMode, CryptoTradingConfig
from klined_models.doors.translation import settings_of
from klined_models.envs.blocking import SyncLiveTradingEnv
from klined_models.envs.live import LiveTradingEnv
from klined_models.envs.orders import Order, OrderStatus

BPS = 10_000.0
RISK = (
    "max_exposure", "deadband", "max_gross", "max_net", "max_cluster", "max_leverage", "max_drawdown",
    "reduce_drawdown", "max_day_loss", "max_week_loss",
)  # fmt: skip
"""Limits that a configuration decides, by their names in [risk]."""


@dataclass(frozen=True)
class WebSocketLoader:
    """Where live bars come from: the feed of a daemon, which backfills what it missed and never drops a closed bar."""

    exchange: str = "binance"
    timeframe: str = "1m"
    url: str = ""  # websocket host; empty: the exchange's own
    rest_url: str = ""  # for the history; empty: the exchange's own

    def market(self, *symbols: str) -> dict[str, Any]:
        """The section [market] that it means."""
        return {
            "exchange": self.exchange,
            "kind": MarketKind.PERP if ":" in symbols[0] else MarketKind.SPOT,
            "symbols": symbols,
            "timeframe": self.timeframe,
            "stream_url": self.url,
            "rest_url": self.rest_url,
        }

    async def bars(self, symbol: str, history: int = 0) -> AsyncGenerator[Bar]:
        """The last `history` closed bars, then each one as it closes; for looking on, beside any environment.

        Raises:
            ConfigError: an exchange or a symbol that does not exist.
        """
        feed = make_feed(_with(Settings(), "market", **self.market(symbol)))
        try:
            for batch in await feed.history(history, None):
                for bar in batch.bars:
                    if bar is not None:
                        yield bar
            while (now := await feed.next()) is not None:
                for bar in now.bars:
                    if bar is not None:
                        yield bar
        finally:
            await feed.close()


class LiveTradingEnvironment(LiveTradingEnv):
    """`LiveTradingEnv` for one symbol. An action of 0.5 is a target: half of what may be held, not half more.

    `exchange` is a name, or an object of ccxt, of which only name and keys are taken: orders and bars go through the
    daemon's own connections. `settings` is what else the daemon shall know.
    """

    def __init__(
        self,
        symbol: str,
        initial_balance: float = 10_000.0,
        trading_fee: float = 0.001,
        websocket: WebSocketLoader | None = None,
        exchange: Any = None,
        test_mode: bool = False,  # noqa: FBT001, FBT002 - the seeds' signature
        *,
        settings: Settings | None = None,
        **options: Any,
    ) -> None:
        """`options` are LiveTradingEnv's. Raises: ConfigError: a symbol, balance, fee or exchange that cannot be."""
        name = exchange if isinstance(exchange, str) else getattr(exchange, "id", None)
        if exchange is not None and not isinstance(name, str):
            raise ConfigError(f"exchange {exchange!r:.80} must be a name like 'binance', or an object of ccxt")
        self.symbol, self.initial_balance, self.trading_fee = symbol, initial_balance, trading_fee
        self.websocket = websocket or WebSocketLoader(exchange=name or "binance")
        self.exchange = exchange
        fee_bps = trading_fee * BPS
        told = _with(settings or Settings(), "market", **self.websocket.market(symbol))
        told = _with(told, "costs", taker_fee_bps=fee_bps, maker_fee_bps=fee_bps)
        told = _with(told, "paper", balance=str(initial_balance))
        key, secret = getattr(exchange, "apiKey", None), getattr(exchange, "secret", None)
        if key and secret:
            password = getattr(exchange, "password", None)
            told = _with(
                told,
                "exchange",
                api_key=SecretStr(key),
                api_secret=SecretStr(secret),
                password=SecretStr(password) if password else None,
            )
            told = _with(told, "mode", paper=False)
        super().__init__(told, test_mode=test_mode, **options)

    @property
    def active_orders(self) -> dict[str, Order]:
        """Orders that may still trade, by id."""
        return {each.order_id: each for each in self.orders if not each.ended}

    @property
    def filled_orders(self) -> dict[str, Order]:
        """Orders that were filled in full."""
        return {each.order_id: each for each in self.orders if each.status is OrderStatus.CLOSED}

    @property
    def canceled_orders(self) -> dict[str, Order]:
        """Orders that ended with a rest; `filled_size` tells what was filled before."""
        return {each.order_id: each for each in self.orders if each.status is OrderStatus.CANCELED}

    cancelled_orders = canceled_orders


class LiveCryptoEnvironment(SyncLiveTradingEnv):
    """What a `CryptoTradingConfig` with data_source "live" describes: paper money on the exchange's bars as they close.

    A policy sees what it saw in training when that was the indicators alone: prices, regime and portfolio blocks are
    the lanes' own, and a daemon has none. Its limits are the configuration's. `settings` is what else the daemon shall
    know, `options` LiveTradingEnv's, such as test_mode.
    """

    def __init__(self, config: CryptoTradingConfig, *, settings: Settings | None = None, **options: Any) -> None:
        """Raises: ConfigError: a configuration that asks for what only lanes have."""
        self.config = config
        meant = _meant(config)
        kind = MarketKind.PERP if config.enable_futures_trading else MarketKind.SPOT
        base = settings or Settings()
        exchange = "binance" if base.market.exchange == "sim" else base.market.exchange
        told = _with(
            base, "market", exchange=exchange, kind=kind, symbols=config.symbols, timeframe=config.tick_frequency
        )
        told = _with(told, "paper", balance=str(config.initial_balance))
        limits = meant.limits if not isinstance(meant.limits, list | tuple) else meant.limits[0]
        told = _with(told, "risk", **{name: getattr(limits, name) for name in RISK})
        told = _with(told, "exits", fixed=limits.stop_fixed)
        super().__init__(told, plan=meant.plan, actions=meant.action_kind, **options)

    @property
    def assets(self) -> tuple[str, ...]:
        return tuple(symbol.partition("/")[0] for symbol in self.config.symbols)

    def get_market_info(self) -> dict[str, Any]:
        """The market at the bar that was seen last, and the account in it; what nobody tells here is not in it.

        Raises:
            ConfigError: called before reset.
        """
        daemon, plan = self.env.daemon, self.env.plan
        bars = {} if daemon.trader.last is None else {b.symbol: b for b in daemon.trader.last.bars if b is not None}
        shown = [(asset, bars[symbol]) for asset, symbol in zip(self.assets, self.config.symbols, strict=True)]
        rows = self.env.observations.tolist()
        return {
            "data_source": LIVE,
            "time_ms": daemon.trader.time_ms,
            "current_prices": {asset: bar.close for asset, bar in shown},
            "price_changes": {asset: bar.close / bar.open - 1.0 for asset, bar in shown},
            "volumes": {asset: bar.volume for asset, bar in shown},
            "technical_indicators": {
                asset: dict(zip(plan.names, row, strict=True)) for asset, row in zip(self.assets, rows, strict=True)
            },
            "portfolio_summary": {
                "portfolio_value": self.env.equity,
                "balance": self.env.balance,
                "positions": dict(zip(self.assets, self.env.positions.values(), strict=True)),
                "total_return": self.env.equity / self.config.initial_balance - 1.0,
            },
        }


def _meant(config: CryptoTradingConfig) -> Any:
    """The environment's settings. Raises: ConfigError: what only lanes have."""
    seen, asked = config.observation_config, config.action_config
    sentiment = seen.include_sentiment or config.enable_sentiment_signals
    book = seen.include_order_book or config.enable_order_book
    blocks: Mapping[str, bool] = {
        "include_prices": seen.include_prices,
        "include_regime": seen.include_regime,
        "include_portfolio": seen.include_portfolio,
        "include_sentiment": sentiment,
        "include_order_book": book,
        "as_dict": seen.as_dict,
    }
    if wanted := [f"{name}=False" for name, on in blocks.items() if on]:
        raise ConfigError(
            "data source 'live' shows the indicators alone, as a policy file is fed; train and trade with "
            f"ObservationConfig({', '.join(wanted)})"
        )
    if seen.update_frequency != 1:
        raise ConfigError(
            f"update_frequency = {seen.update_frequency}: live observations are of each closed bar; set tick_frequency"
        )
    if asked.action_mode not in {ActionMode.DISCRETE, ActionMode.CONTINUOUS} or asked.enable_limit_orders:
        raise ConfigError(
            f"action mode {str(asked.action_mode)!r} with limit orders or weights is for training; take 'continuous' "
            "or 'discrete', and orders by hand: create_order"
        )
    if asked.enable_position_sizing or config.scenarios:
        raise ConfigError("position sizing and scenarios are for training; leave them out of a live configuration")
    return settings_of(config)


def _with(settings: Settings, section: str, **values: Any) -> Settings:
    """The same with other values in one section, checked as those of a file are.

    Raises:
        ConfigError: a value that cannot be.
    """
    old = getattr(settings, section)
    try:
        new = type(old)(**{**{name: getattr(old, name) for name in type(old).model_fields}, **values})
    except ValidationError as fault:
        first = fault.errors()[0]
        raise ConfigError(
            f"{section}.{'.'.join(map(str, first['loc']))} = {first['input']!r}: {first['msg']}"
        ) from fault
    changed: Settings = settings.model_copy(update={section: new})
    return changed
