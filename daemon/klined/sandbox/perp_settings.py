"""The USDT-M account over REST and the websocket API: positions, leverage, modes, income, listen keys."""

from decimal import Decimal
from typing import Any

from klined.sandbox import perp_account as accounts
from klined.sandbox.answers import ApiError
from klined.sandbox.calls import Call, Endpoint, Handler, Security, Table, nothing
from klined.sandbox.info import plain
from klined.sandbox.lag import in_time
from klined.sandbox.spot_reports import Json
from klined.world.holdings import bracket

DONE: Json = {"code": 200, "msg": "success"}
FAR = Decimal(9_223_372_036)


def account(version: int) -> Handler:
    return lambda call: accounts.account(call.exchange.perp, call.exchange.reports, version, call.told_ms)


def balance(call: Call) -> list[Json]:
    return accounts.balances(call.exchange.perp, call.told_ms)


def position_risk(version: int) -> Handler:
    """Version 3 lists only symbols with a position or an open order."""

    def handler(call: Call) -> list[Json]:
        exchange = call.exchange
        held = [each for name in call.symbols() for each in exchange.reports.shown(name)]
        if version == 3:
            held = [each for each in held if each.amount or exchange.perp.memory.waiting(each.symbol)]
        return [accounts.position_risk(exchange.perp, exchange.reports, each, version) for each in held]

    return handler


def set_leverage(call: Call) -> Json:
    name, leverage = call.symbol(), call.params.integer("leverage")
    venue = call.exchange.perp
    most = int(max((tier.leverage_max for tier in venue.listed[name].tiers), default=125))
    if not 1 <= leverage <= most:
        raise ApiError(-4028, f"Leverage {leverage} is not valid")
    ledger = venue.holdings.ledger
    before, ledger.leverage[name] = ledger.leverage[name], leverage
    positions = venue.holdings.positions(name)
    if positions and venue.holdings.isolated(positions[0]) and leverage < before:
        ledger.leverage[name] = before
        raise ApiError(-4161, "Leverage reduction is not supported in Isolated Margin Mode with open positions.")
    venue.touch()
    told = {"e": "ACCOUNT_CONFIG_UPDATE", "E": call.told_ms, "T": call.now_ms, "ac": {"s": name, "l": leverage}}
    call.exchange.users["perp"].tell([told], call.told_ms)
    return {"leverage": leverage, "maxNotionalValue": "1000000", "symbol": name}


def set_margin_type(call: Call) -> Json:
    name, wanted = call.symbol(), call.params.require("marginType").upper()
    if wanted not in {"ISOLATED", "CROSSED", "CROSS"}:
        raise ApiError(-1130, "Data sent for parameter 'marginType' is not valid.")
    venue, isolated = call.exchange.perp, wanted == "ISOLATED"
    ledger = venue.holdings.ledger
    if ledger.isolated[name] == isolated:
        raise ApiError(-4046, "No need to change margin type.")
    if venue.memory.waiting(name):
        raise ApiError(-4047, "Margin type cannot be changed if there exists open orders.")
    if venue.holdings.positions(name):
        raise ApiError(-4048, "Margin type cannot be changed if there exists position.")
    ledger.isolated[name] = isolated
    venue.touch()
    return DONE


def get_dual(call: Call) -> Json:
    return {"dualSidePosition": call.exchange.perp.holdings.ledger.dual}


def set_dual(call: Call) -> Json:
    wanted, venue = call.params.require("dualSidePosition").lower() == "true", call.exchange.perp
    if venue.holdings.ledger.dual == wanted:
        raise ApiError(-4059, "No need to change position side.")
    if venue.memory.open_orders() or venue.memory.open_orders(algo=True):
        raise ApiError(-4067, "Position side cannot be changed if there exists open orders.")
    if venue.holdings.positions():
        raise ApiError(-4068, "Position side cannot be changed if there exists position.")
    venue.holdings.ledger.dual = wanted
    venue.touch()
    return DONE


def get_multi_assets(call: Call) -> Json:
    del call
    return {"multiAssetsMargin": False}


def set_multi_assets(call: Call) -> Json:
    if call.params.require("multiAssetsMargin").lower() == "true":
        raise ApiError(-4168, "Unable to adjust to isolated-margin mode under the Multi-Assets mode.")
    raise ApiError(-4171, "Adjusted asset mode is currently set and does not need to be adjusted repeatedly")


def brackets(call: Call) -> Any:
    found = []
    for name in call.symbols():
        tiers = call.exchange.perp.listed[name].tiers or (bracket((), Decimal(0)),)
        floors = [Decimal(repr(tier.notional_min)) for tier in tiers]
        rows = [
            {
                "bracket": i + 1,
                "initialLeverage": int(tier.leverage_max),
                "notionalCap": int(floors[i + 1] if i + 1 < len(floors) else FAR),
                "notionalFloor": int(tier.notional_min),
                "maintMarginRatio": tier.mmr,
                "cum": tier.cum,
            }
            for i, tier in enumerate(tiers)
        ]
        found.append({"symbol": name, "notionalCoef": 1.0, "brackets": rows})
    return found


def income(call: Call) -> list[Json]:
    params, quotes = call.params, call.exchange.perp.listed
    wanted, symbol = params.text("incomeType"), params.text("symbol")
    start, end = params.span()
    found = [
        entry for entry in call.exchange.perp.memory.incomes.values()
        if wanted in {"", entry.kind} and symbol in {"", entry.symbol} and start <= entry.time_ms <= end
        and in_time(call, entry.time_ms)
    ]  # fmt: skip
    return [
        {
            "symbol": entry.symbol,
            "incomeType": entry.kind,
            "income": f"{entry.amount:.8f}",
            "asset": quotes[entry.symbol].quote if entry.symbol in quotes else "USDT",
            "info": entry.kind if entry.kind == "FUNDING_FEE" else entry.trade,
            "time": entry.time_ms,
            "tranId": entry.number,
            "tradeId": entry.trade,
        }
        for entry in found[-params.limit(100, 1000) :]
    ]


def countdown(call: Call) -> Json:
    name, countdown_ms = call.symbol(), call.params.integer("countdownTime", -1)
    if countdown_ms < 0:
        raise ApiError(-1102, "Mandatory parameter 'countdownTime' was not sent, was empty/null, or malformed.")
    call.exchange.perp.countdown(name, countdown_ms, call.now_ms)
    return {"symbol": name, "countdownTime": str(countdown_ms)}


def commission(call: Call) -> Json:
    name = call.symbol()
    venue, now_ms = call.exchange.perp, call.exchange.clock.now_ms()
    maker, taker = (venue.fee_rate(name, now_ms, maker=maker) for maker in (True, False))
    rates = {"makerCommissionRate": plain(maker), "takerCommissionRate": plain(taker)}
    return {"symbol": name, **rates, "rpiCommissionRate": "0.000050"}


def symbol_config(call: Call) -> list[Json]:
    ledger = call.exchange.perp.holdings.ledger
    return [
        {
            "symbol": name,
            "marginType": "ISOLATED" if ledger.isolated[name] else "CROSSED",
            "isAutoAddMargin": False,
            "leverage": ledger.leverage[name],
            "maxNotionalValue": "1000000",
        }
        for name in call.symbols()
    ]


def account_config(call: Call) -> Json:
    return {
        "feeTier": 0, "canTrade": True, "canDeposit": True, "canWithdraw": True,
        "dualSidePosition": call.exchange.perp.holdings.ledger.dual, "updateTime": 0, "multiAssetsMargin": False,
        "tradeGroupId": -1,
    }  # fmt: skip


def adl_quantile(call: Call) -> list[Json]:
    """Every position stands last but one in the queue of those that would be deleveraged."""
    exchange, dual = call.exchange, call.exchange.perp.holdings.ledger.dual
    found: list[Json] = []
    for name in call.symbols():
        held = exchange.perp.holdings.positions(name)
        if held:
            told = {"LONG": 0, "SHORT": 0, "HEDGE" if dual else "BOTH": 0}
            found.append({"symbol": name, "adlQuantile": told | {each.side: 1 for each in held}})
    return found


def order_counts(call: Call) -> list[Json]:
    counts = call.exchange.rates["perp"].counts(call.ip, call.now_ms, orders=True)
    return [entry for entry in counts if entry["rateLimitType"] == "ORDERS"]


# --- listen keys ------------------------------------------------------------------------------------------------------


def _owner(call: Call) -> str:
    return call.key.key if call.key else ""


def create_listen_key(call: Call) -> Json:
    return {"listenKey": call.exchange.users["perp"].create(_owner(call), call.told_ms)}


def extend_listen_key(call: Call) -> Json:
    return {"listenKey": call.exchange.users["perp"].extend(_owner(call), call.told_ms)}


def delete_listen_key(call: Call) -> Json:
    call.exchange.users["perp"].delete(_owner(call))
    return {}


KEY, SIGNED, TRADE = Security.KEY, Security.SIGNED, Security.TRADE
TABLE: Table = {
    ("GET", "/fapi/v1/account"): Endpoint(account(2), 5, SIGNED),
    ("GET", "/fapi/v2/account"): Endpoint(account(2), 5, SIGNED),
    ("GET", "/fapi/v3/account"): Endpoint(account(3), 5, SIGNED),
    ("GET", "/fapi/v2/balance"): Endpoint(balance, 5, SIGNED),
    ("GET", "/fapi/v3/balance"): Endpoint(balance, 5, SIGNED),
    ("GET", "/fapi/v1/positionRisk"): Endpoint(position_risk(2), 5, SIGNED),
    ("GET", "/fapi/v2/positionRisk"): Endpoint(position_risk(2), 5, SIGNED),
    ("GET", "/fapi/v3/positionRisk"): Endpoint(position_risk(3), 5, SIGNED),
    ("POST", "/fapi/v1/leverage"): Endpoint(set_leverage, 1, TRADE),
    ("POST", "/fapi/v1/marginType"): Endpoint(set_margin_type, 1, TRADE),
    ("GET", "/fapi/v1/positionSide/dual"): Endpoint(get_dual, 30, SIGNED),
    ("POST", "/fapi/v1/positionSide/dual"): Endpoint(set_dual, 1, TRADE),
    ("GET", "/fapi/v1/multiAssetsMargin"): Endpoint(get_multi_assets, 30, SIGNED),
    ("POST", "/fapi/v1/multiAssetsMargin"): Endpoint(set_multi_assets, 1, TRADE),
    ("GET", "/fapi/v1/leverageBracket"): Endpoint(brackets, 1, SIGNED),
    ("GET", "/fapi/v1/income"): Endpoint(income, 30, SIGNED),
    ("POST", "/fapi/v1/countdownCancelAll"): Endpoint(countdown, 10, TRADE),
    ("GET", "/fapi/v1/commissionRate"): Endpoint(commission, 20, SIGNED),
    ("GET", "/fapi/v1/symbolConfig"): Endpoint(symbol_config, 5, SIGNED),
    ("GET", "/fapi/v1/accountConfig"): Endpoint(account_config, 5, SIGNED),
    ("GET", "/fapi/v1/rateLimit/order"): Endpoint(order_counts, 1, SIGNED),
    ("GET", "/fapi/v1/adlQuantile"): Endpoint(adl_quantile, 5, SIGNED),
    ("GET", "/fapi/v1/forceOrders"): Endpoint(nothing, 20, SIGNED),
    ("GET", "/fapi/v1/feeBurn"): Endpoint(lambda _: {"feeBurn": False}, 1, SIGNED),
    ("POST", "/fapi/v1/listenKey"): Endpoint(create_listen_key, 1, KEY),
    ("PUT", "/fapi/v1/listenKey"): Endpoint(extend_listen_key, 1, KEY),
    ("DELETE", "/fapi/v1/listenKey"): Endpoint(delete_listen_key, 1, KEY),
}
