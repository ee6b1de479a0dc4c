"""Nothing is sent whose intent is not durable, whatever commit fails; and what a failing disk ends in."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from klined.runtime.daemon import EXIT_FAILED, EXIT_NOT_FLAT
from klined.trader.trader import Trader
from runtime.playing import play, settings_of

BARS = 150


def decided(journal: Path) -> list[tuple[int, str]]:
    with closing(sqlite3.connect(journal)) as link:
        return link.execute("SELECT bar_time_ms, symbol FROM decisions ORDER BY id").fetchall()


def commits_with_intents(state: Path) -> list[int]:
    """Numbers of the commits that carry an order, in an undisturbed run: one commit a bar."""
    code, _, _, sent = play(settings_of(state, BARS))
    assert code == 0
    bars = [time for time, _ in decided(state / "journal.db")]
    return [bars.index(intent.bar_time_ms) + 1 for intent in sent if intent.bar_time_ms in bars]


def test_order_of_a_failed_commit_is_never_sent_and_trading_goes_on_when_the_disk_does(tmp_path: Path) -> None:
    numbers = commits_with_intents(tmp_path / "whole")
    assert len(numbers) > 5
    whole = decided(tmp_path / "whole" / "journal.db")
    for number in numbers[:6]:
        state = tmp_path / str(number)
        code, daemon, journal, sent = play(settings_of(state, BARS), failing=range(number, number + 3), forgiving=True)
        assert code == 0
        lost = {intent.client_id for record in journal.failed for intent in record.intents}
        assert lost, "the commit that failed had an order"
        assert not lost & {intent.client_id for intent in sent}
        assert sent, "orders went on afterwards"
        assert decided(state / "journal.db") == whole, "the decisions of the failed commits came with the next"
        assert not daemon.trader.left()


@pytest.mark.parametrize("first", [1, 20, 60])
def test_replay_ends_with_a_failure_when_a_commit_fails(tmp_path: Path, first: int) -> None:
    code, _, journal, sent = play(settings_of(tmp_path / "state", BARS), failing=range(first, first + 1))
    assert code == EXIT_FAILED
    lost = {intent.client_id for record in journal.failed for intent in record.intents}
    assert not lost & {intent.client_id for intent in sent}


@pytest.mark.parametrize("forgiving", [True, False])
def test_disk_that_stays_full_ends_loudly_and_sends_nothing_more(tmp_path: Path, *, forgiving: bool) -> None:
    numbers = commits_with_intents(tmp_path / "whole")
    first = numbers[0] + 2  # a position is open by then
    settings = settings_of(tmp_path / "state", BARS)
    code, daemon, journal, sent = play(settings, failing=range(first, 10_000), forgiving=forgiving)
    assert code == EXIT_NOT_FLAT
    assert daemon.trader.left()
    assert {intent.client_id for intent in sent} <= journal.durable
    assert len(sent) == 1


def test_a_sender_that_does_not_wait_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: what was not stored is treated as if it was."""
    numbers = commits_with_intents(tmp_path / "whole")
    monkeypatch.setattr(Trader, "abandon", lambda trader, record, _why: trader.committed(record))
    with pytest.raises(AssertionError, match="before it was durable"):
        play(settings_of(tmp_path / "state", BARS), failing=range(numbers[2], numbers[2] + 1), forgiving=True)
