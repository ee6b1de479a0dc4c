"""What an account owns at the exchange, in Decimal: balances per asset and, on perpetuals, positions.

Spot: buying moves quote into base. Perpetual: a position has an average entry price and settles into the one wallet in
quote; nothing of the base is owned. Fees are paid in quote.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from klined.domain import ZERO, Instrument, MarketKind, Position
from klined.errors import ConfigError


class Ledger:
    """One account over the symbols of one kind that share a quote asset.

    Raises:
        ConfigError: spot and perpetuals, or several quote assets, on one account.
    """

    def __init__(self, instruments: Sequence[Instrument], balances: Mapping[str, Decimal]) -> None:
        kinds = {(instrument.kind, instrument.quote) for instrument in instruments}
        if len(kinds) != 1:
            names = ", ".join(instrument.symbol for instrument in instruments) or "no symbol"
            raise ConfigError(f"one account needs symbols of one kind with one quote asset, not {names}; split them")
        ((kind, self.quote),) = kinds
        self.spot = kind is MarketKind.SPOT
        self._instruments = tuple(instruments)
        self.balances: dict[str, Decimal] = {self.quote: ZERO, **balances}
        self._held = [ZERO] * len(self._instruments)  # perpetual positions
        self._entries = [ZERO] * len(self._instruments)

    @property
    def cash(self) -> Decimal:
        """Spot: free quote. Perpetual: wallet balance."""
        return self.balances[self.quote]

    def quantity(self, index: int) -> Decimal:
        """Signed, base asset; spot: all of the base that is owned, dust included."""
        if self.spot:
            return self.balances.get(self._instruments[index].base, ZERO)
        return self._held[index]

    def entry(self, index: int) -> Decimal:
        """Average entry price of a perpetual position; 0 when flat and on spot."""
        return self._entries[index]

    def positions(self) -> tuple[Position, ...]:
        """One per symbol, flat ones too."""
        return tuple(
            Position(instrument.symbol, self.quantity(i), self._entries[i])
            for i, instrument in enumerate(self._instruments)
        )

    def restore(self, balances: Mapping[str, Decimal], positions: Sequence[Position]) -> None:
        """Continue from what was saved; a symbol that is not traded any more keeps its balance and loses nothing."""
        self.balances = {self.quote: ZERO, **balances}
        if not self.spot:
            saved = {position.symbol: position for position in positions}
            for i, instrument in enumerate(self._instruments):
                position = saved.get(instrument.symbol, Position(instrument.symbol, ZERO))
                self._held[i], self._entries[i] = position.quantity, position.entry

    def receive(self, amount: Decimal) -> None:
        """Funding and the like: + received, - paid."""
        self.balances[self.quote] += amount

    def trade(self, index: int, quantity: Decimal, price: Decimal, fee: Decimal) -> None:
        """Book one execution of signed `quantity`."""
        if self.spot:
            base = self._instruments[index].base
            self.balances[base] = self.balances.get(base, ZERO) + quantity
            self.balances[self.quote] -= quantity * price + fee
            return
        held, entry = self._held[index], self._entries[index]
        after = held + quantity
        realised = ZERO
        if held * quantity >= 0:
            self._entries[index] = (held * entry + quantity * price) / after
        else:
            closing = held if abs(quantity) >= abs(held) else -quantity
            realised = closing * (price - entry)
            if after * held <= 0:
                self._entries[index] = price if after else ZERO
        self._held[index] = after
        self.balances[self.quote] += realised - fee
