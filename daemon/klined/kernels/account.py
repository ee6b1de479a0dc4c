"""One account's arithmetic: bars move its marks, fills move its lots and cash, funding moves its cash.

    bar  ─▶ mark_step ─▶ gauges of Q (mark, return, sigma, ATR, volume)
                             └─▶ account_mark ─▶ equity, peak, exposure, margin, liquidation prices
    fill ─▶ apply_fill ─▶ lots, average entry, cash, realised, fees, round trip

Spot: cash is the free quote balance and a position is worth lots x lot x mark. Perpetual: cash is the wallet balance, a
position is worth its unrealised profit, and all positions share the wallet (cross margin). In both
`equity change == realised + change of unrealised - fees + funding`.

The gauges average over all they saw until their window is full and exponentially from then on, so the first value is
usable and a long history forgets its start: sigma alpha 2/61, volume mean 2/21, ATR 1/14 (Wilder, equal to TA-Lib's).
"""

import math

from klined.kernels.layout import (
    ATR,
    BANKRUPT,
    BAR_CLOSE,
    BARS,
    CAPACITY,
    CASH,
    CHANGE,
    ENTRY,
    ENTRY_TIME,
    EQUITY,
    EXPOSURE,
    EXTREME,
    FEES,
    FUNDING,
    GAPPED,
    GROSS_NOTIONAL,
    LAST_SETTLED,
    LIQUIDATION,
    LOT,
    LOTS,
    MAINTENANCE,
    MARK,
    MAX_EXPOSURE,
    NET_NOTIONAL,
    PEAK,
    PERP,
    REALISED,
    RETURN,
    SIGMA,
    TIER0,
    TIERS,
    TRIP,
    VOLUME,
    VOLUME_MEAN,
)
from klined.kernels.rows import Row

SIGMA_ALPHA = 2.0 / 61.0
VOLUME_ALPHA = 2.0 / 21.0
ATR_ALPHA = 1.0 / 14.0
SIGMA_BARS = 31.0  # from here on every window is full: until then 1 / bars is the larger weight


def mark_step(
    q: Row,
    close_time_ms: float,
    interval_ms: float,
    o: float,  # noqa: ARG001 - callers pass a bar whole
    h: float,
    l: float,
    c: float,
    v: float,
) -> None:
    """Take one closed bar into the gauges of a position's row, in O(1); whoever refilled the bar sets GAPPED after.

    ATR follows Wilder (1978): true range from the second bar on, plain mean of the first 14.
    """
    gauge_step(q, close_time_ms, interval_ms, h, l, c, v, math.log(c / q[MARK]) if q[BARS] > 0.0 else 0.0)


def gauge_step(
    q: Row, close_time_ms: float, interval_ms: float, h: float, l: float, c: float, v: float, r: float
) -> None:
    """`mark_step` for who knows the bar's log return `r` already."""
    bars = q[BARS]
    before = q[MARK]
    top = h if h > before else before
    bottom = l if l < before else before
    sigma = q[SIGMA]
    atr = q[ATR]
    mean = q[VOLUME_MEAN]
    if bars >= SIGMA_BARS:
        q[SIGMA] = math.sqrt(sigma * sigma + SIGMA_ALPHA * (r * r - sigma * sigma))
        q[ATR] = atr + ATR_ALPHA * (top - bottom - atr)
        q[VOLUME_MEAN] = mean + VOLUME_ALPHA * (v - mean)
        q[RETURN] = r
        q[GAPPED] = 0.0 if close_time_ms - q[BAR_CLOSE] == interval_ms else 1.0
    elif bars > 0.0:
        weight = 1.0 / bars
        q[SIGMA] = math.sqrt(sigma * sigma + weight * (r * r - sigma * sigma))
        q[ATR] = atr + (weight if weight > ATR_ALPHA else ATR_ALPHA) * (top - bottom - atr)
        weight = 1.0 / (bars + 1.0)
        q[VOLUME_MEAN] = mean + (weight if weight > VOLUME_ALPHA else VOLUME_ALPHA) * (v - mean)
        q[RETURN] = r
        q[GAPPED] = 0.0 if close_time_ms - q[BAR_CLOSE] == interval_ms else 1.0
    else:
        q[SIGMA] = 0.0
        q[ATR] = 0.0
        q[RETURN] = 0.0
        q[GAPPED] = 0.0
        q[VOLUME_MEAN] = v
    bars += 1.0
    q[VOLUME] = v
    q[BARS] = bars
    q[BAR_CLOSE] = close_time_ms
    q[MARK] = c
    lots = q[LOTS]
    if lots > 0.0:
        if h > q[EXTREME]:
            q[EXTREME] = h
    elif lots < 0.0 and l < q[EXTREME]:
        q[EXTREME] = l


def maintenance_margin(m: Row, notional: float) -> float:
    """Quote that must stay in the account to keep a perpetual position of |notional|; 0 without tiers."""
    tiers = int(m[TIERS])
    if tiers == 0:
        return 0.0
    at = TIER0
    last = TIER0 + 3 * (tiers - 1)
    while at < last and notional >= m[at + 3]:
        at += 3
    return notional * m[at + 1] - m[at + 2]


def liquidation_price(m: Row, lots: float, entry: float, slack: float) -> float:
    """Mark at which the margin balance equals the maintenance margin; 0 when no price does.

    `slack` is what the rest of the account lends, in quote: wallet + unrealised - maintenance margin of the others.
    Binance's formula (FAQ b3c689c1) with the tier that holds at the price itself. Maintenance is convex in the
    notional, so the first tier, from below, whose own root lies under the next tier's floor is the right one.
    """
    size = lots * m[LOT]
    gross = abs(size)
    if gross == 0.0:
        return 0.0
    cost = size * entry - slack
    tiers = int(m[TIERS])
    price = cost / size
    at = TIER0
    for k in range(tiers):
        price = (cost - m[at + 2]) / (size - gross * m[at + 1])
        if k + 1 == tiers or gross * price < m[at + 3]:
            break
        at += 3
    return price if price > 0.0 else 0.0


def position_value(q: Row, m: Row) -> float:
    """What the position adds to equity beside cash, at its mark."""
    if m[PERP] == 0.0:
        return q[LOTS] * m[LOT] * q[MARK]
    return q[LOTS] * m[LOT] * (q[MARK] - q[ENTRY])


def account_mark(A: Row, Q: list[Row], M: list[Row], P: Row, n: int, close_time_ms: float) -> None:  # noqa: ARG001 - every step of a batch takes its time
    """Value the account at its marks: equity, peak, exposure and liquidation price of each of `n` symbols. O(n).

    A liquidation price holds the other symbols at their marks. `gate.roll_day` comes after this: a new UTC day begins
    with the equity of the close that ends the old one.
    """
    cash = A[CASH]
    value = 0.0
    gross = 0.0
    net = 0.0
    maintenance = 0.0
    for i in range(n):
        q = Q[i]
        lots = q[LOTS]
        if lots != 0.0:
            m = M[i]
            notional = lots * m[LOT] * q[MARK]
            net += notional
            gross += abs(notional)
            if m[PERP] == 0.0:
                value += notional
            else:
                value += position_value(q, m)
                maintenance += maintenance_margin(m, abs(notional))
    equity = cash + value
    A[EQUITY] = equity
    A[GROSS_NOTIONAL] = gross
    A[NET_NOTIONAL] = net
    A[MAINTENANCE] = maintenance
    capacity = P[MAX_EXPOSURE] * equity if equity > 0.0 else 0.0
    A[CAPACITY] = capacity
    if gross > 0.0 and equity <= 0.0:
        A[BANKRUPT] = 1.0
    for i in range(n):
        q = Q[i]
        lots = q[LOTS]
        if lots == 0.0:
            q[EXPOSURE] = 0.0
            q[LIQUIDATION] = 0.0
        else:
            m = M[i]
            notional = lots * m[LOT] * q[MARK]
            q[EXPOSURE] = notional / capacity if capacity > 0.0 else 0.0
            if m[PERP] != 0.0:
                slack = equity - position_value(q, m) - maintenance + maintenance_margin(m, abs(notional))
                q[LIQUIDATION] = liquidation_price(m, lots, q[ENTRY], slack)
    if equity > A[PEAK]:
        A[PEAK] = equity


def apply_fill(A: Row, q: Row, m: Row, lots: float, price: float, fee_quote: float, time_ms: float) -> float:
    """Book `lots` (signed, whole) at `price`; returns the realised profit in quote, before fees.

    Average-entry accounting: adding averages the entry, reducing realises against it, a flip closes all and opens the
    rest at `price` with its share of the fee. A round trip ends at zero lots: its profit after fees is LAST_SETTLED.
    """
    held = q[LOTS]
    lot = m[LOT]
    after = held + lots
    realised = 0.0
    if held * lots >= 0.0:
        if held == 0.0:
            q[ENTRY] = price
            q[ENTRY_TIME] = time_ms
            q[EXTREME] = price
            q[TRIP] = 0.0
        else:
            q[ENTRY] = (held * q[ENTRY] + lots * price) / after
        q[TRIP] -= fee_quote
    else:
        closing = -lots if abs(lots) < abs(held) else held
        realised = closing * lot * (price - q[ENTRY])
        fee_closing = fee_quote * (-closing / lots)
        q[TRIP] += realised - fee_closing
        if after * held <= 0.0:
            A[LAST_SETTLED] = q[TRIP]
            q[TRIP] = fee_closing - fee_quote
            q[ENTRY] = price if after != 0.0 else 0.0
            q[ENTRY_TIME] = time_ms if after != 0.0 else 0.0
            q[EXTREME] = price if after != 0.0 else 0.0
    q[LOTS] = after
    if m[PERP] == 0.0:
        A[CASH] -= lots * lot * price + fee_quote
    else:
        A[CASH] += realised - fee_quote
    A[REALISED] += realised
    A[FEES] += fee_quote
    if A[CAPACITY] > 0.0:
        q[CHANGE] = lots * lot * price / A[CAPACITY]
    return realised


def apply_funding(A: Row, amount: float) -> None:
    """Book funding: `amount` > 0 is received, quote."""
    A[CASH] += amount
    A[FUNDING] += amount
