"""A stop that falls into the moment between an intent's commit and its order."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from klined.domain import Approved, Cause, Intent, OrderKind, Record
from klined.trader.actions import Submit
from venues.binance_double import Double, serving
from venues.test_live import settings_for, started

STOP = Intent(
    client_id="kl-7f3a9c-stop-0",
    symbol="ETH/USDT:USDT",
    quantity=Decimal("-0.5"),
    bar_time_ms=0,
    kind=OrderKind.STOP,
    price=Decimal(1900),
    reduce_only=True,
    cause=Cause.RISK,
)


async def test_stop_while_an_intent_is_committed_leaves_it_to_the_flatten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is durable, so it has to be sent and ended: as a mere intention it would stay open until the deadline."""
    double, durable, go_on = Double(perp=True), asyncio.Event(), asyncio.Event()
    async with serving(double) as url:
        daemon, _, journal = await started(settings_for(double, url, tmp_path), monkeypatch, 0.0, bars=0)
        await daemon.start()
        commit = journal.commit

        async def slowly(record: Record, take: Callable[[], bytes] | None) -> None:
            await commit(record, take)
            durable.set()
            await go_on.wait()

        monkeypatch.setattr(journal, "commit", slowly)
        daemon.trader.executor.plan(Approved(STOP, "rests at the venue"), daemon.clock.now_ms())
        daemon.trader.minutes.intents.append(STOP)
        committing = asyncio.create_task(daemon.outbox.commit())
        async with asyncio.timeout(10):
            await durable.wait()
            committing.cancel()
            asyncio.get_running_loop().call_soon(go_on.set)
            await asyncio.gather(committing, return_exceptions=True)
        assert committing.cancelled()
        assert Submit(STOP) in daemon.trader.actions
        monkeypatch.setattr(journal, "commit", commit)
        assert await daemon.flatten_now("test")
        assert daemon.trader.open_orders() == []
        await daemon.venue.close()
        await journal.close()
    assert [algo for algo in double.algos if algo["algoStatus"] == "NEW"] == []
