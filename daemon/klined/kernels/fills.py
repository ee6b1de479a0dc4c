"""What the market does to orders during one bar: the fill model of paper, replay, backtest and training.

    funding due ─▶ market order at the open ─▶ liquidation at the bar's extreme ─▶ stop ─▶ (favourable side: nothing)

An order decided at a close meets the next bar: it fills at that bar's open, worse by half the spread, by the square
root impact `Y x sigma x sqrt(Q / V)` (Donier and Bonart, arXiv 1412.4503) and by rounding to a whole tick. Sigma and V
are those of the bar it trades in (Parkinson's range estimator, 1980): a fill depends on one bar and on nothing before.
Within a bar the adverse extreme comes first: a bar that reaches both a stop and the liquidation price liquidates.
No randomness: the same bar and order always give the same fill.

`out` receives three numbers for each kind of execution, at ORDER, LIQUIDATED and STOPPED: signed lots, price in ticks
(a whole number), fee in quote; and the funding received at FUNDED.
"""

import math

from klined.kernels.account import apply_fill, apply_funding, liquidation_price, maintenance_margin, position_value
from klined.kernels.layout import (
    BANKRUPT,
    BAR_CLOSE,
    CASH,
    ENTRY,
    EQUITY,
    FUNDING_INTERVAL,
    HALF_SPREAD,
    IMPACT,
    LIQUIDATION,
    LIQUIDATION_FEE,
    LOT,
    LOTS,
    MAINTENANCE,
    MARK,
    PARTICIPATION,
    PERP,
    SPREAD_SIGMA,
    TAKER,
    TICK,
)
from klined.kernels.rows import Row

ORDER = 0  # offsets in `out`: lots, ticks, fee
LIQUIDATED = 3
STOPPED = 6
FUNDED = 9  # quote, + received
NOUT = 10

RANGE_SIGMA = 0.6005612043932249  # 1 / (2 sqrt(ln 2)): range of a random walk over its standard deviation
VOLUME_RATIO_MAX = 25.0  # an order of 25 bars' volume, or in a bar without volume, pays 5 x Y x sigma and no more
TICK_TOLERANCE = 1e-6  # ticks; a price this close to a whole tick is on it
LOT_TOLERANCE = 1e-9  # lots


def bar_sigma(o: float, h: float, l: float) -> float:
    """Volatility within one bar, a fraction of the price."""
    return RANGE_SIGMA * (h - l) / o


def half_spread_now(m: Row, price: float, sigma: float) -> float:
    """Half the spread as a fraction of `price`; widens with the bar's sigma and is never under half a tick."""
    spread = m[HALF_SPREAD] + m[SPREAD_SIGMA] * sigma
    tick = 0.5 * m[TICK] / price
    return spread if spread > tick else tick


def impact_now(m: Row, lots: float, sigma: float, volume: float) -> float:
    """Square-root impact of `lots` in a bar of `volume`, a fraction of the price."""
    quantity = abs(lots) * m[LOT]
    ratio = quantity / volume if quantity < VOLUME_RATIO_MAX * volume else VOLUME_RATIO_MAX
    return m[IMPACT] * sigma * math.sqrt(ratio)


def round_adverse(price: float, tick: float, side: float) -> float:
    """`price` in whole ticks, up for a buy (`side` > 0) and down for a sell, at least 1."""
    ticks = price / tick
    whole = float(int(ticks))
    if side > 0.0:
        if ticks - whole > TICK_TOLERANCE:
            whole += 1.0
    elif whole + 1.0 - ticks < TICK_TOLERANCE:
        whole += 1.0
    return whole if whole > 1.0 else 1.0


def price_ticks(m: Row, lots: float, reference: float, sigma: float, volume: float) -> float:
    """Price of a market order of signed `lots` when the middle of the book is `reference`, in whole ticks."""
    side = 1.0 if lots > 0.0 else -1.0
    cost = half_spread_now(m, reference, sigma) + impact_now(m, lots, sigma, volume)
    return round_adverse(reference * (1.0 + side * cost), m[TICK], side)


def capped_lots(m: Row, lots: float, volume: float) -> float:
    """The part of signed `lots` that a bar of `volume` may fill: whole lots, at most the participation of it."""
    limit = float(int(m[PARTICIPATION] * volume / m[LOT] + LOT_TOLERANCE))
    if lots > limit:
        return limit
    if lots < -limit:
        return -limit
    return lots


def reducing_lots(held: float, lots: float) -> float:
    """The part of signed `lots` that only brings a position of `held` nearer to zero."""
    if held * lots >= 0.0:
        return 0.0
    return -held if abs(lots) > abs(held) else lots


def trade_step(
    A: Row, q: Row, m: Row, lots: float, reference: float, sigma: float, v: float, time_ms: float, out: Row, at: int
) -> float:
    """Execute a market order around `reference` and book it; returns the lots filled, details at `out[at:at + 3]`.

    A spot account sells no more than it holds and buys no more than its cash pays.
    """
    out[at] = 0.0
    out[at + 1] = 0.0
    out[at + 2] = 0.0
    spot = m[PERP] == 0.0
    if spot and lots < 0.0:
        lots = reducing_lots(q[LOTS], lots)
    if lots == 0.0:
        return 0.0
    ticks = price_ticks(m, lots, reference, sigma, v)
    price = ticks * m[TICK]
    if spot and lots > 0.0:
        cash = A[CASH] if A[CASH] > 0.0 else 0.0
        affordable = float(int(cash / (price * m[LOT] * (1.0 + m[TAKER]))))
        if lots > affordable:
            lots = affordable
        if lots == 0.0:
            return 0.0
    fee = abs(lots) * m[LOT] * price * m[TAKER]
    rest = A[EQUITY] - A[CASH] - position_value(q, m)
    margin = A[MAINTENANCE] - own_margin(q, m)
    apply_fill(A, q, m, lots, price, fee, time_ms)
    remargin(A, q, m, rest, margin)
    out[at] = lots
    out[at + 1] = ticks
    out[at + 2] = fee
    return lots


def own_margin(q: Row, m: Row) -> float:
    """Maintenance margin of this position at its mark."""
    if m[PERP] == 0.0:
        return 0.0
    return maintenance_margin(m, abs(q[LOTS]) * m[LOT] * q[MARK])


def remargin(A: Row, q: Row, m: Row, rest: float, margin: float) -> None:
    """After cash or lots changed within a bar: equity, maintenance and this symbol's liquidation price, in O(1).

    `rest` is what the other positions add to equity, `margin` their maintenance margin, both at the last marks.
    """
    A[EQUITY] = A[CASH] + rest + position_value(q, m)
    A[MAINTENANCE] = margin + own_margin(q, m)
    if m[PERP] != 0.0:
        q[LIQUIDATION] = liquidation_price(m, q[LOTS], q[ENTRY], A[CASH] + rest - margin)


def fundings_due(interval_ms: float, after_ms: float, until_ms: float) -> int:
    """Funding times F, multiples of `interval_ms`, with after <= F < until."""
    if interval_ms <= 0.0 or until_ms <= after_ms:
        return 0
    return int((until_ms + interval_ms - 1.0) / interval_ms) - int((after_ms + interval_ms - 1.0) / interval_ms)


def funding_step(A: Row, q: Row, m: Row, rate: float, price: float, out: Row) -> float:
    """Settle one funding at `rate` (longs pay a positive one); returns and adds to `out[FUNDED]` what was received."""
    if m[PERP] == 0.0 or q[LOTS] == 0.0:
        return 0.0
    rest = A[EQUITY] - A[CASH] - position_value(q, m)
    margin = A[MAINTENANCE] - own_margin(q, m)
    amount = -q[LOTS] * m[LOT] * price * rate
    apply_funding(A, amount)
    remargin(A, q, m, rest, margin)
    out[FUNDED] += amount
    return amount


def market_step(
    A: Row, q: Row, m: Row, lots: float, o: float, h: float, l: float, v: float, open_time_ms: float, out: Row
) -> float:
    """Fill a market order at the bar's open; returns the lots filled, the rest is for the caller to expire."""
    return trade_step(A, q, m, capped_lots(m, lots, v), o, bar_sigma(o, h, l), v, open_time_ms, out, ORDER)


def liquidation_step(A: Row, q: Row, m: Row, o: float, h: float, l: float, v: float, time_ms: float, out: Row) -> float:
    """Close the position when the bar's adverse extreme reaches its liquidation price; returns the lots closed.

    It closes at that price or the open, whichever is worse, with spread and impact, but not beyond the price at which
    the account is worth nothing: the rest is the insurance fund's loss. The fee takes no more than what is left.
    """
    out[LIQUIDATED] = 0.0
    out[LIQUIDATED + 1] = 0.0
    out[LIQUIDATED + 2] = 0.0
    held = q[LOTS]
    trigger = q[LIQUIDATION]
    if held == 0.0 or trigger <= 0.0 or m[PERP] == 0.0:
        return 0.0
    if (held > 0.0 and l > trigger) or (held < 0.0 and h < trigger):
        return 0.0
    size = held * m[LOT]
    rest = A[EQUITY] - A[CASH] - position_value(q, m)
    margin = A[MAINTENANCE] - own_margin(q, m)
    nothing = q[ENTRY] - (A[CASH] + rest) / size  # price at which equity is zero
    reference = trigger
    if (held > 0.0 and o < trigger) or (held < 0.0 and o > trigger):
        reference = o
    ticks = price_ticks(m, -held, reference, bar_sigma(o, h, l), v)
    if held > 0.0 and nothing > 0.0 and ticks * m[TICK] < nothing:
        ticks = round_adverse(nothing, m[TICK], 1.0)
    elif held < 0.0 and ticks * m[TICK] > nothing:
        ticks = round_adverse(nothing, m[TICK], -1.0)
    price = ticks * m[TICK]
    left = A[CASH] + rest + size * (price - q[ENTRY])
    fee = abs(size) * price * m[LIQUIDATION_FEE]
    if fee > left:
        fee = left if left > 0.0 else 0.0
    apply_fill(A, q, m, -held, price, fee, time_ms)
    remargin(A, q, m, rest, margin)
    if A[EQUITY] <= 0.0:
        A[BANKRUPT] = 1.0
    out[LIQUIDATED] = -held
    out[LIQUIDATED + 1] = ticks
    out[LIQUIDATED + 2] = fee
    return -held


def stop_step(
    A: Row,
    q: Row,
    m: Row,
    lots: float,
    stop_price: float,
    o: float,
    h: float,
    l: float,
    v: float,
    time_ms: float,
    out: Row,
) -> float:
    """Fill a resting stop of signed `lots` when the bar reaches `stop_price`; returns the lots filled.

    A sell triggers at or under it, a buy at or over it; it fills around the stop or the open, whichever is worse, in
    full: a thin bar makes it dearer, not smaller.
    """
    reached = l <= stop_price if lots < 0.0 else h >= stop_price
    if lots == 0.0 or stop_price <= 0.0 or not reached:
        out[STOPPED] = 0.0
        out[STOPPED + 1] = 0.0
        out[STOPPED + 2] = 0.0
        return 0.0
    reference = stop_price
    if (lots < 0.0 and o < stop_price) or (lots > 0.0 and o > stop_price):
        reference = o
    return trade_step(A, q, m, lots, reference, bar_sigma(o, h, l), v, time_ms, out, STOPPED)


def flatten_step(
    A: Row, q: Row, m: Row, lots: float, h: float, l: float, c: float, v: float, time_ms: float, out: Row
) -> float:
    """Fill signed `lots` at once and in full around the last close; returns the lots filled, details at ORDER."""
    return trade_step(A, q, m, lots, c, bar_sigma(c, h, l), v, time_ms, out, ORDER)


def fill_step(
    A: Row,
    q: Row,
    m: Row,
    order_lots: float,
    stop_lots: float,
    stop_price: float,
    funding_rate: float,
    open_time_ms: float,
    close_time_ms: float,
    o: float,
    h: float,
    l: float,
    v: float,
    out: Row,
) -> float:
    """Take one symbol through one bar; returns the lots by which its position changed.

    `order_lots` is a market order decided at the last close, `stop_lots` at `stop_price` a resting stop that only
    reduces; 0 for none. A gap before the bar settles the fundings that fell into it. Call before `mark_step`: equity,
    maintenance and marks must be those of the last close.
    """
    held = q[LOTS]
    out[FUNDED] = 0.0
    interval = m[FUNDING_INTERVAL]
    before = q[BAR_CLOSE] if 0.0 < q[BAR_CLOSE] < open_time_ms else open_time_ms
    for _ in range(fundings_due(interval, before, open_time_ms + 1.0)):
        funding_step(A, q, m, funding_rate, o, out)
    market_step(A, q, m, order_lots, o, h, l, v, open_time_ms, out)
    for _ in range(fundings_due(interval, open_time_ms + 1.0, close_time_ms)):
        funding_step(A, q, m, funding_rate, o, out)
    liquidation_step(A, q, m, o, h, l, v, close_time_ms - 1.0, out)
    stop_step(A, q, m, reducing_lots(q[LOTS], stop_lots), stop_price, o, h, l, v, close_time_ms - 1.0, out)
    return q[LOTS] - held
