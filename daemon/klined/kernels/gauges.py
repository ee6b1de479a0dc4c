"""Gauges of a whole series: what each bar leaves in a position's row while nothing is held, for all lanes to look up.

bars (n, T, 6) ─▶ mark_step, correlate_step, bar by bar ─▶ G (n, T, NG), C (T, n, n)
"""

from collections.abc import Sequence

from klined.kernels.account import mark_step
from klined.kernels.layout import ATR, BAR_CLOSE, BARS, EXTREME, GAPPED, LOTS, MARK, RETURN, SIGMA, VOLUME, VOLUME_MEAN
from klined.kernels.memory import DECAY, correlate_step
from klined.kernels.rows import Row

G_SIGMA = 0
G_ATR = 1
G_VOLUME_MEAN = 2
G_RETURN = 3
G_GAPPED = 4
G_BARS = 5
G_OBS_OK = 6  # 1: every market feature is finite as float32; whoever has the features writes it
NG = 8


def gauge_history(
    Q: list[Row],
    C: list[Row],
    bars: Sequence[Sequence[Sequence[float]]],
    interval_ms: float,
    begin: int,
    end: int,
    G: Sequence[Sequence[Row]],
    CT: Sequence[Sequence[Row]],
) -> None:
    """Bars `begin` to `end`, none missing, from fresh rows Q and C; of CT only what it has room for."""
    n = len(bars)
    for t in range(begin, end):
        for i in range(n):
            bar = bars[i][t]
            q = Q[i]
            g = G[i][t]
            mark_step(q, bar[0] + interval_ms, interval_ms, bar[1], bar[2], bar[3], bar[4], bar[5])
            g[G_SIGMA] = q[SIGMA]
            g[G_ATR] = q[ATR]
            g[G_VOLUME_MEAN] = q[VOLUME_MEAN]
            g[G_RETURN] = q[RETURN]
            g[G_GAPPED] = q[GAPPED]
            g[G_BARS] = q[BARS]
        correlate_step(C, Q, n, DECAY)
        if t < len(CT):
            for i in range(n):
                for j in range(n):
                    CT[t][i][j] = C[i][j]


def recall_step(q: Row, bar: Sequence[float], g: Row, close_ms: float) -> None:
    """What `gauge_step` would leave in the row of a position after this bar."""
    q[SIGMA] = g[G_SIGMA]
    q[ATR] = g[G_ATR]
    q[VOLUME_MEAN] = g[G_VOLUME_MEAN]
    q[RETURN] = g[G_RETURN]
    q[GAPPED] = g[G_GAPPED]
    q[BARS] = g[G_BARS]
    q[VOLUME] = bar[5]
    q[BAR_CLOSE] = close_ms
    q[MARK] = bar[4]
    lots = q[LOTS]
    if lots > 0.0:
        if bar[2] > q[EXTREME]:
            q[EXTREME] = bar[2]
    elif lots < 0.0 and bar[3] < q[EXTREME]:
        q[EXTREME] = bar[3]
