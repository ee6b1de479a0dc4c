"""How large a wish may become before the gate sees it: fixed, by volatility, by proven edge, by the fall from the peak.

    wish in [-1, 1] ─▶ x fixed ─▶ x the smaller leverage of volatility and Kelly ─▶ x what the drawdown leaves

Each part is off at 0. B holds, per symbol, what Kelly needs: how the bars after each wish went in its direction,
whether or not anything was held, so that an edge can be proven before money is on it.
"""

import math

from klined.kernels.layout import EQUITY, MAX_EXPOSURE, PEAK, SIGMA
from klined.kernels.rows import Row

# Parameters.
FIXED = 0  # factor on every wish
VOLATILITY = 1  # wanted standard deviation of the account's return per bar
LEVERAGE = 2  # largest exposure by volatility or Kelly, times equity
KELLY = 3  # fraction of the Kelly exposure
SHRINK = 4  # standard errors taken off the mean before it counts as an edge
FALL = 5  # drawdown at which nothing is left
NZ_SCALING = 6

# B: returns in the direction of the wish.
SEEN = 0
MEAN = 1
SQUARES = 2  # sum of squared deviations (Welford, 1962)
WISH = 3
NB = 4


def kelly_leverage(seen: float, mean: float, squares: float, fraction: float, shrink: float) -> float:
    """`fraction` x mu / sigma² (Merton, 1969), mu less `shrink` standard errors; 0 without an edge beyond them."""
    if seen < 2.0 or squares <= 0.0:
        return 0.0
    variance = squares / (seen - 1.0)
    edge = mean - shrink * math.sqrt(variance / seen)
    return fraction * edge / variance if edge > 0.0 else 0.0


def learn_step(b: Row, move: float) -> None:
    """Take the bar's simple return `move` as the outcome of the last wish. O(1)."""
    if b[WISH] == 0.0:
        return
    result = move if b[WISH] > 0.0 else -move
    b[SEEN] += 1.0
    off = result - b[MEAN]
    b[MEAN] += off / b[SEEN]
    b[SQUARES] += off * (result - b[MEAN])


def scale_step(A: Row, q: Row, P: Row, z: Row, at: int, b: Row, wish: float) -> float:
    """The target for a wish, both in [-1, 1]; parameters stand at z[at]."""
    b[WISH] = wish
    target = wish * z[at + FIXED]
    leverage = z[at + LEVERAGE]
    if z[at + VOLATILITY] > 0.0:
        sigma = q[SIGMA]
        if sigma * leverage > z[at + VOLATILITY]:
            leverage = z[at + VOLATILITY] / sigma
    if z[at + KELLY] > 0.0:
        kelly = kelly_leverage(b[SEEN], b[MEAN], b[SQUARES], z[at + KELLY], z[at + SHRINK])
        if kelly < leverage:
            leverage = kelly
    if z[at + VOLATILITY] > 0.0 or z[at + KELLY] > 0.0:
        target = target * leverage / P[MAX_EXPOSURE]
    if z[at + FALL] > 0.0:
        peak = A[PEAK]
        left = 1.0 - (peak - A[EQUITY]) / (peak * z[at + FALL]) if peak > 0.0 else 0.0
        target = target * left if left > 0.0 else 0.0
    if target > 1.0:
        return 1.0
    return target if target > -1.0 else -1.0
