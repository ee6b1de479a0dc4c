"""`klined run` with an exchange that says nothing of its account once the daemon is to stop.

    python stubborn.py SETTINGS_FILE YIELD_FILE

It answers again when YIELD_FILE exists. Fills and money are the paper exchange's own.
"""

import sys
from pathlib import Path
from typing import Any

from klined.config.load import load
from klined.config.settings import Settings
from klined.domain import Account, Cause, Intent, OrderNews
from klined.errors import Retryable
from klined.runtime import assembly, process


def stubborn(venue: Any, yields: Path) -> Any:
    """The venue, silent from its first order of a flatten on."""
    account, submit = venue.account, venue.submit
    silent = False

    async def say_nothing() -> Account:
        if silent and not yields.exists():  # noqa: ASYNC240 # one stat
            raise Retryable("the exchange does not answer")
        told: Account = await account()
        return told

    async def take(intent: Intent) -> list[OrderNews]:
        nonlocal silent
        silent = silent or intent.cause is Cause.FLATTEN
        news: list[OrderNews] = await submit(intent)
        return news

    venue.account, venue.submit = say_nothing, take
    return venue


def main(file: Path, yields: Path) -> int:
    def settings(_model: str | None = None) -> Settings:
        return load(file, ["store.dir=state"], environ={})

    make_venue = assembly.make_venue

    assembly.make_venue = lambda *args: stubborn(make_venue(*args), yields)
    return process.run(settings(), settings)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
