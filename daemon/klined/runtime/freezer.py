"""Snapshots of the running daemon: what is taken with each record, and how a start continues from it."""

import hashlib
from collections.abc import Sequence

import structlog

from klined.config.settings import Settings
from klined.domain import Bar, Batch, Purpose, Recovered
from klined.errors import StateError
from klined.kernels.layout import KERNEL_ABI
from klined.ports import Clock, Policy, Venue
from klined.runtime.clock import FeedClock
from klined.store.bars import BarStore
from klined.store.snapshots import Header, pack, platform_class, require, unpack
from klined.trader.plans import Plan
from klined.trader.trader import Trader

log = structlog.get_logger()


class Freezer:
    """Takes and restores. `policy` is the one that decides; a reload replaces it here too."""

    def __init__(
        self,
        settings: Settings,
        *,
        trader: Trader,
        policy: Policy,
        venue: Venue,
        clock: Clock,
        bars: BarStore | None,
    ) -> None:
        self.policy = policy
        self._hashed: Plan | None = None
        self._hash = ""
        self._bars = bars
        self._interval_ms = settings.market.interval_ms
        self._trader, self._venue, self._clock = trader, venue, clock

    def take(self) -> bytes:
        """The trader and the policy's recurrent state at this moment."""
        trader = self._trader
        header = Header(
            plan_hash=self._plan_hash(),
            kernel_abi=KERNEL_ABI,
            platform=platform_class(),
            last_open_time_ms=trader.time_ms - self._interval_ms if trader.time_ms else 0,
        )
        return pack(header, {**trader.sections(), "policy": self.policy.state()})

    def restore(self, recovered: Recovered) -> None:
        """Continue byte for byte; a new journal has nothing to continue.

        Raises:
            StateError: the snapshot is damaged, or of another plan, account or kernel.
        """
        if recovered.snapshot is None:
            return
        header, sections = unpack(recovered.snapshot)
        same_plan = header.plan_hash == self._plan_hash()
        require(header, plan_hash=header.plan_hash, kernel_abi=KERNEL_ABI)
        trader = self._trader
        try:
            trader.load(sections, with_engine=same_plan)
            if same_plan:
                self.policy.restore(sections["policy"])
            else:
                self._warm()
        except (KeyError, ValueError) as error:
            raise StateError(f"the snapshot does not fit these settings ({error}); use another --state") from error
        if isinstance(self._clock, FeedClock):
            self._clock.time_ms = trader.time_ms
        if trader.last is not None:  # an in-process market stores no quiet bars: show it where it stands
            self._show(trader.last.bars)

    def _show(self, bars: Sequence[Bar | None]) -> None:
        """Tell the venue the last bar of every symbol at the close it belongs to, for warm-up."""
        for time_ms in sorted({bar.open_time_ms for bar in bars if bar is not None}):
            then = tuple(bar if bar is not None and bar.open_time_ms == time_ms else None for bar in bars)
            self._venue.on_batch(Batch(time_ms + self._interval_ms, then, Purpose.WARMUP))

    def _warm(self) -> None:
        """Another feature plan than the snapshot's: show the engine the stored bars; the gate waits for what lacks."""
        engine = self._trader.engine
        for i, instrument in enumerate(self._trader.instruments):
            stored = self._bars.latest(instrument.symbol, engine.plan.warmup_bars) if self._bars is not None else []
            for bar in stored:
                engine.step(i, bar)
            log.warning("engine.rewarmed", symbol=instrument.symbol, bars=len(stored), needed=engine.plan.warmup_bars)

    def _plan_hash(self) -> str:
        plan = self._trader.engine.plan
        if plan is not self._hashed:  # a reload may bring another
            self._hashed, self._hash = plan, hashlib.sha256(plan.canonical()).hexdigest()
        return self._hash
