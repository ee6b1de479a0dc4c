"""The five stages: each a loop of a few lines around a pure call. `None` is the end mark and travels through all."""

import asyncio
from typing import TYPE_CHECKING

from klined.domain import Purpose

if TYPE_CHECKING:
    from klined.runtime.pipeline import Pipeline


async def feed(p: "Pipeline") -> None:
    """Closed batches in, a block at a time; cancelled only where none is in hand."""
    p.feeding = asyncio.current_task()
    try:
        while not p.stopping:
            await p.permits.get()
            p.busy = "feed"
            batches = await p.next()
            if not batches:
                break
            p.bars.put_nowait(batches)
    except asyncio.CancelledError:
        if not p.stopping:
            raise
    finally:
        p.bars.put_nowait(None)


async def indicators(p: "Pipeline") -> None:
    """Bars into market features, which depend on nothing else and may therefore be ahead of all decisions."""
    while (batches := await p.bars.get()) is not None:
        p.trader.engine.look_ahead(batches)
        p.observations.put_nowait(batches)
    p.observations.put_nowait(None)


async def policy(p: "Pipeline") -> None:
    """Batch by batch: features, with the account as it stands after all that was booked, into targets."""
    while (batches := await p.observations.get()) is not None:
        for batch in batches:
            if p.stopping and batch is not batches[0]:
                break  # what was not admitted is fetched again by the next start
            if p.outbox.rests:
                await p.admit_anew(batch)
            else:
                p.admit(batch)
            observations = p.trader.observe()
            if p.deliberate is not None and p.trader.warm and batch.purpose is Purpose.TRADE:
                p.busy = "agent"
                choices = await p.deliberate(observations)
            else:
                choices = p.policy.decide(observations) if p.trader.warm else p.trader.undecided
            p.targets.put_nowait((batch, choices))
            await p.settled.get()
        p.permits.put_nowait(None)
    p.targets.put_nowait(None)


async def gate(p: "Pipeline") -> None:
    """Targets into orders that may be sent, or the reason why not."""
    while (wanted := await p.targets.get()) is not None:
        batch, choices = wanted
        p.approved.put_nowait((batch, choices, p.trader.judge(batch, choices, p.clock.now_ms())))
    p.approved.put_nowait(None)


async def executor(p: "Pipeline") -> None:
    """Make the decisions durable, then send what was approved, then let the policy admit the next batch."""
    while (judged := await p.approved.get()) is not None:
        p.busy = "executor"
        batch, choices, verdicts = judged
        await p.outbox.commit_batch(batch, choices, verdicts)
        if p.trader.actions:
            await p.outbox.send()
        p.progress(batch)
        p.settled.put_nowait(None)
