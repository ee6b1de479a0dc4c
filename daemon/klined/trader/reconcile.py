"""What the venue says we have against what we think we have: a list of findings, and nothing is changed.

    Account (venue) ┐
    Ledger          ├─ compare ─▶ Agreed | MissingFill | VanishedOrder | ForeignOrder | LostOrder
    open orders     ┘             | ExternalPosition | DriftedBalance | Moved

A venue's reads lag behind its news, so one look proves little: act on what `persisting` leaves of two looks.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from msgspec import Struct

from klined.domain import ZERO, Account, MarketKind, OpenOrder, OrderKind
from klined.trader.ledger import Ledger
from klined.trader.orders import Order, Working, exposure_max, filled_quantity, is_open

CASH_TOLERANCE = Decimal("0.01")  # quote; venues round every fee and funding to their own precision
DRIFT_FRACTION = Decimal("0.01")  # of the notional held: more than one funding or fee ever takes


class Agreed(Struct, frozen=True, tag=True):
    """Position and open orders of the symbol are what we think, to within less than one lot."""

    symbol: str


class MissingFill(Struct, frozen=True, tag=True):
    """Our order traded more than we heard: ask for its trades."""

    client_id: str
    symbol: str
    quantity: Decimal  # signed
    proved: bool  # the venue shows the order so; otherwise it is the likely cause of a position that differs


class VanishedOrder(Struct, frozen=True, tag=True):
    """We think that it works, the venue does not list it: ask for it."""

    client_id: str
    symbol: str
    stop: bool = False  # it may have been triggered: the position proves nothing until it is settled


class ForeignOrder(Struct, frozen=True, tag=True):
    """An open order that is not ours: it counts in exposure."""

    client_id: str
    symbol: str
    quantity: Decimal  # what may still trade, signed


class LostOrder(Struct, frozen=True, tag=True):
    """An open order with our name that we do not know, or hold for ended: our state is older than the venue's."""

    client_id: str
    symbol: str
    quantity: Decimal  # what may still trade, signed


class ExternalPosition(Struct, frozen=True, tag=True):
    """A position that our orders do not explain: somebody else traded, or the venue closed it."""

    symbol: str
    ours: Decimal
    theirs: Decimal


class DriftedBalance(Struct, frozen=True, tag=True):
    """A balance that differs by no more than a missed fee or funding would explain."""

    asset: str
    ours: Decimal
    theirs: Decimal


class Moved(Struct, frozen=True, tag=True):
    """A balance that differs by more, while positions agree: a deposit (+) or withdrawal (-)."""

    asset: str
    amount: Decimal


Finding = Agreed | MissingFill | VanishedOrder | ForeignOrder | LostOrder | ExternalPosition | DriftedBalance | Moved


def compare(account: Account, ledger: Ledger, orders: Sequence[Order], prefix: str) -> list[Finding]:
    """Findings about every symbol of the ledger and every asset it holds; `prefix` begins the ids of our orders.

    O(symbols + orders). Balances are judged only while all positions agree, since a missing fill moves both.
    """
    listed = {order.client_id: order for order in account.orders}
    known = {order.intent.client_id: order for order in orders if is_open(order)}
    findings: list[Finding] = [
        VanishedOrder(client_id, order.intent.symbol, order.intent.kind is OrderKind.STOP)
        for client_id, order in known.items()
        if isinstance(order, Working) and client_id not in listed
    ]
    findings += (_unlisted(order, prefix) for order in account.orders if order.client_id not in known)
    held = {position.symbol: position.quantity for position in account.positions}
    for instrument in ledger.instruments:
        spot = instrument.kind is MarketKind.SPOT
        theirs = account.balances.get(instrument.base, ZERO) if spot else held.get(instrument.symbol, ZERO)
        ours = [order for order in known.values() if order.intent.symbol == instrument.symbol]
        findings += _position(ledger, instrument.symbol, instrument.lot, theirs, ours, listed)
    symbols = {instrument.symbol for instrument in ledger.instruments}
    findings += (ExternalPosition(s, ZERO, q) for s, q in held.items() if s not in symbols and q)
    if not any(isinstance(finding, MissingFill | ExternalPosition) for finding in findings):
        findings += _balances(account, ledger)
    return [f for f in findings if not (isinstance(f, Agreed) and _in_trouble(findings, f.symbol))]


def agrees(findings: Iterable[Finding], symbol: str) -> bool:
    """Whether nothing but orders that the venue does not list speaks against our view of `symbol`."""
    return not any(
        isinstance(finding, MissingFill | ForeignOrder | LostOrder | ExternalPosition) and finding.symbol == symbol
        for finding in findings
    ) and not any(isinstance(f, VanishedOrder) and f.stop and f.symbol == symbol for f in findings)


def persisting(earlier: Iterable[Finding], later: Iterable[Finding]) -> list[Finding]:
    """What a second look found again, unchanged."""
    before = list(earlier)
    return [finding for finding in later if finding in before]


def _in_trouble(findings: Iterable[Finding], symbol: str) -> bool:
    return any(
        isinstance(finding, VanishedOrder | ForeignOrder | LostOrder) and finding.symbol == symbol
        for finding in findings
    )


def _unlisted(order: OpenOrder, prefix: str) -> Finding:
    rest = order.quantity - order.filled
    kind = LostOrder if order.client_id.startswith(prefix) else ForeignOrder
    return kind(order.client_id, order.symbol, rest)


def _position(
    ledger: Ledger, symbol: str, lot: Decimal, theirs: Decimal, orders: Sequence[Order], listed: dict[str, OpenOrder]
) -> list[Finding]:
    findings: list[Finding] = []
    ours = ledger.position(symbol).quantity
    rest = theirs - ours
    for order in orders:
        shown = listed.get(order.intent.client_id)
        missing = shown.filled - filled_quantity(order) if shown else ZERO
        if missing:
            findings.append(MissingFill(order.intent.client_id, symbol, missing, proved=True))
            rest -= missing
    if abs(rest) < lot:
        return findings or [Agreed(symbol)]
    for order in orders:
        may_be = exposure_max(order)
        if order.intent.client_id not in listed and may_be * rest > 0 and abs(rest) < abs(may_be) + lot:
            return [*findings, MissingFill(order.intent.client_id, symbol, rest, proved=False)]
    return [*findings, ExternalPosition(symbol, ours, theirs)]


def _balances(account: Account, ledger: Ledger) -> list[Finding]:
    findings: list[Finding] = []
    bases = {i.base for i in ledger.instruments if i.kind is MarketKind.SPOT}
    notional = sum((abs(holding.cost) for holding in ledger.books.holdings.values()), ZERO)
    for asset, ours in ledger.books.balances.items():
        theirs = account.balances.get(asset, ZERO)
        quote = asset == ledger.quote
        if asset in bases or abs(theirs - ours) <= (CASH_TOLERANCE if quote else ZERO):
            continue
        if quote and abs(theirs - ours) <= notional * DRIFT_FRACTION:
            findings.append(DriftedBalance(asset, ours, theirs))
        else:
            findings.append(Moved(asset, theirs - ours))
    return findings
