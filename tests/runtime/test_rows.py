"""The account's rows are lists, which would keep an int or a numpy scalar as it is: only floats may ever get in."""

from pathlib import Path

import pytest

from runtime.playing import play, settings_of


@pytest.mark.parametrize(
    ("symbol", "more"),
    [
        ("ETH/USDT", ["exits.fixed=0.005", "exits.trail_atr=2", "exits.time_minutes=30"]),
        ("ETH/USDT:USDT", ["market.kind=perp", "orders.type=limit"]),
    ],
)
def test_rows_of_an_account_hold_floats_and_nothing_else(tmp_path: Path, symbol: str, more: list[str]) -> None:
    _, daemon, _, sent = play(settings_of(tmp_path, 900, f"market.symbols={symbol}", *more))
    book = daemon.trader.book
    assert sent
    for block in (book.A, book.Q, book.M, book.P, book.C):
        assert {type(number) for row in block.row for number in row} == {float}
