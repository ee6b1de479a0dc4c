"""Feeds by name: entry points of group `klined.feeds`, each a class with `configured(market settings)`."""

from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points

from klined.errors import ConfigError
from klined.feeds import FeedSettings
from klined.ports import Feed

GROUP = "klined.feeds"


def feeds() -> list[str]:
    """Names that `load_feed` knows, sorted."""
    return sorted(_entries())


def load_feed(name: str, settings: FeedSettings) -> Feed:
    """The feed called `name` over the settings' market.

    Raises:
        ConfigError: no such feed, or its files are no good.
    """
    entries = _entries()
    if name not in entries:
        near = get_close_matches(name, entries, 1)
        hint = f", did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"feed {name!r} is not known{hint}; market.feed is one of {', '.join(sorted(entries))}")
    feed: Feed = entries[name].load().configured(settings)
    return feed


def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}
