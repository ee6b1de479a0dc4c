"""From layers to `Settings`, or to all faults at once."""

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from klined.config.faults import DEFAULT, ConfigFaults, Fault, Place
from klined.config.settings import Settings
from klined.config.sources import merged, read_layers, variable
from klined.domain import MarketKind

LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_SOCKET_PATH_MAX = 107  # bytes, sun_path of Linux without its end


def load(path: Path | None, overrides: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from `overrides` > environment > .env > credentials > `path` (None: no file) > defaults.

    `overrides` are `section.setting=value`. `.env` stands beside the file, else in the working directory.

    Raises:
        ConfigError: the file cannot be read, or is not TOML.
        ConfigFaults: every unknown name and wrong value, with its place.
    """
    layers = read_layers(path, overrides, os.environ if environ is None else environ)
    values, places = merged(layers)
    faults = [fault for layer in layers for fault in layer.faults]
    wrong = _wrong(values)
    faults += [Fault(_place(key, places), key, _says(key, kind, places)) for key, kind in wrong.items()]
    settings = Settings(**_tree({key: values[key] for key in values if not _within(key, wrong)}))
    judged = {fault.key for fault in faults}
    for keys, says in _contradictions(settings):
        if not judged.intersection(keys):
            given = [key for key in keys if key in values] or [keys[0]]
            key = min(given, key=lambda key: _place(key, places))
            faults.append(Fault(_place(key, places), key, says))
    if faults:
        raise ConfigFaults(faults)
    settings.remember_origins({key: places[key].name for key in values})
    return settings


def changes(old: Settings, new: Settings) -> tuple[list[str], list[str]]:
    """Keys that differ: those that may change while running, and those that need a restart."""
    allowed: list[str] = []
    refused: list[str] = []
    for key, field in fields():
        section, _, name = key.partition(".")
        if getattr(getattr(old, section), name) != getattr(getattr(new, section), name):
            (allowed if reloadable(field) else refused).append(key)
    return allowed, refused


def fields() -> Iterator[tuple[str, FieldInfo]]:
    """Every setting by dotted key, in order."""
    for section, model in sections():
        for name, field in model.model_fields.items():
            yield f"{section}.{name}", field


def sections() -> Iterator[tuple[str, type[BaseModel]]]:
    """Every section by name, in order."""
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield name, field.annotation


def wanted(field: FieldInfo) -> str:
    """What a message about a wrong value asks for."""
    return str(_extra(field, "wanted") or field.description)


def reloadable(field: FieldInfo) -> bool:
    """Whether SIGHUP may change it."""
    return bool(_extra(field, "reload"))


def _extra(field: FieldInfo, name: str) -> object:
    return field.json_schema_extra.get(name) if isinstance(field.json_schema_extra, dict) else None


def _wrong(values: Mapping[str, object]) -> dict[str, str]:
    """Keys with a fault and pydantic's word for its kind."""
    known = {name for name, _ in sections()}
    bare = {key: "model_type" for key in values if "." not in key and not (key in known and values[key] == {})}
    try:
        Settings(**_tree({key: value for key, value in values.items() if key not in bare}))
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        return bare | {".".join(str(part) for part in item["loc"][:2]): item["type"] for item in found}
    return bare


def _tree(values: Mapping[str, object]) -> dict[str, Any]:
    """Sections of raw values."""
    tree: dict[str, Any] = {}
    for key, value in values.items():
        section, dot, name = key.partition(".")
        if dot:
            tree.setdefault(section, {})[name] = value
    return tree


def _within(key: str, wrong: Mapping[str, str]) -> bool:
    return key in wrong or key.partition(".")[0] in wrong


def _place(key: str, places: Mapping[str, Place]) -> Place:
    """Where a key stands; an unknown section stands where its first setting does."""
    inside = (place for name, place in places.items() if name.startswith(f"{key}."))
    return places.get(key) or min(inside, default=DEFAULT)


def _says(key: str, kind: str, places: Mapping[str, Place]) -> str:
    known = dict(fields())
    if field := known.get(key):
        return wanted(field)
    if kind == "model_type" and key in dict(sections()):
        return f"a section: write [{key}] above its settings, or {variable(key)}__SETTING"
    guess = _guess(key, list(known))
    if not guess:
        return "unknown setting; see: klined check --all"
    if _place(key, places).name.startswith("$"):
        guess = variable(guess)
    return f"unknown setting; did you mean {guess if '.' in guess or '_' in guess else f'[{guess}]'}?"


def _guess(key: str, known: list[str]) -> str:
    """The setting or section that was meant, or nothing."""
    section, _, name = key.partition(".")
    names = [section for section, _ in sections()]
    if not name:
        near = difflib.get_close_matches(section, names, 1)
        same = [other for other in known if other.endswith(f".{section}")]
        return (near or same or [""])[0]
    siblings = [other.partition(".")[2] for other in known if other.startswith(f"{section}.")]
    near = [f"{section}.{other}" for other in difflib.get_close_matches(name, siblings, 1)]
    same = [other for other in known if other.endswith(f".{name}")]
    return (near or same or difflib.get_close_matches(key, known, 1, 0.75) or [""])[0]


def _contradictions(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    """Settings that are right alone and wrong together: the keys concerned, and what to do."""
    market, risk = settings.market, settings.risk
    perp = market.kind is MarketKind.PERP
    yield from _symbol_contradictions(settings, perp=perp)
    if market.feed_name == "recorded" and not market.files:
        yield ("market.files", "market.feed"), 'the recorded feed needs files, like files = ["ETHUSDT-1m.csv.gz"]'
    if market.files and market.feed_name != "recorded":
        yield ("market.files", "market.feed"), f'the {market.feed_name} feed plays no files; write feed = "recorded"'
    if settings.mode.live and market.exchange == "sim":
        yield ("mode.live", "market.exchange"), 'real orders need an exchange; name one, like exchange = "binance"'
    elif not settings.mode.paper and market.exchange == "sim":
        yield ("mode.paper", "market.exchange"), 'orders need an exchange; name one, like exchange = "binance"'
    elif (settings.mode.live or not settings.mode.paper) and market.feed_name in {"recorded", "generated"}:
        yield ("mode.live", "mode.paper", "market.feed"), f"real orders on a {market.feed_name} market are refused"
    if not perp and risk.max_exposure > 1:
        yield ("risk.max_exposure", "market.kind"), "spot cannot borrow: at most 1.0"
    if risk.reduce_drawdown > risk.max_drawdown:
        yield ("risk.reduce_drawdown", "risk.max_drawdown"), f"should not exceed max_drawdown, {risk.max_drawdown:g}"
    if settings.exchange.speed != 1.0 and urlsplit(settings.exchange.rest_url).hostname not in LOOPBACK:
        yield ("exchange.speed", "exchange.rest_url"), "only the time of a sandbox on this machine runs faster; leave 1"
    if len(os.fsencode(settings.control_socket)) > _SOCKET_PATH_MAX:
        keys = ("runtime.control_socket", "store.dir", "runtime.name")
        yield keys, f"{settings.control_socket} is too long for a socket; set a shorter runtime.control_socket"


def _symbol_contradictions(settings: Settings, *, perp: bool) -> Iterator[tuple[tuple[str, ...], str]]:
    keys = ("market.symbols", "market.kind")
    symbols = settings.market.symbols
    for symbol in symbols:
        pair, colon, _ = symbol.partition(":")
        if perp and not colon:
            yield keys, f"{symbol} is a spot symbol; a perpetual is written {pair}:{pair.partition('/')[2]}"
            return
        if colon and not perp:
            yield keys, f'{symbol} is a perpetual; write kind = "perp", or {pair} for spot'
            return
    if len(set(symbols)) < len(symbols):
        yield keys, "a symbol stands there twice"
    if len({symbol.partition(":")[0].partition("/")[2] for symbol in symbols}) > 1:
        yield keys, "all symbols share one account, so they need one quote currency"
