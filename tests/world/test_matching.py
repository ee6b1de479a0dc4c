"""The exchange fills what a lane fills: lots and ticks exactly, money within 1e-8. The promise of backtests."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from klined.domain import Accepted, Batch, Intent, Liquidated, MarketKind, Traded
from klined.kernels import layout as at
from klined.kernels.account import account_mark, mark_step
from klined.kernels.fills import LIQUIDATED, NOUT, ORDER, fill_step
from klined.kernels.rows import Block, write_market
from klined.world.exchange import Exchange
from klined.world.filters import default_instrument
from klined.world.markets import Climate, Market
from klined.world.matching import Friction

HOUR_MS = 3_600_000
START_MS = 1_735_689_600_000  # a funding time
FRICTION = Friction(half_spread=0.0002, impact=1.0, participation=0.05, spread_sigma=0.1)
RATE = 0.0005
WILD = Climate(sigma=0.004)  # so that leveraged positions are liquidated
SYMBOLS = {MarketKind.SPOT: ("ETH/USDT", "BTC/USDT"), MarketKind.PERP: ("ETH/USDT:USDT", "BTC/USDT:USDT")}

Executed = list[tuple[str, int, int]]


class Lane:
    """An account of kernels alone, as backtests drive it."""

    def __init__(self, kind: MarketKind, cash: float) -> None:
        self.instruments = [default_instrument(symbol, kind) for symbol in SYMBOLS[kind]]
        n = len(self.instruments)
        self.blocks = (Block(1, at.NA), Block(n, at.NQ), Block(n, at.NM), Block(1, at.NP), Block(1, NOUT))
        self.a, self.p, self.out = (self.blocks[k].row[0] for k in (0, 3, 4))
        self.q, self.m = self.blocks[1].row, self.blocks[2].row
        for row, instrument in zip(self.m, self.instruments, strict=True):
            write_market(row, instrument, FRICTION.half_spread, FRICTION.impact, FRICTION.participation, 0.1)
        self.a[at.CASH], self.p[at.MAX_EXPOSURE] = cash, 1.0

    def fill(self, batch: Batch, lots: list[float]) -> Executed:
        done: Executed = []
        for i, bar in enumerate(batch.bars):
            assert bar is not None
            fill_step(
                self.a, self.q[i], self.m[i], lots[i], 0.0, 0.0, RATE,
                float(bar.open_time_ms), float(batch.close_time_ms),
                bar.open, bar.high, bar.low, bar.volume, self.out,
            )  # fmt: skip
            for k in (ORDER, LIQUIDATED):
                if self.out[k] != 0.0:
                    done.append((bar.symbol, int(self.out[k]), int(self.out[k + 1])))
        return done

    def mark(self, batch: Batch) -> None:
        close_ms = float(batch.close_time_ms)
        for q, bar in zip(self.q, batch.bars, strict=True):
            assert bar is not None
            mark_step(q, close_ms, HOUR_MS, bar.open, bar.high, bar.low, bar.close, bar.volume)
        account_mark(self.a, self.q, self.m, self.p, len(self.q), close_ms)


def executed(exchange: Exchange, batch: Batch) -> Executed:
    """The exchange's fills of one batch as lots and ticks."""
    done: Executed = []
    for news in exchange.on_batch(batch):
        if isinstance(news, Traded | Liquidated):
            fill, instrument = news.fill, exchange.instruments[news.fill.symbol]
            assert fill.quantity % instrument.lot == 0
            assert fill.price % instrument.tick == 0
            done.append((fill.symbol, int(fill.quantity / instrument.lot), int(fill.price / instrument.tick)))
    return done


@pytest.mark.parametrize("kind", list(MarketKind))
@given(
    actions=st.lists(st.tuples(st.integers(-9_000, 9_000), st.integers(-9_000, 9_000)), min_size=1, max_size=60),
    seed=st.integers(0, 9),
)
@settings(max_examples=60, deadline=None)
def test_exchange_and_lane_fill_alike(kind: MarketKind, actions: list[tuple[int, int]], seed: int) -> None:
    lane = Lane(kind, 10_000.0)
    exchange = Exchange(
        lane.instruments, {"USDT": Decimal(10_000)}, friction=FRICTION, funding=lambda _symbol, _time_ms: RATE
    )
    market = Market(seed, SYMBOLS[kind], HOUR_MS, START_MS, climate=WILD)
    batch = market.next()
    exchange.on_batch(batch)
    lane.mark(batch)
    for number, wishes in enumerate(actions):
        sent = [0.0, 0.0]
        for i, (instrument, lots) in enumerate(zip(lane.instruments, wishes, strict=True)):
            wish = lots if i == 0 else lots // 20
            order = Intent(
                client_id=f"kl-{number}-{i}", symbol=instrument.symbol, quantity=wish * instrument.lot, bar_time_ms=0
            )
            if isinstance(exchange.submit(order)[0], Accepted):
                sent[i] = float(wish)
        batch = market.next()
        assert executed(exchange, batch) == lane.fill(batch, sent)
        lane.mark(batch)
        account = exchange.account()
        assert float(account.balances["USDT"]) == pytest.approx(lane.a[at.CASH], rel=1e-8, abs=1e-6)
        for position, q in zip(account.positions, lane.q, strict=True):
            assert float(position.quantity) == pytest.approx(
                q[at.LOTS] * float(exchange.instruments[position.symbol].lot)
            )
            if kind is MarketKind.PERP:
                assert float(position.entry) == pytest.approx(q[at.ENTRY], rel=1e-9)


def test_the_comparison_meets_liquidations() -> None:
    """Else the property above would prove less than it says."""
    lane = Lane(MarketKind.PERP, 10_000.0)
    exchange = Exchange(lane.instruments, {"USDT": Decimal(10_000)}, friction=FRICTION)
    market = Market(1, SYMBOLS[MarketKind.PERP], HOUR_MS, START_MS, climate=WILD)
    exchange.on_batch(market.next())
    order = Intent(client_id="kl-1", symbol=SYMBOLS[MarketKind.PERP][0], quantity=Decimal(60), bar_time_ms=0)
    assert isinstance(exchange.submit(order)[0], Accepted)
    heard = [news for _ in range(300) for news in exchange.on_batch(market.next())]
    assert any(isinstance(news, Liquidated) for news in heard)
