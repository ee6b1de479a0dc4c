"""An exchange that quotes requests, keys and all, in whatever it says: no key reaches journal, trace or log (I14)."""

import io
import logging
from collections.abc import Sequence

import pytest
import structlog
from msgspec.structs import replace

from klined.config import masks
from klined.domain import Denied, Doubted, Intent, OrderNews
from klined.errors import Retryable
from klined.runtime.daemon import Daemon
from klined.runtime.log import redact
from klined.simulation.disk import Disk
from klined.simulation.run import simulate
from klined.simulation.schedule import make_schedule
from klined.simulation.story import told

KEY, SIGNATURE = "CANARYkey4f1c9b", "c0ffee5160a7"
QUOTED = f" (POST /api/v3/order?quantity=1&signature={SIGNATURE} X-MBX-APIKEY: {KEY})"


def quoting(news: OrderNews) -> OrderNews:
    match news:
        case Denied():
            return replace(news, reason=news.reason + QUOTED)
        case Doubted():
            return replace(news, why=news.why + QUOTED)
    return news


def quotes_what_it_was_asked(daemon: Daemon) -> None:
    """Doubts, refusals and failed reads carry the request, as exceptions of HTTP libraries do."""
    submit, account = daemon.venue.submit, daemon.venue.account

    async def speaking(intent: Intent) -> Sequence[OrderNews]:
        return [quoting(news) for news in await submit(intent)]

    async def failing() -> object:
        try:
            return await account()
        except Retryable as error:
            raise Retryable(f"{error}{QUOTED}") from error

    daemon.venue.submit = speaking  # type: ignore[method-assign]
    daemon.venue.account = failing  # type: ignore[method-assign,assignment]


def said(monkeypatch: pytest.MonkeyPatch, seeds: range) -> str:
    """All that some seeds leave behind: every table of their journals, their stories, their logs."""
    left, log = [], io.StringIO()
    close = Disk.close

    def read(disk: Disk) -> None:
        left.extend(disk.link.iterdump())
        close(disk)

    monkeypatch.setattr(Disk, "close", read)
    structlog.configure(
        processors=[redact, structlog.processors.KeyValueRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.PrintLoggerFactory(log),
    )
    for seed in seeds:
        schedule = make_schedule(seed, 80)
        outcome = simulate(schedule, quotes_what_it_was_asked)
        assert outcome.violations == ()
        left.extend(told(schedule, outcome))
    return "\n".join((*left, log.getvalue()))


def test_no_key_reaches_journal_story_or_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks, "_known", set())
    masks.hide(KEY)
    everything = said(monkeypatch, range(4))
    assert masks.MASK in everything
    assert KEY not in everything
    assert SIGNATURE not in everything


def test_search_for_keys_finds_them_where_nothing_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks, "_known", set())
    assert KEY in said(monkeypatch, range(4))
