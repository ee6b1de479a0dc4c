"""One bar's worth of klined's forty-four indicators by libraries that stream: TA-Lib's handles, and talipp.

    python streaming_forty.py BARS.npy talib|talipp    prints one JSON object

Each runs those of the set that it has, raw, without the normalisation that klined's plan adds: `count` says how many.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import talib
from talib import stream
from talipp import indicators as ti
from talipp.ohlcv import OHLCV

WARM = 1_000
RUNS = 3
BARS = {"talib": 20_000, "talipp": 4_000}


def by_talib(rows: np.ndarray) -> tuple[float, int]:
    """Seconds per bar of O(1) updates, and the number of indicators."""
    o, h, lo, c, v = (np.ascontiguousarray(rows[:WARM, k]) for k in range(1, 6))
    of_close = [
        stream.SMA(c, 20), stream.EMA(c, 50), stream.WMA(c, 20), stream.DEMA(c, 20), stream.TEMA(c, 20),
        stream.TRIMA(c, 20), stream.KAMA(c, 30), stream.T3(c, 5), stream.MACD(c, 12, 26, 9), stream.APO(c, 12, 26, 1),
        stream.PPO(c, 12, 26, 1), stream.BBANDS(c, 20, 2.0, 2.0), stream.LINEARREG(c, 14),
        stream.LINEARREG_SLOPE(c, 14), stream.RSI(c, 14), stream.CMO(c, 9), stream.MOM(c, 10), stream.TRIX(c, 15),
    ]  # fmt: skip
    of_range = [stream.SAR(h, lo, 0.02, 0.2), stream.MIDPRICE(h, lo, 20)]
    of_bar = [
        stream.ATR(h, lo, c, 14), stream.NATR(h, lo, c, 14), stream.CCI(h, lo, c, 20), stream.WILLR(h, lo, c, 14),
        stream.STOCHF(h, lo, c, 5, 3), stream.PLUS_DI(h, lo, c, 14), stream.MINUS_DI(h, lo, c, 14),
        stream.DX(h, lo, c, 14), stream.ADX(h, lo, c, 14),
    ]  # fmt: skip
    of_volume = [stream.MFI(h, lo, c, v, 14), stream.ADOSC(h, lo, c, v, 3, 10)]
    power = stream.BOP(o, h, lo, c)
    groups = [[handle.update for handle in group] for group in (of_close, of_range, of_bar, of_volume)]
    bars = [tuple(map(float, row[1:6])) for row in rows[WARM:]]
    begun = time.perf_counter()
    for opened, high, low, close, volume in bars:
        for update in groups[0]:
            update(close)
        for update in groups[1]:
            update(high, low)
        for update in groups[2]:
            update(high, low, close)
        for update in groups[3]:
            update(high, low, close, volume)
        power.update(opened, high, low, close)
    return (time.perf_counter() - begun) / len(bars), sum(map(len, groups)) + 1


def by_talipp(rows: np.ndarray) -> tuple[float, int]:
    of_close = [
        ti.SMA(20), ti.EMA(50), ti.WMA(20), ti.DEMA(20), ti.TEMA(20), ti.KAMA(30, 2, 30), ti.T3(5, 0.7),
        ti.MACD(12, 26, 9), ti.SMMA(20), ti.BB(20, 2.0), ti.RSI(14), ti.ROC(10), ti.TRIX(15), ti.TSI(13, 25),
    ]  # fmt: skip
    of_bar = [
        ti.VWMA(20), ti.ATR(14), ti.NATR(14), ti.CCI(20), ti.Williams(14), ti.Stoch(5, 3), ti.ADX(14, 14), ti.AO(5, 34),
        ti.BOP(), ti.ChaikinOsc(3, 10), ti.DonchianChannels(20), ti.ForceIndex(13), ti.KeltnerChannels(20, 10, 2, 2),
        ti.ParabolicSAR(0.02, 0.02, 0.2), ti.SuperTrend(10, 3),
    ]  # fmt: skip
    bars = [OHLCV(*map(float, row[1:6])) for row in rows]
    begun = time.perf_counter()
    for bar in bars:
        for indicator in of_close:
            indicator.add(bar.close)
        for indicator in of_bar:
            indicator.add(bar)
    return (time.perf_counter() - begun) / len(bars), len(of_close) + len(of_bar)


WAYS: dict[str, Callable[[np.ndarray], tuple[float, int]]] = {"talib": by_talib, "talipp": by_talipp}


def main() -> None:
    path, name = sys.argv[1:3]
    rows = np.load(path)[: BARS[name]]
    told = [WAYS[name](rows) for _ in range(RUNS)]
    print(
        json.dumps({"us": statistics.median(s for s, _ in told) * 1e6, "count": told[0][1], "talib": talib.__version__})
    )


if __name__ == "__main__":
    main()
