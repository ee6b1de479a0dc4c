"""The public fakes keep the promises of the ports that they stand for."""

import asyncio
from decimal import Decimal

import pytest

from klined.domain import Accepted, Doubted, Intent, Position, Purpose, Traded, Unsent
from klined.errors import Retryable
from klined.ports import Clock, Feed, Venue
from klined.testing import FakeClock, RecordingVenue, ScriptedFeed, closes, instrument

ETH = "ETH/USDT"
BUY = Intent(client_id="kl-1", symbol=ETH, quantity=Decimal("0.5"), bar_time_ms=0)


def venue_at(price: float) -> RecordingVenue:
    venue = RecordingVenue([instrument(ETH)])
    venue.on_batch(closes(ETH, [price])[0])
    return venue


def test_fakes_satisfy_the_ports_they_stand_for() -> None:
    clock: Clock = FakeClock()
    feed: Feed = ScriptedFeed([])
    venue: Venue = RecordingVenue([])
    assert (clock.now_ms(), venue.in_process) == (0, True)
    assert feed is not None


def test_clock_stands_still_until_it_is_moved() -> None:
    clock = FakeClock(now_ms=1_000)
    clock.advance(500)
    assert (clock.now_ms(), clock.monotonic_s()) == (1_500, 0.5)
    clock.step(-1_000)
    assert (clock.now_ms(), clock.monotonic_s()) == (500, 0.5)
    with pytest.raises(ValueError, match="step"):
        clock.advance(-1)


def test_closes_chain_each_bar_to_the_one_before() -> None:
    first, second = closes(ETH, [100.0, 99.0], start_ms=60_000, purpose=Purpose.WARMUP)
    assert first.bars[0] is not None
    assert second.bars[0] is not None
    assert (second.bars[0].open, second.bars[0].low, second.close_time_ms) == (100.0, 99.0, 180_000)
    assert first.purpose is Purpose.WARMUP


async def test_scripted_feed_plays_its_script_then_ends() -> None:
    batches = closes(ETH, [1.0, 2.0])
    feed = ScriptedFeed(batches)
    assert [await feed.next() for _ in range(3)] == [*batches, None]
    await feed.close()
    assert feed.closed


async def test_scripted_history_is_bounded_or_complete_after_a_restart() -> None:
    past = closes(ETH, [1.0, 2.0, 3.0])
    feed = ScriptedFeed([], past)
    assert await feed.history(2, None) == past[1:]
    assert await feed.history(0, None) == []
    assert await feed.history(0, past[0].close_time_ms) == past[1:]


async def test_market_order_fills_at_the_last_close_and_moves_the_balances() -> None:
    venue = venue_at(2000.0)
    accepted, traded = await venue.submit(BUY)
    assert accepted == Accepted("kl-1")
    assert isinstance(traded, Traded)
    account = await venue.account()
    assert account.positions == (Position(ETH, Decimal("0.5")),)
    assert account.balances == {"USDT": Decimal("8999.60000"), "ETH": Decimal("0.5")}
    assert not account.orders


async def test_perpetual_pays_only_the_fee_from_the_wallet() -> None:
    perpetual = "ETH/USDT:USDT"
    venue = RecordingVenue([instrument(perpetual)])
    venue.on_batch(closes(perpetual, [2000.0])[0])
    await venue.submit(Intent(client_id="kl-1", symbol=perpetual, quantity=Decimal(-1), bar_time_ms=0))
    assert (await venue.account()).balances == {"USDT": Decimal("9999.2000")}
    assert venue.held == {perpetual: Decimal(-1)}


async def test_scripted_answer_is_heard_instead_of_a_fill() -> None:
    venue = venue_at(2000.0)
    venue.answer(Doubted("kl-1", "time-out"))
    assert list(await venue.submit(BUY)) == [Doubted("kl-1", "time-out")]
    assert venue.held[ETH] == 0
    assert venue.sent == [BUY]


async def test_second_submission_of_one_intent_is_caught() -> None:
    venue = venue_at(2000.0)
    await venue.submit(BUY)
    with pytest.raises(AssertionError, match="twice"):
        await venue.submit(BUY)


async def test_cancelled_order_is_working_no_longer() -> None:
    venue = RecordingVenue([instrument(ETH)])
    await venue.submit(BUY)
    assert [order.client_id for order in (await venue.account()).orders] == ["kl-1"]
    (ended,) = await venue.cancel("kl-1", ETH)
    assert (ended.client_id, venue.cancelled) == ("kl-1", ["kl-1"])
    assert not (await venue.account()).orders
    assert await venue.cancel("kl-1", ETH) == ()


async def test_query_proves_what_was_never_sent() -> None:
    venue = venue_at(2000.0)
    assert await venue.query("kl-1", ETH) == (Unsent("kl-1"),)
    heard = await venue.submit(BUY)
    assert list(await venue.query("kl-1", ETH)) == list(heard)


async def test_dark_venue_fails_every_read_until_light_returns() -> None:
    venue = venue_at(2000.0)
    venue.go_dark()
    with pytest.raises(Retryable, match="dark"):
        await venue.account()
    with pytest.raises(Retryable, match="dark"):
        await venue.query("kl-1", ETH)
    venue.go_dark(dark=False)
    assert (await venue.account()).balances["USDT"] == 10_000


async def test_ledger_outlives_the_venue_that_dumped_it() -> None:
    venue = venue_at(2000.0)
    await venue.submit(BUY)
    heir = RecordingVenue([instrument(ETH)])
    heir.load(venue.dump())
    assert (heir.balances, heir.held) == (venue.balances, venue.held)


async def test_user_stream_of_an_in_process_venue_stays_silent() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await venue_at(1.0).news()
