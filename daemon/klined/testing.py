"""Fakes for those who write feeds, policies and venues: exact, scripted, without time, network or randomness.

    clock = FakeClock()                            time that stands still until it is moved
    feed = ScriptedFeed(closes("ETH/USDT", [100, 101, 99]))
    venue = RecordingVenue([instrument()])         fills at the last close, and remembers what it was asked

They satisfy `klined.ports` and may be handed to the daemon wherever the real ones go.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from decimal import Decimal

import msgspec

from klined.domain import (
    ZERO,
    Accepted,
    Account,
    Bar,
    Batch,
    Ended,
    Fill,
    Instrument,
    Intent,
    MarketKind,
    News,
    OpenOrder,
    OrderNews,
    Position,
    Purpose,
    Traded,
    Unsent,
)
from klined.errors import Retryable

MINUTE_MS = 60_000


class FakeClock:
    """Time that moves when it is told to; satisfies `klined.ports.Clock`."""

    def __init__(self, now_ms: int = 0) -> None:
        self._now_ms = now_ms
        self._monotonic_ms = 0

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic_s(self) -> float:
        return self._monotonic_ms / 1000

    def advance(self, by_ms: int) -> None:
        """Let time pass."""
        if by_ms < 0:
            raise ValueError(f"time cannot pass by {by_ms} ms; to set the wall clock back use step()")
        self._now_ms += by_ms
        self._monotonic_ms += by_ms

    def step(self, by_ms: int) -> None:
        """Set the wall clock forward or back while no time passes, as a suspend or a time server does."""
        self._now_ms += by_ms


def closes(
    symbol: str,
    prices: Iterable[float],
    *,
    start_ms: int = 0,
    interval_ms: int = MINUTE_MS,
    volume: float = 100.0,
    purpose: Purpose = Purpose.TRADE,
) -> list[Batch]:
    """One batch per close of one symbol: each bar opens at the last close and has no wicks."""
    batches = []
    before: float | None = None
    for k, price in enumerate(prices):
        opened = price if before is None else before
        bar = Bar(symbol, start_ms + k * interval_ms, opened, max(opened, price), min(opened, price), price, volume)
        batches.append(Batch(bar.open_time_ms + interval_ms, (bar,), purpose))
        before = price
    return batches


class ScriptedFeed:
    """Plays the batches it was given, then ends; satisfies `klined.ports.Feed`."""

    def __init__(self, batches: Iterable[Batch], past: Sequence[Batch] = ()) -> None:
        self._left = deque(batches)
        self._past = tuple(past)
        self.closed = False

    async def history(self, count: int, after_ms: int | None) -> Sequence[Batch]:
        late = [batch for batch in self._past if after_ms is None or batch.close_time_ms > after_ms]
        return late if after_ms is not None else late[-count:] if count else []

    async def next(self) -> Batch | None:
        await asyncio.sleep(0)
        return self._left.popleft() if self._left else None

    async def close(self) -> None:
        self.closed = True


def instrument(symbol: str = "ETH/USDT") -> Instrument:
    """A plain spot instrument: tick 0.01, lot 0.001, 10 quote at least, 4 bp fee."""
    base, quote = symbol.split(":", maxsplit=1)[0].split("/")
    return Instrument(
        symbol=symbol,
        venue_symbol=base + quote,
        kind=MarketKind.PERP if ":" in symbol else MarketKind.SPOT,
        base=base,
        quote=quote,
        tick=Decimal("0.01"),
        lot=Decimal("0.001"),
        quantity_min=Decimal("0.001"),
        quantity_max=Decimal(9000),
        notional_min=Decimal(10),
    )


class RecordingVenue:
    """Remembers every intent and cancellation; fills market orders at the last close unless told otherwise.

    `answer(...)` scripts what the next submissions hear, one call each; `go_dark()` makes reads fail as a lost
    network does. Satisfies `klined.ports.Venue`.
    """

    name = "recording"
    in_process = True

    def __init__(self, instruments: Iterable[Instrument], balances: dict[str, Decimal] | None = None) -> None:
        self._instruments = {each.symbol: each for each in instruments}
        self.balances = dict(balances) if balances is not None else {"USDT": Decimal(10_000)}
        self.held = dict.fromkeys(self._instruments, ZERO)
        self.sent: list[Intent] = []
        self.cancelled: list[str] = []
        self.closed = False
        self._known: dict[str, list[OrderNews]] = {}
        self._open: dict[str, Intent] = {}
        self._answers: deque[tuple[OrderNews, ...]] = deque()
        self._marks: dict[str, Decimal] = {}
        self._now_ms = 0
        self._dark = False
        self._forever = asyncio.Event()

    def answer(self, *news: OrderNews) -> None:
        """Let the next unscripted submission hear this, at least one, instead of a fill."""
        self._answers.append(news)

    def go_dark(self, *, dark: bool = True) -> None:
        """Let reads fail with `Retryable` from now on, or no longer."""
        self._dark = dark

    async def instruments(self, symbols: Sequence[str]) -> dict[str, Instrument]:
        return {symbol: self._instruments[symbol] for symbol in symbols}

    async def account(self) -> Account:
        self._refuse_in_the_dark("account")
        positions = tuple(Position(symbol, held) for symbol, held in self.held.items())
        working = tuple(
            OpenOrder(intent.client_id, intent.symbol, intent.quantity, ZERO, intent.kind)
            for intent in self._open.values()
        )
        return Account(self._now_ms, dict(self.balances), positions, working)

    async def submit(self, intent: Intent) -> Sequence[OrderNews]:
        if intent.client_id in self._known:
            raise AssertionError(f"{intent.client_id} was submitted twice; an intent is sent once or never")
        self.sent.append(intent)
        if self._answers:
            heard: tuple[OrderNews, ...] = self._answers.popleft()
        elif intent.symbol in self._marks:
            heard = (Accepted(intent.client_id), Traded(self._fill(intent)))
        else:
            heard = (Accepted(intent.client_id),)
        self._known[intent.client_id] = list(heard)
        for news in heard:
            self._book(intent, news)
        return heard

    async def cancel(self, client_id: str, symbol: str) -> Sequence[OrderNews]:
        del symbol
        self.cancelled.append(client_id)
        if self._open.pop(client_id, None) is None:
            return ()
        ended = Ended(client_id, "cancelled")
        self._known[client_id].append(ended)
        return (ended,)

    async def query(self, client_id: str, symbol: str) -> Sequence[OrderNews]:
        del symbol
        self._refuse_in_the_dark("query")
        return tuple(self._known.get(client_id, (Unsent(client_id),)))

    def on_batch(self, batch: Batch) -> Sequence[News]:
        self._now_ms = batch.close_time_ms
        for bar in batch.bars:
            if bar is not None:
                self._marks[bar.symbol] = Decimal(repr(bar.close))
        return ()

    async def news(self) -> Sequence[News]:
        await self._forever.wait()
        return ()

    def dump(self) -> Sequence[tuple[str, bytes]]:
        balances = {asset: str(amount) for asset, amount in self.balances.items()}
        held = {symbol: str(quantity) for symbol, quantity in self.held.items()}
        return (("balances", msgspec.json.encode(balances)), ("held", msgspec.json.encode(held)))

    def load(self, rows: Sequence[tuple[str, bytes]]) -> None:
        ledger = {key: msgspec.json.decode(raw, type=dict[str, Decimal]) for key, raw in rows}
        self.balances = ledger.get("balances", self.balances)
        self.held.update(ledger.get("held", {}))

    async def close(self) -> None:
        self.closed = True

    def _fill(self, intent: Intent) -> Fill:
        """All of the intent at the last close, fee in quote."""
        traded = self._instruments[intent.symbol]
        price = self._marks[intent.symbol]
        return Fill(
            trade_id=f"t{len(self.sent)}",
            client_id=intent.client_id,
            symbol=intent.symbol,
            quantity=intent.quantity,
            price=price,
            fee=abs(intent.quantity) * price * traded.taker_fee,
            fee_asset=traded.quote,
            time_ms=self._now_ms,
        )

    def _book(self, intent: Intent, news: OrderNews) -> None:
        """Keep the balances that `account()` tells."""
        match news:
            case Accepted():
                self._open[intent.client_id] = intent
            case Ended():
                self._open.pop(intent.client_id, None)
            case Traded(fill):
                if fill.quantity == intent.quantity:
                    self._open.pop(intent.client_id, None)
                traded = self._instruments[fill.symbol]
                self.held[fill.symbol] += fill.quantity
                paid = fill.fee if traded.kind is MarketKind.PERP else fill.quantity * fill.price + fill.fee
                self.balances[traded.quote] = self.balances.get(traded.quote, ZERO) - paid
                if traded.kind is MarketKind.SPOT:
                    self.balances[traded.base] = self.balances.get(traded.base, ZERO) + fill.quantity
            case _:
                pass

    def _refuse_in_the_dark(self, what: str) -> None:
        if self._dark:
            raise Retryable(f"{what}: the scripted venue is dark; call go_dark(dark=False)")
