"""Whole lots in Decimal: quantities to send, what the venue's filters say, and the proof that a position can be left.

The lots themselves are sized by `kernels.gate`; here is the crossing to Decimal, and the same rules once more in exact
arithmetic, so that nothing leaves that a rounding error made.
"""

from decimal import ROUND_DOWN, Decimal

from msgspec import Struct

from klined.domain import ZERO, Instrument, MarketKind, Reason

NEARLY = Decimal("1e-12")  # relative; the kernels' tolerance for a count that is meant to be whole
ONE = Decimal(1)


class Exit(Struct, frozen=True):
    """One way out of a position, in lots, and the first filter it would fail."""

    name: str  # full, half, stop
    lots: int
    price: Decimal
    fault: Reason | None


def quantity_of(lots: int, instrument: Instrument) -> Decimal:
    """Signed base quantity of signed whole `lots`."""
    return lots * instrument.lot


def whole_lots(x: Decimal) -> int:
    """`x` rounded towards zero; within 1e-12 (relative) of a whole number it is that number."""
    return int((x * (ONE + NEARLY)).to_integral_value(ROUND_DOWN))


def lots_wanted(target: Decimal, capacity: Decimal, price: Decimal, instrument: Instrument) -> int:
    """Signed lots of a position that makes up `target` of `capacity` (max_exposure x equity, quote) at `price`."""
    return whole_lots(target * capacity / (price * instrument.lot))


def fault_of(
    quantity: Decimal,
    price: Decimal,
    instrument: Instrument,
    *,
    reduce_only: bool = False,
    reference: Decimal | None = None,
) -> Reason | None:
    """The first filter that an order of signed `quantity` would fail, None when the venue takes it.

    `price` is its limit, or the expected price of a market order. `reference` is the price that the percent filter
    looks at; with it, `price` is judged as a limit price: on the tick and within the band. Reduce-only orders of
    perpetuals have no minimum notional.
    """
    size = abs(quantity)
    if not instrument.trading:
        return Reason.NOT_TRADING
    if size % instrument.lot != ZERO or not instrument.quantity_min <= size <= instrument.quantity_max or size == ZERO:
        return Reason.LOT
    exempt = reduce_only and instrument.kind is MarketKind.PERP
    if not exempt and size * price < instrument.notional_min:
        return Reason.NOTIONAL_MIN
    if reference is not None:
        band = instrument.percent_price_down * reference <= price <= instrument.percent_price_up * reference
        if price % instrument.tick != ZERO or not band:
            return Reason.PERCENT_PRICE
    return None


def is_dust(quantity: Decimal, price: Decimal, instrument: Instrument) -> bool:
    """Whether no order can close a position of `quantity`: too few lots, or too little notional on spot."""
    lots = int(abs(quantity) // instrument.lot)
    return not lots or fault_of(quantity_of(lots, instrument), price, instrument, reduce_only=True) in {
        Reason.LOT,
        Reason.NOTIONAL_MIN,
    }


def exits_of(lots: int, price: Decimal, fall: Decimal, instrument: Instrument) -> tuple[Exit, Exit, Exit]:
    """Every way out of a position of signed `lots`, judged at the price after the worst adverse move.

    `fall` is that move as a fraction of `price`. On spot the entry's fee may be taken in the base asset, so less can be
    sold than was bought. An exit above the largest order goes in parts.
    """
    held = abs(lots)
    if instrument.kind is MarketKind.SPOT:
        held = whole_lots(held * (ONE - instrument.taker_fee))
    worst = price * (ONE - fall if lots > 0 or instrument.kind is MarketKind.SPOT else ONE + fall)
    most = int(instrument.quantity_max // instrument.lot)
    sign = -1 if lots > 0 else 1

    def way(name: str, size: int, at: Decimal) -> Exit:
        part = sign * min(size, most)
        return Exit(name, part, at, fault_of(quantity_of(part, instrument), at, instrument, reduce_only=True))

    return way("full", held, price), way("half", held // 2, worst), way("stop", held, worst)


def exit_plan(lots: int, price: Decimal, fall: Decimal, instrument: Instrument) -> Exit | None:
    """The first way out that the venue would refuse; None when the position can be left by each."""
    return next((way for way in exits_of(lots, price, fall, instrument) if way.fault is not None), None)
