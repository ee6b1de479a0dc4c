"""Every setting in a table: for `klined check --all`, and for docs/settings.md."""

import json
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct
from pydantic import SecretStr

from klined.config.load import fields, reloadable, sections, wanted
from klined.config.settings import Settings
from klined.config.sources import variable


class Row(Struct, frozen=True):
    """One setting as it is now."""

    key: str
    value: str
    origin: str
    meaning: str


def rows(settings: Settings) -> Iterator[Row]:
    """Every setting with its value, where that was given, and what it means. Secrets are masked."""
    for key, field in fields():
        section, _, name = key.partition(".")
        value = getattr(getattr(settings, section), name)
        yield Row(key, shown(value), settings.origin(key), field.description or "")


def shown(value: object) -> str:
    """A value as it would stand in the file."""
    match value:
        case None:
            return '""'
        case SecretStr():
            return '"**********"'
        case tuple():
            return json.dumps([str(item) for item in value])
        case Path() | str():
            return json.dumps(str(value))
        case bool() | dict():
            return json.dumps(value)
        case _:
            return str(value)


def settings_markdown() -> str:
    """The text of docs/settings.md, from the sections themselves."""
    lines = [
        "# Settings",
        "",
        "Written by `make docs` from `klined.config`; edit the descriptions there.",
        "",
        "The command line (`--set section.setting=value`) wins over the environment (`KLINED_SECTION__SETTING`), over",
        "`.env`, over systemd's credentials directory (`klined_section__setting`), over `klined.toml`, over the",
        "default. Unknown names are refused, wherever they stand. Keys and secrets are refused in the file and on the",
        "command line. `BINANCE_API_KEY` and `BINANCE_API_SECRET` are read too. `klined check --all` shows what holds.",
        "*Reload*: `SIGHUP` and `klined reload` take a new value without a restart.",
    ]
    known = dict(fields())
    for section, model in sections():
        lines += ["", f"## [{section}]", "", (model.__doc__ or "").strip(), ""]
        lines += ["| setting | default | meaning | accepts | reload |", "|---|---|---|---|---|"]
        for key, field in known.items():
            if key.startswith(f"{section}."):
                cells = (
                    f"`{key.partition('.')[2]}`",
                    f"`{shown(field.default)}`",
                    field.description or "",
                    wanted(field),
                    "yes" if reloadable(field) else "",
                )
                lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    lines += ["", f"In the environment, `risk.max_drawdown` is `{variable('risk.max_drawdown')}`.", ""]
    return "\n".join(lines)
