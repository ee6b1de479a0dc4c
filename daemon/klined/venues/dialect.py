"""What one exchange must be asked and how its answers read: the seam inside `CcxtVenue`.

    CcxtVenue   the protocol of orders: once, classified, followed until every fill is known
    Dialect     the words: endpoints, parameters, fields

A dialect raises `Refusal` for a sure no and `Doubt` when nobody can tell; it never repeats a request.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol

from msgspec import Struct

from klined.domain import ZERO, Account, Fill, Funded, Instrument, Intent, News, Transferred
from klined.venues.wire import Wire


class Found(Struct, frozen=True, kw_only=True):
    """One order as the venue shows it."""

    client_id: str
    symbol: str
    venue_id: str  # whose trades are asked for; empty when nothing can have traded
    executed: Decimal = ZERO  # signed
    ended: str = ""  # why it will trade no more; empty while it works
    fills: tuple[Fill, ...] = ()  # those that came with the answer

    @property
    def missing(self) -> bool:
        """Whether more was executed than `fills` tell."""
        return sum((fill.quantity for fill in self.fills), ZERO) != self.executed


class Trade(Struct, frozen=True):
    """One execution of this account; `order_id` is the venue's."""

    fill: Fill  # with an empty client id
    order_id: str


class Event(Struct, frozen=True, kw_only=True):
    """What one message of a user stream means."""

    news: tuple[News, ...] = ()
    ask: tuple[str, str] | None = None  # client id and symbol of an order to ask for
    look: str = ""  # why the account should be looked at
    alarm: str = ""  # what a person should know; nothing is opened any more
    over: bool = False  # the stream ends: open another


class Dialect(Protocol):
    """The words of one exchange."""

    wire: Wire

    async def server_time_ms(self) -> int: ...

    async def instruments(self, symbols: Sequence[str]) -> dict[str, Instrument]: ...

    async def check(self, instruments: Sequence[Instrument]) -> Sequence[str]:
        """Verify and set up the account; sentences worth a warning.

        Raises:
            ConfigError: it is not as it must be.
        """
        ...

    def prepare(self, intent: Intent, signed_at_ms: int) -> None:
        """Do what of `place` needs no wire; may do nothing."""
        ...

    async def place(self, intent: Intent, signed_at_ms: int) -> Found: ...

    async def cancel(self, client_id: str, symbol: str) -> Found | None:
        """The order after it was cancelled; None when it has to be asked for."""
        ...

    async def find(self, client_id: str, symbol: str) -> Found | None:
        """None when the venue does not know it, which is no proof."""
        ...

    async def fills(self, found: Found) -> Sequence[Fill]: ...

    async def trades(self, symbol: str, since_ms: int) -> Sequence[Trade]: ...

    async def name_of(self, symbol: str, order_id: str) -> str:
        """Client id of an order of this account; empty when it has none."""
        ...

    async def income(self, since_ms: int) -> Sequence[Funded | Transferred]: ...

    async def account(self, at_ms: int) -> Account: ...

    async def quote(self, symbol: str) -> tuple[Decimal, Decimal]:
        """Best bid and best ask."""
        ...

    async def countdown(self, symbols: Sequence[str], after_s: float) -> bool:
        """Let the venue cancel all orders when this is not repeated in time; False where there is no such thing."""
        ...

    async def close(self) -> None: ...
