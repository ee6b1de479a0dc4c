"""vectorbt on our bars: the same 15 indicators by TA-Lib and pandas, EMA 12/26 cross, 4 bp fee, warm.

    python vectorbt_ema_cross.py BARS.npy    prints one JSON object

Not event driven: indicators are columns and the simulation is one compiled loop. Compilation happens before the clock
starts; the median of five runs over indicators and simulation is printed.
"""

import json
import statistics
import sys
import time

import numpy as np
import pandas as pd
import talib
import vectorbt as vbt

RUNS = 5


def indicators(rows: np.ndarray) -> tuple[np.ndarray, ...]:
    high, low, close, volume = (np.ascontiguousarray(rows[:, k]) for k in (2, 3, 4, 5))
    fast, slow = talib.EMA(close, 12), talib.EMA(close, 26)
    macd, signal, difference = talib.MACD(close, 12, 26, 9)
    upper, middle, lower = talib.BBANDS(close, 20, 2.0, 2.0)
    change = np.diff(np.log(close), prepend=np.log(close[0]))
    flow = pd.Series(np.sign(np.diff(close, prepend=close[0])) * volume).rolling(20).sum().to_numpy()
    spread = close - middle
    window = pd.Series(spread).rolling(60)
    z_score = (spread - window.mean().to_numpy()) / window.std(ddof=0).to_numpy()
    rsi, atr, adx = talib.RSI(close, 14), talib.ATR(high, low, close, 14), talib.ADX(high, low, close, 14)
    return (fast, slow, macd, signal, difference, upper, middle, lower, change, flow, z_score, rsi, atr, adx, spread)


def once(rows: np.ndarray) -> tuple[float, int]:
    """Seconds and orders of one run."""
    begun = time.perf_counter()
    fast, slow, *_ = indicators(rows)
    above = fast > slow
    entries = above & ~np.concatenate(([False], above[:-1]))
    exits = ~above & np.concatenate(([False], above[:-1]))
    portfolio = vbt.Portfolio.from_signals(
        rows[:, 4], entries, exits, size=1.0, fees=0.0004, init_cash=10_000_000.0, freq="1min"
    )
    orders = len(portfolio.orders.values)
    return time.perf_counter() - begun, orders


def main() -> None:
    rows = np.load(sys.argv[1])
    once(rows)
    runs = [once(rows) for _ in range(RUNS)]
    seconds = statistics.median(run[0] for run in runs)
    print(json.dumps({"rate": len(rows) / seconds, "orders": runs[0][1], "version": vbt.__version__}))


if __name__ == "__main__":
    main()
