"""Things that are asked for by name: one way to make them of numbers and texts, one tone when the name is wrong.

garch:alpha=0.1,beta=0.85 ─ spelled ─▶ name, parameters ─ made ─▶ Garch(alpha=0.1, beta=0.85)
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from klined.errors import ConfigError

S = TypeVar("S", bound=Struct)


def unknown(what: str, name: str, known: Iterable[str]) -> ConfigError:
    """The error of a name that nobody has, with the nearest one that somebody does."""
    known = list(known)
    near = difflib.get_close_matches(name, known, 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
    return ConfigError(f"no {what} is called {name!r}; {hint}")


def spelled(text: str) -> tuple[str, dict[str, str]]:
    """`name:key=value,key=value`, the form of command lines and settings.

    Raises:
        ConfigError: an entry has no `=`.
    """
    name, _, rest = text.partition(":")
    entries = [entry for entry in rest.split(",") if entry.strip()]
    bad = [entry for entry in entries if "=" not in entry]
    if bad:
        raise ConfigError(f"{text!r}: {bad[0]!r} is no parameter; write name:key=value,key=value")
    return name.strip(), {key.strip(): value.strip() for key, _, value in (e.partition("=") for e in entries)}


def made(what: str, kinds: Mapping[str, type[S]], name: str, parameters: Mapping[str, Any]) -> S:
    """The struct that `name` stands for, with its parameters; a list is written 1;2;3 in a text.

    Raises:
        ConfigError: unknown name or parameter, or a value of another type or out of its range.
    """
    kind = kinds.get(name)
    if kind is None:
        raise unknown(what, name, kinds)
    for key in parameters:
        if key not in kind.__struct_fields__:
            raise unknown(f"parameter of {name}", key, kind.__struct_fields__)
    values = {key: _listed(value) for key, value in parameters.items()}
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as fault:
        raise ConfigError(f"{what} {name}: {fault}") from fault


def _listed(value: Any) -> Any:
    """Texts as what they say: numbers, lists of them, or themselves."""
    if not isinstance(value, str):
        return value
    if ";" in value:
        return [_listed(part) for part in value.split(";")]
    try:
        return int(value) if value.lstrip("+-").isdigit() else float(value)
    except ValueError:
        return value
