"""The asynchronous environment: an agent in the policy's place of a real daemon, and there is no second way to trade.

    feed ─▶ indicators ─▶ Hand ─ observation ─▶ agent ─ step(action) ─▶ gate ─▶ journal ─▶ executor ─▶ venue
                                                  └──── create_order ──▶ gate ─▶ journal ─▶ executor ─▶ venue

A bar that has closed is a question; `step` answers it and returns with the next. A market that is made up or recorded
stands still until then. A real one does not: after `risk.max_bar_age_s` the bar is decided without a wish, and an
answer that comes later is dropped (`info["late"]`). Killed at any instant, the next `reset` is the daemon's recovery.
"""

import tempfile
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from math import isfinite, log
from pathlib import Path
from typing import Any, Self

import numpy as np
import structlog
from gymnasium import spaces
from numpy.typing import NDArray

from klined.config.settings import Settings
from klined.domain import Approved, Decision, Held, Refused
from klined.errors import ConfigError
from klined.kernels import layout as at
from klined.runtime import log as logs
from klined.runtime.daemon import Daemon
from klined.trader.plans import PLANS, Plan
from klined_models.envs.orders import Order, Orders, OrderStatus
from klined_models.envs.scene import bounds_of
from klined_models.envs.seat import Seat
from klined_models.envs.settings import Actions, nearest
from klined_models.envs.switches import changed, check_switches, inside
from klined_models.envs.wishes import Wishes

Reward = Callable[[float, float], float]
"""From equity at the last observation and now to what the step was worth."""
Result = tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]


def log_return(before: float, after: float) -> float:
    """Ln of equity after over before; costs are in it."""
    return log(after / before) if before > 0.0 and after > 0.0 else 0.0


class LiveTradingEnv:
    """`await reset()`, `await step(action)` in gymnasium's five values, orders by hand, `await close()`.

    An action is where the exposure of each symbol shall be, in [-1, 1] of `max_exposure x equity`, never what shall be
    added. `test_mode` keeps everything inside this process on a made-up market, whatever the settings say; with no
    `store.dir` each `reset` then begins anew. `live=True` is the second switch beside `mode.live`.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        test_mode: bool = False,
        live: bool = False,
        plan: Plan | str = "eth15",
        actions: Actions | str = "continuous",
        reward: Reward = log_return,
    ) -> None:
        """Raises: ConfigError: real money without both switches, an unknown plan, actions that cannot be."""
        given = settings or Settings()
        self.settings = inside(given) if test_mode else given
        check_switches(self.settings, live=live)
        if isinstance(plan, str):
            if plan not in PLANS:
                raise ConfigError(f"plan {plan!r} is not known; {nearest(plan, PLANS)}")
            plan = PLANS[plan]
        market, n = self.settings.market, len(self.settings.market.symbols)
        self.test_mode, self.plan, self._reward = test_mode, plan, reward
        self._wishes = Wishes(actions, market.kind, n)
        self.action_space: spaces.Space[Any] = self._wishes.space
        low, high = (np.tile(each, n).astype(np.float32) for each in bounds_of(plan))
        self.observation_space = spaces.Box(low, high, dtype=np.float32)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._seat = Seat(plan)
        self._seen = 0  # question that was shown last; 0: none
        self._excused = False  # it was let pass, so that the next answer may be for one that was not shown
        self._equity = 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start, or recover what a dead process left, and wait for a bar to decide; on a running one, show that again.

        `seed` is that of a made-up market, and for a market that begins anew.

        Raises:
            KlinedError: the daemon could not start, or it ended with this.
        """
        del options
        if self._folder is not None:
            await self.close()
        if not self._seat.going:
            self._seat.failure()  # known by now to whoever asked for this
            self._begin(seed)
        if not await self._seat.question():
            raise self._seat.failure() or ConfigError(
                "the market ended before a bar could be decided; give it more bars"
            )
        self._see()
        return self._shown(), self._info(late=False)

    async def step(self, action: Any) -> Result:
        """Decide the bar that was shown last, and wait for the next one.

        Raises:
            ConfigError: before reset, after the end, or an action outside its space; nothing was decided.
            KlinedError: the daemon ended with this.
        """
        self._running()
        seat, before = self._seat, self._equity
        targets, hand = self._wishes.targets(action), seat.hand
        if self._excused:
            await seat.question()
        late, after = not (hand.waiting and (self._excused or hand.asked == self._seen)), self._seen
        if not late:
            hand.answer(targets)
            after = hand.asked
        going = await seat.question(after)
        if not going and (failure := seat.failure()) is not None:
            raise failure
        self._see()
        return self._shown(), self._reward(before, self._equity), seat.over, not going, self._info(late=late)

    async def create_order(
        self,
        side: str,
        amount: float,
        price: float | None = None,
        *,
        symbol: str | None = None,
        post_only: bool = False,
    ) -> Order:
        """Ask for an order of `amount` base, at the market or resting at `price`; it comes back answered, or refused.

        The gate judges it like any other; REJECTED says why in `reason`. The bar that is shown passes without a wish.

        Raises:
            ConfigError: before reset, an unknown side or symbol, an amount or price that is no positive number.
            StateError: it could not be journalled, so nothing was sent.
        """
        daemon, seat = self._running(), self._seat
        quantity = _signed(side, amount)
        if price is not None and not (isfinite(price) and price > 0.0):
            raise ConfigError(f"price {price!r} must be a positive number, or None for an order at the market")
        at_price = None if price is None else Decimal(repr(float(price)))
        planned = seat.byhand.plan(seat.byhand.symbol(symbol), quantity, at_price, post_only=post_only)
        if isinstance(planned, Refused):
            return self._refused(planned, side, amount, price)
        order, batches = seat.orders.take(planned, daemon.trader.time_ms), seat.batches
        if seat.hand.waiting:  # it is part of the record of this bar
            self._spare()
            await seat.decided(batches)
        else:
            with seat.hand.busy():
                await seat.byhand.send()
        seat.renew()
        return order

    async def cancel_order(self, order_id: str) -> bool:
        """Whether the order is canceled now. Raises: ConfigError: before reset, or no such order."""
        daemon, seat = self._running(), self._seat
        order = seat.orders.get(order_id)
        if daemon.venue.in_process:
            await seat.byhand.cancel(order_id)
        else:  # the answer is journalled at once, which a bar that waits for its decision would hold up
            self._excused |= seat.hand.waiting
            with seat.hand.busy():
                await seat.byhand.cancel(order_id)
        seat.renew()
        return order.status is OrderStatus.CANCELED

    async def monitor_order(self, order_id: str, timeout: float = 30.0) -> AsyncIterator[OrderStatus]:  # noqa: ASYNC109 - seconds of the market, whose clock may not be the loop's
        """Every change of the order, parts filled too, until it has ended or `timeout` seconds of the market are over.

        The market goes on meanwhile: bars that close pass without a wish.

        Raises:
            ConfigError: before reset, or no such order.
        """
        clock, seat = self._running().clock, self._seat
        order, until_s = seat.orders.get(order_id), clock.monotonic_s() + timeout
        told: tuple[OrderStatus, float] | None = None
        while True:
            news = seat.news
            seat.renew()
            if told != (order.status, order.filled_size):
                told = order.status, order.filled_size
                yield order.status
                continue
            if order.ended or not seat.going:
                return
            left_s = until_s - clock.monotonic_s()
            if left_s <= 0.0:
                yield OrderStatus.TIMED_OUT
                return
            self._spare()
            await seat.heard(news, None if seat.still else left_s)

    async def close(self) -> None:
        """Stop as the settings say, flat by default, and let go of everything; nothing when it does not run.

        Raises:
            NotFlat: something is left at the venue; the next `reset` finishes it.
        """
        seat, self._seat = self._seat, Seat(self.plan)
        self._seen, self._excused = 0, False
        try:
            await seat.leave()
        finally:
            self._seat.orders = seat.orders  # they can be looked at until the next reset
            if self._folder is not None:
                self._folder.cleanup()
                self._folder = None

    @property
    def orders(self) -> Orders:
        """All orders since reset, those of steps too."""
        return self._seat.orders

    @property
    def daemon(self) -> Daemon:
        """The daemon beneath, to be looked at. Raises: ConfigError: before reset, after the end."""
        return self._running()

    @property
    def observations(self) -> NDArray[np.float32]:
        """What was shown last, one row per symbol."""
        return self._seat.hand.observations

    @property
    def equity(self) -> float:
        """Quote, at the last close."""
        self._running()
        return self._seat.equity

    @property
    def balance(self) -> float:
        """Cash, quote."""
        return float(self._running().trader.book.A.row[0][at.CASH])

    @property
    def positions(self) -> dict[str, float]:
        """Base quantity by symbol, signed."""
        ledger = self._running().trader.book.ledger
        return {symbol: float(ledger.position(symbol).quantity) for symbol in self.settings.market.symbols}

    @property
    def prices(self) -> dict[str, float]:
        """Last close by symbol."""
        rows = self._running().trader.book.Q.row
        return {symbol: q[at.MARK] for symbol, q in zip(self.settings.market.symbols, rows, strict=True)}

    def _begin(self, seed: int | None) -> None:
        settings = self.settings if seed is None else changed(self.settings, "market", seed=seed)
        if self.test_mode and settings.store.dir is None:
            self._folder = tempfile.TemporaryDirectory(prefix="klined-")
            settings = changed(settings, "store", dir=Path(self._folder.name))
        if not structlog.is_configured():
            logs.configure("warning", settings.log.format)
        self._seat = Seat(self.plan)
        self._seat.sit(settings)

    def _spare(self) -> None:
        """Let the shown bar pass; the next step may then decide one that was not shown."""
        if self._seat.hand.waiting:
            self._excused = True
            self._seat.hand.spare()

    def _see(self) -> None:
        """Take note of what is shown now."""
        self._seen, self._excused = self._seat.hand.asked, False
        self._equity = self._seat.equity
        self._seat.renew()

    def _running(self) -> Daemon:
        """The daemon, which has shown a bar and lives."""
        if not self._seen:
            raise ConfigError("the environment does not run; await reset() first")
        if not self._seat.going:
            raise self._seat.failure() or ConfigError("the market has ended; await reset() before anything else")
        return self._seat.daemon

    def _refused(self, refusal: Refused, side: str, amount: float, price: float | None) -> Order:
        order = Order(
            self._seat.byhand.last,
            refusal.symbol,
            "market" if price is None else "limit",
            amount,
            price,
            self._seat.daemon.trader.time_ms,
            OrderStatus.REJECTED,
            side=side,
            reason=f"{refusal.reason.name.lower()}: {refusal.detail}",
        )
        return self._seat.orders.keep(order)

    def _shown(self) -> NDArray[np.float32]:
        return self._seat.hand.observations.reshape(-1).copy()

    def _info(self, *, late: bool) -> dict[str, Any]:
        seat, daemon = self._seat, self._seat.daemon
        events = tuple(seat.events)
        seat.events.clear()
        rows = daemon.trader.book
        return {
            "equity": self._equity,
            "portfolio_value": self._equity,
            "balance": float(rows.A.row[0][at.CASH]),
            "position": np.array([q[at.EXPOSURE] for q in rows.Q.row]),
            "time_ms": daemon.trader.time_ms,
            "mode": daemon.mode.value,
            "mode_why": daemon.mode_why,
            "verdicts": {symbol: _word(decision) for symbol, decision in seat.decisions.items()},
            "orders": {order.order_id: order.status for order in seat.orders if not order.ended},
            "events": events,
            "late": late,
            "missed": seat.hand.missed,
            "run": daemon.run,
        }


def _signed(side: str, amount: float) -> Decimal:
    if side not in {"buy", "sell"}:
        raise ConfigError(f"side {side!r} must be 'buy' or 'sell'")
    if not (isfinite(amount) and amount > 0.0):
        raise ConfigError(f"amount {amount!r} must be a positive number of the base asset")
    return Decimal(repr(float(amount))) * (1 if side == "buy" else -1)


def _word(decision: Decision) -> str:
    """ok, or why nothing was traded."""
    match decision.verdict:
        case Approved():
            return "ok"
        case Held(reason=reason):
            return reason.name.lower()
        case Refused(reason=reason, detail=detail):
            return f"{reason.name.lower()}: {detail}"
