"""Wrong protocols, each as a change to a freshly assembled production daemon: the simulation must catch them all.

Each is what some bot does. `CAUGHT` says by which invariants, and within how many seeds at most.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from klined.domain import (
    Account,
    Batch,
    Disproved,
    Doubted,
    Intent,
    News,
    OrderNews,
    Purpose,
    Traded,
    Verdict,
)
from klined.kernels import layout as at
from klined.ports import Choice
from klined.runtime.daemon import PAUSED, Daemon
from klined.runtime.flatten import FLAG
from klined.runtime.resting import Resting
from klined.simulation.disk import SimJournal
from klined.simulation.life import Mutation
from klined.simulation.power import FileDisk
from klined.simulation.stream import SimFeed
from klined.simulation.wire import SimVenue
from klined.trader.actions import Cancel
from klined.trader.executor import Patience
from klined.trader.orders import Closed, Order, Working


def retries_with_the_same_id(daemon: Daemon) -> None:
    """No answer? Send it again: the client id will see to it that it happens once."""
    submit = daemon.venue.submit

    async def stubborn(intent: Intent) -> Sequence[OrderNews]:
        heard = await submit(intent)
        return await submit(intent) if any(isinstance(news, Doubted) for news in heard) else heard

    daemon.venue.submit = stubborn  # type: ignore[method-assign]


def believes_the_first_not_found(daemon: Daemon) -> None:
    """The exchange says that the order does not exist, so it never happened."""
    trader = daemon.trader

    def not_found(client_id: str, asked_at_ms: int, now_ms: int) -> None:
        trader.hear(Disproved(client_id), now_ms)

    trader.not_found = not_found  # type: ignore[method-assign]


def journals_after_the_answer(daemon: Daemon) -> None:
    """First trade, then write down what came of it."""
    trader, outbox, journal = daemon.trader, daemon.outbox, daemon.journal

    async def commit_batch(batch: Batch, choices: Sequence[Choice], verdicts: Sequence[Verdict]) -> None:
        record = trader.record(batch, choices, verdicts)
        trader.committed(record)
        await outbox.send()
        await journal.commit(record, daemon.freezer.take)

    outbox.commit_batch = commit_batch  # type: ignore[method-assign]


def waits_too_short_for_a_lagging_read(daemon: Daemon) -> None:
    """Reads lag by a second at most."""
    daemon.trader.executor._patience = Patience(lag_bound_ms=1_000)


def stops_when_disconnected(daemon: Daemon) -> None:
    """The stream is gone, so it ends; somebody will start it again."""
    feed = daemon.feed
    assert isinstance(feed, SimFeed)

    async def give_up(why: str) -> None:
        daemon.stop("the market ended")
        await asyncio.Event().wait()

    feed._reconnect = give_up  # type: ignore[method-assign]


def flattens_without_settling(daemon: Daemon) -> None:
    """Close what the books say is held, whatever may still be on its way."""

    async def settled() -> None:
        pass

    trader = daemon.trader
    flatten = trader.flatten

    def at_once(now_ms: int) -> None:
        for q in trader.book.Q.row:
            q[at.WORKING] = 0.0
        flatten(now_ms)

    trader.flatten = at_once  # type: ignore[method-assign]
    daemon.flatten._settle = settled  # type: ignore[method-assign]
    trader.open_orders = list  # type: ignore[method-assign,assignment]


def says_flat_without_asking(daemon: Daemon) -> None:
    """An order to close was sent, so it is closed."""

    async def agrees() -> bool:
        return True

    daemon.flatten._agrees = agrees  # type: ignore[method-assign]
    daemon.trader.open_orders = list  # type: ignore[method-assign,assignment]


def forgets_the_loss_of_the_day(daemon: Daemon) -> None:
    """A restart begins a new day."""
    restore, a = daemon.freezer.restore, daemon.trader.book.A.row[0]
    load = daemon.trader.book.load

    def fresh(sections: dict[str, bytes]) -> None:
        load(sections)
        a[at.DAY_EQUITY] = a[at.EQUITY]
        a[at.LOSSES] = a[at.TRADES_DAY] = 0.0

    assert restore is not None
    daemon.trader.book.load = fresh  # type: ignore[method-assign,assignment]


def ignores_late_fills(daemon: Daemon) -> None:
    """An order that ended cannot trade any more, and its end needs no question."""
    trader, hear = daemon.trader, daemon.trader.hear
    assert isinstance(daemon.venue, SimVenue)
    daemon.venue.follows = False

    def deaf(news: News, now_ms: int) -> None:
        order: Order | None = trader.executor.order(news.fill.client_id) if isinstance(news, Traded) else None
        if not isinstance(order, Closed):
            hear(news, now_ms)

    trader.hear = deaf  # type: ignore[method-assign]


def books_repeated_fills(daemon: Daemon) -> None:
    """The exchange says each thing once."""
    daemon.trader.book.ledger._first_time = lambda _key: True  # type: ignore[method-assign,assignment]


def forgets_a_pause(daemon: Daemon) -> None:
    """A pause is a state of the process."""
    remember = daemon.journal.remember

    async def forgetful(key: str, value: str | None) -> None:
        if key != PAUSED:
            await remember(key, value)

    daemon.journal.remember = forgetful  # type: ignore[method-assign]
    daemon.trader.release(FLAG)
    daemon.trader.gate.pause = lambda: None  # type: ignore[method-assign]


def trusts_its_books_after_a_restart(daemon: Daemon) -> None:
    """What the last process wrote down is how things are."""

    async def settled(recovered: object) -> None:
        pass

    async def reconciled() -> None:
        pass

    daemon._settle = settled  # type: ignore[method-assign,assignment]
    daemon._reconcile = reconciled  # type: ignore[method-assign]
    daemon.pipeline.beside.clear()


def counts_no_unknown_order(daemon: Daemon) -> None:
    """What is not known to have happened did not happen."""
    executor = daemon.trader.executor
    executor.blocked = lambda _symbol: False  # type: ignore[method-assign,assignment]
    executor.working_lots = lambda _symbol, _lot: 0.0  # type: ignore[method-assign,assignment]


def trades_on_refilled_bars(daemon: Daemon) -> None:
    """A bar is a bar."""
    show, outbox = daemon.trader.show, daemon.outbox
    limits = daemon.trader.book.P.row[0]
    limits[at.BAR_AGE_MAX_MS] = 1e12
    assert outbox is not None

    def blind(batch: Batch) -> None:
        show(Batch(batch.close_time_ms, batch.bars, Purpose.TRADE))

    daemon.trader.show = blind  # type: ignore[method-assign]


def reprices_without_waiting(daemon: Daemon) -> None:
    """The old price is cancelled, so the new one can go."""
    for work in daemon.pipeline.beside:
        resting = getattr(work, "__self__", None)
        if isinstance(resting, Resting):
            _hurry(daemon, resting)


def _hurry(daemon: Daemon, resting: Resting) -> None:
    trader = daemon.trader

    async def look() -> None:
        resting._note_new()
        for rest in list(resting._rests.values()):
            order = trader.executor.order(rest.intent.client_id)
            old = daemon.clock.monotonic_s() - rest.since_s >= resting._after_s
            if isinstance(order, Working) and old and not rest.asked_s:
                rest.asked_s = daemon.clock.monotonic_s()
                trader.again(rest.intent, rest.intent.quantity - order.filled, None, daemon.clock.now_ms())
                await daemon.outbox.commit()
                trader.actions.append(Cancel(rest.intent.client_id, rest.intent.symbol))
        await daemon.outbox.send()

    resting._look = look  # type: ignore[method-assign]


def restores_its_indicators_cold(daemon: Daemon) -> None:
    """Indicators warm up again by themselves."""
    engine = daemon.trader.engine
    load = engine.load

    def cold(raw: bytes) -> None:
        load(raw)
        engine.features.array.fill(0.0)

    engine.load = cold  # type: ignore[method-assign]


def does_not_wait_for_the_disk(daemon: Daemon) -> None:
    """A commit is quick when nobody waits for the disk."""
    assert isinstance(daemon.journal, SimJournal)
    disk = daemon.journal._disk
    if isinstance(disk, FileDisk):
        disk.synced = False


def adopts_the_first_look(daemon: Daemon) -> None:
    """The exchange's account is the truth, whenever it is read."""
    trader = daemon.trader
    reconcile, differences = trader.reconcile, trader.differences

    def at_once(account: Account) -> list[object]:
        if differences(account):
            reconcile(account, daemon.clock.now_ms())
        return []

    trader.differences = at_once  # type: ignore[method-assign,assignment]


class Wrong(NamedTuple):
    """One wrong protocol: what it is, and what must give it away, within so many seeds."""

    mutation: Mutation
    invariants: set[str]
    seeds_max: int


WRONG: tuple[Wrong, ...] = (
    Wrong(retries_with_the_same_id, {"I1", "I4"}, 3),
    Wrong(believes_the_first_not_found, {"I1", "I2", "I5", "I6", "I7"}, 200),
    Wrong(journals_after_the_answer, {"I3"}, 3),
    Wrong(waits_too_short_for_a_lagging_read, {"I1", "I2", "I5", "I6", "I7"}, 200),
    Wrong(stops_when_disconnected, {"I15"}, 5),
    Wrong(flattens_without_settling, {"I6"}, 200),
    Wrong(says_flat_without_asking, {"I6"}, 40),
    Wrong(forgets_the_loss_of_the_day, {"I12"}, 5),
    Wrong(ignores_late_fills, {"I5", "I7"}, 200),
    Wrong(books_repeated_fills, {"I5", "I7"}, 10),
    Wrong(forgets_a_pause, {"I11", "I12"}, 10),
    Wrong(trusts_its_books_after_a_restart, {"I5", "I6", "I7", "I1", "I15"}, 40),
    Wrong(counts_no_unknown_order, {"I1", "I2"}, 100),
    Wrong(trades_on_refilled_bars, {"I8"}, 10),
    Wrong(reprices_without_waiting, {"I1", "I2"}, 20),
    Wrong(restores_its_indicators_cold, {"I9"}, 5),
    Wrong(does_not_wait_for_the_disk, {"I1", "I5", "I6", "I7", "I9", "I12", "I13"}, 40),
    Wrong(adopts_the_first_look, {"I5", "I7"}, 100),
)
