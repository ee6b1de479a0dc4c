"""The executor against venues that lose, delay and deny: never two executions, never a forgotten one."""

from decimal import Decimal
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from klined.domain import (
    ZERO,
    Accepted,
    Approved,
    Denied,
    Doubted,
    Ended,
    Fill,
    Intent,
    OrderKind,
    OrderNews,
    Sent,
    Traded,
    Unsent,
)
from klined.errors import Desync
from klined.trader.actions import Action, Alert, Cancel, Inspect, Persist, Query, Submit, WaitUntil
from klined.trader.executor import Executor, Patience
from klined.trader.orders import Closed, Filled, Unknown, Working, decode, exposure_max

ETH, BTC = "ETH/USDT", "BTC/USDT"
T0 = 1_700_000_000_000
PATIENCE = Patience(recv_window_ms=5_000, lag_bound_ms=20_000, ask_first_ms=1_000, ask_max_ms=8_000)
DEADLINE = T0 + 25_000
DAY = 86_400_000


def intent(
    client_id: str = "kl-1", quantity: int = 10, symbol: str = ETH, kind: OrderKind = OrderKind.MARKET
) -> Intent:
    return Intent(client_id=client_id, symbol=symbol, quantity=Decimal(quantity), bar_time_ms=T0 - 60_000, kind=kind)


def traded(quantity: int, client_id: str = "kl-1", trade_id: str = "t1", symbol: str = ETH) -> Traded:
    return Traded(
        Fill(
            trade_id=trade_id,
            client_id=client_id,
            symbol=symbol,
            quantity=Decimal(quantity),
            price=Decimal(2000),
            fee=ZERO,
            fee_asset="USDT",
            time_ms=T0,
        )
    )


def planned(*news: OrderNews, order: Intent | None = None) -> Executor:
    executor = Executor(PATIENCE)
    executor.plan(Approved(order or intent()), T0)
    for item in news:
        executor.hear(item, T0)
    return executor


def names(actions: tuple[Action, ...]) -> list[str]:
    return [a.name for a in actions if isinstance(a, Alert)]


def kinds(actions: tuple[Action, ...]) -> list[type]:
    return [type(a) for a in actions]


LOST = (Sent("kl-1", T0), Doubted("kl-1", "time-out"))


def test_intent_is_made_durable_before_it_is_submitted() -> None:
    executor = Executor(PATIENCE)
    assert executor.plan(Approved(intent()), T0) == (Persist(intent()), Submit(intent()))


def test_client_id_is_never_sent_twice() -> None:
    executor = planned(Sent("kl-1", T0), traded(10))
    with pytest.raises(Desync, match="kl-1 was used before"):
        executor.plan(Approved(intent()), T0 + 60_000)


def test_lost_answer_blocks_the_symbol_and_counts_in_full() -> None:
    executor = planned(*LOST)
    assert executor.blocked(ETH)
    assert not executor.blocked(BTC)
    assert executor.exposure_max(ETH) == (ZERO, Decimal(10))
    assert executor.working_lots(ETH, Decimal("0.5")) == 20.0


def test_unknown_is_asked_for_with_back_off_and_never_submitted_again() -> None:
    executor = planned(*LOST)
    asked: list[int] = []
    for now_ms in range(T0, DEADLINE + 60_000, 500):
        actions = executor.due(now_ms)
        assert not any(isinstance(a, Submit) for a in actions)
        asked += [now_ms - T0 for a in actions if a == Query("kl-1", ETH)]
    assert asked[:5] == [1_000, 3_000, 7_000, 15_000, 23_000]
    assert DEADLINE - T0 in asked
    gaps = [b - a for a, b in pairwise(asked)]
    assert max(gaps) == PATIENCE.ask_max_ms


def test_silence_before_the_deadline_proves_nothing() -> None:
    executor = planned(*LOST)
    assert executor.not_found("kl-1", DEADLINE - 1, DEADLINE) == ()
    assert executor.evidence(ETH, agrees=True, read_at_ms=DEADLINE, now_ms=DEADLINE) == ()
    assert executor.blocked(ETH)


def test_silence_after_the_deadline_asks_for_the_account_and_its_agreement_disproves() -> None:
    executor = planned(*LOST)
    assert Inspect(ETH) in executor.not_found("kl-1", DEADLINE, DEADLINE + 100)
    assert executor.evidence(ETH, agrees=True, read_at_ms=DEADLINE - 1, now_ms=DEADLINE + 200) == ()
    actions = executor.evidence(ETH, agrees=True, read_at_ms=DEADLINE, now_ms=DEADLINE + 200)
    assert names(actions) == ["order.disproved"]
    assert not executor.blocked(ETH)
    assert executor.exposure_max(ETH) == (ZERO, ZERO)


def test_account_that_differs_keeps_the_order_unknown() -> None:
    executor = planned(*LOST)
    executor.not_found("kl-1", DEADLINE, DEADLINE)
    assert names(executor.evidence(ETH, agrees=False, read_at_ms=DEADLINE, now_ms=DEADLINE)) == ["order.undecided"]
    assert executor.blocked(ETH)
    executor.hear(traded(10), DEADLINE + 1)
    assert not executor.blocked(ETH)


def test_position_cannot_disprove_two_opposite_orders_but_the_trades_can() -> None:
    executor = planned(*LOST)
    executor.plan(Approved(intent("kl-2", -10)), T0)
    executor.hear(Doubted("kl-2"), T0)
    for client_id in ("kl-1", "kl-2"):
        executor.not_found(client_id, DEADLINE, DEADLINE)
    actions = executor.evidence(ETH, agrees=True, read_at_ms=DEADLINE, now_ms=DEADLINE)
    assert names(actions) == ["order.undecided", "order.undecided"]
    executor.evidence(ETH, agrees=True, read_at_ms=DEADLINE, now_ms=DEADLINE, trades_read=True)
    assert not executor.blocked(ETH)


def test_working_order_that_vanished_is_closed_on_evidence() -> None:
    executor = planned(Sent("kl-1", T0), Accepted("kl-1"), traded(4))
    gone = T0 + PATIENCE.lag_bound_ms
    assert executor.not_found("kl-1", gone - 1, gone) == ()
    executor.not_found("kl-1", gone, gone)
    executor.evidence(ETH, agrees=True, read_at_ms=gone, now_ms=gone)
    assert executor.order("kl-1") == Closed(intent(), Decimal(4), "gone from the venue", ("t1",))


def test_in_process_proof_that_it_never_left_submits_the_first_time() -> None:
    executor = Executor(PATIENCE)
    assert executor.restore([decode(raw) for _, raw in planned().drain()], T0)[0] == Query("kl-1", ETH)
    assert Submit(intent()) in executor.hear(Unsent("kl-1"), T0)
    assert executor.hear(Unsent("kl-1"), T0) == ()


def test_restart_takes_a_durable_intent_as_sent_just_now_and_asks() -> None:
    executor = Executor(PATIENCE)
    later = T0 + 3_600_000
    actions = executor.restore([decode(raw) for _, raw in planned().drain()], later)
    assert actions[0] == Query("kl-1", ETH)
    assert executor.order("kl-1") == Unknown(intent(), later)
    assert dict(executor.drain()).keys() == {"kl-1"}


def test_restart_in_the_middle_of_a_recovery_ends_the_same() -> None:
    first = Executor(PATIENCE)
    first.restore([decode(raw) for _, raw in planned(*LOST).drain()], T0 + 1)
    second = Executor(PATIENCE)
    second.restore(first.open_orders(), T0 + 2)
    assert second.open_orders() == first.open_orders() == [Unknown(intent(), T0)]


def test_late_trade_of_a_dead_order_is_booked_with_an_alert_for_a_day() -> None:
    executor = planned(Sent("kl-1", T0), Accepted("kl-1"), Ended("kl-1", "expired"))
    executor.due(T0 + DAY - 1)
    assert names(executor.hear(traded(4), T0 + DAY - 1)) == ["order.filled_late"]
    assert executor.order("kl-1") == Closed(intent(), Decimal(4), "expired", ("t1",), late=True)
    executor.due(T0 + DAY)
    assert executor.order("kl-1") is not None, "the late trade starts the watch anew"
    executor.due(T0 + 2 * DAY)
    assert executor.order("kl-1") is None


def test_disproved_order_that_the_venue_then_accepts_counts_again() -> None:
    executor = planned(*LOST)
    executor.not_found("kl-1", DEADLINE, DEADLINE)
    assert executor.disproved() == []
    executor.evidence(ETH, agrees=True, read_at_ms=DEADLINE, now_ms=DEADLINE)
    assert [order.intent.client_id for order in executor.disproved()] == ["kl-1"]
    assert names(executor.hear(Accepted("kl-1"), DEADLINE + 1)) == ["order.reopened"]
    assert executor.exposure_max(ETH) == (ZERO, Decimal(10))
    assert executor.disproved() == []


def test_news_of_an_order_that_is_not_ours_is_an_alert() -> None:
    assert names(planned().hear(Accepted("web_abc"), T0)) == ["order.foreign"]


def test_contradiction_is_an_alert_and_a_look_at_the_account_and_changes_nothing() -> None:
    executor = planned(Sent("kl-1", T0), traded(10))
    executor.drain()
    actions = executor.hear(traded(1, trade_id="t2"), T0)
    assert names(actions) == ["order.desync"]
    assert Inspect(ETH) in actions
    assert executor.drain() == ()


def test_refusal_ends_the_order_and_says_why() -> None:
    executor = planned(Sent("kl-1", T0))
    actions = executor.hear(Denied("kl-1", "-2010 insufficient balance"), T0)
    assert [a.data["reason"] for a in actions if isinstance(a, Alert)] == ["-2010 insufficient balance"]
    assert not executor.open_orders()


def test_answer_that_never_comes_is_asked_for() -> None:
    executor = planned(Sent("kl-1", T0))
    assert executor.due(T0 + PATIENCE.answer_max_ms - 1) == ()
    assert executor.due(T0 + PATIENCE.answer_max_ms)[0] == Query("kl-1", ETH)


def test_silent_stream_is_backed_by_asking_for_working_orders() -> None:
    executor = planned(Sent("kl-1", T0), Accepted("kl-1"))
    assert executor.due(T0 + PATIENCE.working_ask_ms)[0] == Query("kl-1", ETH)
    silent = Executor(Patience(working_ask_ms=0))
    silent.plan(Approved(intent()), T0)
    assert silent.hear(Accepted("kl-1"), T0) == ()
    assert silent.due(T0 + DAY) == ()


def test_cancelling_spares_stops_and_asks_for_the_unknown() -> None:
    executor = planned(Sent("kl-1", T0), Accepted("kl-1"))
    executor.plan(Approved(intent("kl-2", -10, kind=OrderKind.STOP)), T0)
    executor.hear(Accepted("kl-2"), T0)
    executor.plan(Approved(intent("kl-3", 1, BTC)), T0)
    executor.hear(Doubted("kl-3"), T0)
    actions = executor.cancel_open(T0)
    assert actions[:2] == (Cancel("kl-1", ETH), Query("kl-3", BTC))
    assert Cancel("kl-2", ETH) in executor.cancel_open(T0, ETH, stops=True)
    assert executor.due(T0 + PATIENCE.ask_first_ms)[:2] == (Query("kl-1", ETH), Query("kl-2", ETH))


def test_wait_is_told_once_and_is_the_next_time_that_something_is_due() -> None:
    executor = planned(Sent("kl-1", T0))
    assert WaitUntil(T0 + 1_000) in executor.hear(Doubted("kl-1"), T0)
    executor.plan(Approved(intent("kl-2", symbol=BTC)), T0)
    assert WaitUntil not in kinds(executor.hear(Sent("kl-2", T0), T0))
    assert executor.due(T0 + 999) == ()


def test_memory_is_bounded_by_the_watch() -> None:
    executor = Executor(PATIENCE)
    for n in range(3 * 1440):
        now_ms = T0 + n * 60_000
        executor.plan(Approved(intent(f"kl-{n}", 1)), now_ms)
        executor.hear(traded(1, f"kl-{n}"), now_ms)
        executor.due(now_ms)
        executor.drain()
    assert len(executor._lives) <= 1441
    assert len(executor._watch) <= 1441
    assert len(executor._timers) <= 1
    assert not executor._open
    assert executor.timed
    executor.due(T0 + 7 * DAY)
    assert not executor.timed


class Liar:
    """A venue that loses answers, executes late inside the window, and whose reads lag; its ledger is the truth."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.position = ZERO
        self.executes_at: dict[str, tuple[int, Intent]] = {}
        self.visible_at: dict[str, int] = {}
        self.traded: dict[str, Intent] = {}
        self.posts: list[str] = []

    def submit(self, intent: Intent, now_ms: int) -> list[OrderNews]:
        self.posts.append(intent.client_id)
        happens, answered = self.rng.random() < 0.6, self.rng.random() < 0.4
        delay_ms = self.rng.choice([0, 0, 4_000, PATIENCE.recv_window_ms])
        if happens:
            self.executes_at[intent.client_id] = (now_ms + delay_ms, intent)
            self.visible_at[intent.client_id] = now_ms + delay_ms + self.rng.choice([0, 5_000, PATIENCE.lag_bound_ms])
        self.tick(now_ms)
        if answered and happens and not delay_ms:
            return [self._fill(intent)]
        if answered and not happens:
            return [Denied(intent.client_id, "no")]
        return [Doubted(intent.client_id)]

    def tick(self, now_ms: int) -> None:
        for client_id, (at_ms, intent) in list(self.executes_at.items()):
            if at_ms <= now_ms:
                del self.executes_at[client_id]
                self.traded[client_id] = intent
                self.position += intent.quantity

    def query(self, client_id: str, now_ms: int) -> list[OrderNews]:
        if client_id in self.traded and self.visible_at[client_id] <= now_ms:
            return [Accepted(client_id), self._fill(self.traded[client_id])]
        return []

    def _fill(self, intent: Intent) -> Traded:
        return traded(int(intent.quantity), intent.client_id, f"t-{intent.client_id}", intent.symbol)


class Killed(BaseException):
    """The process is gone; what it had not made durable is forgotten."""


class Run:
    """A daemon in small: performs actions, remembers durably what was heard, dies at any action."""

    def __init__(self, seed: int, kill_chance: float, patience: Patience) -> None:
        self.patience = patience
        self.rng = Random(seed)
        self.kill_chance = kill_chance
        self.venue = Liar(self.rng)
        self.executor = Executor(patience)
        self.journal: dict[str, bytes] = {}
        self.booked: dict[str, Decimal] = {}

    @property
    def position(self) -> Decimal:
        return sum(self.booked.values(), ZERO)

    def perform(self, actions: tuple[Action, ...], now_ms: int) -> None:
        for action in actions:
            if self.rng.random() < self.kill_chance:
                raise Killed
            match action:
                case Persist():
                    self.journal.update(self.executor.drain())
                case Submit(order):
                    self.perform(self.executor.hear(Sent(order.client_id, now_ms), now_ms), now_ms)
                    self.tell(self.venue.submit(order, now_ms), now_ms)
                case Query(client_id):
                    if not self.tell(self.venue.query(client_id, now_ms), now_ms):
                        self.perform(self.executor.not_found(client_id, now_ms, now_ms), now_ms)
                case Inspect(symbol):
                    agrees = self.venue.position == self.position
                    told = self.executor.evidence(symbol, agrees=agrees, read_at_ms=now_ms, now_ms=now_ms)
                    self.perform(told, now_ms)
                case _:
                    pass

    def tell(self, news: list[OrderNews], now_ms: int) -> bool:
        if self.rng.random() < self.kill_chance:
            raise Killed
        for item in news:
            if isinstance(item, Traded):
                self.booked[item.fill.trade_id] = item.fill.quantity
            actions = self.executor.hear(item, now_ms)
            self.journal.update(self.executor.drain())
            self.perform(actions, now_ms)
        return bool(news)

    def step(self, now_ms: int, wanted: Intent | None, limit: Decimal) -> None:
        try:
            self.perform(self.executor.due(now_ms), now_ms)
            worst = self.position + self.executor.exposure_max(ETH)[1]
            if wanted is not None and not self.executor.blocked(ETH) and worst < limit:
                self.perform(self.executor.plan(Approved(wanted), now_ms), now_ms)
        except Killed:
            self.executor, chance, self.kill_chance = Executor(self.patience), self.kill_chance, 0.0
            self.perform(self.executor.restore(map(decode, self.journal.values()), now_ms), now_ms)
            self.kill_chance = chance


def live(seed: int, kill_chance: float, patience: Patience) -> None:
    """200 s with faults, 200 s without; the invariants at every second."""
    run, limit = Run(seed, kill_chance, patience), Decimal(3)
    for second in range(400):
        now_ms = T0 + second * 1_000
        run.venue.tick(now_ms)
        if second == 200:
            run.kill_chance = 0.0
        wanted = intent(f"kl-{second}", 1) if second < 200 and second % 10 == 0 else None
        run.step(now_ms, wanted, limit)
        sold, bought = run.executor.exposure_max(ETH)
        assert run.position + sold <= run.venue.position <= run.position + bought
        assert run.venue.position <= limit
    assert len(run.venue.posts) == len(set(run.venue.posts))
    assert not run.executor.open_orders(), "faults stopped long ago, so nothing may be left unknown"
    assert run.position == run.venue.position


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.3]))
def test_whatever_the_venue_does_and_whenever_we_die_orders_execute_once_or_never(
    seed: int, kill_chance: float
) -> None:
    live(seed, kill_chance, PATIENCE)


def test_executor_that_believes_silence_too_soon_is_caught() -> None:
    """The planted fault: the property above must see an impatient executor lose track."""
    impatient = Patience(recv_window_ms=0, lag_bound_ms=0, ask_first_ms=500)
    caught = 0
    for seed in range(20):
        try:
            live(seed, 0.0, impatient)
        except AssertionError:
            caught += 1
    assert caught >= 5


def test_filled_order_leaves_nothing_open() -> None:
    executor = planned(Sent("kl-1", T0), Accepted("kl-1"), traded(4), traded(6, trade_id="t2"))
    assert executor.order("kl-1") == Filled(intent(), ("t1", "t2"))
    assert executor.orders_open(ETH) == 0
    assert executor.due(T0 + 60_000) == ()


def test_partly_filled_order_counts_its_rest() -> None:
    executor = planned(Accepted("kl-1"), traded(4), order=intent(quantity=10))
    order = executor.order("kl-1")
    assert isinstance(order, Working)
    assert exposure_max(order) == 6
    assert executor.exposure_max(ETH) == (ZERO, Decimal(6))
    assert not executor.blocked(ETH)


def test_clock_that_is_set_back_delays_no_question() -> None:
    executor = planned(Sent("kl-1", T0))
    hour_ms = 3_600_000
    executor.hear(Doubted("kl-1"), T0 + hour_ms)  # the clock was an hour ahead
    assert executor.due(T0 + hour_ms + 200) == ()
    assert Query in kinds(executor.due(T0 + 10_000))
