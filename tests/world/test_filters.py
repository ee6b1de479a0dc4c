"""What real exchangeInfo says, and what is refused by which name."""

import gzip
import json
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klined.domain import MarketKind
from klined.errors import ConfigError
from klined.world.filters import (
    SKETCHES,
    Wish,
    check,
    default_instrument,
    instruments_from_exchange_info,
    typical_price,
)
from klined.world.margin import tiers_from_brackets

SPOT = default_instrument("ETH/USDT", MarketKind.SPOT)
PERP = default_instrument("ETH/USDT:USDT", MarketKind.PERP)


def read(path: Path) -> dict[str, Any]:
    raw = path.read_bytes()
    found: dict[str, Any] = json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw)
    return found


def test_spot_of_2021_without_a_market_step_uses_the_lot_size(shared_data: Path) -> None:
    info = read(shared_data / "small" / "binance_exchangeInfo_small.json")
    eth = instruments_from_exchange_info(info, ["ETH/USDT"], MarketKind.SPOT)["ETH/USDT"]
    assert (eth.venue_symbol, eth.base, eth.quote) == ("ETHUSDT", "ETH", "USDT")
    assert (eth.tick, eth.lot, eth.quantity_min) == (Decimal("0.01"), Decimal("0.0001"), Decimal("0.0001"))
    assert (eth.notional_min, eth.quantity_max) == (Decimal(10), Decimal("1600.51202668"))
    assert (eth.percent_price_up, eth.percent_price_down, eth.orders_max) == (Decimal(5), Decimal("0.2"), 200)
    assert eth.trading
    assert eth.tiers == ()


def test_perpetuals_of_2021_and_2026_differ_as_the_exchange_changed_them(shared_data: Path) -> None:
    symbols = ["ETH/USDT:USDT", "BTC/USDT:USDT"]
    old, new = (
        instruments_from_exchange_info(read(shared_data / "small" / name), symbols, MarketKind.PERP)
        for name in ("binance_futures_exchangeInfo_small.json", "um_exchangeInfo_2026-03-31_small.json")
    )
    assert [old[symbol].notional_min for symbol in symbols] == [Decimal(5), Decimal(5)]
    assert [new[symbol].notional_min for symbol in symbols] == [Decimal(20), Decimal(100)]
    assert (old["BTC/USDT:USDT"].lot, new["BTC/USDT:USDT"].lot) == (Decimal("0.001"), Decimal("0.0001"))
    assert (new["BTC/USDT:USDT"].tick, new["BTC/USDT:USDT"].quantity_max) == (Decimal("0.1"), Decimal(120))
    assert new["ETH/USDT:USDT"].percent_price_up == Decimal("1.05")
    assert new["ETH/USDT:USDT"].liquidation_fee == Decimal("0.02")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("binance_exchangeInfo.json.gz", MarketKind.SPOT),
        ("binance_futures_exchangeInfo.json.gz", MarketKind.PERP),
        ("um_exchangeInfo_2026-03-31.json.gz", MarketKind.PERP),
    ],
)
def test_every_trading_symbol_of_a_whole_real_exchange_info_can_be_read(
    shared_data: Path, name: str, kind: MarketKind
) -> None:
    info = read(shared_data / "exchange_info" / name)
    settle = "" if kind is MarketKind.SPOT else ":{quoteAsset}"
    symbols = [
        ("{baseAsset}/{quoteAsset}" + settle).format(**entry)
        for entry in info["symbols"]
        if entry["symbol"] == entry["baseAsset"] + entry["quoteAsset"] and entry["status"] == "TRADING"
    ]
    found = instruments_from_exchange_info(info, symbols, kind)
    assert len(found) > 100
    for instrument in found.values():
        assert instrument.lot > 0
        assert instrument.tick > 0
        assert instrument.quantity_max >= instrument.quantity_min > 0


def test_the_newest_spot_filters_are_understood() -> None:
    """NOTIONAL and PERCENT_PRICE_BY_SIDE replaced MIN_NOTIONAL and PERCENT_PRICE."""
    entry = {
        "symbol": "ETHUSDT", "status": "TRADING", "baseAsset": "ETH", "quoteAsset": "USDT",
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": "0.01000000"},
            {"filterType": "LOT_SIZE", "minQty": "0.00010000", "maxQty": "9000.0", "stepSize": "0.00010000"},
            {"filterType": "MARKET_LOT_SIZE", "minQty": "0.00000000", "maxQty": "300.5", "stepSize": "0.00000000"},
            {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True},
            {
                "filterType": "PERCENT_PRICE_BY_SIDE", "bidMultiplierUp": "5", "bidMultiplierDown": "0.2",
                "askMultiplierUp": "4", "askMultiplierDown": "0.25",
            },
        ],
    }  # fmt: skip
    eth = instruments_from_exchange_info({"symbols": [entry]}, ["ETH/USDT"], MarketKind.SPOT)["ETH/USDT"]
    assert (eth.notional_min, eth.percent_price_up, eth.percent_price_down) == (5, 4, Decimal("0.25"))
    entry["filters"] = entry["filters"][:1]
    with pytest.raises(ConfigError, match="LOT_SIZE"):
        instruments_from_exchange_info({"symbols": [entry]}, ["ETH/USDT"], MarketKind.SPOT)
    with pytest.raises(ConfigError, match="NOPEUSDT"):
        instruments_from_exchange_info({"symbols": [entry]}, ["NOPE/USDT"], MarketKind.SPOT)


def test_an_announced_symbol_without_steps_is_refused(shared_data: Path) -> None:
    info = read(shared_data / "exchange_info" / "um_exchangeInfo_2026-03-31.json.gz")
    with pytest.raises(ConfigError, match=r"ELSA.* step of 0"):
        instruments_from_exchange_info(info, ["ELSA/USDT:USDT"], MarketKind.PERP)


@pytest.mark.parametrize(
    ("wish", "spot", "perp"),
    [
        (Wish(quantity=Decimal(0), reference=Decimal(2000)), "LOT_SIZE", "QTY_LESS_THAN_MIN_QTY"),
        (Wish(quantity=Decimal(-2000000), reference=Decimal(2000)), "MARKET_LOT_SIZE", "QTY_GREATER_THAN_MAX_QTY"),
        (Wish(quantity=Decimal("1.00005"), reference=Decimal(2000)), "LOT_SIZE", "BAD_PRECISION"),
        (Wish(quantity=Decimal("0.002"), reference=Decimal(2000)), "NOTIONAL", "MIN_NOTIONAL"),
        (
            Wish(quantity=Decimal(1), reference=Decimal(2000), orders_open=200),
            "MAX_NUM_ORDERS",
            "REACH_MAX_ORDER_LIMIT",
        ),
        (
            Wish(quantity=Decimal(1), reference=Decimal(2000), price=Decimal("2000.001")),
            "PRICE_FILTER",
            "PRICE_NOT_INCREASED_BY_TICK_SIZE",
        ),
        (
            Wish(quantity=Decimal(1), reference=Decimal(2000), price=Decimal(20_000)),
            "PERCENT_PRICE_BY_SIDE",
            "PRICE_HIGHTER_THAN_MULTIPLIER_UP",
        ),
        (
            Wish(quantity=Decimal(1), reference=Decimal(2000), price=Decimal(20)),
            "PERCENT_PRICE_BY_SIDE",
            "PRICE_LOWER_THAN_MULTIPLIER_DOWN",
        ),
    ],
)
def test_a_broken_filter_is_called_what_the_exchange_calls_it(wish: Wish, spot: str, perp: str) -> None:
    refused = check(SPOT, wish), check(PERP, wish)
    assert [failure and failure.name for failure in refused] == [spot, perp]


def test_a_reduce_only_order_of_a_perpetual_may_be_small_and_spot_may_not() -> None:
    wish = Wish(quantity=Decimal("0.002"), reference=Decimal(2000), reduce_only=True)
    assert check(PERP, wish) is None
    assert str(check(SPOT, wish)) == "-1013 Filter failure: NOTIONAL"
    cheap = check(PERP, Wish(quantity=Decimal("0.002"), reference=Decimal(2000)))
    assert str(cheap) == "-4164 Order's notional must be no smaller than 20 (unless you choose reduce only)."


@given(lots=st.integers(1, 10**6))
def test_whole_lots_worth_the_minimum_always_pass(lots: int) -> None:
    for instrument in (SPOT, PERP):
        wish = Wish(quantity=lots * instrument.lot, reference=Decimal(10**6))
        assert check(instrument, wish) is None


@pytest.mark.parametrize("base", [*SKETCHES, "NEWCOIN"])
def test_a_default_instrument_has_lots_of_small_value_and_fine_ticks(base: str) -> None:
    for symbol, kind in ((f"{base}/USDT", MarketKind.SPOT), (f"{base}/USDT:USDT", MarketKind.PERP)):
        instrument = default_instrument(symbol, kind)
        price = typical_price(symbol)
        assert float(instrument.lot) * price <= 100.0
        assert float(instrument.tick) / price <= 2e-3
        assert bool(instrument.tiers) == (kind is MarketKind.PERP)


def test_an_unknown_coin_is_guessed_from_its_price() -> None:
    cheap = default_instrument("PEPE/USDT", MarketKind.SPOT, 0.00001)
    dear = default_instrument("GOLD/USDT", MarketKind.SPOT, 3_000.0)
    assert (cheap.tick, cheap.lot) == (Decimal("1E-9"), Decimal("1E+4"))
    assert (dear.tick, dear.lot) == (Decimal("0.1"), Decimal("0.0001"))


@pytest.mark.parametrize("symbol", ["ETHUSDT", "ETH/USDT:USDT", "/USDT", "ETH/"])
def test_a_misspelt_symbol_is_refused_with_an_example(symbol: str) -> None:
    with pytest.raises(ConfigError, match="write it like ETH/USDT"):
        default_instrument(symbol, MarketKind.SPOT)


def test_real_brackets_are_ascending_and_continuous(shared_data: Path) -> None:
    brackets = json.loads((shared_data / "small" / "um_leverage_tiers_small.json").read_text())
    for tiers in tiers_from_brackets(brackets).values():
        for below, above in pairwise(tiers):
            assert above.notional_min > below.notional_min
            edge = above.notional_min
            assert edge * below.mmr - below.cum == pytest.approx(edge * above.mmr - above.cum)
    for rows in brackets.values():
        for row in rows:
            del row["info"]["cum"]
    again = tiers_from_brackets(brackets)["ETH/USDT:USDT"]
    assert [round(tier.cum) for tier in again[:4]] == [0, 300, 1_500, 12_000]
