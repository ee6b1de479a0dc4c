"""Whether the exchange takes an order: kind, filters, money. Refusals are in Binance's codes and words."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from klined.domain import Bar, Instrument, Intent, OrderKind
from klined.world.filters import Wish, check
from klined.world.ledger import Ledger
from klined.world.margin import initial_margin
from klined.world.matching import Matching
from klined.world.orders import Order


class Admission:
    """The door of one exchange account; reads the ledger and the matching's valuation, changes nothing."""

    def __init__(
        self, instruments: Sequence[Instrument], ledger: Ledger, matching: Matching, leverage: Decimal
    ) -> None:
        self._listed = tuple(instruments)
        self._index = {instrument.symbol: i for i, instrument in enumerate(instruments)}
        self._ledger, self._matching, self._leverage = ledger, matching, leverage

    def refusal(self, intent: Intent, waiting: Mapping[str, Order], bars: Sequence[Bar | None]) -> str | None:
        """Why `intent` is refused; None when it is taken. `waiting`: open orders, `bars`: the last of each symbol.

        The matching has to be valued at those bars.
        """
        index = self._index.get(intent.symbol)
        if index is None:
            return "-1121 Invalid symbol."
        if intent.client_id in waiting:
            return "-2010 Duplicate order sent." if self._ledger.spot else "-4116 ClientOrderId is duplicated."
        if (intent.kind is OrderKind.MARKET) != (intent.price is None):
            return "-1102 A limit or stop order needs a price, a market order must not have one."
        bar = bars[index]
        if bar is None:
            return f"no bar of {intent.symbol} was seen yet, so there is no price to trade at"
        last = Decimal(repr(bar.close))
        on_symbol = sum(order.intent.symbol == intent.symbol for order in waiting.values())
        return self._filtered(index, intent, last, on_symbol) or self._shortage(index, intent, last)

    def _filtered(self, index: int, intent: Intent, last: Decimal, orders_open: int) -> str | None:
        wish = Wish(
            quantity=intent.quantity,
            reference=last,
            price=intent.price,
            reduce_only=intent.reduce_only,
            orders_open=orders_open,
        )
        failure = check(self._listed[index], wish)
        if failure is not None:
            return str(failure)
        if intent.kind is not OrderKind.STOP or intent.price is None:
            return None
        if intent.price >= last if intent.quantity < 0 else intent.price <= last:
            return "-2021 Order would immediately trigger."
        return None

    def _shortage(self, index: int, intent: Intent, last: Decimal) -> str | None:
        """Too little money. A spot buy that cash pays in part is taken: the fill takes what it can."""
        held, quantity = self._ledger.quantity(index), intent.quantity
        if self._ledger.spot:
            poor = held < -quantity if quantity < 0 else self._matching.affordable(index, float(last)) < 1.0
            return "-2010 Account has insufficient balance for requested action." if poor else None
        after = abs(held + quantity)
        if held * quantity < 0 and after <= abs(held):
            return None
        if intent.reduce_only:
            return None if held * quantity < 0 else "-2022 ReduceOnly Order is rejected."
        others = Decimal(repr(self._matching.gross)) - abs(held) * last
        needed = others / self._leverage + initial_margin(self._listed[index], after * last, self._leverage)
        return "-2019 Margin is insufficient." if needed > Decimal(repr(self._matching.equity)) else None
