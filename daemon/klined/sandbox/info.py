"""exchangeInfo: the rules of every symbol, from a real answer of the exchange or from a sketch of the instrument."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from klined.domain import Instrument, MarketKind
from klined.errors import ConfigError
from klined.world.filters import default_instrument, instruments_from_exchange_info, venue_symbol

SPOT_TYPES = ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"]
PERP_TYPES = ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"]
SELF_TRADE = ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"]
LARGEST = Decimal(9_000_000)


def plain(number: Decimal) -> str:
    """Without an exponent and without trailing zeros."""
    return f"{number.normalize():f}"


def digits(step: Decimal) -> int:
    """Places behind the point."""
    return max(0, -int(step.normalize().as_tuple().exponent))


def load_instruments(
    symbols: Sequence[str], kind: MarketKind, path: str
) -> tuple[list[Instrument], dict[str, dict[str, Any]]]:
    """Instruments of `symbols` and, when `path` is given, the exchange's own entries by venue symbol.

    Raises:
        ConfigError: the file is unreadable or lacks a symbol.
    """
    if not path:
        return [default_instrument(symbol, kind) for symbol in symbols], {}
    try:
        raw = msgspec.json.decode(Path(path).read_bytes())
    except (OSError, msgspec.DecodeError) as fault:
        raise ConfigError(f"cannot read exchangeInfo {path}: {fault}") from fault
    found = instruments_from_exchange_info(raw, symbols, kind)
    wanted = {venue_symbol(symbol) for symbol in symbols}
    return list(found.values()), {entry["symbol"]: entry for entry in raw["symbols"] if entry["symbol"] in wanted}


def spot_entry(item: Instrument, state: str, raw: Mapping[str, Any]) -> dict[str, Any]:
    template: dict[str, Any] = {
        "symbol": item.venue_symbol,
        "status": state,
        "baseAsset": item.base,
        "baseAssetPrecision": 8,
        "quoteAsset": item.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": SPOT_TYPES,
        "icebergAllowed": False,
        "ocoAllowed": True,
        "otoAllowed": True,
        "opoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": True,
        "amendAllowed": True,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": _spot_filters(item),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["NONE", *SELF_TRADE],
    }
    return {
        **template,
        **raw,
        "icebergAllowed": False,
        "status": state,
        "filters": _patched(raw.get("filters"), template["filters"]),
    }


def perp_entry(item: Instrument, state: str, raw: Mapping[str, Any]) -> dict[str, Any]:
    template: dict[str, Any] = {
        "symbol": item.venue_symbol,
        "pair": item.venue_symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1569398400000,
        "status": state,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": item.base,
        "quoteAsset": item.quote,
        "marginAsset": item.quote,
        "pricePrecision": digits(item.tick),
        "quantityPrecision": digits(item.lot),
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": ["PoW"],
        "settlePlan": 0,
        "triggerProtect": "0.0500",
        "liquidationFee": plain(item.liquidation_fee),
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10000,
        "filters": _perp_filters(item),
        "orderTypes": PERP_TYPES,
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
    }
    return {**template, **raw, "status": state, "filters": _patched(raw.get("filters"), template["filters"])}


def _spot_filters(item: Instrument) -> list[dict[str, Any]]:
    up, down = plain(item.percent_price_up), plain(item.percent_price_down)
    return [
        {"filterType": "PRICE_FILTER", "minPrice": f"{item.tick:.8f}", "maxPrice": f"{LARGEST:.8f}",
         "tickSize": f"{item.tick:.8f}"},
        {"filterType": "LOT_SIZE", "minQty": f"{item.quantity_min:.8f}", "maxQty": f"{LARGEST:.8f}",
         "stepSize": f"{item.lot:.8f}"},
        {"filterType": "ICEBERG_PARTS", "limit": 10},
        {"filterType": "MARKET_LOT_SIZE", "minQty": "0.00000000", "maxQty": f"{item.quantity_max:.8f}",
         "stepSize": "0.00000000"},
        {"filterType": "TRAILING_DELTA", "minTrailingAboveDelta": 10, "maxTrailingAboveDelta": 2000,
         "minTrailingBelowDelta": 10, "maxTrailingBelowDelta": 2000},
        {"filterType": "PERCENT_PRICE_BY_SIDE", "bidMultiplierUp": up, "bidMultiplierDown": down,
         "askMultiplierUp": up, "askMultiplierDown": down, "avgPriceMins": 5},
        {"filterType": "NOTIONAL", "minNotional": f"{item.notional_min:.8f}", "applyMinToMarket": True,
         "maxNotional": f"{LARGEST:.8f}", "applyMaxToMarket": False, "avgPriceMins": 5},
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": item.orders_max},
        {"filterType": "MAX_NUM_ORDER_LISTS", "maxNumOrderLists": 20},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
        {"filterType": "MAX_NUM_ORDER_AMENDS", "maxNumOrderAmends": 10},
    ]  # fmt: skip


def _perp_filters(item: Instrument) -> list[dict[str, Any]]:
    return [
        {"filterType": "PRICE_FILTER", "minPrice": plain(item.tick), "maxPrice": plain(LARGEST),
         "tickSize": plain(item.tick)},
        {"filterType": "LOT_SIZE", "minQty": plain(item.quantity_min), "maxQty": plain(LARGEST),
         "stepSize": plain(item.lot)},
        {"filterType": "MARKET_LOT_SIZE", "minQty": plain(item.quantity_min), "maxQty": plain(item.quantity_max),
         "stepSize": plain(item.lot)},
        {"filterType": "MAX_NUM_ORDERS", "limit": item.orders_max},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": 200},
        {"filterType": "MIN_NOTIONAL", "notional": plain(item.notional_min)},
        {"filterType": "PERCENT_PRICE", "multiplierUp": f"{item.percent_price_up:.4f}",
         "multiplierDown": f"{item.percent_price_down:.4f}", "multiplierDecimal": "4"},
        {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE", "notionalLimit": "0"},
    ]  # fmt: skip


OWN = {"tickSize", "stepSize", "minNotional", "notional"}  # what a change of the rules may change


def _patched(real: Sequence[Mapping[str, Any]] | None, own: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The exchange's own filters, with the steps that hold now."""
    if real is None:
        return own
    ours = {entry["filterType"]: entry for entry in own}
    found = []
    for entry in real:
        mine = ours.get(entry["filterType"], {})
        changes = {name: value for name, value in mine.items() if name in OWN and name in entry}
        if entry["filterType"] == "MARKET_LOT_SIZE":
            changes = {}
        same = {name: value for name, value in changes.items() if Decimal(entry[name]) == Decimal(value)}
        found.append({**entry, **{name: value for name, value in changes.items() if name not in same}})
    return found
