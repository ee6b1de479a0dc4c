"""What a policy is worth on bars it never saw: closed loop, costs paid, compared with knowing nothing.

The loop is the daemon's in small: decide at a close, shape by deadband and largest change, fill at the next open, pay
fee and half spread on what changed. Exposure drifts with price between trades, as in an account. The full account,
gate and fill model is `klined replay`; the figures here are about the policy alone.
"""

from collections.abc import Callable
from math import log1p, sqrt

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from klined.trader.manifest import ActionMap, OutOfSample
from klined_models.dataset import observations

Array = NDArray[np.float64]
Choose = Callable[[NDArray[np.float32]], NDArray[np.float64]]
"""Observations (n, 15) to targets (n,)."""

DAY_BARS = 1_440
Z95 = 1.959963984540054


class Run(Struct, frozen=True, eq=False):
    """One closed loop over T bars: what was seen, wanted and earned."""

    observed: NDArray[np.float32]  # (T, 15)
    target: Array  # (T,) as the policy gave it
    exposure: Array  # (T,) held from the next open on, after shaping
    before: Array  # (T,) exposure seen at the decision
    log_return: Array  # (T,) net
    fills: int


def closed_loop(choose: Choose, features: Array, returns: Array, cost: float, action: ActionMap) -> Run:
    """Let the policy see its own positions; `returns` are those of `oracle.held_returns`, `cost` one way."""
    count = len(features)
    observed = observations(features, np.zeros(count), np.zeros(count))
    target, exposure, before, earned = (np.zeros(count) for _ in range(4))
    held = change = 0.0
    fills = 0
    for t, move in enumerate(returns.tolist()):
        observed[t, 0], observed[t, 5] = held, 0.5 * change
        before[t] = held
        wanted = float(choose(observed[t : t + 1])[0])
        target[t] = wanted
        step = max(-action.max_change, min(action.max_change, wanted - held))
        paid = 0.0
        if abs(step) >= action.deadband and step != 0.0:
            held, change, fills = held + step, step, fills + 1
            paid = cost * abs(step)
        exposure[t] = held
        gain = held * move
        earned[t] = log1p(gain - paid)
        held = max(-1.0, min(1.0, held * (1.0 + move) / (1.0 + gain)))
    return Run(observed, target, exposure, before, earned, fills)


def judge(run: Run, values: Array, levels: Array, returns: Array, data: str, remark: str) -> OutOfSample:
    """Figures for the manifest; `values` are the oracle's Q (T, L, L) for the same bars."""
    held = np.abs(run.before[:, None] - levels).argmin(axis=1)
    best = values[np.arange(len(held)), held].argmax(axis=1)
    chosen = np.abs(run.target[:, None] - levels).argmin(axis=1)
    sharpe, low, high, track = sharpe_interval(run.log_return)
    return OutOfSample(
        data=data,
        bars=len(held),
        net_log_return=_short(run.log_return.sum()),
        buy_hold_log_return=_short(np.log1p(returns).sum()),
        sharpe_annual=sharpe,
        sharpe_low=low,
        sharpe_high=high,
        days=_short(len(held) / DAY_BARS),
        min_track_days=track,
        fills=run.fills,
        turnover=_short(np.abs(np.diff(run.exposure, prepend=0.0)).sum()),
        levels_used=tuple(float(level) for level in np.unique(run.target)),
        oracle_agreement=_short((chosen == best).mean()),
        class_prior=_short(np.bincount(best).max() / len(best)),
        hold_agreement=_short((held == best).mean()),
        remark=remark,
    )


def sharpe_interval(log_return: Array) -> tuple[float | None, float | None, float | None, float | None]:
    """Annual Sharpe of hourly returns, its 95 % interval, and the days needed to tell it from zero.

    Variance of the estimate and minimum track record length after Bailey and Lopez de Prado (2012), eq. 9 and 11:
    skewness and kurtosis count. All None when nothing was at risk; the last is None when the Sharpe is not positive.
    """
    hours = len(log_return) // 60
    hourly = log_return[: hours * 60].reshape(hours, 60).sum(axis=1)
    spread = float(hourly.std())
    if hours < 3 or spread == 0.0:
        return None, None, None, None
    ratio = float(hourly.mean()) / spread
    scaled = (hourly - hourly.mean()) / spread
    skew, kurtosis = float((scaled**3).mean()), float((scaled**4).mean())
    variance = 1.0 - skew * ratio + (kurtosis - 1.0) / 4.0 * ratio * ratio
    error = sqrt(variance / (hours - 1))
    year = sqrt(24.0 * 365.0)
    track = (1.0 + variance * (1.6448536269514722 / ratio) ** 2) / 24.0 if ratio > 0.0 else None
    return (
        _short(ratio * year),
        _short((ratio - Z95 * error) * year),
        _short((ratio + Z95 * error) * year),
        None if track is None else _short(track),
    )


def _short(value: float | np.floating) -> float:
    """Six significant digits: what lies below is noise and differs between machines."""
    return float(f"{float(value):.6g}")
