"""What trading costs, measured on a recorded order book: the half spread, and the Y of the square-root law.

    frames ─▶ feeds.depth ─▶ book at each bar's close ─▶ what market orders of several sizes would have paid

An order of quantity Q pays half the spread and walks through the levels; beyond the best price that costs, on average,
Y x sigma x sqrt(Q / V) (Donier, Bonart, arXiv 1412.4503), with sigma the deviation of a bar's log return and V a bar's
mean volume. Short bars give a smaller Y, since orders that fit the best level pay nothing. It is the cost at one
instant: the book refills between child orders, and flees from one who is seen.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

from klined.errors import ConfigError
from klined.feeds.depth import Tape, read_frames

SHARES = (0.01, 0.03, 0.1, 0.3, 1.0)  # of a bar's mean volume
LEVELS = 500
BARS_MIN = 10
BPS = 1e4


class Calibration(Struct, frozen=True):
    """Ready for the section [costs]."""

    symbol: str
    bars: int
    half_spread_bps: float  # mean over time
    half_spread_worst_bps: float  # the 99th percentile
    impact: float  # Y
    error_bps: float  # of the law, root mean square over all orders tried
    sigma: float  # of a bar's log return
    volume: float  # mean of a bar, base asset
    orders: int  # tried


def calibrate(path: Path, symbol: str, interval_ms: int = 15_000) -> Calibration:
    """Read a file of depth, quote and trade frames.

    Raises:
        ConfigError: it cannot be read, or holds too little.
    """
    tape, books, bars = Tape(symbol, interval_ms), [], []
    spreads: list[tuple[int, float]] = []
    for time_ms, frame in read_frames(path):
        bar = tape.hear(frame, time_ms)
        if bar is not None:
            bars.append(bar)
            books.append(tape.book.best(LEVELS) if tape.book.known else ([], []))
        if tape.quote is not None:
            spreads.append((time_ms, (tape.quote.ask - tape.quote.bid) / tape.quote.middle))
    if len(bars) < BARS_MIN:
        raise ConfigError(f"{path.name} holds {len(bars)} bars of {interval_ms} ms, {BARS_MIN} are needed; give more")
    closes, volume = np.array([bar.close for bar in bars]), float(np.mean([bar.volume for bar in bars]))
    sigma = float(np.diff(np.log(closes)).std())
    times, widths = np.array(spreads, dtype=np.float64).T
    held = np.diff(times, append=times[-1])
    sizes, costs = _walks(books, volume)
    law = sigma * np.sqrt(sizes / volume)
    impact = float((law * costs).sum() / (law * law).sum()) if len(law) and sigma > 0.0 else 0.0
    return Calibration(
        symbol=symbol,
        bars=len(bars),
        half_spread_bps=float(0.5 * (held * widths).sum() / held.sum() * BPS),
        half_spread_worst_bps=float(0.5 * np.quantile(widths, 0.99) * BPS),
        impact=impact,
        error_bps=float(np.sqrt(np.mean((costs - impact * law) ** 2)) * BPS) if len(law) else 0.0,
        sigma=sigma,
        volume=volume,
        orders=len(sizes),
    )


Side = Sequence[tuple[float, float]]


def _walks(books: Sequence[tuple[Side, Side]], volume: float) -> tuple[Any, Any]:
    """Sizes tried on both sides of all books, and what each paid beyond the best price, as a fraction of it."""
    sizes, costs = [], []
    for book in books:
        for side in book:
            for share in SHARES:
                paid = walk(side, share * volume)
                if paid is not None:
                    sizes.append(share * volume)
                    costs.append(paid)
    return np.array(sizes), np.array(costs)


def walk(side: Side, quantity: float) -> float | None:
    """How far from the best price an order of `quantity` trades on average, as a fraction; None: more than all."""
    left, money = quantity, 0.0
    for price, size in side:
        taken = min(left, size)
        money += taken * price
        left -= taken
        if left <= 0.0:
            return abs(money / quantity / side[0][0] - 1.0)
    return None
