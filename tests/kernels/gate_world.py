"""An account in good health, to be judged by the gate after something in it was changed."""

from collections.abc import Callable
from decimal import Decimal
from types import ModuleType
from typing import Any

from klined.domain import Instrument, MarketKind, Reason, Tier
from klined.kernels import gate, memory
from klined.kernels import layout as at
from klined.kernels.rows import Block, Row, write_market
from klined.trader.limits import Limits

CLOSE_MS = 1_747_008_060_000.0
NOW_MS = CLOSE_MS + 250.0
MINUTE = float(int(NOW_MS / 60_000))
LIMITS = Limits(deadband=0.05, max_exposure=1.0, long_only=False)


def instrument(kind: MarketKind = MarketKind.PERP) -> Instrument:
    return Instrument(
        symbol="ETH/USDT",
        venue_symbol="ETHUSDT",
        kind=kind,
        base="ETH",
        quote="USDT",
        tick=Decimal("0.01"),
        lot=Decimal("0.001"),
        quantity_min=Decimal("0.002"),
        quantity_max=Decimal(1000),
        notional_min=Decimal(10),
        percent_price_up=Decimal("1.05"),
        percent_price_down=Decimal("0.95"),
        tiers=(Tier(0.0, 0.005, 0.0, 75.0), Tier(50_000.0, 0.01, 250.0, 50.0)),
    )


class World:
    """One account over `n` symbols in good health: flat, warm, fresh bars, nothing in the way of a trade."""

    def __init__(self, n: int = 1, kind: MarketKind = MarketKind.PERP, limits: Limits = LIMITS) -> None:
        self.n, self.kind = n, kind
        self.A, self.P, self.out = Block(1, at.NA), Block(1, at.NP), Block(1, at.N_OUT)
        self.Q, self.M, self.C = Block(n, at.NQ), Block(n, at.NM), Block(n, n)
        self.a, self.p = self.A.row[0], self.P.row[0]
        for slot in (at.CASH, at.EQUITY, at.PEAK, at.DAY_EQUITY, at.WEEK_EQUITY):
            self.a[slot] = 10_000.0
        limits.write(self.p)
        self.p[at.MODEL_OK] = 1.0
        for q, m in zip(self.Q.row, self.M.row, strict=True):
            write_market(m, instrument(kind), half_spread=5e-5, impact=1.0, participation=0.1)
            memory.forget_book(q)
            q[at.MARK], q[at.SIGMA], q[at.ATR] = 2500.0, 6e-4, 2.0
            q[at.VOLUME] = q[at.VOLUME_MEAN] = 500.0
            q[at.BARS], q[at.BAR_CLOSE], q[at.OBS_OK] = 1000.0, CLOSE_MS, 1.0
        for i in range(n):
            self.C.row[i][i] = 1.0

    @property
    def q(self) -> Row:
        return self.Q.row[0]

    @property
    def m(self) -> Row:
        return self.M.row[0]

    def hold(self, lots: float, i: int = 0) -> "World":
        """Stand in a position of `lots` that was opened at the mark."""
        q = self.Q.row[i]
        q[at.LOTS], q[at.ENTRY], q[at.ENTRY_TIME] = lots, q[at.MARK], CLOSE_MS - 60_000
        return self

    def judge(self, target: float, i: int = 0, now_ms: float = NOW_MS, build: ModuleType = gate) -> Reason:
        if build is gate:
            rows: tuple[Any, ...] = self.a, self.Q.row, self.M.row, self.p, self.C.row
            out: Any = self.out.row[0]
        else:
            rows = self.A.array[0], self.Q.array, self.M.array, self.P.array[0], self.C.array
            out = self.out.array[0]
        return Reason(int(build.gate_step(*rows, self.n, i, target, now_ms, out)))

    def told(self, slot: int) -> float:
        return self.out.row[0][slot]

    @property
    def lots(self) -> float:
        return self.told(at.OUT_LOTS)

    def settle(self) -> None:
        """All working orders fill, and a minute passes."""
        for q in self.Q.row:
            q[at.LOTS] += q[at.WORKING]
            q[at.WORKING] = 0.0
            q[at.BAR_CLOSE] += 60_000.0

    def dump(self) -> tuple[bytes, ...]:
        return tuple(block.dump() for block in (self.A, self.Q, self.C, self.out))


Change = Callable[[World], object]


def put(block: str, slot: int, value: float) -> Change:
    def change(world: World) -> None:
        getattr(world, block)[slot] = value

    return change


def both(*changes: Change) -> Change:
    def change(world: World) -> None:
        for one in changes:
            one(world)

    return change
