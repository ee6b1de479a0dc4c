"""What the exchange lets through: instruments from its own exchangeInfo, and the check of one order against them.

    exchangeInfo (JSON) ─ instruments_from_exchange_info ─▶ Instrument ─ check ─▶ None, or the Failure Binance names
    nothing (offline)   ─ default_instrument ─────────────▶ Instrument

Reads the formats of 2021 and 2026, spot (MIN_NOTIONAL, NOTIONAL, PERCENT_PRICE_BY_SIDE) and USDT-M. A MARKET_LOT_SIZE
with stepSize 0 means "use LOT_SIZE".
"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from msgspec import Struct

from klined.domain import Instrument, MarketKind, Tier
from klined.errors import ConfigError

SPOT_FEES = (Decimal("0.001"), Decimal("0.001"))  # maker, taker: the entry tier
PERP_FEES = (Decimal("0.0002"), Decimal("0.0005"))


class Failure(Struct, frozen=True):
    """Why an order is refused: Binance's numeric code, its name, its sentence."""

    code: int
    name: str
    message: str

    def __str__(self) -> str:
        return f"{self.code} {self.message}"


class Wish(Struct, frozen=True, kw_only=True):
    """What `check` needs to know of an order."""

    quantity: Decimal  # signed
    reference: Decimal  # last price
    price: Decimal | None = None  # limit or stop price
    reduce_only: bool = False
    orders_open: int = 0  # on this symbol


def instruments_from_exchange_info(
    info: Mapping[str, Any],
    symbols: Iterable[str],
    kind: MarketKind,
    fees: tuple[Decimal, Decimal] | None = None,
    tiers: Mapping[str, tuple[Tier, ...]] | None = None,
) -> dict[str, Instrument]:
    """Instruments of `symbols` (unified names) from a raw exchangeInfo; `fees` are (maker, taker).

    Raises:
        ConfigError: a symbol is not listed there, or a filter that trading needs is missing or zero.
    """
    listed = {entry["symbol"]: entry for entry in info["symbols"]}
    maker, taker = fees or (SPOT_FEES if kind is MarketKind.SPOT else PERP_FEES)
    found: dict[str, Instrument] = {}
    for symbol in symbols:
        name = venue_symbol(symbol)
        entry = listed.get(name)
        if entry is None:
            raise ConfigError(f"{symbol}: {name} is not among the {len(listed)} symbols of the exchangeInfo; check it")
        known = (tiers or {}).get(symbol, ()) if kind is MarketKind.PERP else ()
        try:
            found[symbol] = _instrument(symbol, entry, kind, maker, taker, known)
        except KeyError as missing:
            raise ConfigError(f"{symbol}: the exchangeInfo lacks {missing}; fetch it again") from None
        if not (found[symbol].tick and found[symbol].lot):  # seen on announced and delisted symbols
            raise ConfigError(f"{symbol}: status {entry['status']} with a price or quantity step of 0; trade another")
    return found


def venue_symbol(symbol: str) -> str:
    """`ETH/USDT` and `ETH/USDT:USDT` are both `ETHUSDT` to Binance."""
    return symbol.partition(":")[0].replace("/", "")


def check(instrument: Instrument, wish: Wish) -> Failure | None:
    """The first filter that `wish` fails, None when the exchange would take it."""
    for broken, spot, perp in _rules(instrument, wish):
        if broken:
            return spot if instrument.kind is MarketKind.SPOT else perp
    return None


def _filter(name: str) -> Failure:
    return Failure(-1013, name, f"Filter failure: {name}")


CLOSED = Failure(-1013, "MARKET_CLOSED", "Market is closed.")
MANY = _filter("MAX_NUM_ORDERS"), Failure(-2025, "REACH_MAX_ORDER_LIMIT", "Reach max open order limit.")
LOT = _filter("LOT_SIZE")
SMALL = LOT, Failure(-4004, "QTY_LESS_THAN_MIN_QTY", "Quantity less than min quantity.")
LARGE = _filter("MARKET_LOT_SIZE"), Failure(-4005, "QTY_GREATER_THAN_MAX_QTY", "Quantity greater than max quantity.")
PRECISE = LOT, Failure(-1111, "BAD_PRECISION", "Precision is over the maximum defined for this asset.")
NOTIONAL = _filter("NOTIONAL")

Rule = tuple[bool, Failure, Failure]
"""Whether it is broken, and what spot and USDT-M call that."""


def _rules(instrument: Instrument, wish: Wish) -> Iterator[Rule]:
    quantity, price = abs(wish.quantity), wish.price
    yield not instrument.trading, CLOSED, CLOSED
    yield wish.orders_open >= instrument.orders_max, *MANY
    yield quantity == 0 or quantity < instrument.quantity_min, *SMALL
    yield quantity > instrument.quantity_max, *LARGE
    yield quantity % instrument.lot != 0, *PRECISE
    exempt = wish.reduce_only and instrument.kind is MarketKind.PERP
    notional = quantity * (wish.reference if price is None else price)
    if notional < instrument.notional_min and not exempt:
        floor = f"{instrument.notional_min.normalize():f}"
        cheap = f"Order's notional must be no smaller than {floor} (unless you choose reduce only)."
        yield True, NOTIONAL, Failure(-4164, "MIN_NOTIONAL", cheap)
    if price is not None:
        yield from _price_rules(instrument, price, wish.reference)


def _price_rules(instrument: Instrument, price: Decimal, reference: Decimal) -> Iterator[Rule]:
    off_grid = Failure(-4014, "PRICE_NOT_INCREASED_BY_TICK_SIZE", "Price not increased by tick size.")
    yield price <= 0 or price % instrument.tick != 0, _filter("PRICE_FILTER"), off_grid
    band = _filter("PERCENT_PRICE_BY_SIDE")
    high, low = reference * instrument.percent_price_up, reference * instrument.percent_price_down
    above = f"Limit price can't be higher than {high}."
    yield price > high, band, Failure(-4016, "PRICE_HIGHTER_THAN_MULTIPLIER_UP", above)
    below = f"Limit price can't be lower than {low}."
    yield price < low, band, Failure(-4024, "PRICE_LOWER_THAN_MULTIPLIER_DOWN", below)


def _instrument(
    symbol: str, entry: Mapping[str, Any], kind: MarketKind, maker: Decimal, taker: Decimal, tiers: tuple[Tier, ...]
) -> Instrument:
    filters = {item["filterType"]: item for item in entry["filters"]}
    size = filters["LOT_SIZE"]
    market = filters.get("MARKET_LOT_SIZE", size)
    lot = Decimal(market["stepSize"]) or Decimal(size["stepSize"])
    up, down = _percent(filters)
    orders = filters.get("MAX_NUM_ORDERS", {})
    return Instrument(
        symbol=symbol,
        venue_symbol=entry["symbol"],
        kind=kind,
        base=entry["baseAsset"],
        quote=entry["quoteAsset"],
        tick=Decimal(filters["PRICE_FILTER"]["tickSize"]).normalize(),
        lot=lot.normalize(),
        quantity_min=max(Decimal(size["minQty"]), Decimal(market["minQty"]), lot).normalize(),
        quantity_max=min(Decimal(size["maxQty"]), Decimal(market["maxQty"])),
        notional_min=_notional_min(filters),
        maker_fee=maker,
        taker_fee=taker,
        percent_price_up=up,
        percent_price_down=down,
        orders_max=int(orders.get("maxNumOrders", orders.get("limit", 200))),
        tiers=tiers,
        trading=entry["status"] == "TRADING",
        liquidation_fee=Decimal(entry.get("liquidationFee", "0.02")),
    )


def _notional_min(filters: Mapping[str, Any]) -> Decimal:
    if "NOTIONAL" in filters:
        return Decimal(filters["NOTIONAL"]["minNotional"]).normalize()
    entry = filters["MIN_NOTIONAL"]
    return Decimal(entry.get("minNotional", entry.get("notional"))).normalize()


def _percent(filters: Mapping[str, Any]) -> tuple[Decimal, Decimal]:
    """Narrowest band that holds for both sides."""
    if "PERCENT_PRICE_BY_SIDE" in filters:
        entry = filters["PERCENT_PRICE_BY_SIDE"]
        up = min(Decimal(entry["bidMultiplierUp"]), Decimal(entry["askMultiplierUp"]))
        return up, max(Decimal(entry["bidMultiplierDown"]), Decimal(entry["askMultiplierDown"]))
    entry = filters.get("PERCENT_PRICE", {"multiplierUp": "5", "multiplierDown": "0.2"})
    return Decimal(entry["multiplierUp"]), Decimal(entry["multiplierDown"])


class Sketch(Struct, frozen=True):
    """What is typical of a coin: price, and spot's and the perpetual's tick and lot."""

    price: float
    spot: tuple[str, str]
    perp: tuple[str, str]
    perp_notional_min: str = "5"


SKETCHES = {
    "BTC": Sketch(60_000.0, ("0.01", "0.00001"), ("0.1", "0.001"), "100"),
    "ETH": Sketch(2_500.0, ("0.01", "0.0001"), ("0.01", "0.001"), "20"),
    "BNB": Sketch(600.0, ("0.01", "0.001"), ("0.01", "0.01")),
    "SOL": Sketch(150.0, ("0.01", "0.001"), ("0.01", "0.01")),
    "LTC": Sketch(90.0, ("0.01", "0.001"), ("0.01", "0.001"), "20"),
    "LINK": Sketch(15.0, ("0.01", "0.01"), ("0.001", "0.01"), "20"),
    "AVAX": Sketch(25.0, ("0.01", "0.01"), ("0.001", "1")),
    "DOT": Sketch(6.0, ("0.001", "0.01"), ("0.001", "0.1")),
    "XRP": Sketch(0.6, ("0.0001", "0.1"), ("0.0001", "0.1")),
    "ADA": Sketch(0.5, ("0.0001", "0.1"), ("0.0001", "1")),
    "DOGE": Sketch(0.15, ("0.00001", "1"), ("0.00001", "1")),
}
MAJOR_TIERS = (
    Tier(0.0, 0.004, 0.0, 125.0),
    Tier(300_000.0, 0.005, 300.0, 100.0),
    Tier(800_000.0, 0.0065, 1_500.0, 75.0),
    Tier(3_000_000.0, 0.01, 12_000.0, 50.0),
    Tier(12_000_000.0, 0.02, 132_000.0, 25.0),
    Tier(50_000_000.0, 0.025, 382_000.0, 20.0),
)
MINOR_TIERS = (
    Tier(0.0, 0.005, 0.0, 75.0),
    Tier(10_000.0, 0.01, 50.0, 50.0),
    Tier(50_000.0, 0.015, 300.0, 40.0),
    Tier(200_000.0, 0.02, 1_300.0, 25.0),
    Tier(1_000_000.0, 0.025, 6_300.0, 20.0),
    Tier(2_000_000.0, 0.05, 56_300.0, 10.0),
)


def typical_price(symbol: str) -> float:
    """A plausible price to start a made-up market at."""
    sketch = SKETCHES.get(symbol.partition("/")[0])
    return 1.0 if sketch is None else sketch.price


def default_instrument(symbol: str, kind: MarketKind, price: float | None = None) -> Instrument:
    """A sensible instrument when no exchangeInfo is at hand; an unknown coin is guessed from the size of `price`.

    Raises:
        ConfigError: `symbol` is no unified name of that kind.
    """
    pair, _, settle = symbol.partition(":")
    base, slash, quote = pair.partition("/")
    if not (base and slash and quote) or (kind is MarketKind.PERP) != bool(settle) or settle not in {"", quote}:
        like = "ETH/USDT" if kind is MarketKind.SPOT else "ETH/USDT:USDT"
        raise ConfigError(f"{symbol!r} is no {kind} symbol; write it like {like}")
    spot = kind is MarketKind.SPOT
    sketch = SKETCHES.get(base) if quote.endswith(("USDT", "USDC", "USD")) else None
    if sketch is None:
        digits = Decimal(repr(price or 1.0)).adjusted()
        tick, lot = Decimal(1).scaleb(digits - 4), Decimal(1).scaleb(-digits - 1)
    else:
        tick, lot = (Decimal(step) for step in (sketch.spot if spot else sketch.perp))
    maker, taker = SPOT_FEES if spot else PERP_FEES
    return Instrument(
        symbol=symbol,
        venue_symbol=venue_symbol(symbol),
        kind=kind,
        base=base,
        quote=quote,
        tick=tick,
        lot=lot,
        quantity_min=lot,
        quantity_max=lot * 10_000_000,
        notional_min=Decimal(5) if spot or sketch is None else Decimal(sketch.perp_notional_min),
        maker_fee=maker,
        taker_fee=taker,
        percent_price_up=Decimal(5) if spot else Decimal("1.05"),
        percent_price_down=Decimal("0.2") if spot else Decimal("0.95"),
        tiers=() if spot else MAJOR_TIERS if base in {"BTC", "ETH"} else MINOR_TIERS,
    )
