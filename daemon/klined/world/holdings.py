"""What a perpetual account holds: wallets, positions (one-way or hedged), leverage and margin type, and what they need.

    trade ─▶ position and realised profit ─▶ wallet        isolated: margin moves into the position and back

Mark prices are asked of the caller. Maintenance brackets are the instrument's tiers.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal

import msgspec
from msgspec import Struct

from klined.domain import ZERO, Instrument, Tier

CENT8 = Decimal("1e-8")
CHANGES_KEPT = 500


class Held(Struct):
    """One position; `amount` is signed."""

    symbol: str
    side: str = "BOTH"
    amount: Decimal = ZERO
    entry: Decimal = ZERO
    isolated_wallet: Decimal = ZERO
    updated_ms: int = 0


class MarginChange(Struct, frozen=True):
    """Margin that was moved into (+) or out of (-) an isolated position by hand."""

    symbol: str
    side: str
    amount: Decimal
    time_ms: int


class Ledger(Struct):
    """All that is durable here."""

    wallets: dict[str, Decimal]
    positions: list[Held]
    leverage: dict[str, int]
    isolated: dict[str, bool]
    dual: bool = False
    changes: list[MarginChange] = []


class Holdings:
    """One account over perpetuals that may settle in several assets."""

    def __init__(
        self,
        listed: Mapping[str, Instrument],
        wallets: Mapping[str, Decimal],
        mark: Callable[[str], Decimal],
        leverage: int = 20,
    ) -> None:
        self._listed, self._mark = listed, mark
        quotes = {item.quote: ZERO for item in listed.values()}
        self.ledger = Ledger({**quotes, **wallets}, [], dict.fromkeys(listed, leverage), dict.fromkeys(listed, False))
        self._at: dict[tuple[str, str], Held] = {}

    # --- look --------------------------------------------------------------------------------------------------------

    def position(self, symbol: str, side: str = "BOTH") -> Held:
        """A flat one when there is none."""
        return self._at.get((symbol, side)) or Held(symbol, side)

    def positions(self, symbol: str | None = None) -> list[Held]:
        """Those that are not flat."""
        return [held for held in self._at.values() if held.amount and symbol in {None, held.symbol}]

    def profit(self, held: Held) -> Decimal:
        """Unrealised, at the mark price."""
        return held.amount * (self._mark(held.symbol) - held.entry)

    def notional(self, held: Held) -> Decimal:
        return held.amount * self._mark(held.symbol)

    def initial(self, held: Held) -> Decimal:
        return abs(self.notional(held)) / self.ledger.leverage[held.symbol]

    def maintenance(self, held: Held) -> Decimal:
        notional = abs(self.notional(held))
        tier = bracket(self._listed[held.symbol].tiers, notional)
        return max(ZERO, notional * Decimal(repr(tier.mmr)) - Decimal(repr(tier.cum)))

    def isolated(self, held: Held) -> bool:
        return self.ledger.isolated[held.symbol]

    def cross_wallet(self, asset: str) -> Decimal:
        """What cross positions share."""
        apart = (held.isolated_wallet for held in self.positions() if self._listed[held.symbol].quote == asset)
        return self.ledger.wallets.get(asset, ZERO) - sum(apart, ZERO)

    def cross(self, asset: str) -> list[Held]:
        """Cross positions that settle in `asset`."""
        return [h for h in self.positions() if self._listed[h.symbol].quote == asset and not self.isolated(h)]

    def available(self, asset: str, ordered: Decimal = ZERO) -> Decimal:
        """What new positions may use, when open orders reserve `ordered`."""
        cross = self.cross(asset)
        used = sum((self.initial(held) for held in cross), ZERO) + ordered
        return max(ZERO, self.cross_wallet(asset) + sum((self.profit(held) for held in cross), ZERO) - used)

    def liquidation_price(self, held: Held) -> Decimal:
        """Where this position alone would be liquidated, all else as it is; 0 when nowhere."""
        if not held.amount:
            return ZERO
        asset = self._listed[held.symbol].quote
        if self.isolated(held):
            margin = held.isolated_wallet
        else:
            others = [other for other in self.cross(asset) if other is not held]
            margin = self.cross_wallet(asset) + sum((self.profit(o) - self.maintenance(o) for o in others), ZERO)
        return liquidation_price(self._listed[held.symbol].tiers, held.amount, held.entry, margin)

    def doomed(self) -> Iterable[Held]:
        """Positions whose margin is used up, at the mark."""
        for held in self.positions():
            if self.isolated(held) and held.isolated_wallet + self.profit(held) <= self.maintenance(held):
                yield held
        for asset in self.ledger.wallets:
            cross = self.cross(asset)
            needed = sum((self.maintenance(held) for held in cross), ZERO)
            owned = self.cross_wallet(asset) + sum((self.profit(held) for held in cross), ZERO)
            if cross and owned <= needed:
                yield from cross

    # --- change ------------------------------------------------------------------------------------------------------

    def trade(self, symbol: str, side: str, quantity: Decimal, price: Decimal, now_ms: int) -> Decimal:
        """Book signed `quantity`; the profit that it realised, already in the wallet."""
        held = self._at.setdefault((symbol, side), Held(symbol, side))
        before, after = held.amount, held.amount + quantity
        realised = ZERO
        if before * quantity >= 0:
            held.entry = (before * held.entry + quantity * price) / after
        else:
            closing = before if abs(quantity) >= abs(before) else -quantity
            realised = (closing * (price - held.entry)).quantize(CENT8)
            if before * after <= 0:
                held.entry = price if after else ZERO
        held.amount, held.updated_ms = after, now_ms
        self.ledger.wallets[self._listed[symbol].quote] += realised
        self._isolate(held, before)
        return realised

    def move_margin(self, held: Held, amount: Decimal, now_ms: int) -> None:
        """Into (+) or out of (-) an isolated position."""
        held.isolated_wallet += amount
        self.ledger.changes = [
            *self.ledger.changes[1 - CHANGES_KEPT :], MarginChange(held.symbol, held.side, amount, now_ms)
        ]  # fmt: skip

    def receive(self, asset: str, amount: Decimal) -> None:
        """Fees, funding, transfers."""
        self.ledger.wallets[asset] = self.ledger.wallets.get(asset, ZERO) + amount

    def _isolate(self, held: Held, before: Decimal) -> None:
        """Move margin into an isolated position as it grows, and out of it as it shrinks."""
        if not self.isolated(held) or not held.amount:
            held.isolated_wallet = ZERO
        elif before * held.amount <= 0:
            held.isolated_wallet = abs(held.amount) * held.entry / self.ledger.leverage[held.symbol]
        elif abs(held.amount) > abs(before):
            grown = abs(held.amount) - abs(before)
            held.isolated_wallet += grown * self._mark(held.symbol) / self.ledger.leverage[held.symbol]
        else:
            held.isolated_wallet *= held.amount / before

    # --- keep --------------------------------------------------------------------------------------------------------

    def dump(self) -> bytes:
        self.ledger.positions = list(self._at.values())
        return msgspec.json.encode(self.ledger)

    def load(self, raw: bytes) -> None:
        """Continue from `dump`; symbols listed since keep their defaults."""
        known = msgspec.json.decode(raw, type=Ledger)
        self.ledger = Ledger(
            {**self.ledger.wallets, **known.wallets},
            [],
            {**self.ledger.leverage, **known.leverage},
            {**self.ledger.isolated, **known.isolated},
            known.dual,
            known.changes,
        )
        self._at = {(held.symbol, held.side): held for held in known.positions if held.symbol in self._listed}


def bracket(tiers: Iterable[Tier], notional: Decimal) -> Tier:
    """The tier that holds for |notional|; one without demands when there are none."""
    found = Tier(0.0, 0.005, 0.0, 125.0)
    for tier in tiers:
        if notional >= Decimal(repr(tier.notional_min)):
            found = tier
    return found


def liquidation_price(tiers: Sequence[Tier], amount: Decimal, entry: Decimal, margin: Decimal) -> Decimal:
    """Mark at which `margin` and the profit of signed `amount` are just the maintenance margin; 0 when nowhere.

    As kernels.account: maintenance is convex in the notional, so the first tier from below whose own root lies under
    the next one's floor is the tier that holds there.
    """
    size, price = abs(amount), ZERO
    steps = tiers or (bracket((), ZERO),)
    for at, tier in enumerate(steps):
        mmr, cum = Decimal(repr(tier.mmr)), Decimal(repr(tier.cum))
        price = (amount * entry - margin - cum) / (amount - size * mmr)
        if at + 1 == len(steps) or size * price < Decimal(repr(steps[at + 1].notional_min)):
            break
    return max(ZERO, price)
