"""What a venue allows may change while we trade: take over new steps, minima and status, and size by them from here on.

Fees, tiers and what else was configured stay. Called between two batches: lots are counted anew in every row.
"""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from klined.domain import Instrument
from klined.kernels import layout as at
from klined.kernels.rows import write_market
from klined.trader.trader import Trader

RULES = (
    "tick",
    "lot",
    "quantity_min",
    "quantity_max",
    "notional_min",
    "percent_price_up",
    "percent_price_down",
    "orders_max",
    "trading",
)


def relist(trader: Trader, found: Mapping[str, Instrument]) -> list[str]:
    """Adopt the rules of `found` by symbol; one sentence per symbol whose rules are others now."""
    told = []
    listed: list[Instrument] = list(trader.instruments)
    for i, known in enumerate(listed):
        new = found.get(known.symbol)
        changed = [] if new is None else [name for name in RULES if getattr(new, name) != getattr(known, name)]
        if new is not None and changed:
            listed[i] = replace(known, **{name: getattr(new, name) for name in changed})
            told.append(", ".join(f"{name} {getattr(known, name)} -> {getattr(new, name)}" for name in changed))
            told[-1] = f"{known.symbol}: {told[-1]}"
    if told:
        _adopt(trader, tuple(listed))
    return told


def _adopt(trader: Trader, listed: Sequence[Instrument]) -> None:
    book = trader.book
    trader.instruments = book.instruments = trader.gate.instruments = tuple(listed)
    book.ledger.relist(listed)
    for i, instrument in enumerate(listed):
        m = book.M.row[i]
        write_market(m, instrument, m[at.HALF_SPREAD], m[at.IMPACT], m[at.PARTICIPATION], m[at.SPREAD_SIGMA])
        book.ledger.view(book.A.row[0], book.Q.row[i], i)
        trader.refresh(i)
