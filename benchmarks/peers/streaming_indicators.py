"""One bar's worth of indicators by libraries that can stream: `talib.stream` on a window, and talipp.

    python streaming_indicators.py BARS.npy talib|talipp    prints one JSON object

Both compute what they have of the fifteen: EMA 12 and 26, MACD with signal and difference, RSI 14, ATR 14, Bollinger
bands, SMA 20, OBV, standard deviation 60, ADX 14 and the last return (thirteen to fifteen values).
"""

import json
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import talib
import talipp
from talib import stream
from talipp import indicators as ti
from talipp.ohlcv import OHLCV

WINDOW = 300
RUNS = 3
BARS = {"talib": 20_000, "talipp": 10_000}


def by_talib(rows: np.ndarray) -> float:
    """Seconds per bar: every call recomputes the window, which is what its streaming interface does."""
    high, low, close, volume = (np.ascontiguousarray(rows[:, k]) for k in (2, 3, 4, 5))
    begun = time.perf_counter()
    for end in range(WINDOW, len(rows)):
        part = slice(end - WINDOW, end)
        h, lo, c, v = high[part], low[part], close[part], volume[part]
        stream.EMA(c, 12)
        stream.EMA(c, 26)
        stream.MACD(c, 12, 26, 9)
        stream.RSI(c, 14)
        stream.ATR(h, lo, c, 14)
        stream.BBANDS(c, 20, 2.0, 2.0)
        stream.SMA(c, 20)
        stream.OBV(c, v)
        stream.STDDEV(c, 60)
        stream.ADX(h, lo, c, 14)
        stream.ROCP(c, 1)
    return (time.perf_counter() - begun) / (len(rows) - WINDOW)


def by_talipp(rows: np.ndarray) -> float:
    """Seconds per bar; histories grow, since purging them costs the same."""
    of_close = [
        ti.EMA(12),
        ti.EMA(26),
        ti.MACD(12, 26, 9),
        ti.RSI(14),
        ti.BB(20, 2.0),
        ti.SMA(20),
        ti.StdDev(60),
        ti.ROC(1),
    ]
    of_bar = [ti.ATR(14), ti.OBV(), ti.ADX(14, 14)]
    bars = [OHLCV(*map(float, row[1:6])) for row in rows]
    begun = time.perf_counter()
    for bar in bars:
        for indicator in of_close:
            indicator.add(bar.close)
        for indicator in of_bar:
            indicator.add(bar)
    return (time.perf_counter() - begun) / len(bars)


WAYS: dict[str, tuple[Callable[[np.ndarray], float], str]] = {
    "talib": (by_talib, talib.__version__),
    "talipp": (by_talipp, getattr(talipp, "__version__", "")),
}


def main() -> None:
    path, name = sys.argv[1:3]
    run, version = WAYS[name]
    rows = np.load(path)[: BARS[name]]
    seconds = statistics.median(run(rows) for _ in range(RUNS))
    print(json.dumps({"us": seconds * 1e6, "version": version}))


if __name__ == "__main__":
    main()
