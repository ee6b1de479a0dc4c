"""What is wrong with the settings, in words that help: the place, the text that stands there, what to write instead.

klined.toml:9  risk.max_day_loss = "two percent": a fraction between 0 and 1, like 0.02
"""

import re
from collections.abc import Iterable

from msgspec import Struct

from klined.errors import ConfigError

MASK = '"**********"'
_SECRET_NAME = re.compile(r"(.*[_-])?(api)?[_-]?(key|secret|password|passwd|passphrase|token)", re.IGNORECASE)
_SECRET_HINT = re.compile(r"key|secret|passw|passphrase|token|secrt", re.IGNORECASE)
_SECRET_VALUE = re.compile(r"[A-Za-z0-9+/=_-]{32,}")
_SHOWN_MAX = 60


def is_secret_name(key: str) -> bool:
    """Whether a setting of this dotted name would hold a secret."""
    return _SECRET_NAME.fullmatch(key.rpartition(".")[2]) is not None


class Place(Struct, frozen=True, order=True):
    """Where a value stands."""

    rank: int  # of its source, for sorting
    line: int  # 0 where there are no lines
    name: str  # klined.toml:9, $KLINED_RISK__MAX_DRAWDOWN, --set
    text: str = ""  # the value as written

    def shown(self, key: str) -> str:
        """The text, shortened, and masked when it may be a secret."""
        text = " ".join(self.text.split())
        if _SECRET_HINT.search(key) or _SECRET_VALUE.search(text):
            return MASK
        return text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 1] + "…"


DEFAULT = Place(9, 0, "default")


class Fault(Struct, frozen=True):
    """One wrong value, name or file."""

    place: Place
    key: str  # risk.max_day_loss; empty where no setting can be named
    says: str

    def __str__(self) -> str:
        shown = f" = {self.place.shown(self.key)}" if self.place.text else ""
        if self.place.rank == DEFAULT.rank:
            return f"{self.key}: {self.says}"
        if not self.place.line:  # a variable or an option names the setting itself
            return f"{self.place.name}{shown}: {self.says}"
        return f"{self.place.name}  {self.key}{shown}: {self.says}"


class ConfigFaults(ConfigError):
    """All that is wrong with the settings, one line a fault, in the order of files and lines."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        unique = {(fault.place, fault.key): fault for fault in faults}
        self.faults = sorted(unique.values(), key=lambda fault: (fault.place, fault.key))
        problems = "1 problem" if len(self.faults) == 1 else f"{len(self.faults)} problems"
        lines = "\n".join(f"  {fault}" for fault in self.faults)
        super().__init__(f"{problems} with the settings\n\n{lines}\n\nNothing was started. Check with: klined check")
