"""NautilusTrader's BacktestEngine on our bars: 15 indicator values a bar, EMA 12/26 cross, market orders, 4 bp fee.

    python nautilus_ema_cross.py BARS.npy    prints one JSON object

Its fast settings: logging bypassed, risk engine bypassed, no analysis. Bars are made before the clock starts. Thirteen
of the fifteen values come from its own compiled indicators, two it lacks are done in Python.
"""

import json
import sys
import time
from collections import deque
from decimal import Decimal
from math import log, sqrt

import numpy as np
import pandas as pd
from nautilus_trader import __version__
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.backtest.models import FillModel
from nautilus_trader.config import LoggingConfig, RiskEngineConfig, StrategyConfig
from nautilus_trader.indicators import (
    AverageTrueRange,
    BollingerBands,
    DirectionalMovement,
    ExponentialMovingAverage,
    MovingAverageConvergenceDivergence,
    MovingAverageType,
    OnBalanceVolume,
    RelativeStrengthIndex,
    SimpleMovingAverage,
)
from nautilus_trader.model.currencies import ETH, USDT
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, TraderId, Venue
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.trading.strategy import Strategy

VENUE = Venue("BINANCE")
INSTRUMENT = CurrencyPair(
    instrument_id=InstrumentId(Symbol("ETHUSDT"), VENUE),
    raw_symbol=Symbol("ETHUSDT"),
    base_currency=ETH,
    quote_currency=USDT,
    price_precision=2,
    size_precision=3,
    price_increment=Price(0.01, 2),
    size_increment=Quantity(0.001, 3),
    ts_event=0,
    ts_init=0,
    margin_init=Decimal(1),
    margin_maint=Decimal(1),
    maker_fee=Decimal("0.0004"),
    taker_fee=Decimal("0.0004"),
)
BAR_TYPE = BarType.from_str("ETHUSDT.BINANCE-1-MINUTE-LAST-EXTERNAL")
WINDOW = 60


class CrossConfig(StrategyConfig, frozen=True):
    bar_type: BarType


class Cross(Strategy):
    """Long one unit while EMA 12 lies above EMA 26, flat otherwise."""

    def __init__(self, config: CrossConfig) -> None:
        super().__init__(config)
        self.fast = ExponentialMovingAverage(12)
        self.slow = ExponentialMovingAverage(26)
        self.macd = MovingAverageConvergenceDivergence(12, 26, MovingAverageType.EXPONENTIAL)
        self.signal = ExponentialMovingAverage(9)
        self.rsi = RelativeStrengthIndex(14, MovingAverageType.WILDER)
        self.atr = AverageTrueRange(14, MovingAverageType.WILDER)
        self.bands = BollingerBands(20, 2.0)
        self.obv = OnBalanceVolume(20)
        self.mean = SimpleMovingAverage(20)
        self.directional = DirectionalMovement(14)
        self.spreads: deque[float] = deque(maxlen=WINDOW)
        self.sum = self.squares = 0.0
        self.before = 0.0
        self.quantity = Quantity(1.0, 3)
        self.long = False
        self.orders = 0
        self.values: tuple[float, ...] = ()

    def on_start(self) -> None:
        for indicator in (
            self.fast,
            self.slow,
            self.macd,
            self.rsi,
            self.atr,
            self.bands,
            self.obv,
            self.mean,
            self.directional,
        ):
            self.register_indicator_for_bars(self.config.bar_type, indicator)
        self.subscribe_bars(self.config.bar_type)

    def on_bar(self, bar: Bar) -> None:
        close = bar.close.as_double()
        self.signal.update_raw(self.macd.value)
        spread = close - self.mean.value
        if len(self.spreads) == WINDOW:
            old = self.spreads[0]
            self.sum -= old
            self.squares -= old * old
        self.spreads.append(spread)
        self.sum += spread
        self.squares += spread * spread
        mean = self.sum / len(self.spreads)
        deviation = sqrt(max(self.squares / len(self.spreads) - mean * mean, 1e-12))
        change = log(close / self.before) if self.before else 0.0
        self.before = close
        macd, signal = self.macd.value, self.signal.value
        self.values = (
            self.fast.value,
            self.slow.value,
            macd,
            signal,
            macd - signal,
            self.rsi.value,
            self.atr.value,
            self.bands.upper,
            self.bands.middle,
            self.bands.lower,
            self.obv.value,
            self.directional.pos,
            self.directional.neg,
            (spread - mean) / deviation,
            change,
        )
        if not self.slow.initialized:
            return
        above = self.fast.value > self.slow.value
        if above != self.long:
            self.long = above
            self.orders += 1
            side = OrderSide.BUY if above else OrderSide.SELL
            self.submit_order(self.order_factory.market(INSTRUMENT.id, side, self.quantity))


def wrangled(path: str) -> list[Bar]:
    rows = np.load(path)
    index = pd.to_datetime(rows[:, 0].astype("int64") + 60_000, unit="ms", utc=True)
    frame = pd.DataFrame(rows[:, 1:], columns=["open", "high", "low", "close", "volume"], index=index)
    return list(BarDataWrangler(BAR_TYPE, INSTRUMENT).process(frame))


def main() -> None:
    bars = wrangled(sys.argv[1])
    engine = BacktestEngine(
        BacktestEngineConfig(
            trader_id=TraderId("BENCH-001"),
            logging=LoggingConfig(bypass_logging=True),
            risk_engine=RiskEngineConfig(bypass=True),
            run_analysis=False,
        )
    )
    engine.add_venue(
        venue=VENUE,
        oms_type=OmsType.NETTING,
        account_type=AccountType.CASH,
        base_currency=None,
        starting_balances=[Money(10_000_000, USDT)],
        fill_model=FillModel(),
        bar_execution=True,
    )
    engine.add_instrument(INSTRUMENT)
    engine.add_data(bars)
    strategy = Cross(CrossConfig(bar_type=BAR_TYPE))
    engine.add_strategy(strategy)
    begun = time.perf_counter()
    engine.run()
    seconds = time.perf_counter() - begun
    filled = sum(1 for order in engine.cache.orders() if order.is_closed)
    print(
        json.dumps({"rate": len(bars) / seconds, "orders": strategy.orders, "filled": filled, "version": __version__})
    )


if __name__ == "__main__":
    main()
