"""Between the exchange's Decimal ledger and the kernels' float rows: encode, let the kernel decide, decode.

    ledger ─ mirror ─▶ rows ─ kernels.fills ─▶ out ─▶ Execution (Decimal) ─▶ ledger

The arithmetic of fills lives in `klined.kernels` alone. What a kernel booked in the rows is provisional: the ledger
books the Execution exactly and mirrors itself back, so the rows never drift away from it.
"""

from collections.abc import Sequence
from decimal import ROUND_DOWN, Decimal

from msgspec import Struct
from msgspec.structs import replace

from klined.domain import Bar, Instrument
from klined.kernels import layout as at
from klined.kernels.account import account_mark
from klined.kernels.fills import (
    LIQUIDATED,
    NOUT,
    ORDER,
    STOPPED,
    bar_sigma,
    flatten_step,
    funding_step,
    liquidation_step,
    market_step,
    stop_step,
)
from klined.kernels.limits import CROSSED, MADE, NOTHING, crosses, limit_step
from klined.kernels.rows import Plain, write_market

SATOSHI = Decimal("1e-8")


class Friction(Struct, frozen=True, kw_only=True):
    """What trading costs beside fees."""

    half_spread: float = 0.0001  # fraction of the price
    impact: float = 1.0  # Y of the square-root law
    participation: float = 0.1  # largest share of a bar's volume one order gets
    spread_sigma: float = 0.0  # half spread added per unit of the bar's volatility


class Execution(Struct, frozen=True):
    """What the kernel executed, exactly."""

    quantity: Decimal  # signed
    price: Decimal
    fee: Decimal | None  # None: the fee of the notional, for the ledger to compute exactly
    maker: bool = False


class WouldTakeError(Exception):
    """A post-only order would have taken."""


class Matching:
    """One account's rows over the symbols of an exchange."""

    def __init__(self, instruments: Sequence[Instrument], friction: Friction) -> None:
        count = len(instruments)
        self._instruments = tuple(instruments)
        self._account, self._limits = Plain(1, at.NA), Plain(1, at.NP)
        self._positions, self._markets, self._out = Plain(count, at.NQ), Plain(count, at.NM), Plain(1, NOUT)
        self._A, self._P, self._o = self._account.row[0], self._limits.row[0], self._out.row[0]
        self._Q, self._M = self._positions.row, self._markets.row
        self._P[at.MAX_EXPOSURE] = 1.0
        for row, instrument in zip(self._M, instruments, strict=True):
            write_market(
                row, instrument, friction.half_spread, friction.impact, friction.participation, friction.spread_sigma
            )

    def mirror(self, index: int, cash: Decimal, quantity: Decimal, entry: Decimal) -> None:
        """Take over what the ledger holds; dust under a lot cannot trade and is left out."""
        q = self._Q[index]
        self._A[at.CASH] = float(cash)
        q[at.LOTS] = float(quantity // self._instruments[index].lot)
        q[at.ENTRY] = float(entry)

    def mark(self, bars: Sequence[Bar | None], time_ms: int) -> None:
        """Value the account at the last closes; before any intrabar step."""
        for q, bar in zip(self._Q, bars, strict=True):
            if bar is not None:
                q[at.MARK] = bar.close
        account_mark(self._A, self._Q, self._M, self._P, len(self._Q), float(time_ms))

    @property
    def equity(self) -> float:
        """Quote, at the last mark."""
        return self._A[at.EQUITY]

    @property
    def gross(self) -> float:
        """Sum of |notional| at the last mark, quote."""
        return self._A[at.GROSS_NOTIONAL]

    def liquidation_price(self, index: int) -> float:
        """Where the position is liquidated; 0 when it cannot be."""
        return self._Q[index][at.LIQUIDATION]

    def affordable(self, index: int, price: float) -> float:
        """Lots that the cash pays at `price`, fee included."""
        m = self._M[index]
        return self._A[at.CASH] / (price * m[at.LOT] * (1.0 + m[at.TAKER]))

    def market(self, index: int, quantity: Decimal, bar: Bar) -> Execution | None:
        """A market order at the bar's open; None when nothing fills."""
        lots = float(quantity / self._instruments[index].lot)
        market_step(
            self._A, self._Q[index], self._M[index], lots,
            bar.open, bar.high, bar.low, bar.volume, float(bar.open_time_ms), self._o,
        )  # fmt: skip
        return self._decode(index, ORDER)

    def flatten(self, index: int, quantity: Decimal, bar: Bar, time_ms: int) -> Execution | None:
        """An order at the last close, at once and in full."""
        lots = float(quantity / self._instruments[index].lot)
        flatten_step(
            self._A, self._Q[index], self._M[index], lots,
            bar.high, bar.low, bar.close, bar.volume, float(time_ms), self._o,
        )  # fmt: skip
        return self._decode(index, ORDER)

    def stop(self, index: int, quantity: Decimal, price: Decimal, bar: Bar, time_ms: int) -> Execution | None:
        """A resting stop; None when the bar does not reach it or nothing can fill."""
        lots = float(quantity / self._instruments[index].lot)
        stop_step(
            self._A, self._Q[index], self._M[index], lots, float(price),
            bar.open, bar.high, bar.low, bar.volume, float(time_ms), self._o,
        )  # fmt: skip
        return self._decode(index, STOPPED)

    def crosses(self, index: int, quantity: Decimal, price: Decimal, bar: Bar) -> bool:
        """Whether a limit order meets the other side of the book at the bar's open."""
        return crosses(self._M[index], float(quantity), float(price), bar.open, bar_sigma(bar.open, bar.high, bar.low))

    def limit(
        self, index: int, quantity: Decimal, price: Decimal, bar: Bar, time_ms: int, *, fresh: bool, post_only: bool
    ) -> Execution | None:
        """A limit order in a bar; None when nothing of it fills.

        Raises:
            WouldTakeError: it is post-only and meets the other side of the book at the open.
        """
        lots = float(quantity / self._instruments[index].lot)
        what = limit_step(
            self._A, self._Q[index], self._M[index], lots, float(price), float(fresh), float(post_only),
            bar.open, bar.high, bar.low, bar.volume, float(time_ms), self._o,
        )  # fmt: skip
        if what == CROSSED:
            raise WouldTakeError
        done = None if what == NOTHING else self._decode(index, ORDER)
        return done if done is None else replace(done, maker=what == MADE)

    def liquidation(self, index: int, bar: Bar, time_ms: int) -> Execution | None:
        """The venue closing the position, when the bar's adverse extreme reaches the liquidation price."""
        liquidation_step(
            self._A, self._Q[index], self._M[index],
            bar.open, bar.high, bar.low, bar.volume, float(time_ms), self._o,
        )  # fmt: skip
        return self._decode(index, LIQUIDATED)

    def funding(self, index: int, rate: float, price: float) -> None:
        """Move margin and liquidation price by one funding; the ledger books the exact amount."""
        funding_step(self._A, self._Q[index], self._M[index], rate, price, self._o)

    def _decode(self, index: int, offset: int) -> Execution | None:
        lots = self._o[offset]
        if lots == 0.0:
            return None
        instrument = self._instruments[index]
        fee = None
        if offset == LIQUIDATED:  # rounded down: it must not take more than what is left
            fee = Decimal(repr(self._o[offset + 2])).quantize(SATOSHI, ROUND_DOWN)
        return Execution(int(lots) * instrument.lot, int(self._o[offset + 1]) * instrument.tick, fee)
