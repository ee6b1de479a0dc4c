"""What one setting may be: a type, a range, a meaning, and the words that ask for a right value.

`wanted` is what the message about a wrong value says; `reload` marks what SIGHUP may change while running.
"""

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from klined.feeds.timeframe import TIMEFRAMES_MS

SYMBOL = re.compile(r"[A-Z0-9]{1,20}/[A-Z0-9]{2,10}(:[A-Z0-9]{2,10})?")
BIGGEST = 2**53
"""Larger counts are no longer exact as float64."""


class Section(BaseModel):
    """Frozen, and closed: an unknown setting is a fault."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def fraction(default: float, meaning: str, *, like: str = "0.02", reload: bool = False) -> Any:
    return number(
        default, meaning, most=1.0, like=like, reload=reload, wanted=f"a fraction between 0 and 1, like {like}"
    )


def number(
    default: float | Decimal | None,
    meaning: str,
    *,
    least: float = 0.0,
    most: float,
    like: str,
    reload: bool = False,
    wanted: str = "",
) -> Any:
    wanted = wanted or f"a number between {least:g} and {most:g}, like {like}"
    extra: dict[str, Any] = {"wanted": wanted, "reload": reload}
    return Field(default, ge=least, le=most, allow_inf_nan=False, description=meaning, json_schema_extra=extra)


def count(
    default: int, meaning: str, *, least: int = 0, most: int = 1_000_000, like: str = "", reload: bool = False
) -> Any:
    wanted = f"a whole number between {least} and {most}, like {like or max(default, least)}"
    return Field(
        default, ge=least, le=most, description=meaning, json_schema_extra={"wanted": wanted, "reload": reload}
    )


def said(default: object, meaning: str, wanted: str, *, reload: bool = False) -> Any:
    """A setting whose type says it all but the words."""
    return Field(default, description=meaning, json_schema_extra={"wanted": wanted, "reload": reload})


def switch(meaning: str, *, on: bool = False) -> Any:
    return said(on, meaning, "true or false")


def _listed(value: object) -> object:
    """Accept `a, b` where a list is wanted: the environment knows only text."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _spaced(value: object) -> object:
    """Accept `a b` where a list is wanted, of entries that have commas of their own."""
    return value.split() if isinstance(value, str) else value


def _scenario(value: object) -> object:
    """Raises ConfigError, which knows the nearest name."""
    from klined.world.scenarios import parsed  # noqa: PLC0415 - numpy, only for who uses one

    parsed(str(value))
    return value


def _symbol(value: object) -> object:
    if not isinstance(value, str) or not SYMBOL.fullmatch(value):
        raise ValueError("no symbol")
    return value


def _timeframe(value: object) -> object:
    if value not in TIMEFRAMES_MS:
        raise ValueError("no timeframe")
    return value


def _nothing(value: object) -> object:
    return None if value == "" else value


Symbols = Annotated[
    tuple[Annotated[str, BeforeValidator(_symbol)], ...], BeforeValidator(_listed), Field(min_length=1, max_length=200)
]
Scenarios = Annotated[tuple[Annotated[str, BeforeValidator(_scenario)], ...], BeforeValidator(_spaced)]
Paths = Annotated[tuple[Path, ...], BeforeValidator(_listed)]
OptionalPath = Annotated[Path | None, BeforeValidator(_nothing)]
OptionalFloat = Annotated[float | None, BeforeValidator(_nothing)]
Timeframe = Annotated[str, BeforeValidator(_timeframe)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$")]
