"""The exchange's memory of orders is bounded, durable, and never forgets an open one."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from klined.domain import Intent
from klined.world.orders import ORDERS_KEPT, Order, Orders


def intent(name: str) -> Intent:
    return Intent(client_id=name, symbol="ETH/USDT", quantity=Decimal(1), bar_time_ms=0)


def close(orders: Orders, order: Order) -> None:
    orders.keep(replace(order, open=False, ended="expired"))


def test_the_oldest_closed_orders_are_forgotten_and_open_ones_are_not() -> None:
    orders, rows = Orders(), {}
    resting = orders.add(intent("resting"))
    for i in range(2 * ORDERS_KEPT + 50):
        close(orders, orders.add(intent(f"kl-{i}")))
        rows.update(orders.dump())
    assert len(rows) == ORDERS_KEPT
    assert orders.get("kl-0") is None
    assert orders.get("resting") == resting
    assert list(orders.open) == ["resting"]
    assert orders.get(f"kl-{2 * ORDERS_KEPT + 49}") is not None


def test_a_reused_client_id_means_its_newest_order() -> None:
    orders, rows = Orders(), {}
    first = orders.add(intent("kl-1"))
    close(orders, first)
    rows.update(orders.dump())
    second = orders.add(intent("kl-1"))
    assert second.number == first.number + 1
    rows.update(orders.dump())
    assert list(orders.dump()) == []
    again = Orders()
    again.load(rows, orders.count)
    assert again.get("kl-1") == orders.get("kl-1") == second
    assert list(again.open) == ["kl-1"]
    for i in range(ORDERS_KEPT - 1):  # the first one's place is used again; the second stays
        close(again, again.add(intent(f"kl-{i + 2}")))
    assert again.get("kl-1") == second


@given(
    steps=st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=80),
    cut=st.integers(0, 80),
)
@settings(deadline=None)
def test_orders_loaded_from_their_rows_go_on_identically(steps: list[tuple[int, bool]], cut: int) -> None:
    def run(restart_at: int) -> tuple[dict[str, bytes], list[str]]:
        orders = Orders()
        rows: dict[str, bytes] = {"books": b"not an order"}
        for i, (name, closes) in enumerate(steps):
            if f"kl-{name}" not in orders.open:
                order = orders.add(intent(f"kl-{name}"))
                if closes:
                    close(orders, order)
            rows.update(orders.dump())
            if i == restart_at:
                count, orders = orders.count, Orders()
                orders.load(rows, count)
        return rows, list(orders.open)

    assert run(cut) == run(-1)
