"""The memory of the kernels: one float64 array per block, read by interpreted code as memoryviews of Python floats.

A memoryview row gives and takes plain floats and is about twice as fast as indexing an ndarray from Python; compiled
code and snapshots see the very same bytes. Where no compiled code ever looks, a list is three times as fast again.
"""

from array import array
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from klined.domain import Instrument, MarketKind
from klined.kernels import layout as at

Row: TypeAlias = "memoryview[float]"
"""One row of float64 as interpreted kernels see it: `row[i]` is a Python float."""


class Block:
    """`rows` rows of `width` float64: `array` for compiled code, `row[i]` for interpreted code, the same bytes."""

    __slots__ = ("array", "row")

    def __init__(self, rows: int, width: int) -> None:
        self.array: NDArray[np.float64] = np.zeros((rows, width), dtype=np.float64)
        self.row: list[Row] = [memoryview(self.array[i]).cast("B").cast("d") for i in range(rows)]

    def dump(self) -> bytes:
        return self.array.tobytes()

    def load(self, raw: bytes) -> None:
        """Raises: ValueError when `raw` is not the size of the block."""
        if len(raw) != self.array.nbytes:
            raise ValueError(f"block of {self.array.nbytes} bytes cannot take {len(raw)}")
        self.array[...] = np.frombuffer(raw, dtype=np.float64).reshape(self.array.shape)


class Plain:
    """A `Block` for code that is only ever interpreted: `row[i]` is a list, which indexes at a third of the cost.

    Whoever writes into a row writes floats: a list keeps an int as it is, where a Block would make a float of it.
    """

    __slots__ = ("row", "width")

    def __init__(self, rows: int, width: int) -> None:
        self.width = width
        self.row: list[Row] = [cast("Row", [0.0] * width) for _ in range(rows)]  # kernels do nothing but index

    @property
    def array(self) -> NDArray[np.float64]:
        """A copy, shape (rows, width)."""
        return np.array(self.row, dtype=np.float64).reshape(len(self.row), self.width)

    def dump(self) -> bytes:
        """The bytes of a `Block` that holds the same numbers."""
        return b"".join(array("d", row).tobytes() for row in self.row)

    def load(self, raw: bytes) -> None:
        """Raises: ValueError when `raw` is not the size of the block."""
        size = 8 * self.width
        if len(raw) != size * len(self.row):
            raise ValueError(f"block of {size * len(self.row)} bytes cannot take {len(raw)}")
        for i, row in enumerate(self.row):
            cast("list[float]", row)[:] = array("d", raw[size * i : size * (i + 1)])


def write_market(
    row: Row, instrument: Instrument, half_spread: float, impact: float, participation: float, spread_sigma: float = 0.0
) -> None:
    """Fill one M row from what the venue allows and what the cost model assumes.

    `half_spread` is a fraction of the price, `impact` the Y of the square-root law, `participation` a share of a bar's
    volume in (0, 1], `spread_sigma` the half spread added per unit of a bar's volatility.
    """
    lot = float(instrument.lot)
    row[at.PERP] = 1.0 if instrument.kind is MarketKind.PERP else 0.0
    row[at.TICK] = float(instrument.tick)
    row[at.LOT] = lot
    row[at.LOTS_MIN] = float(max(instrument.quantity_min, instrument.lot) / instrument.lot)
    row[at.LOTS_MAX] = float(instrument.quantity_max // instrument.lot)
    row[at.NOTIONAL_MIN] = float(instrument.notional_min)
    row[at.TAKER] = float(instrument.taker_fee)
    row[at.MAKER] = float(instrument.maker_fee)
    row[at.HALF_SPREAD] = half_spread
    row[at.IMPACT] = impact
    row[at.PARTICIPATION] = participation
    row[at.PERCENT_UP] = float(instrument.percent_price_up)
    row[at.PERCENT_DOWN] = float(instrument.percent_price_down)
    row[at.ORDERS_LIMIT] = float(instrument.orders_max)
    row[at.TRADING] = 1.0 if instrument.trading else 0.0
    row[at.FUNDING_INTERVAL] = float(instrument.funding_interval_ms)
    row[at.SPREAD_SIGMA] = spread_sigma
    row[at.LIQUIDATION_FEE] = float(instrument.liquidation_fee)
    tiers = instrument.tiers[: at.TIERS_MAX]
    row[at.TIERS] = float(len(tiers))
    for k, tier in enumerate(tiers):
        offset = at.TIER0 + 3 * k
        row[offset], row[offset + 1], row[offset + 2] = tier.notional_min, tier.mmr, tier.cum
