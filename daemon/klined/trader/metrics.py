"""How the account does, bar by bar: constant time and memory however long it runs.

    close ─▶ bar(equity, gross)      returns, drawdown, exposure, a ring of the last returns
    fill, funding, round trip, end of an order, transfer ─▶ trade, fund, trip, ended, moved
                                                                        summary() ─▶ Performance

A return is equity over the equity of the bar before, minus one, with transfers taken out. Ratios are annualised with
365 days, for crypto never closes: Sharpe (1994) with the sample deviation and no riskless rate, Sortino and Price
(1994) with target 0. Value at risk and its tail mean are historical, over the ring: the k = floor((1 - level) n) worst
returns, at least one; VaR is the best of them, CVaR their mean (Acerbi and Tasche, 2002).
"""

from array import array
from math import sqrt

from msgspec import Struct

YEAR_MS = 365 * 86_400_000
RING = 1_440  # returns kept for VaR and CVaR: a day of minutes, and no more than a snapshot should carry


class Performance(Struct, frozen=True):
    """Fractions and quote; None where there is nothing to divide by."""

    bars: int
    growth: float  # of one unit of equity since the start, transfers taken out: 0.1 is ten per cent more
    sharpe: float | None
    sortino: float | None
    drawdown: float  # fraction below the peak now
    drawdown_max: float
    win_fraction: float | None  # of closed round trips
    profit_factor: float | None  # profit of the winning over loss of the losing round trips
    trips: int
    trades: int
    turnover: float  # quote
    exposure_fraction: float | None  # of bars with a position
    fees: float  # quote
    funding: float  # quote, received (+)
    fill_fraction: float | None  # mean over ended orders of what was filled of what was ordered
    var_95: float | None  # loss per bar, a fraction
    cvar_95: float | None
    var_99: float | None
    cvar_99: float | None


_FLOATS = (
    "equity",
    "peak",
    "drawdown_max",
    "growth",
    "bars",
    "mean",
    "square",  # sum of squared deviations from the mean (Welford, 1962)
    "downside",  # sum of squares of the negative returns
    "exposed",
    "trades",
    "turnover",
    "fees",
    "funding",
    "trips",
    "wins",
    "profit",
    "loss",
    "orders",
    "filled",
)


class Metrics:
    """Running figures of one account; all state is floats. `interval_ms` is the length of a bar."""

    __slots__ = ("_ring", "_year_bars", *_FLOATS)

    def __init__(self, equity: float, interval_ms: int) -> None:
        self._year_bars = YEAR_MS / interval_ms
        self._ring = array("d", bytes(8 * RING))
        self.equity = self.peak = equity
        self.growth = 1.0
        self.bars = self.mean = self.square = self.downside = self.drawdown_max = self.exposed = 0.0
        self.trades = self.turnover = self.fees = self.funding = 0.0
        self.trips = self.wins = self.profit = self.loss = 0.0
        self.orders = self.filled = 0.0

    def bar(self, equity: float, gross: float) -> None:
        """Take a close: `equity` and `gross` (sum of |position| x mark) in quote. O(1).

        After equity was lost altogether nothing is counted any more.
        """
        before = self.equity
        if before <= 0.0:
            return
        self.equity = equity
        ratio = equity / before
        r = ratio - 1.0
        n = self.bars
        self._ring[int(n) % RING] = r
        self.bars = n = n + 1.0
        mean = self.mean
        off = r - mean
        self.mean = mean = mean + off / n
        self.square += off * (r - mean)
        self.growth *= ratio
        if r < 0.0:
            self.downside += r * r
        if equity > self.peak:
            self.peak = equity
        else:
            fall = 1.0 - equity / self.peak
            if fall > self.drawdown_max:  # noqa: PLR1730 # a call of max costs as much as the rest
                self.drawdown_max = fall
        if gross != 0.0:
            self.exposed += 1.0

    def trade(self, notional: float, fee: float) -> None:
        """One execution; quote, >= 0."""
        self.trades += 1.0
        self.turnover += notional
        self.fees += fee

    def fund(self, amount: float) -> None:
        """Funding received (+) or paid (-), quote."""
        self.funding += amount

    def trip(self, profit: float) -> None:
        """One closed round trip, fees included, quote."""
        self.trips += 1.0
        if profit > 0.0:
            self.wins += 1.0
            self.profit += profit
        else:
            self.loss -= profit

    def ended(self, filled_fraction: float) -> None:
        """One order has ended, having filled this much of itself."""
        self.orders += 1.0
        self.filled += filled_fraction

    def moved(self, amount: float) -> None:
        """Deposit (+) or withdrawal (-), quote: neither a return nor a drawdown.

        The peak moves in proportion, so that the drawdown stays what it was.
        """
        before = self.equity
        self.equity = before + amount
        if before > 0.0:
            self.peak *= self.equity / before

    def summary(self) -> Performance:
        """All figures now; O(ring) for the tail."""
        n, year = self.bars, self._year_bars
        deviation = sqrt(self.square / (n - 1.0)) if n > 1.0 else 0.0
        downside = sqrt(self.downside / n) if n else 0.0
        returns = sorted(self._ring[: int(min(n, RING))])
        var_95, cvar_95 = _tail(returns, 0.95)
        var_99, cvar_99 = _tail(returns, 0.99)
        return Performance(
            bars=int(n),
            growth=self.growth - 1.0,
            sharpe=self.mean / deviation * sqrt(year) if deviation else None,
            sortino=self.mean / downside * sqrt(year) if downside else None,
            drawdown=1.0 - self.equity / self.peak if self.peak > 0.0 else 0.0,
            drawdown_max=self.drawdown_max,
            win_fraction=self.wins / self.trips if self.trips else None,
            profit_factor=self.profit / self.loss if self.loss else None,
            trips=int(self.trips),
            trades=int(self.trades),
            turnover=self.turnover,
            exposure_fraction=self.exposed / n if n else None,
            fees=self.fees,
            funding=self.funding,
            fill_fraction=self.filled / self.orders if self.orders else None,
            var_95=var_95,
            cvar_95=cvar_95,
            var_99=var_99,
            cvar_99=cvar_99,
        )

    def dump(self) -> bytes:
        """Native float64: the figures, then the ring as far as it is filled."""
        figures = array("d", [getattr(self, name) for name in _FLOATS])
        return figures.tobytes() + self._ring[: int(min(self.bars, RING))].tobytes()

    def load(self, raw: bytes) -> None:
        """Continue from `dump`.

        Raises:
            ValueError: `raw` has not the size that its own number of bars needs.
        """
        numbers = array("d")
        numbers.frombytes(raw)
        figures, ring = numbers[: len(_FLOATS)], numbers[len(_FLOATS) :]
        known = dict(zip(_FLOATS, figures, strict=False))
        if len(known) < len(_FLOATS) or len(ring) != int(min(known["bars"], RING)):
            raise ValueError(f"metrics of {len(raw)} bytes do not fit; start them anew")
        for name, value in known.items():
            setattr(self, name, value)
        self._ring[: len(ring)] = ring


def _tail(returns: list[float], level: float) -> tuple[float | None, float | None]:
    """VaR and CVaR of `returns`, sorted, worst first."""
    if not returns:
        return None, None
    worst = returns[: max(1, int((1.0 - level) * len(returns) + 1e-9))]
    return -worst[-1], -sum(worst) / len(worst)
