"""How ordinary orders are sent: at the market, or resting at a price that is moved when nothing comes. Pure.

    decided ─▶ limit at the close ─ unfilled, settled ─▶ the rest at a new price … ─ reprices_max ─▶ market, or given up

Exits, flattens and what a limit takes down go at the market, always: there the price is not what matters.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from msgspec import Struct

from klined.domain import Cause, Instrument, OrderKind

LIMITS = frozenset({OrderKind.LIMIT, OrderKind.POST_ONLY})
PATIENT = frozenset({Cause.POLICY, Cause.REBALANCE})
"""Causes whose orders may rest."""


class Style(Struct, frozen=True, kw_only=True):
    """`offset` is a fraction of the price: away from the market, negative into it."""

    kind: OrderKind  # LIMIT or POST_ONLY
    offset: Decimal = Decimal(0)
    reprices_max: int = 3  # new prices in a row, then ...
    then_market: bool = True  # ... the rest goes at the market; otherwise it is given up


def limit_price(instrument: Instrument, reference: Decimal, offset: Decimal, *, buys: bool) -> Decimal:
    """`reference` moved away from the market by `offset`, on the tick that lies farther away; at least one tick."""
    raw = reference * (1 - offset if buys else 1 + offset)
    ticks = (raw / instrument.tick).to_integral_value(ROUND_FLOOR if buys else ROUND_CEILING)
    return max(ticks, Decimal(1)) * instrument.tick


def attempt(client_id: str) -> int:
    """How many orders of the same decision went before this one; 0 for a name that does not say."""
    last = client_id.rpartition("-")[2]
    return int(last) if last.isdecimal() else 0
