"""Verbs that read the journal: what was decided, sent and filled can be told afterwards, without a daemon."""

import asyncio
import csv
import io
import json
import os
import time
from decimal import Decimal
from pathlib import Path

import pytest

from klined.cli.main import main
from klined.domain import Approved, Decision, Event, Fill, Held, Input, Intent, Reason, Record, Refused
from klined.store.synchronous import SyncJournal

NOW_MS = int(time.time() * 1000) // 60_000 * 60_000
ORDER = "k-7f3a-17"
INTENT = Intent(client_id=ORDER, symbol="ETH/USDT", quantity=Decimal("1.412"), bar_time_ms=NOW_MS - 60_000)
FILL = Fill(
    trade_id="t1", client_id=ORDER, symbol="ETH/USDT", quantity=Decimal("1.412"), price=Decimal("3412.10"),
    fee=Decimal("4.82"), fee_asset="USDT", time_ms=NOW_MS,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("KLINED_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def journal() -> Path:
    """A state directory with one order, three decisions and two events, stopped by SIGTERM."""
    state = Path("state/klined")
    state.mkdir(parents=True)

    def decision(minute: int, verdict: Approved | Held | Refused) -> Decision:
        return Decision(NOW_MS - minute * 60_000, "ETH/USDT", b"\0" * 60, 0.5, (0.1, 0.9), verdict)

    record = Record(
        seq=3,
        time_ms=NOW_MS,
        inputs=(Input(3, NOW_MS, "news", b'{"type":"Accepted","client_id":"k-7f3a-17"}'),),
        decisions=(
            decision(3, Held("ETH/USDT", Reason.HOLD_DEADBAND)),
            decision(2, Refused("ETH/USDT", Reason.TURNOVER, "21.0 of at most 20.0")),
            decision(1, Approved(INTENT)),
        ),
        intents=(INTENT,),
        orders=((ORDER, b'{"type":"Filled"}'),),
        fills=(FILL,),
        events=(
            Event(NOW_MS - 7_200_000, "warning", "feed.silent", {"seconds": 6.8}),
            Event(NOW_MS, "info", "order.filled", {"order": ORDER}),
        ),
    )

    async def write() -> None:
        store = SyncJournal(state / "journal.db", group=1)
        run = await store.begin_run(NOW_MS)
        await store.commit(record, None)
        await store.end_run(run, NOW_MS, "SIGTERM, flat")
        await store.close()

    asyncio.run(write())
    return state


def test_logs_are_filtered_by_age_and_level(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def names(*arguments: str) -> list[str]:
        assert main(["--json", "logs", *arguments]) == 0
        return [json.loads(line)["name"] for line in capsys.readouterr().out.splitlines()]

    assert names() == ["feed.silent", "order.filled"]
    assert names("--since", "1h") == ["order.filled"]
    assert names("--level", "warning") == ["feed.silent"]
    assert names("--name", "feed.") == ["feed.silent"]
    assert names("--last", "1") == ["order.filled"]


def test_logs_read_like_a_log(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logs", "--level", "warning"]) == 0
    assert capsys.readouterr().out.endswith(" WARNING feed.silent          seconds=6.8\n")


def test_trades_come_as_table_csv_and_json(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trades"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 2
    assert "BUY" in table[1]
    assert ORDER in table[1]
    assert main(["trades", "--csv"]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert main(["trades", "--jsonl"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert main(["--json", "trades"]) == 0
    assert json.loads(capsys.readouterr().out) == [line]
    assert row["price"] == line["price"] == "3412.10"


def test_explain_tells_the_whole_chain_of_an_order(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", ORDER]) == 0
    text = capsys.readouterr().out
    for part in ("+1.412", "target +0.5000", "approved", "Accepted", "Filled", "@ 3412.10", "fee 4.82 USDT"):
        assert part in text
    assert main(["--json", "explain", ORDER]) == 0
    story = json.loads(capsys.readouterr().out)
    assert story["intent"]["quantity"] == "1.412"
    assert story["order"] == {"type": "Filled"}
    assert story["fills"][0]["trade_id"] == "t1"


def test_unknown_order_is_a_sentence(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "k-nope"]) == 1
    assert "klined trades" in capsys.readouterr().err


def test_why_answers_from_the_journal_when_no_daemon_runs(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", "--last", "2"]) == 0
    out, err = capsys.readouterr()
    assert "21.0 of at most 20.0" in out.splitlines()[0]
    assert "approved" in out.splitlines()[1]
    assert "journal" in err


def test_status_tells_how_the_last_run_ended(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"]) == 3
    assert "SIGTERM, flat" in capsys.readouterr().err


def test_state_is_shown_kept_and_brought_back(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["state", "show"]) == 0
    assert "no order" in capsys.readouterr().out
    assert main(["state", "backup", "kept.db"]) == 0
    capsys.readouterr()
    (journal / "journal.db").unlink()
    assert main(["state", "restore", "kept.db"]) == 0
    capsys.readouterr()
    assert main(["--json", "state", "show"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"]["fills"] == 1


def test_no_journal_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in (["logs"], ["trades"], ["trades", "--csv"], ["explain", "k"], ["state", "show"]):
        assert main(verb) == 1
        assert "no such file" in capsys.readouterr().err
    assert main(["state", "backup"]) == 2
