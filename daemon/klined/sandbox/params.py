"""Parameters of one call, wherever they came from; every misuse has Binance's code and sentence."""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qsl

from klined.domain import ZERO
from klined.sandbox.answers import ApiError

NUMBER = re.compile(r"^[0-9]{1,20}(\.[0-9]{1,20})?$")
CLIENT_ID = re.compile(r"^[.A-Z:/a-z0-9_-]{1,36}$")


def from_wire(query: str, body: str) -> dict[str, str]:
    """Parameters of a query string and a form body; the query wins.

    Raises:
        ApiError: a parameter is there twice.
    """
    merged: dict[str, str] = {}
    for part in (body, query):
        pairs = parse_qsl(part, keep_blank_values=True)
        names = [name for name, _ in pairs]
        if len(set(names)) != len(names) and not any(name.endswith("]") for name in names):
            repeated = {name for name in names if names.count(name) > 1}
            if repeated != {"symbols"}:
                raise ApiError(-1101, "Duplicate values for a parameter detected.")
        merged.update(pairs)
    return merged


def from_json(params: Mapping[str, Any]) -> dict[str, str]:
    """Parameters of a websocket call, as the text that is signed."""
    return {name: as_text(value) for name, value in params.items()}


def as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


class Params:
    """Text by name."""

    def __init__(self, raw: Mapping[str, str]) -> None:
        self.raw = raw

    def text(self, name: str, default: str = "") -> str:
        return self.raw.get(name, default)

    def require(self, name: str) -> str:
        value = self.raw.get(name)
        if not value:
            raise missing(name)
        return value

    def number(self, name: str) -> Decimal:
        """0 when it was not sent."""
        value = self.raw.get(name)
        if value is None:
            return ZERO
        if not NUMBER.match(value):
            legal = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
            raise ApiError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")
        try:
            return Decimal(value)
        except InvalidOperation:
            raise missing(name) from None

    def positive(self, name: str) -> Decimal:
        """A number above 0 that must be there."""
        self.require(name)
        value = self.number(name)
        if value <= 0:
            raise ApiError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
        return value

    def integer(self, name: str, default: int = 0) -> int:
        value = self.raw.get(name)
        if value is None or value == "":
            return default
        if not re.fullmatch(r"-?[0-9]{1,20}", value):
            legal = f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."
            raise ApiError(-1100, legal)
        return int(value)

    def limit(self, default: int, most: int) -> int:
        """How many entries are wanted, at most `most`.

        Raises:
            ApiError: less than one.
        """
        found = self.integer("limit", default)
        if found < 1:
            raise ApiError(-1130, "Data sent for parameter 'limit' is not valid.")
        return min(found, most)

    def span(self, hours_max: int = 0) -> tuple[int, int]:
        """`startTime` and `endTime`, 0 and for ever when not sent.

        Raises:
            ApiError: both were sent, and there are more than `hours_max` (0: no bound) between them.
        """
        start, end = self.integer("startTime"), self.integer("endTime", 1 << 62)
        if hours_max and self.text("startTime") and self.text("endTime") and end - start > hours_max * 3_600_000:
            raise ApiError(-1127, f"More than {hours_max} hours between startTime and endTime.")
        return start, end

    def flag(self, name: str) -> bool:
        return self.raw.get(name, "").lower() == "true"

    def client_id(self, name: str, default: str) -> str:
        value = self.raw.get(name)
        if value is None:
            return default
        if not CLIENT_ID.match(value):
            legal = f"Illegal characters found in parameter '{name}'; legal range is '{CLIENT_ID.pattern}'."
            raise ApiError(-1100, legal)
        return value


def missing(name: str) -> ApiError:
    return ApiError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
