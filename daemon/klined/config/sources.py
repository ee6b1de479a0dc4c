"""Where settings are given, as layers that remember the place of every value.

    environment > .env > credentials directory > TOML; the command line above all, the defaults below

Reads files and mappings, and judges nothing but syntax and secrets. It imports no pydantic: a command that only looks
for the control socket reads layers, not settings.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from klined.config.faults import Fault, Place, is_secret_name
from klined.errors import ConfigError

PREFIX = "KLINED_"
ALIASES = {"BINANCE_API_KEY": "exchange.api_key", "BINANCE_API_SECRET": "exchange.api_secret"}
NOT_SETTINGS = frozenset({"KLINED_CONFIG", "KLINED_SHARED_DATA"})
"""The default of -c, and where the tests find market data."""

FILE_RANK, DOTENV_RANK, ENVIRONMENT_RANK, CREDENTIALS_RANK, OVERRIDES_RANK, SYSTEMD_RANK = range(6)
BYTES_MAX = 1_000_000

_KEY = r"(?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')"
_KEYS = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER = re.compile(rf"\s*\[\[?\s*({_KEYS})\s*\]")
_ASSIGNMENT = re.compile(rf"\s*({_KEYS})\s*=\s*(.*)$")
_AT_LINE = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)")
_ENV_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$")


class Layer:
    """Raw values of one source by dotted key, the place of each, and what was wrong already while reading."""

    def __init__(self) -> None:
        self.values: dict[str, object] = {}
        self.places: dict[str, Place] = {}
        self.faults: list[Fault] = []

    def put(self, key: str, value: object, place: Place) -> None:
        self.values[key] = value
        self.places[key] = place


def read_layers(path: Path | None, overrides: Sequence[str], environ: Mapping[str, str]) -> list[Layer]:
    """All sources, the strongest first. `.env` stands beside the file, else in the working directory."""
    credentials = environ.get("CREDENTIALS_DIRECTORY")
    return [
        read_overrides(overrides),
        read_environment(environ),
        read_dotenv((path.parent if path else Path()) / ".env"),
        *([read_credentials(Path(credentials))] if credentials else []),
        *([read_toml(path)] if path else []),
        read_systemd(environ),
    ]


def read_toml(path: Path) -> Layer:
    """The settings file.

    Raises:
        ConfigError: it is missing, unreadable, or not TOML.
    """
    text = _text(path)
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = _AT_LINE.search(str(error))
        where = f"{path}:{at[1] or len(text.splitlines())}" if at else f"{path}"
        sentence = _AT_LINE.sub("", str(error)).rstrip(".")
        raise ConfigError(f"{where} is not TOML: {sentence}. Nothing was started.") from error
    layer = Layer()
    places = dict(_toml_places(path, text))
    layer.places = {key: place for key, place in places.items() if "." not in key}
    for key, value in _flat(tree):
        place = places.get(key) or places.get(key.partition(".")[0]) or Place(FILE_RANK, 0, str(path))
        if is_secret_name(key) and value:
            layer.faults.append(Fault(place, key, f"a secret does not belong in this file; {_secret_home(key)}"))
        else:
            layer.put(key, value, place)
    return layer


def read_environment(environ: Mapping[str, str]) -> Layer:
    """`KLINED_SECTION__SETTING`, and Binance's usual names for the keys."""
    layer = Layer()
    for name in sorted(environ):
        _put_variable(layer, name, environ[name], Place(ENVIRONMENT_RANK, 0, f"${name}", environ[name]))
    return layer


def read_dotenv(path: Path) -> Layer:
    """The same names from a `.env` file; an absent file is empty, names that are not ours are left alone.

    Raises:
        ConfigError: the file cannot be read.
    """
    layer = Layer()
    if not path.is_file():
        return layer
    for line, text in enumerate(_text(path).splitlines(), 1):
        if found := _ENV_LINE.match(text):
            value = _unquoted(found[2])
            _put_variable(layer, found[1], value, Place(DOTENV_RANK, line, f"{path}:{line}", value))
    return layer


def read_credentials(directory: Path) -> Layer:
    """One file a secret, as systemd's `LoadCredential=klined_exchange__api_key:...` makes them.

    Raises:
        ConfigError: a credential cannot be read.
    """
    layer = Layer()
    try:
        paths = sorted(directory.iterdir()) if directory.is_dir() else []
    except OSError as error:
        raise ConfigError(f"cannot read the credentials in {directory}: {error.strerror}") from error
    for path in paths:
        if path.name.upper().startswith(PREFIX):
            value = _text(path).rstrip("\r\n")
            _put_variable(layer, path.name.upper(), value, Place(CREDENTIALS_RANK, 0, str(path), value))
    return layer


def read_systemd(environ: Mapping[str, str]) -> Layer:
    """`StateDirectory=` of a unit, as a default."""
    layer = Layer()
    if directory := environ.get("STATE_DIRECTORY", "").partition(":")[0]:
        layer.put("store.dir", directory, Place(SYSTEMD_RANK, 0, "$STATE_DIRECTORY", directory))
    return layer


def read_overrides(overrides: Sequence[str]) -> Layer:
    """`section.setting=value` from the command line; everyone on the machine can read it, so no secrets."""
    layer = Layer()
    for override in overrides:
        key, equals, value = (part.strip() for part in override.partition("="))
        place = Place(OVERRIDES_RANK, 0, f"--set {key}", value)
        if not equals or "." not in key:
            fault = Fault(
                Place(OVERRIDES_RANK, 0, "--set", override), "", f"{override!r} should be section.setting=value"
            )
            layer.faults.append(fault)
        elif is_secret_name(key):
            layer.faults.append(Fault(place, key, f"every user of this machine can read it there; {_secret_home(key)}"))
        else:
            layer.put(key.lower(), value, place)
    return layer


def variable(key: str) -> str:
    """The environment's name of a setting: `KLINED_RISK__MAX_DRAWDOWN`."""
    return PREFIX + key.replace(".", "__").upper()


def merged(layers: Sequence[Layer]) -> tuple[dict[str, object], dict[str, Place]]:
    """Values and places of all layers by dotted key; earlier layers win."""
    values: dict[str, object] = {}
    places: dict[str, Place] = {}
    for layer in reversed(layers):
        values.update(layer.values)
        places.update(layer.places)
    return values, places


def _put_variable(layer: Layer, name: str, value: str, place: Place) -> None:
    if name in ALIASES:
        if ALIASES[name] not in layer.values:
            layer.put(ALIASES[name], value, place)
    elif name.upper().startswith(PREFIX) and name.upper() not in NOT_SETTINGS:
        layer.put(name[len(PREFIX) :].lower().replace("__", "."), value, place)


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ConfigError(f"no settings file {path}; write one with: klined init") from error
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > BYTES_MAX:
        raise ConfigError(f"{path} has {len(data)} bytes; settings need less than {BYTES_MAX}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text: byte {error.start} is 0x{data[error.start]:02x}") from error


def _flat(tree: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Dotted keys, two levels deep; what lies deeper is one value."""
    for section, content in tree.items():
        if isinstance(content, dict) and content:
            for key, value in content.items():
                yield f"{section}.{key}", value
        else:
            yield section, content


def _toml_places(path: Path, text: str) -> Iterator[tuple[str, Place]]:
    """Line of every section and setting. tomllib forgets them; only valid TOML comes here, so lines suffice."""
    section = ""
    for line, written in enumerate(text.splitlines(), 1):
        name = f"{path}:{line}"
        if header := _HEADER.match(written):
            section = _plain(header[1])
            yield section, Place(FILE_RANK, line, name)
        elif assignment := _ASSIGNMENT.match(written):
            key = ".".join(part for part in (section, _plain(assignment[1])) if part)
            yield ".".join(key.split(".")[:2]), Place(FILE_RANK, line, name, _without_comment(assignment[2]))


def _plain(keys: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in keys.split("."))


def _without_comment(text: str) -> str:
    quoted = ""
    for index, char in enumerate(text):
        if quoted:
            quoted = "" if char == quoted else quoted
        elif char in "\"'":
            quoted = char
        elif char == "#":
            return text[:index].strip()
    return text.strip()


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return _without_comment(text) if " #" in text else text


def _secret_home(key: str) -> str:
    return f"give it as {variable(key)}, or by systemd LoadCredential={variable(key).lower()}:/path"
