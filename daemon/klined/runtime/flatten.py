"""Going flat: settle what is unknown, cancel what works, close what is held; bounded by a deadline.

The durable flag `flattening` is set before the first action and cleared only when the venue itself says flat, so a
flatten that a kill or a deadline cut short is finished by the next start.
"""

import asyncio

import structlog

from klined.errors import Retryable, StateError
from klined.ports import Clock, Journal, Venue
from klined.runtime.outbox import Outbox
from klined.trader.trader import Trader

FLAG = "flattening"
ROUND_WAIT_S = 0.2
BACK_OFF_MAX_S = 5.0

log = structlog.get_logger()


class Flatten:
    """One way to go flat, used by stop, by `klined flatten` and by recovery."""

    def __init__(self, *, venue: Venue, journal: Journal, clock: Clock, trader: Trader, outbox: Outbox) -> None:
        self._venue, self._journal, self._clock = venue, journal, clock
        self._trader, self._outbox = trader, outbox
        self._flagged = False  # whether the flag is durable

    async def run(self, why: str, deadline_s: float) -> bool:
        """Whether the venue holds no sellable lot and no open order of ours, at the deadline at the latest.

        The flag stays set when it is not flat.
        """
        self._trader.hold(FLAG)
        self._flagged = False
        flat = False
        try:
            async with asyncio.timeout(deadline_s):
                flat = await self._until_flat(why)
        except TimeoutError:
            log.error("flatten.timed_out", deadline_s=deadline_s, left=self._trader.left())  # noqa: TRY400
        if flat:
            self._trader.release(FLAG)
        return flat

    async def _until_flat(self, why: str) -> bool:
        wait_s = ROUND_WAIT_S
        while True:
            try:
                if await self._round(why):
                    return True
            except StateError as error:
                log.error("flatten.delayed", why=str(error), hint="what is not durable is not sent")  # noqa: TRY400
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, BACK_OFF_MAX_S)

    async def _round(self, why: str) -> bool:
        """Whether the venue says flat, after one try to close what is held."""
        await self._flag(why)
        await self._settle()
        self._trader.flatten(self._clock.now_ms())
        await self._outbox.commit()  # the intents, before anything is sent
        await self._outbox.send()
        if self._trader.open_orders() or not await self._agrees():
            return False
        await self._outbox.commit()
        await self._journal.flush()
        await self._journal.remember(FLAG, None)
        return True

    async def _flag(self, why: str) -> None:
        if self._flagged:
            return
        await self._outbox.commit()
        await self._journal.flush()  # the flag must not outlive bars of a group that a kill loses
        await self._journal.remember(FLAG, why)
        self._flagged = True

    async def _settle(self) -> None:
        """Cancel what works and ask until the fate of every order is known."""
        self._trader.cancel_open(self._clock.now_ms())
        await self._outbox.send()
        wait_s = ROUND_WAIT_S
        while self._trader.open_orders():
            await asyncio.sleep(wait_s)
            self._trader.cancel_open(self._clock.now_ms())  # a cancel was lost, or what was unknown is at work
            self._trader.due(self._clock.now_ms())  # and what ended without all of its trades
            await self._outbox.send()
            wait_s = min(2 * wait_s, BACK_OFF_MAX_S)

    async def _agrees(self) -> bool:
        """Whether the venue itself says so; its word, not ours, ends the flatten."""
        try:
            account = await self._venue.account()
        except Retryable as error:
            log.warning("account.unanswered", why=str(error))
            return False
        return self._trader.is_flat(account)
