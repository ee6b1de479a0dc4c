"""Policies by name: an entry point of group `klined.policies`, a shipped file, or a path that ends in .onnx.

Group `klined.zoo` names shipped files; each entry is a callable that returns a path. In `klined.policies` an entry
point names a callable that takes the options as keywords and returns a `Policy`; a class with a `load` class method is
made through that.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from inspect import Parameter, signature
from typing import Any

from klined.errors import ConfigError, KlinedError
from klined.ports import Policy

GROUP = "klined.policies"
ZOO = "klined.zoo"
Option = str | int | float | bool


def policies() -> list[str]:
    """Names that `load_policy` knows, sorted."""
    return sorted({**_entries(GROUP), **_entries(ZOO)})


def load_policy(name: str, options: Mapping[str, Option] | None = None) -> Policy:
    """The policy called `name`, made with `options`.

    Raises:
        ConfigError: no such policy, or no such option; says the nearest name and lists them all.
        ModelError: the .onnx file cannot be trusted.
    """
    given = dict(options or {})
    entries, zoo = _entries(GROUP), _entries(ZOO)
    if name in zoo:
        name = str(zoo[name].load()())
    if name.endswith(".onnx"):
        given = {"path": name, **given}
        name = "onnx"
    if name not in entries:
        raise ConfigError(
            f"policy {name!r} is not known{_nearest(name, {**entries, **zoo})}; "
            f"choose one of {', '.join(sorted({**entries, **zoo}))} or a path ending in .onnx"
        )
    made = entries[name].load()
    factory = getattr(made, "load", made)
    _check_options(name, factory, given)
    try:
        policy: Policy = factory(**given)
    except KlinedError:
        raise
    except (TypeError, ValueError) as error:
        raise ConfigError(f"policy {name!r} does not take {given}: {error}; see docs/policies.md") from error
    return policy


def _entries(group: str) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=group)}


def _check_options(name: str, factory: Any, given: Mapping[str, Option]) -> None:
    """Refuse an option the factory does not have, before it can raise something less clear."""
    parameters = signature(factory).parameters.values()
    if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters):
        return
    known = [parameter.name for parameter in parameters]
    for option in given:
        if option not in known:
            raise ConfigError(
                f"policy {name!r} has no option {option!r}{_nearest(option, known)}; "
                f"it takes {', '.join(known) or 'none'}"
            )
    for parameter in parameters:
        if parameter.default is Parameter.empty and parameter.name not in given:
            raise ConfigError(f"policy {name!r} needs option {parameter.name!r}; see docs/policies.md")


def _nearest(name: str, known: Any) -> str:
    match = get_close_matches(name, list(known), n=1)
    return f" (did you mean {match[0]!r}?)" if match else ""
