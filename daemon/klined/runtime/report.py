"""The session report, written at every stop after the final flatten: what was decided, and what came of it.

reports/session-<end>-<seq>.log    every decision of the session, readable, and the final P&L
reports/session-<end>-<seq>.json   P&L, return, trade count, costs, metrics
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from klined.domain import Approved, Decision, Held
from klined.kernels import layout as at
from klined.store.session import Session
from klined.trader.trader import Trader

FOLDER = "reports"


class Report:
    """One session, from construction (before the first batch) to `write`."""

    def __init__(self, state_dir: Path, trader: Trader) -> None:
        self._dir, self._trader = state_dir, trader
        self._from_seq = trader.minutes.seq
        a = trader.book.A.row[0]
        self._equity, self._fees, self._funding = a[at.EQUITY], a[at.FEES], a[at.FUNDING]
        self._transfers = trader.book.ledger.books.transfers
        self._bars = trader.metrics.bars
        self._trades = trader.metrics.trades

    def summary(self) -> dict[str, object]:
        """The figures of the session; fractions, and money in quote."""
        trader, a = self._trader, self._trader.book.A.row[0]
        transfers = float(trader.book.ledger.books.transfers - self._transfers)
        profit = a[at.EQUITY] - self._equity - transfers
        return {
            "bars": int(trader.metrics.bars - self._bars),
            "to_ms": trader.time_ms,
            "symbols": [instrument.symbol for instrument in trader.instruments],
            "equity_start": self._equity,
            "equity_end": a[at.EQUITY],
            "transfers": transfers,
            "pnl": profit,
            "return_fraction": profit / self._equity if self._equity > 0.0 else 0.0,
            "fees": a[at.FEES] - self._fees,
            "funding": a[at.FUNDING] - self._funding,
            "trades": int(trader.metrics.trades - self._trades),
            "flat": not trader.left(),
            "left": trader.left(),
            "metrics": msgspec.to_builtins(trader.metrics.summary()),
        }

    def write(self, journal: Path, stopped_by: str, exit_code: int) -> Path:
        """Write both files; the path of the JSON."""
        folder = self._dir / FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        summary = {**self.summary(), "stopped_by": stopped_by, "exit_code": exit_code}
        name = f"session-{_stamp(self._trader.time_ms)}-{self._trader.minutes.seq}"
        with Session(journal, self._from_seq) as session, (folder / f"{name}.log").open("w") as out:
            for decision in session.decisions():
                out.write(_line(decision))
            out.write(_final(summary))
        path = folder / f"{name}.json"
        path.write_text(json.dumps(summary, indent=2, allow_nan=False, default=str) + "\n")
        return path


def _line(decision: Decision) -> str:
    match decision.verdict:
        case Held(reason=reason):
            says = f"hold   {reason.name.lower()}"
        case Approved(intent):
            says = f"trade  {intent.quantity:+f} {intent.cause} {intent.client_id}"
        case refused:
            says = f"block  {refused.reason.name.lower()}: {refused.detail}"
    return f"{_stamp(decision.bar_time_ms)} {decision.symbol} target {decision.target:+.3f} {says}\n"


def _final(summary: Mapping[str, object]) -> str:
    return (
        f"\nfinal P&L {summary['pnl']:+.2f} ({summary['return_fraction']:+.2%}) after {summary['fees']:.2f} fees, "
        f"{summary['trades']} fills; equity {summary['equity_end']:.2f}; "
        f"{'flat' if summary['flat'] else 'NOT FLAT: ' + str(summary['left'])}; stopped by {summary['stopped_by']}\n"
    )


def _stamp(time_ms: int) -> str:
    return time.strftime("%Y%m%dT%H%M%S", time.gmtime(time_ms / 1000))
