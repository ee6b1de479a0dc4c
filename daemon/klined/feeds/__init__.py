"""Where bars come from. Pure parts in the middle, sockets and files at the edge.

frames   bytes of a websocket -> Bar, or why not          (pure)
gaps     what follows what: next, gap, duplicate, older   (pure)
batches  bars of all symbols -> one batch a close         (pure)
columns  files -> checked columns of bars
depth    order book, quotes, trades -> what bars tell beside
recorded, generated, binance, ccxt                        implement ports.Feed
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


class FeedSettings(Protocol):
    """What a feed may ask of the settings' market section; `configured(settings)` of every feed takes it."""

    @property
    def exchange(self) -> str: ...
    @property
    def symbols(self) -> Sequence[str]: ...
    @property
    def interval_ms(self) -> int: ...
    @property
    def files(self) -> Sequence[Path]: ...
    @property
    def speed(self) -> float: ...
    @property
    def seed(self) -> int: ...
    @property
    def scenarios(self) -> Sequence[str]: ...
    @property
    def bars(self) -> int: ...
    @property
    def grace_ms(self) -> int: ...
    @property
    def silence_grace_s(self) -> float: ...
    @property
    def stream_url(self) -> str: ...
    @property
    def rest_url(self) -> str: ...
