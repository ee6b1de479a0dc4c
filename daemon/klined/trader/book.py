"""The account as the trader holds it: the Decimal ledger, the float rows that kernels read, and its performance.

fills, funding, transfers ─▶ ledger (Decimal) ─ view ─▶ A, Q rows ─ mark at each close ─▶ equity, exposure, limits
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from klined.domain import Account, Fill, Funded, Instrument, Transferred
from klined.kernels import layout as at
from klined.kernels.account import account_mark
from klined.kernels.memory import book_transfer, roll_day
from klined.kernels.rows import Plain, write_market
from klined.trader.ledger import Booked, Ledger, count_risk


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate assumes that trading costs."""

    half_spread: float  # fraction of price
    impact: float  # Y of the square-root law
    participation: float  # share of a bar's volume, (0, 1]


class Book:
    """One account over `instruments`: rows A, Q, M, P, C and the ledger behind them."""

    def __init__(self, instruments: Sequence[Instrument], balances: Mapping[str, Decimal], costs: Costs) -> None:
        n = len(instruments)
        self.instruments = tuple(instruments)
        self.index = {instrument.symbol: i for i, instrument in enumerate(instruments)}
        self.ledger = Ledger(instruments, balances)
        self.A, self.P = Plain(1, at.NA), Plain(1, at.NP)
        self.Q, self.M, self.C = Plain(n, at.NQ), Plain(n, at.NM), Plain(n, n)
        for i, instrument in enumerate(instruments):
            write_market(self.M.row[i], instrument, costs.half_spread, costs.impact, costs.participation)
        self.start()

    def start(self) -> None:
        """Value a fresh account; what it holds now is neither profit nor loss."""
        a = self.A.row[0]
        for i in range(len(self.instruments)):
            self.ledger.view(a, self.Q.row[i], i)
        a[at.EQUITY] = a[at.PEAK] = a[at.DAY_EQUITY] = a[at.WEEK_EQUITY] = a[at.CASH]

    def mark(self, close_ms: float) -> None:
        """Value the account at the marks of a close. O(symbols)."""
        a = self.A.row[0]
        account_mark(a, self.Q.row, self.M.row, self.P.row[0], len(self.instruments), close_ms)
        roll_day(a, close_ms)

    def fill(self, fill: Fill) -> Booked | None:
        """Book one execution; None when it was booked before."""
        booked = self.ledger.book(fill)
        if booked is not None:
            i = self.index[fill.symbol]
            self.ledger.view(self.A.row[0], self.Q.row[i], i)
            count_risk(booked, self.A.row[0], self.P.row[0])
        return booked

    def fund(self, news: Funded) -> bool:
        """Book funding; False when it was booked before."""
        fresh = self.ledger.fund(news)
        if fresh:
            i = self.index[news.symbol]
            self.ledger.view(self.A.row[0], self.Q.row[i], i)
        return fresh

    def transfer(self, news: Transferred) -> Decimal:
        """Book a deposit or withdrawal: the base of every loss limit moves with it. Returns the move in quote."""
        moved = self.ledger.transfer(news)
        self._rebase(moved)
        return moved

    def adopt(self, account: Account) -> Decimal:
        """Take the venue's word for what we hold; by how much that moved equity, which is no profit."""
        marks = {s.symbol: Decimal(repr(self.Q.row[i][at.MARK])) for i, s in enumerate(self.instruments)}
        moved = self.ledger.adopt(account, marks)
        self._rebase(moved)
        return moved

    def sections(self) -> dict[str, bytes]:
        """What a snapshot holds of the account."""
        return {
            "A": self.A.dump(),
            "Q": self.Q.dump(),
            "C": self.C.dump(),
            "ledger": self.ledger.dump(),
        }

    def load(self, sections: Mapping[str, bytes]) -> None:
        """Continue from `sections`. Raises: KeyError, ValueError when they do not fit."""
        self.A.load(sections["A"])
        self.Q.load(sections["Q"])
        self.C.load(sections["C"])
        self.ledger.load(sections["ledger"])

    def _rebase(self, moved: Decimal) -> None:
        a = self.A.row[0]
        for i in range(len(self.instruments)):
            self.ledger.view(a, self.Q.row[i], i)
        a[at.EQUITY] += float(moved)
        book_transfer(a, float(moved))
