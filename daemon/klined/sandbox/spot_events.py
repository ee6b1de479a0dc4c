"""What the spot user stream says: executionReport, outboundAccountPosition, balanceUpdate, listStatus."""

from klined.domain import ZERO
from klined.sandbox.spot_reports import BIPS, Json, contingency, f8, labels, order_type, side
from klined.world.spot import SpotVenue
from klined.world.tickets import BalanceMoved, Changed, ListChanged, Status, VenueNews

REASONS = {
    "Account has insufficient balance for requested action.": "INSUFFICIENT_BALANCES",
    "Order would trigger immediately.": "STOP_PRICE_WOULD_TRIGGER_IMMEDIATELY",
    "Order would immediately match and take.": "WOULD_MATCH_IMMEDIATELY",
}


def event(venue: SpotVenue, news: VenueNews, now_ms: int) -> list[Json]:
    """What the user stream says of `news`."""
    match news:
        case Changed():
            return [_execution_report(news, now_ms)]
        case BalanceMoved(deltas=deltas, assets=assets) if deltas:
            changes = zip(assets, deltas, strict=True)
            moved = [
                {"e": "balanceUpdate", "E": now_ms, "a": asset, "d": f8(delta), "T": news.time_ms}
                for asset, delta in changes
            ]
            return [*moved, _positions(venue, news, now_ms)]
        case BalanceMoved():
            return [_positions(venue, news, now_ms)]
        case ListChanged():
            return [_list_status(venue, news, now_ms)]
        case _:
            return []


def _positions(venue: SpotVenue, news: BalanceMoved, now_ms: int) -> Json:
    held = [(asset, venue.balance(asset)) for asset in news.assets]
    balances = [{"a": asset, "f": f8(balance.free), "l": f8(balance.locked)} for asset, balance in held]
    return {"e": "outboundAccountPosition", "E": now_ms, "u": news.time_ms, "B": balances}


def _list_status(venue: SpotVenue, news: ListChanged, now_ms: int) -> Json:
    entry = news.entry
    orders = (venue.memory.orders.get(number) for number in entry.orders)
    return {
        "e": "listStatus",
        "E": now_ms,
        "s": entry.symbol,
        "g": entry.number,
        "c": contingency(entry),
        "l": news.what,
        "L": "ALL_DONE" if news.what == "ALL_DONE" else "EXECUTING",
        "r": "NONE",
        "C": entry.client_id,
        "T": news.time_ms,
        "O": [{"s": o.symbol, "i": o.number, "c": o.client_id} for o in orders if o is not None],
    }


def _execution_report(news: Changed, now_ms: int) -> Json:
    order, trade = news.order, news.trade
    before = order.amendments[-1].client_id if news.what == "REPLACED" else ""
    found: Json = {
        "e": "executionReport",
        "E": now_ms,
        "s": order.symbol,
        "c": order.cancel_id or order.client_id,
        "S": side(order),
        "o": order_type(order),
        "f": order.tif.value,
        "q": f8(order.quantity),
        "p": f8(order.price),
        "P": f8(order.stop),
        "F": f8(ZERO),
        "g": order.list_number,
        "C": before or (order.client_id if order.cancel_id else ""),
        "x": news.what,
        "X": order.status.value,
        "r": REASONS.get(order.told, "NONE"),
        "i": order.number,
        "l": f8(trade.quantity if trade else ZERO),
        "z": f8(order.filled),
        "L": f8(trade.price if trade else ZERO),
        "n": f8(trade.fee) if trade else "0",
        "N": trade.fee_asset if trade else None,
        "T": news.time_ms,
        "t": trade.number if trade else -1,
        "v": 0,
        "I": news.execution,
        "w": order.working and order.status.open,
        "m": trade.maker if trade else False,
        "M": trade is not None,
        "O": order.created_ms,
        "Z": f8(order.quote_filled),
        "Y": f8(trade.price * trade.quantity if trade else ZERO),
        "Q": f8(order.quote_quantity),
        "V": order.self_trade,
    }
    if order.working:
        found["W"] = order.working_ms
    if order.trailing:
        found["d"] = int(order.trailing * BIPS)
    found |= labels(order, "j", "J")
    if order.status is Status.EXPIRED and order.type.value == "MARKET":
        found["eR"] = "INSUFFICIENT_LIQUIDITY"
    return found
