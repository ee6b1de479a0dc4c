"""The teacher: the best a trader could do who knew the next bars and paid for every trade.

    bar t closes ─▶ choose level a ─▶ trade |a - p| at open t+1, pay cost ─▶ hold a until open t+2 ─▶ ...

Exact dynamic programming over a few target levels. Looking ahead is capped at `horizon` bars, where the position is
closed: what happens an hour later can be in no feature, and a label that depends on it is noise to a pupil.
Perfect foresight without costs flips on every bar and is worthless as a teacher; with costs it trades rarely
(J. Moody and M. Saffell 2001 motivate costs inside the objective).
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def held_returns(opens: Array) -> Array:
    """Simple return that a position decided at close t earns: open t+1 to open t+2; 0 for the last two; shape (T,)."""
    earned = np.zeros_like(opens)
    earned[:-2] = opens[2:] / opens[1:-1] - 1.0
    return earned


def oracle_values(returns: Array, levels: Array, cost: float, horizon: int, variance: Array, aversion: float) -> Array:
    """Value of holding level a after bar t when p was held before: Q[t, p, a] in log return, shape (T, L, L).

    Args:
        returns: simple return over bar t's holding time, shape (T,); known only in hindsight.
        levels: target levels, ascending, shape (L,).
        cost: fraction of notional paid per unit of changed exposure, one way.
        horizon: bars looked ahead, >= 1; the position is closed (and paid for) afterwards.
        variance: causal estimate of one bar's variance, shape (T,).
        aversion: price of variance; `0.5 * aversion * a^2 * variance` is charged per bar, which makes half
            positions worthwhile. 0 is a gambler who only uses the ends and flat.
    """
    gain = np.log1p(levels[None, :] * returns[:, None]) - 0.5 * aversion * variance[:, None] * levels[None, :] ** 2
    turnover = cost * np.abs(levels[None, :] - levels[:, None])  # [p, a]
    closing = np.broadcast_to(-cost * np.abs(levels), gain.shape)
    after = closing  # value at t+1 of holding a, with h bars left to see
    for _ in range(horizon - 1):
        best = _best(gain + after, turnover)
        after = np.concatenate([best[1:], closing[:1]])
    return (gain + after)[:, None, :] - turnover[None, :, :]


def soft_labels(values: Array, temperature: float) -> Array:
    """Softmax of the values over actions; a difference of `temperature` log return is a factor e; shape as given."""
    scaled = (values - values.max(axis=-1, keepdims=True)) / temperature
    weights = np.exp(scaled)
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def oracle_path(values: Array, start: int) -> NDArray[np.int64]:
    """Levels (as indices) the oracle holds when it starts from level index `start`; ties go to the lower index."""
    best = values.argmax(axis=-1)
    path = np.empty(len(values), np.int64)
    held = start
    for t, choices in enumerate(best.tolist()):
        held = choices[held]
        path[t] = held
    return path


def _best(value: Array, turnover: Array) -> Array:
    """Largest over a of value[t, a] - turnover[p, a]; shape (T, L)."""
    best = value[:, 0, None] - turnover[None, :, 0]
    for a in range(1, value.shape[1]):
        np.maximum(best, value[:, a, None] - turnover[None, :, a], out=best)
    return best
