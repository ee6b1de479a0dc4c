"""The life of one order: no path invents, loses or repeats a fill."""

from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klined.domain import (
    ZERO,
    Accepted,
    Denied,
    Disproved,
    Doubted,
    Ended,
    Fill,
    Intent,
    OrderNews,
    Sent,
    Traded,
    Unsent,
)
from klined.errors import Desync
from klined.trader.orders import (
    DISPROVED,
    Closed,
    Filled,
    InFlight,
    Intended,
    Order,
    Unknown,
    Working,
    advance,
    decode,
    encode,
    exposure_max,
    filled_quantity,
    is_open,
)

ID = "kl-7f3a-1"
INTENT = Intent(client_id=ID, symbol="ETH/USDT", quantity=Decimal(10), bar_time_ms=60_000)
SENT, ACCEPTED, DOUBTED, DENIED = Sent(ID, 1), Accepted(ID), Doubted(ID), Denied(ID, "no funds")
DISPROOF, UNSENT, ENDED = Disproved(ID), Unsent(ID), Ended(ID, "expired")


def traded(trade_id: str, quantity: int | str) -> Traded:
    return Traded(
        Fill(
            trade_id=trade_id,
            client_id=ID,
            symbol="ETH/USDT",
            quantity=Decimal(quantity),
            price=Decimal(2000),
            fee=ZERO,
            fee_asset="USDT",
            time_ms=60_001,
        )
    )


def life(*news: OrderNews, intent: Intent = INTENT) -> Order:
    order: Order = Intended(intent)
    for heard in news:
        order = advance(order, heard)
    return order


def test_lost_answer_counts_in_full_until_evidence_settles_it() -> None:
    order = life(SENT, DOUBTED)
    assert order == Unknown(INTENT, 1)
    assert exposure_max(order) == INTENT.quantity
    assert advance(order, DISPROOF) == Closed(INTENT, ZERO, DISPROVED, inferred=True)


def test_trade_heard_before_the_acceptance_is_booked() -> None:
    assert life(SENT, traded("a", 4)) == Working(INTENT, Decimal(4), ("a",))


def test_everything_heard_before_the_note_of_having_sent_changes_nothing() -> None:
    assert life(traded("a", 4), ENDED, SENT, ACCEPTED) == Closed(INTENT, Decimal(4), "expired", ("a",))


def test_proof_that_it_never_left_makes_the_first_send_due_again() -> None:
    assert life(SENT, UNSENT) == life(SENT, DOUBTED, UNSENT) == Intended(INTENT)
    assert life(SENT, DOUBTED, UNSENT, Sent(ID, 9)) == InFlight(INTENT, 9)


def test_trade_after_the_end_is_booked_and_marked_late() -> None:
    order = life(SENT, ACCEPTED, ENDED, traded("a", 4))
    assert order == Closed(INTENT, Decimal(4), "expired", ("a",), late=True)
    assert advance(order, traded("b", 6)) == Filled(INTENT, ("a", "b"), late=True)


def test_trade_of_an_order_that_was_disproved_is_booked_and_marked_late() -> None:
    order = life(SENT, DOUBTED, DISPROOF, traded("a", 10))
    assert order == Filled(INTENT, ("a",), late=True)


def test_disproved_order_that_the_venue_accepts_works_again() -> None:
    order = life(SENT, DOUBTED, DISPROOF, ACCEPTED)
    assert order == Working(INTENT)
    assert exposure_max(order) == INTENT.quantity


def test_ended_order_stays_ended_when_an_old_acceptance_arrives() -> None:
    assert life(SENT, ENDED, ACCEPTED, DOUBTED) == Closed(INTENT, ZERO, "expired")


CONTRADICTIONS: list[tuple[tuple[OrderNews, ...], str]] = [
    ((SENT, Sent(ID, 2)), "sent again"),
    ((SENT, DOUBTED, Sent(ID, 2)), "sent again"),
    ((DOUBTED,), "never sent"),
    ((DISPROOF,), "cannot be disproved"),
    ((SENT, ACCEPTED, DISPROOF), "cannot be disproved"),
    ((SENT, traded("a", 10), DISPROOF), "cannot be disproved"),
    ((SENT, DENIED, ACCEPTED), "accepted after all"),
    ((SENT, traded("a", 1), DENIED), "refused"),
    ((SENT, ACCEPTED, UNSENT), "never been sent"),
    ((SENT, traded("a", 11)), "makes 11"),
    ((SENT, traded("a", -1)), "makes -1"),
    ((SENT, traded("a", 10), traded("b", 1)), "makes 11"),
]


@pytest.mark.parametrize(("news", "message"), CONTRADICTIONS, ids=[m for _, m in CONTRADICTIONS])
def test_news_that_cannot_follow_is_a_desync_that_names_the_order(news: tuple[OrderNews, ...], message: str) -> None:
    life(*news[:-1])
    with pytest.raises(Desync, match=rf"order {ID} .*{message}"):
        life(*news)


@given(parts=st.lists(st.integers(1, 3), min_size=1, max_size=3), rng=st.randoms(use_true_random=False))
def test_trades_shuffled_and_repeated_with_the_other_news_are_booked_once(parts: list[int], rng: Random) -> None:
    trades = [traded(str(i), n) for i, n in enumerate(parts)]
    noise: list[OrderNews] = [*trades, *trades, ACCEPTED, ACCEPTED, DOUBTED, ENDED, ENDED]
    rng.shuffle(noise)
    order = life(SENT, *noise)
    assert isinstance(order, Closed)
    assert filled_quantity(order) == sum(parts)
    assert exposure_max(order) == 0
    last_trade = max(i for i, n in enumerate(noise) if n not in noise[:i] and isinstance(n, Traded))
    assert order.late == (noise.index(ENDED) < last_trade)


ANY_NEWS = st.lists(
    st.sampled_from(
        [SENT, ACCEPTED, DOUBTED, DENIED, DISPROOF, UNSENT, ENDED]
        + [traded(i, q) for i, q in zip("abcd", (3, 4, 3, 7), strict=True)]
    ),
    max_size=9,
)


@given(ANY_NEWS, st.sampled_from([1, -1]))
def test_no_news_at_all_breaks_the_bounds_or_the_round_trip(news: list[OrderNews], sign: int) -> None:
    intent = Intent(client_id=ID, symbol="ETH/USDT", quantity=Decimal(10 * sign), bar_time_ms=0, reduce_only=True)
    order: Order = Intended(intent)
    booked: dict[str, Decimal] = {}
    for item in news:
        heard = item
        if isinstance(item, Traded):
            heard = traded(item.fill.trade_id, str(item.fill.quantity * sign))
        try:
            order = advance(order, heard)
        except Desync:
            continue
        if isinstance(heard, Traded):
            booked[heard.fill.trade_id] = heard.fill.quantity
        assert filled_quantity(order) == sum(booked.values())
        assert 0 <= exposure_max(order) * sign <= 10
        assert abs(filled_quantity(order) + exposure_max(order)) <= 10
        assert is_open(order) or exposure_max(order) == 0
        assert decode(encode(order)) == order
