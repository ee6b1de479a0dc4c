"""The USDT-M account as Binance's JSON, in the versions that clients ask for."""

from decimal import Decimal
from typing import Any

from klined.domain import ZERO
from klined.sandbox.info import plain
from klined.sandbox.perp_reports import PerpReports, f8
from klined.world.holdings import Held
from klined.world.perpetual import PerpetualVenue

Json = dict[str, Any]


def position_risk(venue: PerpetualVenue, reports: PerpReports, held: Held, version: int) -> Json:
    """GET positionRisk, version 2 or 3."""
    holdings, name = venue.holdings, held.symbol
    isolated = holdings.isolated(held)
    common = {
        "symbol": name,
        "positionSide": held.side,
        "positionAmt": reports.quantity(name, held.amount),
        "entryPrice": plain(held.entry) if held.entry else "0.0",
        "breakEvenPrice": plain(held.entry) if held.entry else "0.0",
        "markPrice": f8(venue.books[name].last),
        "unRealizedProfit": f8(holdings.profit(held)),
        "liquidationPrice": plain(round(holdings.liquidation_price(held), 8)),
        "isolatedMargin": f8(held.isolated_wallet + holdings.profit(held) if isolated and held.amount else ZERO),
        "notional": f8(holdings.notional(held)),
    }
    if version == 3:
        return {
            **common,
            "marginAsset": venue.listed[name].quote,
            "isolatedWallet": f8(held.isolated_wallet),
            "initialMargin": f8(holdings.initial(held)),
            "maintMargin": f8(holdings.maintenance(held)),
            "positionInitialMargin": f8(holdings.initial(held)),
            "openOrderInitialMargin": f8(ZERO),
            "adl": 1 if held.amount else 0,
            "bidNotional": "0",
            "askNotional": "0",
            "updateTime": held.updated_ms,
        }
    return {
        **common,
        "leverage": str(holdings.ledger.leverage[name]),
        "maxNotionalValue": "1000000",
        "marginType": "isolated" if isolated else "cross",
        "isAutoAddMargin": "false",
        "isolatedWallet": f8(held.isolated_wallet),
        "updateTime": held.updated_ms,
        "isolated": isolated,
        "adlQuantile": 1 if held.amount else 0,
    }


def balances(venue: PerpetualVenue, now_ms: int) -> list[Json]:
    """GET balance."""
    return [
        {
            "accountAlias": "SgsR",
            "asset": asset,
            "balance": f8(wallet),
            "crossWalletBalance": f8(venue.holdings.cross_wallet(asset)),
            "crossUnPnl": f8(_sum(venue.holdings.profit(held) for held in venue.holdings.cross(asset))),
            "availableBalance": f8(venue.holdings.available(asset, venue.ordered_margin(asset))),
            "maxWithdrawAmount": f8(min(wallet, venue.holdings.available(asset, venue.ordered_margin(asset)))),
            "marginAvailable": True,
            "updateTime": now_ms,
        }
        for asset, wallet in venue.holdings.ledger.wallets.items()
    ]


def account(venue: PerpetualVenue, reports: PerpReports, version: int, now_ms: int) -> Json:
    """GET account, version 2 or 3 (which lists only what is held)."""
    assets = [_asset(venue, asset, now_ms) for asset in venue.holdings.ledger.wallets]
    shown = [held for name in venue.listed for held in reports.shown(name)]
    if version == 3:
        shown = [held for held in shown if held.amount]
    totals = {
        "totalInitialMargin": "initialMargin",
        "totalMaintMargin": "maintMargin",
        "totalWalletBalance": "walletBalance",
        "totalUnrealizedProfit": "unrealizedProfit",
        "totalMarginBalance": "marginBalance",
        "totalPositionInitialMargin": "positionInitialMargin",
        "totalOpenOrderInitialMargin": "openOrderInitialMargin",
        "totalCrossWalletBalance": "crossWalletBalance",
        "totalCrossUnPnl": "crossUnPnl",
        "availableBalance": "availableBalance",
        "maxWithdrawAmount": "maxWithdrawAmount",
    }
    flags: Json = {
        "feeTier": 0,
        "feeBurn": False,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
        "updateTime": 0,
        "multiAssetsMargin": False,
        "tradeGroupId": -1,
    }
    return {
        **(flags if version != 3 else {}),
        **{total: f8(_sum(Decimal(asset[part]) for asset in assets)) for total, part in totals.items()},
        "assets": assets,
        "positions": [_position(venue, reports, held, version) for held in shown],
    }


def _asset(venue: PerpetualVenue, asset: str, now_ms: int) -> Json:
    holdings = venue.holdings
    held = [each for each in holdings.positions() if venue.listed[each.symbol].quote == asset]
    wallet, profit = holdings.ledger.wallets[asset], _sum(holdings.profit(each) for each in held)
    initial, ordered = _sum(holdings.initial(each) for each in held), venue.ordered_margin(asset)
    available = holdings.available(asset, ordered)
    return {
        "asset": asset,
        "walletBalance": f8(wallet),
        "unrealizedProfit": f8(profit),
        "marginBalance": f8(wallet + profit),
        "maintMargin": f8(_sum(holdings.maintenance(each) for each in held)),
        "initialMargin": f8(initial + ordered),
        "positionInitialMargin": f8(initial),
        "openOrderInitialMargin": f8(ordered),
        "crossWalletBalance": f8(holdings.cross_wallet(asset)),
        "crossUnPnl": f8(_sum(holdings.profit(each) for each in holdings.cross(asset))),
        "availableBalance": f8(available),
        "maxWithdrawAmount": f8(min(wallet, available)),
        "marginAvailable": True,
        "updateTime": now_ms,
    }


def _position(venue: PerpetualVenue, reports: PerpReports, held: Held, version: int) -> Json:
    holdings, name = venue.holdings, held.symbol
    common: Json = {
        "symbol": name,
        "positionSide": held.side,
        "positionAmt": reports.quantity(name, held.amount),
        "unrealizedProfit": f8(holdings.profit(held)),
        "isolatedMargin": f8(held.isolated_wallet),
        "notional": f8(holdings.notional(held)),
        "isolatedWallet": f8(held.isolated_wallet),
        "initialMargin": f8(holdings.initial(held)),
        "maintMargin": f8(holdings.maintenance(held)),
        "updateTime": held.updated_ms,
    }
    if version == 3:
        return common
    return {
        **common,
        "positionInitialMargin": f8(holdings.initial(held)),
        "openOrderInitialMargin": "0",
        "leverage": str(holdings.ledger.leverage[name]),
        "isolated": holdings.isolated(held),
        "entryPrice": plain(held.entry) if held.entry else "0.0",
        "breakEvenPrice": plain(held.entry) if held.entry else "0.0",
        "maxNotional": "1000000",
        "bidNotional": "0",
        "askNotional": "0",
    }


def _sum(values: Any) -> Decimal:
    return sum(values, ZERO)
