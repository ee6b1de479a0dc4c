"""What differs from lane to lane in an observation: the account in the market part; behind it prices and the account.

market part, the same for all lanes, with holes for account features │ window (n, W, 5) │ account features (n, 6), (4)
"""

import math
from collections.abc import Sequence

from klined.kernels.assembly import account_slot
from klined.kernels.game import BALANCE, PORTFOLIO, WINDOW
from klined.kernels.layout import ATR, CAPACITY, CASH, EQUITY, GROSS_NOTIONAL, MARK, PEAK, VOLUME_MEAN
from klined.kernels.oscillators import clip
from klined.kernels.rows import Row

# slots: what of the market part is not the same for all lanes, or is stepped.
SLOT_AT = 0  # place in the observation
SLOT_SYMBOL = 1
SLOT_CODE = 2  # as in `assembly`: under 0 an account feature, else the engine's

STRIDE = 64  # bars between two states of the engine in H: row j is the state after bar j x STRIDE
WINDOW_COLUMNS = 5
WINDOW_ATRS = 5.0  # a price this many sqrt(window) ATR from the close reads 1
SLOTS = 6  # account features per symbol
ACCOUNT_SLOTS = 4

Bars = Sequence[Sequence[Sequence[float]]]


def observe_lane(
    A: Row, Q: list[Row], Z: Row, bars: Bars, slots: Sequence[Sequence[int]], n: int, t: int, width: int, seen: Row
) -> None:
    """What differs from lane to lane: account features in the market part, price history and account behind it."""
    for j in range(len(slots)):
        slot = slots[j]
        if slot[SLOT_CODE] < 0:
            seen[slot[SLOT_AT]] = account_slot(slot[SLOT_CODE], Q[slot[SLOT_SYMBOL]])
    at = width
    window = int(Z[WINDOW])
    if window > 0:
        for i in range(n):
            show_window(Q[i], bars[i], t, window, at, seen)
            at += window * WINDOW_COLUMNS
    if Z[PORTFOLIO] != 0.0:
        for i in range(n):
            for j in range(SLOTS):
                seen[at + j] = account_slot(-1 - j, Q[i])
            at += SLOTS
        show_account(A, Z[BALANCE], at, seen)


def show_window(q: Row, bars: Sequence[Sequence[float]], t: int, window: int, at: int, seen: Row) -> None:
    """The last `window` bars, oldest first: open, high, low, close from the last close in ATR, and volume; in [-1, 1].

    A walk of `window` bars goes some sqrt(window) ATR, so that is the unit; volume v reads (v - mean) / (v + mean).
    """
    close = q[MARK]
    mean = q[VOLUME_MEAN]
    unit = WINDOW_ATRS * math.sqrt(float(window)) * q[ATR]
    for j in range(window):
        bar = bars[t - window + 1 + j]
        for c in range(4):
            seen[at + c] = clip((bar[1 + c] - close) / unit, 1.0) if unit > 0.0 else 0.0
        volume = bar[5]
        seen[at + 4] = (volume - mean) / (volume + mean) if volume + mean > 0.0 else 0.0
        at += WINDOW_COLUMNS


def show_account(A: Row, balance: float, at: int, seen: Row) -> None:
    """Fall from the peak, growth since the start, free cash and gross exposure; all within [-1, 1]."""
    equity = A[EQUITY]
    peak = A[PEAK]
    seen[at] = clip((peak - equity) / peak, 1.0) if peak > 0.0 else 0.0
    seen[at + 1] = clip(equity / balance - 1.0, 1.0)
    seen[at + 2] = clip(A[CASH] / equity, 1.0) if equity > 0.0 else 0.0
    capacity = A[CAPACITY]
    seen[at + 3] = clip(A[GROSS_NOTIONAL] / capacity, 1.0) if capacity > 0.0 else 0.0
