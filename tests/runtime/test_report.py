"""The session's report tells what the journal holds, and every decision of it."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from klined.runtime.process import run_replay
from runtime.living import configure, rows, running
from runtime.playing import settings_of

BARS = 250


def reports(folder: Path) -> list[tuple[dict[str, Any], str]]:
    """Figures and log of each session, oldest first."""
    found = sorted((folder / "state" / "reports").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    return [(json.loads(path.read_text()), path.with_suffix(".log").read_text()) for path in found]


def test_report_of_a_replay_holds_what_the_journal_holds(tmp_path: Path) -> None:
    told: dict[str, Any] = {}
    assert run_replay(settings_of(tmp_path / "state", BARS), told) == 0
    [(figures, log)] = reports(tmp_path)
    fills = rows(tmp_path, "SELECT quantity, price, fee FROM fills")
    fees = sum(float(fee) for _, _, fee in fills)
    paid = sum(-float(quantity) * float(price) - float(fee) for quantity, price, fee in fills)
    assert figures["bars"] == BARS
    assert figures["trades"] == len(fills) > 2
    assert figures["fees"] == pytest.approx(fees, rel=1e-9)
    assert figures["pnl"] == pytest.approx(paid, rel=1e-6), "flat at the end, so profit is what was paid and received"
    assert figures["equity_end"] == pytest.approx(figures["equity_start"] + figures["pnl"])
    assert figures["return_fraction"] == pytest.approx(figures["pnl"] / figures["equity_start"])
    assert figures["flat"] is True
    assert figures["exit_code"] == 0
    assert {"sharpe", "sortino", "drawdown_max", "turnover"} <= figures["metrics"].keys()

    lines = log.splitlines()
    decided = rows(tmp_path, "SELECT verdict, count(*) FROM decisions GROUP BY verdict ORDER BY verdict")
    assert [sum(f" {word} " in line for line in lines) for word in ("hold", "block", "trade")] == [
        dict(decided).get(verdict, 0) for verdict in range(3)
    ]
    assert f"final P&L {figures['pnl']:+.2f}" in lines[-1]
    assert "flat" in lines[-1]


def test_each_session_has_a_report_of_its_own_bars_alone(tmp_path: Path) -> None:
    configure(tmp_path)
    for _ in range(2):
        with running(tmp_path) as daemon:
            daemon.wait_for("order.filled", 3)
            assert daemon.end(signal.SIGTERM) == 0
    (first, first_log), (second, second_log) = reports(tmp_path)
    assert first["bars"] + second["bars"] == rows(tmp_path, "SELECT count(*) FROM decisions")[0][0]
    assert first["equity_end"] == pytest.approx(second["equity_start"])
    assert len(first_log.splitlines()) == first["bars"] + 2
    assert len(second_log.splitlines()) == second["bars"] + 2
    assert first["stopped_by"] == second["stopped_by"] == "signal"
