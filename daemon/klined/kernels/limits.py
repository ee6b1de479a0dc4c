"""What one bar does to a limit order: taken at the open, refused there when it must only make, or met within the bar.

    open at or beyond the limit ─┬─ post-only ─▶ refused          the order is new and would take
                                 └─ limit ─────▶ taker            at the market's price, never worse than the limit
    price goes through the limit ──────────────▶ maker            at the limit, at most the participation of the volume
    price only touches it ─────────────────────▶ nothing          others stood there before us

Nobody knows our place in the queue, so a touch gives nothing: price has to trade at least one tick beyond, and then
everything that stood at the limit was taken (the conservative end of what queue models say, e.g. hftbacktest's
RiskAdverseQueueModel). No impact: whoever takes pays it. The same bar and order always give the same fill.
"""

from klined.kernels.account import apply_fill, position_value
from klined.kernels.fills import (
    ORDER,
    bar_sigma,
    capped_lots,
    half_spread_now,
    own_margin,
    price_ticks,
    reducing_lots,
    remargin,
    round_adverse,
)
from klined.kernels.layout import CASH, EQUITY, LOT, LOTS, MAINTENANCE, MAKER, PERP, TAKER, TICK
from klined.kernels.rows import Row

NOTHING = 0.0  # what `limit_step` returns
TOOK = 1.0
MADE = 2.0
CROSSED = 3.0  # post-only and would take: the venue refuses it
HALF_TICK = 0.5


def crosses(m: Row, lots: float, price: float, o: float, sigma: float) -> bool:
    """Whether a limit of signed `lots` at `price` meets the other side of a book around `o`."""
    side = 1.0 if lots > 0.0 else -1.0
    other = round_adverse(o * (1.0 + side * half_spread_now(m, o, sigma)), m[TICK], side) * m[TICK]
    return (price - other) * side > -HALF_TICK * m[TICK]


def passed(m: Row, lots: float, price: float, h: float, l: float) -> bool:
    """Whether the bar traded at least a tick beyond the limit."""
    beyond = price - l if lots > 0.0 else h - price
    return beyond > HALF_TICK * m[TICK]


def limit_step(
    A: Row,
    q: Row,
    m: Row,
    lots: float,
    price: float,
    fresh: float,
    post_only: float,
    o: float,
    h: float,
    l: float,
    v: float,
    time_ms: float,
    out: Row,
) -> float:
    """Show the bar to a limit of signed `lots` at `price`; NOTHING, TOOK, MADE or CROSSED, the fill at ORDER.

    `fresh` 1: it arrives at this bar's open. `price` is a whole number of ticks. A spot account sells no more than it
    holds and buys no more than its cash pays.
    """
    out[ORDER] = 0.0
    out[ORDER + 1] = 0.0
    out[ORDER + 2] = 0.0
    if lots == 0.0:
        return NOTHING
    sigma = bar_sigma(o, h, l)
    ticks = float(int(price / m[TICK] + HALF_TICK))
    if fresh != 0.0 and crosses(m, lots, price, o, sigma):
        if post_only != 0.0:
            return CROSSED
        market = price_ticks(m, lots, o, sigma, v)
        if (market < ticks and lots > 0.0) or (market > ticks and lots < 0.0):
            ticks = market
        done = book_at(A, q, m, capped_lots(m, lots, v), ticks, m[TAKER], time_ms, out)
        return TOOK if done != 0.0 else NOTHING
    if not passed(m, lots, price, h, l):
        return NOTHING
    done = book_at(A, q, m, capped_lots(m, lots, v), ticks, m[MAKER], time_ms, out)
    return MADE if done != 0.0 else NOTHING


def book_at(A: Row, q: Row, m: Row, lots: float, ticks: float, rate: float, time_ms: float, out: Row) -> float:
    """Execute signed `lots` at exactly `ticks` for a fee of `rate`; returns the lots filled, details at ORDER."""
    price = ticks * m[TICK]
    spot = m[PERP] == 0.0
    if spot and lots < 0.0:
        lots = reducing_lots(q[LOTS], lots)
    elif spot:
        cash = A[CASH] if A[CASH] > 0.0 else 0.0
        affordable = float(int(cash / (price * m[LOT] * (1.0 + rate))))
        if lots > affordable:
            lots = affordable
    if lots == 0.0:
        return 0.0
    fee = abs(lots) * m[LOT] * price * rate
    rest = A[EQUITY] - A[CASH] - position_value(q, m)
    margin = A[MAINTENANCE] - own_margin(q, m)
    apply_fill(A, q, m, lots, price, fee, time_ms)
    remargin(A, q, m, rest, margin)
    out[ORDER] = lots
    out[ORDER + 1] = ticks
    out[ORDER + 2] = fee
    return lots
