"""Orders that are signed while their intent is on its way to the disk: sent as they were, once, and never too late."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from klined.domain import Accepted, Approved, Intent, Record
from klined.errors import StateError
from klined.store.journal import AsyncJournal
from klined.venues.binance import PREPARED_MS, BinanceDialect
from klined.venues.ccxt import CcxtVenue
from venues.binance_double import Double, serving
from venues.test_ccxt import buy, trading
from venues.test_live import settings_for, started


@pytest.fixture(params=[False, True], ids=["spot", "perp"])
def double(request: pytest.FixtureRequest) -> Double:
    return Double(perp=request.param)


def prepared(venue: CcxtVenue, intent: Intent, *, earlier_ms: int = 0) -> str:
    """Sign it so long ago; the time that it bears."""
    at_ms = venue._clock.now_ms() - earlier_ms
    venue.dialect.prepare(intent, at_ms)
    return str(at_ms)


async def test_a_prepared_order_leaves_as_it_was_signed(double: Double) -> None:
    async with trading(double) as venue:
        signed_at = prepared(venue, buy(double), earlier_ms=PREPARED_MS // 2)
        assert double.requests == []
        assert isinstance((await venue.submit(buy(double)))[0], Accepted)
        assert [post["timestamp"] for post in double.posts] == [signed_at]


@pytest.mark.parametrize("earlier_ms", [PREPARED_MS * 2, -1000])
async def test_a_signature_of_another_time_is_made_anew(double: Double, earlier_ms: int) -> None:
    async with trading(double) as venue:
        signed_at = prepared(venue, buy(double), earlier_ms=earlier_ms)
        await venue.submit(buy(double))
        assert len(double.posts) == 1
        assert double.posts[0]["timestamp"] != signed_at


async def test_a_prepared_order_serves_no_other_and_only_once(double: Double) -> None:
    async with trading(double) as venue:
        signed_at = prepared(venue, buy(double), earlier_ms=PREPARED_MS // 2)
        await venue.submit(buy(double, "kl-7f3a9c-2", "0.25"))
        await venue.submit(buy(double))
        names = [post["newClientOrderId"] for post in double.posts]
        assert names == ["kl-7f3a9c-2", "kl-7f3a9c-1"]
        assert [post["quantity"] for post in double.posts] == ["0.25", "0.5"]
        assert signed_at not in {post["timestamp"] for post in double.posts}


@pytest.mark.parametrize("broken", [False, True])
async def test_an_order_is_signed_while_its_intent_is_stored_and_sent_after(
    broken: bool,  # noqa: FBT001 - a parameter
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    signed = asyncio.Event()
    double = Double(perp=True)
    commit, prepare = AsyncJournal.commit, BinanceDialect.prepare

    async def storing(self: AsyncJournal, record: Record, take: object) -> None:
        told.append("storing")
        if record.intents:
            async with asyncio.timeout(10):
                await signed.wait()  # the disk takes so long
            if broken:
                raise StateError("disk full")
        await commit(self, record, take)  # type: ignore[arg-type]
        told.append(f"stored with {len(double.posts)} sent")

    def signing(self: BinanceDialect, intent: Intent, at_ms: int) -> None:
        told.append("signed")
        prepare(self, intent, at_ms)
        signed.set()

    async with serving(double) as url:
        daemon, _, journal = await started(settings_for(double, url, tmp_path), monkeypatch, 0.0, bars=0)
        await daemon.start()
        told.clear()
        monkeypatch.setattr(AsyncJournal, "commit", storing)
        monkeypatch.setattr(BinanceDialect, "prepare", signing)
        intent = buy(double, quantity="0.1", bar_time_ms=daemon.clock.now_ms() - daemon.trader.interval_ms)
        daemon.trader.executor.plan(Approved(intent, ""), daemon.clock.now_ms())
        daemon.trader.minutes.intents.append(intent)
        await daemon.outbox.keep()
        assert told[:2] == ["storing", "signed"]
        assert double.posts == []
        await daemon.outbox.send()
        assert told[2:3] == ([] if broken else ["stored with 0 sent"])
        assert [Decimal(post["quantity"]) for post in double.posts] == ([] if broken else [Decimal("0.1")])
        await daemon.venue.close()
        await journal.close()
