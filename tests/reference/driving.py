"""Random orders through the in-process exchange and our ledger, for the slow reference to follow."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from random import Random

from klined.domain import ZERO, Accepted, Bar, Batch, Funded, Instrument, Intent, MarketKind, Traded
from klined.trader.ledger import Ledger
from klined.world.exchange import Exchange
from klined.world.matching import Friction
from reference.slow import Costs, SlowBar

MINUTE = 60_000
T0 = 1_746_057_600_000  # a UTC midnight
CASH = Decimal(100_000)


def instrument(kind: MarketKind, base: str, fee: str = "0.0004", minutes: int = 5) -> Instrument:
    return Instrument(
        symbol=f"{base}/USDT" if kind is MarketKind.SPOT else f"{base}/USDT:USDT",
        venue_symbol=f"{base}USDT",
        kind=kind,
        base=base,
        quote="USDT",
        tick=Decimal("0.01"),
        lot=Decimal("0.001"),
        quantity_min=Decimal("0.001"),
        quantity_max=Decimal(9_000),
        notional_min=Decimal("0.01"),
        taker_fee=Decimal(fee),
        funding_interval_ms=minutes * MINUTE,
    )


def fast(bar: SlowBar, symbol: str) -> Bar:
    prices = (float(bar.open), float(bar.high), float(bar.low), float(bar.close), float(bar.volume))
    return Bar(symbol, bar.open_time_ms, *prices)


def costs_of(item: Instrument, friction: Friction) -> Costs:
    return Costs(
        tick=item.tick,
        lot=item.lot,
        half_spread=Decimal(repr(friction.half_spread)),
        spread_sigma=Decimal(repr(friction.spread_sigma)),
        impact=Decimal(repr(friction.impact)),
        participation=Decimal(repr(friction.participation)),
        taker=item.taker_fee,
        perp=item.kind is MarketKind.PERP,
    )


def wanted_lots(rng: Random) -> int:
    """Anything, far too much included."""
    return rng.choice([0, 0, 0, rng.randint(-2_000, 2_000), rng.choice([-1, 1]), rng.randint(1, 80_000)])


def drive(
    listed: Sequence[Instrument],
    bars: Sequence[dict[str, SlowBar]],
    friction: Friction,
    rng: Random,
    funding: Mapping[str, Mapping[int, Decimal]] | None = None,
) -> tuple[list[dict[str, Decimal]], list[tuple[str, Decimal, Decimal, Decimal]], list[Decimal]]:
    """Trade at random at the exchange: what it accepted, what it filled, and what our ledger made of it."""

    def rate(symbol: str, time_ms: int) -> float | None:
        told = (funding or {}).get(symbol, {}).get(time_ms)
        return None if told is None else float(told)

    exchange = Exchange(listed, {"USDT": CASH}, friction=friction, funding=rate if funding else None)
    ledger = Ledger(listed, {"USDT": CASH})
    orders: list[dict[str, Decimal]] = []
    fills: list[tuple[str, Decimal, Decimal, Decimal]] = []
    equity: list[Decimal] = []
    marks: dict[str, Decimal] = {}
    for t, row in enumerate(bars):
        close_ms = next(iter(row.values())).open_time_ms + MINUTE
        batch = Batch(close_ms, tuple(fast(row[i.symbol], i.symbol) if i.symbol in row else None for i in listed))
        for news in exchange.on_batch(batch):
            if isinstance(news, Traded):
                fill = news.fill
                fills.append((fill.symbol, fill.quantity, fill.price, fill.fee))
                ledger.book(fill)
            elif isinstance(news, Funded):
                ledger.fund(news)
        marks.update({symbol: bar.close for symbol, bar in row.items()})
        equity.append(ledger.equity(marks))
        orders.append({})
        for item in listed:
            quantity = wanted_lots(rng) * item.lot
            if abs(ledger.position(item.symbol).quantity) * marks.get(item.symbol, ZERO) > CASH:
                quantity = -ledger.position(item.symbol).quantity
            if quantity:
                intent = Intent(client_id=f"kl-{t}-{item.base}", symbol=item.symbol, quantity=quantity, bar_time_ms=0)
                if isinstance(exchange.submit(intent)[0], Accepted):
                    orders[-1][item.symbol] = quantity
    return orders, fills, equity
