"""Price statistics of a window that the caller chooses: the last minutes, hours or days, or the trading day."""

import re
from collections.abc import Callable
from typing import Any

from klined.sandbox.answers import ApiError
from klined.sandbox.calls import Call, Endpoint, Table
from klined.sandbox.market_calls import wanted, zone
from klined.sandbox.quotes import DAY_MS
from klined.sandbox.spot_reports import Json

MINUTE_MS = 60_000
UNITS_MS = {"m": MINUTE_MS, "h": 3_600_000, "d": DAY_MS}
MOST = {"m": 59, "h": 23, "d": 7}
SYMBOLS_MAX = 100


def rolling(call: Call) -> Any:
    """The last `windowSize`, from a whole minute on."""
    size = re.fullmatch(r"([0-9]{1,2})([mhd])", call.params.text("windowSize") or "1d")
    if size is None or not 1 <= int(size[1]) <= MOST[size[2]]:
        raise ApiError(-1130, "Data sent for parameter 'windowSize' is not valid.")
    opens_ms = call.told_ms - int(size[1]) * UNITS_MS[size[2]]
    return _each(call, opens_ms - opens_ms % MINUTE_MS, lambda _: call.told_ms)


def trading_day(call: Call) -> Any:
    """Today, from midnight in `timeZone` to the next."""
    shift_ms = zone(call)
    opens_ms = (call.told_ms + shift_ms) // DAY_MS * DAY_MS - shift_ms
    return _each(call, opens_ms, lambda start_ms: start_ms + DAY_MS - 1)


def _each(call: Call, opens_ms: int, closes: Callable[[int], int]) -> Any:
    if not (call.params.text("symbol") or call.params.text("symbols")):
        raise ApiError(-1128, "Combination of optional parameters invalid.")
    kind = (call.params.text("type") or "FULL").upper()
    if kind not in {"FULL", "MINI"}:
        raise ApiError(-1139, "Invalid ticker type.")
    names = wanted(call)
    if len(names) > SYMBOLS_MAX:
        raise ApiError(-1130, "Data sent for parameter 'symbols' is not valid.")
    quotes = call.exchange.quotes["spot"]
    told: list[Json] = [quotes.window(name, opens_ms, closes(opens_ms), mini=kind == "MINI") for name in names]
    return told if call.params.text("symbols") else told[0]


TABLE: Table = {
    ("GET", "/api/v3/ticker"): Endpoint(rolling, 4),
    ("GET", "/api/v3/ticker/tradingDay"): Endpoint(trading_day, 4),
}
