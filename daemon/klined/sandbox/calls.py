"""One call, and the table entry that says who may make it and what it costs."""

from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Any

from msgspec import Struct

from klined.sandbox.answers import ApiError
from klined.sandbox.exchange import SandboxExchange
from klined.sandbox.params import Params
from klined.sandbox.settings import Key
from klined.sandbox.spot_reports import Json


class Security(Enum):
    NONE = auto()
    KEY = auto()  # a known API key
    SIGNED = auto()  # key, timestamp, signature
    TRADE = auto()  # as SIGNED, and the key may trade


class Call(Struct, frozen=True, eq=False):
    """What a handler is given. It raises ApiError or Declined, or returns what is to be answered as JSON."""

    exchange: SandboxExchange
    kind: str  # spot or perp
    params: Params
    ip: str
    key: Key | None = None

    @property
    def now_ms(self) -> int:
        """The time for orders: where the market is."""
        return self.exchange.clock.now_ms()

    @property
    def told_ms(self) -> int:
        return self.exchange.clock.told_ms()

    def symbol(self) -> str:
        """The listed symbol that the call is about."""
        name = self.params.require("symbol")
        if name not in self.exchange.venue(self.kind).listed:
            raise ApiError(-1121, "Invalid symbol.")
        return name

    def symbols(self) -> list[str]:
        """One symbol, or all when none is named."""
        listed = self.exchange.venue(self.kind).listed
        return [self.symbol()] if self.params.text("symbol") else list(listed)


Handler = Callable[[Call], Any]


class Endpoint(Struct, frozen=True, eq=False):
    handler: Handler
    weight: int = 1
    security: Security = Security.NONE
    places: int = 0  # orders that it places, for the order limits
    free: bool = False  # costs no weight when it succeeds


Table = Mapping[tuple[str, str], Endpoint]


def empty(call: Call) -> Json:
    del call
    return {}


def nothing(call: Call) -> list[Any]:
    del call
    return []
