"""The seams between the pure cores and the world: Protocols only. Adapters are found by entry point.

Groups: `klined.feeds`, `klined.policies`, `klined.venues`, `klined.signals`, `klined.observers`.
"""

from collections.abc import Callable, Coroutine, Sequence
from decimal import Decimal
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from klined.domain import Account, Batch, Decision, Event, Instrument, Intent, News, OrderNews, Quote, Record, Recovered

Choice = tuple[float, tuple[float, ...]]
"""What a policy wants for one symbol: the target fraction in [-1, 1] (NaN when it failed) and its raw outputs."""


class Clock(Protocol):
    """Time. `now_ms` is UTC and may step; `monotonic_s` never steps and is for durations."""

    def now_ms(self) -> int: ...

    def monotonic_s(self) -> float: ...


class Feed(Protocol):
    """Closed bars, in order, each once, as batches over the configured symbols."""

    async def history(self, count: int, after_ms: int | None) -> Sequence[Batch]:
        """Batches to feed the indicators before the first decision, oldest first.

        At most the last `count` before the live edge; with `after_ms`, all that closed later than that (a restart).
        """
        ...

    async def next(self) -> Batch | None:
        """The next batch, refilled ones included; None when the feed has ended for good."""
        ...

    async def close(self) -> None: ...


@runtime_checkable
class Plentiful(Protocol):
    """What a feed may add that often has several batches at hand, such as a recording."""

    def ready(self, count: int) -> Sequence[Batch]:
        """At most `count` batches that are here already, in order; nothing where `next` has to be asked."""
        ...


@runtime_checkable
class Watched(Protocol):
    """What a feed may add, so that a watchdog can tell patience from a hang, and a sleep of the machine is mended."""

    steps: int  # bounded steps taken; one that waits still takes one at least every minute
    waiting: str  # why no bar comes and what is done about it; empty when one is due

    def resync(self) -> None:
        """Time has jumped: trust no connection, fetch what was missed. Must not wait."""
        ...


@runtime_checkable
class Clocked(Protocol):
    """What a feed may add, so that it can live by another time than the machine's."""

    def keep_time(self, now_ms: Callable[[], int], monotonic_s: Callable[[], float]) -> None:
        """From now on, ask these for the time."""
        ...


class Policy(Protocol):
    """Observations in, targets out; deterministic."""

    name: str
    plan: str  # feature plan it was made for, such as "eth15"

    def decide(self, observations: NDArray[np.float32]) -> list[Choice]:
        """One choice per row of `observations`, shape (n_symbols, dim), in configured order."""
        ...

    def state(self) -> bytes:
        """Recurrent state, empty when there is none."""
        ...

    def restore(self, state: bytes) -> None: ...


@runtime_checkable
class Quoter(Protocol):
    """What a policy may add when it rests orders on both sides instead of moving to a target (a market maker)."""

    def quote(self, choice: Choice) -> Quote | None:
        """What a choice of `decide` asks for; None: it is a target like any other."""
        ...


@runtime_checkable
class Quoted(Protocol):
    """What a venue may add, so that an order is given a new price by what the market says between two bars."""

    async def quote(self, symbol: str) -> tuple[Decimal, Decimal]:
        """Best bid and best ask now.

        Raises:
            Retryable: it could not be read.
        """
        ...


class Venue(Protocol):
    """Where orders go. What an answer proves is decided here; errors of the wire never escape as exceptions."""

    name: str
    in_process: bool  # its market moves by `on_batch`, and it proves from its own ledger what never arrived

    async def instruments(self, symbols: Sequence[str]) -> dict[str, Instrument]: ...

    async def account(self) -> Account:
        """The truth about balances, positions and open orders (algo orders too).

        Raises:
            Retryable: it could not be read now.
        """
        ...

    async def submit(self, intent: Intent) -> Sequence[OrderNews]:
        """Send once, never again; at least one of Accepted, Denied, Doubted, perhaps with what already traded."""
        ...

    async def cancel(self, client_id: str, symbol: str) -> Sequence[OrderNews]: ...

    async def query(self, client_id: str, symbol: str) -> Sequence[OrderNews]:
        """All the venue knows of this order; nothing when it does not know it, which is no proof.

        An in-process venue answers `Unsent` instead of nothing. Raises Retryable when it could not be asked.
        """
        ...

    def on_batch(self, batch: Batch) -> Sequence[News]:
        """Show the batch to an in-process market and hear what its open orders became; others answer nothing."""
        ...

    async def news(self) -> Sequence[News]:
        """Wait for the user stream; an in-process venue never returns."""
        ...

    def dump(self) -> Sequence[tuple[str, bytes]]:
        """What changed in an in-process venue's ledger since the last call, for the journal's transaction."""
        ...

    def load(self, rows: Sequence[tuple[str, bytes]]) -> None:
        """Continue from a durable ledger (in-process venues)."""
        ...

    async def close(self) -> None: ...


@runtime_checkable
class Preparing(Protocol):
    """What a venue may add that can do part of a `submit` before it may send."""

    def prepare(self, intent: Intent) -> None:
        """Word and sign an order whose intent is on its way to the disk; sends nothing, and may do nothing."""
        ...


class Journal(Protocol):
    """Durable memory. A record is one transaction: all of it or nothing."""

    async def recover(self) -> Recovered: ...

    def commit(self, record: Record, snapshot: Callable[[], bytes] | None) -> Coroutine[Any, Any, None]:
        """Make `record` durable; with `snapshot`, its bytes at this moment replace the last snapshot.

        Raises:
            StateError: disk full, read-only, corrupt. Nothing of the record may be acted on.
        """
        ...

    async def remember(self, key: str, value: str | None) -> None:
        """Set or delete a durable flag, at once."""
        ...

    async def flush(self) -> None:
        """End a group of batches that were gathered into one transaction."""
        ...

    async def close(self) -> None: ...


class Signal(Protocol):
    """Something known about a symbol beside its bars, such as sentiment; honest about when it was known."""

    def score(self, symbol: str, at_ms: int) -> float | None:
        """Latest value available at `at_ms`, in [-1, 1]; None when there is none (masked, never invented)."""
        ...


class Observer(Protocol):
    """Reads the stream of decisions and events from a bounded queue that drops the oldest; may crash without harm."""

    def observe(self, item: Decision | Event) -> None: ...
