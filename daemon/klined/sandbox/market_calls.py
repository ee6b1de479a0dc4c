"""Public market data over REST and the websocket API, for both kinds of market."""

from typing import Any

from klined.sandbox.answers import ApiError
from klined.sandbox.calls import Call, Endpoint, Handler, Table, empty, nothing
from klined.sandbox.candles import INTERVALS_MS, Candle, zone_ms
from klined.sandbox.info import perp_entry, spot_entry
from klined.sandbox.spot_reports import Json

LIMIT_DEFAULT, LIMIT_MAX = 500, 1000
FUNDING_MS = 3_600_000


def server_time(call: Call) -> Json:
    return {"serverTime": call.told_ms}


def exchange_info(call: Call) -> Json:
    exchange, spot = call.exchange, call.kind == "spot"
    venue = exchange.venue(call.kind)
    names = wanted(call) if spot else list(venue.listed)
    raw = exchange.spot_raw if spot else exchange.perp_raw
    entry = spot_entry if spot else perp_entry
    symbols = [entry(venue.listed[name], venue.states[name], raw.get(name, {})) for name in names]
    found: Json = {"timezone": "UTC", "serverTime": call.told_ms, "rateLimits": exchange.rates[call.kind].rules()}
    found["exchangeFilters"] = []
    if not spot:
        quotes = dict.fromkeys(item.quote for item in venue.listed.values())
        found["futuresType"] = "U_MARGINED"
        found["assets"] = [{"asset": name, "marginAvailable": True, "autoAssetExchange": "-10000"} for name in quotes]
    return {**found, "symbols": symbols, **({"sors": []} if spot else {})}


def wanted(call: Call) -> list[str]:
    """The symbols of `symbol` or of the JSON list `symbols`; all when there is neither."""
    listed, several = call.exchange.venue(call.kind).listed, call.params.text("symbols")
    if several and call.params.text("symbol"):
        raise ApiError(-1128, "Combination of optional parameters invalid.")
    names = [name.strip('" ') for name in several.strip("[]").split(",")] if several else call.symbols()
    if any(name not in listed for name in names):
        raise ApiError(-1121, "Invalid symbol.")
    if len(set(names)) < len(names):
        raise ApiError(-1151, "Symbol is present multiple times in the list.")
    return names


def klines(call: Call) -> list[Any]:
    return _klines(call, call.symbol())


def continuous_klines(call: Call) -> list[Any]:
    name = call.params.require("pair")
    if call.params.text("contractType") not in {"", "PERPETUAL"}:
        raise ApiError(-1130, "Data sent for parameter 'contractType' is not valid.")
    if name not in call.exchange.perp.listed:
        raise ApiError(-1121, "Invalid symbol.")
    return _klines(call, name)


def premium_klines(call: Call) -> list[Any]:
    """Nothing but zeros: the mark price is the last price."""
    zero = "0.00000000"
    return [[row[0], *[zero] * 4, "0", row[6], "0", row[8], "0", "0", "0"] for row in klines(call)]


def _klines(call: Call, name: str) -> list[Any]:
    interval = call.params.require("interval")
    interval_ms = INTERVALS_MS.get(interval)
    if interval_ms is None or interval_ms % call.exchange.market.interval_ms:
        raise ApiError(-1120, "Invalid interval.")
    start, end = call.params.integer("startTime", -1), call.params.integer("endTime", -1)
    limit = _limit(call, LIMIT_MAX if call.kind == "spot" else 1500)
    quotes = call.exchange.quotes[call.kind]
    found: list[Candle] = quotes.history(name).window(
        interval_ms, None if start < 0 else start, None if end < 0 else end, limit, zone(call)
    )
    return [quotes.kline(name, candle, interval_ms) for candle in found]


def zone(call: Call) -> int:
    """How far the clocks of `timeZone` are ahead of UTC, ms."""
    found = zone_ms(call.params.text("timeZone") or "0")
    if found is None:
        raise ApiError(-1130, "Data sent for parameter 'timeZone' is not valid.")
    return found


def _limit(call: Call, most: int = LIMIT_MAX, default: int = LIMIT_DEFAULT) -> int:
    return call.params.limit(default, most)


def depth(call: Call) -> Json:
    found = call.exchange.quotes[call.kind].snapshot(call.symbol(), _limit(call, 5000, 100))
    return found if call.kind == "spot" else {**found, "E": call.told_ms, "T": call.told_ms}


def trades(call: Call) -> list[Json]:
    """The market's trades are not remembered one by one: each candle's last stands for them."""
    params, quotes, name = call.params, call.exchange.quotes[call.kind], call.symbol()
    first, start, end = (
        params.integer("fromId", -1),
        params.integer("startTime", -1),
        params.integer("endTime", 1 << 62),
    )
    whole = first >= 0 or start >= 0 or params.text("endTime")
    told = [
        (candle, candle.first + candle.trades - 1, min(candle.open_ms + quotes.market.interval_ms - 1, call.told_ms))
        for candle in quotes.history(name).since(0 if whole else call.now_ms - LIMIT_MAX * quotes.market.interval_ms)
        if candle.trades
    ]
    found = [entry for entry in told if entry[1] >= first and start <= entry[2] <= end]
    limit = _limit(call)
    return [_trade(call, name, *entry) for entry in (found[:limit] if max(first, start) >= 0 else found[-limit:])]


def _trade(call: Call, name: str, candle: Candle, number: int, time_ms: int) -> Json:
    quotes = call.exchange.quotes[call.kind]
    item = quotes.venue.listed[name]
    entry: Json = {
        "id": number,
        "price": quotes.price(item, candle.close),
        "qty": quotes.amount(item, candle.volume / max(1, candle.trades)),
        "quoteQty": f"{candle.quote / max(1, candle.trades):.8f}",
        "time": time_ms,
        "isBuyerMaker": bool(number % 2),
    }
    return {**entry, "isBestMatch": True} if call.kind == "spot" else {**entry, "isRPITrade": False}


def aggregate_trades(call: Call) -> list[Json]:
    names = {"id": "a", "price": "p", "qty": "q", "time": "T", "isBuyerMaker": "m"}
    found = []
    for trade in trades(call):
        entry = {short: trade[name] for name, short in names.items()} | {"f": trade["id"], "l": trade["id"]}
        found.append({**entry, "M": True} if call.kind == "spot" else {**entry, "nq": entry["q"]})
    return found


def price_ticker(call: Call) -> Any:
    quotes = call.exchange.quotes[call.kind]

    def one(name: str) -> Json:
        book = quotes.venue.books[name]
        found: Json = {"symbol": name, "price": quotes.price(quotes.venue.listed[name], float(book.last))}
        return found if call.kind == "spot" else {**found, "time": call.told_ms}

    return _one_or_all(call, one)


def book_ticker(call: Call) -> Any:
    quotes = call.exchange.quotes[call.kind]

    def one(name: str) -> Json:
        told = quotes.book_ticker(name, call.told_ms)
        names = {"b": "bidPrice", "B": "bidQty", "a": "askPrice", "A": "askQty"}
        found = {"symbol": name} | {long: told[short] for short, long in names.items()}
        return found if call.kind == "spot" else {**found, "time": call.told_ms, "lastUpdateId": told["u"]}

    return _one_or_all(call, one)


def day_ticker(call: Call) -> Any:
    kind = call.params.text("type").upper() or "FULL"
    if call.kind == "spot" and kind not in {"FULL", "MINI"}:
        raise ApiError(-1139, "Invalid ticker type.")
    mini = call.kind == "spot" and kind == "MINI"
    return _one_or_all(call, lambda name: call.exchange.quotes[call.kind].ticker(name, call.told_ms, mini=mini))


def average_price(call: Call) -> Json:
    quotes, name = call.exchange.quotes["spot"], call.symbol()
    price = quotes.price(quotes.venue.listed[name], float(quotes.venue.books[name].last))
    return {"mins": 5, "price": price, "closeTime": call.told_ms}


def premium_index(call: Call) -> Any:
    exchange = call.exchange

    def one(name: str) -> Json:
        interval_ms = exchange.settings.funding_interval_h * FUNDING_MS
        following = (call.told_ms // interval_ms + 1) * interval_ms
        mark = f"{exchange.perp.books[name].last:.8f}"
        rate = exchange.funding(exchange.perp.listed[name].symbol, following)
        return {
            "symbol": name, "markPrice": mark, "indexPrice": mark, "estimatedSettlePrice": mark,
            "lastFundingRate": f"{rate:.8f}", "interestRate": "0.00010000", "nextFundingTime": following,
            "time": call.told_ms,
        }  # fmt: skip

    return _one_or_all(call, one)


def funding_rate(call: Call) -> list[Json]:
    exchange, interval_ms = call.exchange, call.exchange.settings.funding_interval_h * FUNDING_MS
    last = min(call.params.integer("endTime", call.told_ms), call.told_ms) // interval_ms
    count, start = _limit(call, LIMIT_MAX, 100), call.params.integer("startTime", -1)
    found: list[Json] = []
    for name in call.symbols():
        listed_ms = exchange.quotes["perp"].history(name).begins_ms
        first = last - count + 1 if start < 0 else -(-max(start, listed_ms) // interval_ms)
        for number in range(first, min(first + count - 1, last) + 1):
            rate = exchange.funding(exchange.perp.listed[name].symbol, number * interval_ms)
            entry = {"symbol": name, "fundingTime": number * interval_ms, "fundingRate": f"{rate:.8f}"}
            mark = f"{exchange.perp.books[name].last:.8f}"
            found.append({**entry, "markPrice": mark, "rateType": "NORMAL"})
    found.sort(key=lambda entry: int(entry["fundingTime"]))
    return found[-count:] if start < 0 else found[:count]


def funding_info(call: Call) -> list[Json]:
    hours = call.exchange.settings.funding_interval_h
    return [
        {"symbol": name, "adjustedFundingRateCap": "0.02", "adjustedFundingRateFloor": "-0.02",
         "fundingIntervalHours": hours, "disclaimer": False}
        for name in call.exchange.perp.listed
    ]  # fmt: skip


def open_interest(call: Call) -> Json:
    return {"symbol": call.symbol(), "openInterest": "10000.000", "time": call.told_ms}


def _one_or_all(call: Call, one: Any) -> Any:
    if call.params.text("symbols"):
        return [one(name) for name in wanted(call)]
    return one(call.symbol()) if call.params.text("symbol") else [one(name) for name in call.symbols()]


def _both(path: str, handler: Handler, weight: int) -> dict[tuple[str, str], Endpoint]:
    return {
        ("GET", f"/api/v3/{path}"): Endpoint(handler, weight),
        ("GET", f"/fapi/v1/{path}"): Endpoint(handler, max(1, weight // 2)),
    }


TABLE: Table = {
    **_both("ping", empty, 1),
    **_both("time", server_time, 1),
    **_both("exchangeInfo", exchange_info, 20),
    **_both("klines", klines, 2),
    **_both("depth", depth, 5),
    **_both("trades", trades, 25),
    **_both("historicalTrades", trades, 25),
    **_both("aggTrades", aggregate_trades, 4),
    **_both("ticker/price", price_ticker, 2),
    **_both("ticker/bookTicker", book_ticker, 2),
    **_both("ticker/24hr", day_ticker, 2),
    ("GET", "/api/v3/uiKlines"): Endpoint(klines, 2),
    ("GET", "/api/v3/avgPrice"): Endpoint(average_price, 2),
    ("GET", "/fapi/v2/ticker/price"): Endpoint(price_ticker),
    ("GET", "/fapi/v1/continuousKlines"): Endpoint(continuous_klines),
    ("GET", "/fapi/v1/markPriceKlines"): Endpoint(klines),
    ("GET", "/fapi/v1/indexPriceKlines"): Endpoint(continuous_klines),
    ("GET", "/fapi/v1/premiumIndexKlines"): Endpoint(premium_klines),
    ("GET", "/fapi/v1/rpiDepth"): Endpoint(depth, 20),
    ("GET", "/fapi/v1/premiumIndex"): Endpoint(premium_index),
    ("GET", "/fapi/v1/fundingRate"): Endpoint(funding_rate),
    ("GET", "/fapi/v1/fundingInfo"): Endpoint(funding_info),
    ("GET", "/fapi/v1/openInterest"): Endpoint(open_interest),
    ("GET", "/dapi/v1/exchangeInfo"): Endpoint(
        lambda call: {
            "timezone": "UTC",
            "serverTime": call.told_ms,
            "rateLimits": [],
            "exchangeFilters": [],
            "symbols": [],
        }
    ),
    ("GET", "/sapi/v1/margin/allPairs"): Endpoint(nothing),
}
