"""What Binance serves and the sandbox does not model: empty where nothing can have happened, else refused."""

from typing import Any

from klined.sandbox.answers import ApiError
from klined.sandbox.calls import Call, Endpoint, Security, Table, nothing
from klined.sandbox.market_calls import wanted
from klined.sandbox.spot_reports import Json


def unsupported(call: Call) -> Any:
    """Raises ApiError, always."""
    del call
    raise ApiError(-1020, "This operation is not supported.")


def gone(call: Call) -> Any:
    """Listen keys of spot; since February 2026. Raises ApiError, always."""
    del call
    raise ApiError(-1020, "This operation is not supported.", 410)


def no_reference_price(call: Call) -> Any:
    """Raises ApiError: no symbol has one."""
    call.symbol()
    raise ApiError(-2043, "This symbol doesn't have a reference price.")


def execution_rules(call: Call) -> Json:
    """No symbol has any."""
    return {"symbolRules": [{"symbol": name, "rules": []} for name in wanted(call)]}


def of_symbol(call: Call) -> list[Any]:
    """Nothing, of a symbol that is listed."""
    call.symbol()
    return []


def filters(call: Call) -> Json:
    """What the account itself is bound by: nothing beyond exchangeInfo."""
    call.symbol()
    return {"exchangeFilters": [], "symbolFilters": [], "assetFilters": []}


def trading_status(call: Call) -> Json:
    """No rule of quantitative trading was ever broken."""
    return {"indicators": {}, "updateTime": call.told_ms}


SIGNED, TRADE, NONE = Security.SIGNED, Security.TRADE, Security.NONE
REFUSED = {
    SIGNED: (
        "GET /fapi/v1/pmAccountInfo", "GET /fapi/v1/order/asyn", "GET /fapi/v1/order/asyn/id",
        "GET /fapi/v1/trade/asyn", "GET /fapi/v1/trade/asyn/id", "GET /fapi/v1/income/asyn",
        "GET /fapi/v1/income/asyn/id", "GET /fapi/v1/convert/orderStatus",
    ),
    TRADE: (
        "POST /api/v3/sor/order", "POST /api/v3/sor/order/test", "POST /fapi/v1/feeBurn",
        "POST /fapi/v1/convert/getQuote", "POST /fapi/v1/convert/acceptQuote", "POST /fapi/v1/stock/contract",
    ),
    NONE: (
        "GET /fapi/v1/assetIndex", "GET /fapi/v1/constituents", "GET /fapi/v1/insuranceBalance",
        "GET /fapi/v1/symbolAdlRisk", "GET /fapi/v1/tradingSchedule", "GET /fapi/v1/convert/exchangeInfo",
        "GET /futures/data/basis", "GET /futures/data/openInterestHist", "GET /futures/data/takerlongshortRatio",
        "GET /futures/data/globalLongShortAccountRatio", "GET /futures/data/topLongShortAccountRatio",
        "GET /futures/data/topLongShortPositionRatio",
    ),
}  # fmt: skip


def _route(text: str) -> tuple[str, str]:
    method, _, path = text.partition(" ")
    return method, path


TABLE: Table = {
    **{_route(text): Endpoint(unsupported, 1, security) for security, texts in REFUSED.items() for text in texts},
    **{(method, "/api/v3/userDataStream"): Endpoint(gone, 2) for method in ("POST", "PUT", "DELETE")},
    ("GET", "/api/v3/referencePrice"): Endpoint(no_reference_price, 2),
    ("GET", "/api/v3/referencePrice/calculation"): Endpoint(no_reference_price, 2),
    ("GET", "/api/v3/executionRules"): Endpoint(execution_rules, 2),
    ("GET", "/api/v3/historicalBlockTrades"): Endpoint(of_symbol, 25),
    ("GET", "/api/v3/myPreventedMatches"): Endpoint(of_symbol, 20, SIGNED),
    ("GET", "/api/v3/myAllocations"): Endpoint(of_symbol, 20, SIGNED),
    ("GET", "/api/v3/myFilters"): Endpoint(filters, 40, SIGNED),
    ("GET", "/fapi/v1/apiTradingStatus"): Endpoint(trading_status, 1, SIGNED),
    ("GET", "/fapi/v1/indexInfo"): Endpoint(nothing),
    ("GET", "/futures/data/delivery-price"): Endpoint(nothing),
}
