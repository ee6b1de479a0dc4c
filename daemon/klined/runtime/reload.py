"""Changing what may change while running: limits, log level, the policy. Between two batches, all or nothing.

A new policy is swapped in when no order is unknown. One with another feature plan is first warmed from stored bars.
"""

from collections.abc import Callable
from pathlib import Path

import structlog

from klined.config.settings import Settings
from klined.errors import ConfigError, ModelError
from klined.ports import Policy
from klined.runtime import log
from klined.runtime.assembly import equip, fitting_plan, make_limits, make_policy
from klined.runtime.daemon import Daemon
from klined.store.bars import BarStore
from klined.trader.engine import Engine

logger = structlog.get_logger()

Reread = Callable[[str | None], Settings]
Compare = Callable[[Settings, Settings], tuple[list[str], list[str]]]


class Reload:
    """Applies new settings to a running daemon."""

    def __init__(self, daemon: Daemon, bars: BarStore, reread: Reread, compare: Compare) -> None:
        self._daemon, self._bars, self._reread, self._compare = daemon, bars, reread, compare

    async def run(self, model: str | None = None) -> tuple[list[str], list[str]]:
        """Keys that were changed, and keys that would need a restart.

        Raises:
            ConfigError, ModelError: the new settings or policy are wrong; the old ones go on.
        """
        daemon = self._daemon
        if model is not None and not Path(model).is_file():  # noqa: ASYNC240  # one stat, on request
            raise ConfigError(f"{model}: no such file; the policy stays {daemon.pipeline.policy.name}")
        new = self._reread(model)
        changed, refused = self._compare(daemon.settings, new)
        if refused:
            logger.warning("reload.refused", keys=" ".join(refused), hint="restart to apply")
        if changed:
            policy = make_policy(new) if any(key.startswith("policy.") for key in changed) else None
            if policy is not None:
                self._warmed(policy)  # refused here, while somebody listens, rather than between batches
            daemon.pipeline.between.append(lambda: self._apply(new, policy))
            logger.info("reload.accepted", keys=" ".join(changed))
        return changed, refused

    def _warmed(self, policy: Policy) -> Engine | None:
        """An engine for the policy's plan, shown the stored bars; None when the running one serves.

        Raises:
            ModelError: too few bars are stored.
        """
        trader = self._daemon.trader
        plan = fitting_plan(self._daemon.settings, policy)
        if plan == trader.engine.plan:
            return None
        engine = Engine(plan, len(trader.instruments))
        self._bars.flush()
        for i, instrument in enumerate(trader.instruments):
            stored = self._bars.latest(instrument.symbol, plan.warmup_bars)
            if len(stored) < plan.warmup_bars:
                raise ModelError(
                    f"policy {policy.name} needs {plan.warmup_bars} bars of {instrument.symbol} to warm up, "
                    f"{len(stored)} are stored; try again later, or restart"
                )
            for bar in stored:
                engine.step(i, bar)
        return engine

    def _apply(self, new: Settings, policy: Policy | None) -> bool:
        """Between two batches; False asks to be called again before the next."""
        daemon = self._daemon
        if policy is not None and daemon.trader.unknown():
            return False
        if policy is not None:
            daemon.trader.engine = self._warmed(policy) or daemon.trader.engine
            equip(daemon.trader, policy)
            daemon.outbox.rests = daemon.trader.gate.style is not None or daemon.trader.quoter is not None
            daemon.pipeline.policy = daemon.freezer.policy = policy
        make_limits(new, daemon.pipeline.policy, daemon.trader.engine.plan).write(daemon.trader.book.P.row[0])
        log.configure(new.log.level, new.log.format)
        daemon.settings = new
        daemon.trader.note("info", "settings.reloaded", policy=daemon.pipeline.policy.name)
        return True
