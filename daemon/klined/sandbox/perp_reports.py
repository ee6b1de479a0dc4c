"""USDT-M values as Binance's JSON: orders, algo orders, positions, account, user events."""

from decimal import Decimal
from typing import Any

from klined.domain import ZERO
from klined.sandbox.info import digits, plain
from klined.sandbox.spot_reports import side
from klined.world.holdings import Held
from klined.world.perpetual import PerpetualVenue
from klined.world.tickets import AlgoChanged, BalanceMoved, Changed, Order, Trade, VenueNews

Json = dict[str, Any]
SIDES = ("LONG", "SHORT")


def f8(number: Decimal) -> str:
    return f"{number:.8f}"


class PerpReports:
    """Encoders that know ticks and lots of the venue's symbols."""

    def __init__(self, venue: PerpetualVenue, *, average_in_answers: bool) -> None:
        self._venue = venue
        self._average = average_in_answers

    def price(self, symbol: str, value: Decimal) -> str:
        return f"{value:.{digits(self._venue.listed[symbol].tick)}f}"

    def quantity(self, symbol: str, value: Decimal) -> str:
        """In lots; what was traded by finer lots, before the rules changed, is not rounded away."""
        return f"{value:.{max(digits(self._venue.listed[symbol].lot), digits(value))}f}"

    def order(self, order: Order, *, answer: bool = False) -> Json:
        """An order. With `answer` it is that of POST and DELETE, which by 2026 lost avgPrice and cumQuote."""
        name = order.symbol
        found: Json = {
            "orderId": order.number,
            "symbol": name,
            "status": order.status.value,
            "clientOrderId": order.client_id,
            "price": self.price(name, order.price),
            "avgPrice": self.price(name, order.average),
            "origQty": self.quantity(name, order.quantity),
            "executedQty": self.quantity(name, order.filled),
            "cumQty": self.quantity(name, order.filled),
            "cumQuote": f8(order.quote_filled),
            "timeInForce": order.tif.value,
            "type": order.type.value,
            "reduceOnly": order.reduce_only,
            "closePosition": order.close_position,
            "side": side(order),
            "positionSide": order.position_side,
            "stopPrice": self.price(name, order.stop if order.began_as is None else ZERO),
            "workingType": order.working_type,
            "priceProtect": order.price_protect,
            "origType": (order.began_as or order.type).value,
            "priceMatch": order.price_match,
            "selfTradePreventionMode": order.self_trade,
            "goodTillDate": order.good_till_ms,
            "time": order.created_ms,
            "updateTime": order.updated_ms,
        }
        if answer:
            del found["time"]
            if not self._average:
                del found["avgPrice"], found["cumQuote"]
        else:
            del found["cumQty"]
        return found

    def algo(self, order: Order) -> Json:
        name = order.symbol
        child = self._venue.memory.orders.get(order.child) if order.child else None
        return {
            "algoId": order.number,
            "clientAlgoId": order.client_id,
            "algoType": "CONDITIONAL",
            "orderType": order.type.value,
            "symbol": name,
            "side": side(order),
            "positionSide": order.position_side,
            "timeInForce": order.tif.value,
            "quantity": self.quantity(name, order.quantity),
            "algoStatus": order.status.value,
            "actualOrderId": str(order.child) if order.child else "",
            "actualPrice": self.price(name, child.average if child else ZERO),
            "triggerPrice": self.price(name, order.stop),
            "price": self.price(name, order.price),
            "icebergQuantity": None,
            "tpTriggerPrice": "0.000",
            "tpPrice": "0.000",
            "slTriggerPrice": "0.000",
            "slPrice": "0.000",
            "tpOrderType": "",
            "selfTradePreventionMode": order.self_trade,
            "workingType": order.working_type,
            "priceMatch": order.price_match,
            "closePosition": order.close_position,
            "priceProtect": order.price_protect,
            "reduceOnly": order.reduce_only,
            "activatePrice": self.price(name, order.activation),
            "callbackRate": plain(order.trailing * 100),
            "createTime": order.created_ms,
            "updateTime": order.updated_ms,
            "triggerTime": order.updated_ms if order.child else 0,
            "goodTillDate": order.good_till_ms,
        }

    def trade(self, trade: Trade) -> Json:
        """GET userTrades."""
        name = trade.symbol
        return {
            "symbol": name,
            "id": trade.number,
            "orderId": trade.order,
            "side": side(trade),
            "price": self.price(name, trade.price),
            "qty": self.quantity(name, trade.quantity),
            "realizedPnl": f8(trade.realised),
            "quoteQty": f8(trade.price * trade.quantity),
            "commission": f8(trade.fee),
            "commissionAsset": trade.fee_asset,
            "time": trade.time_ms,
            "positionSide": trade.position_side,
            "buyer": trade.buy,
            "maker": trade.maker,
        }

    def shown(self, symbol: str) -> list[Held]:
        """The positions that the exchange lists for a symbol: one, or both sides in hedge mode."""
        holdings = self._venue.holdings
        sides = SIDES if holdings.ledger.dual else ("BOTH",)
        return [holdings.position(symbol, each) for each in sides]

    def event(self, news: VenueNews, now_ms: int) -> list[Json]:
        """What the user stream says of `news`."""
        match news:
            case Changed():
                update = self._order_update(news, now_ms)
                return [update, self._trade_lite(news, now_ms)] if news.trade is not None else [update]
            case AlgoChanged():
                return [self._algo_update(news, now_ms)]
            case BalanceMoved():
                return [self._account_update(news, now_ms)]
            case _:
                return []

    def _order_update(self, news: Changed, now_ms: int) -> Json:
        order, trade, name = news.order, news.trade, news.order.symbol
        quantity, price = (trade.quantity, trade.price) if trade else (ZERO, ZERO)
        body: Json = {
            "s": name,
            "c": order.client_id,
            "S": side(order),
            "o": order.type.value,
            "f": order.tif.value,
            "q": self.quantity(name, order.quantity),
            "p": self.price(name, order.price),
            "ap": self.price(name, order.average),
            "sp": self.price(name, order.stop),
            "x": news.what,
            "X": order.status.value,
            "i": order.number,
            "l": self.quantity(name, quantity),
            "z": self.quantity(name, order.filled),
            "L": self.price(name, price),
            "N": trade.fee_asset if trade else self._venue.listed[name].quote,
            "n": f8(trade.fee) if trade else "0",
            "T": news.time_ms,
            "t": trade.number if trade else 0,
            "b": "0",
            "a": "0",
            "m": trade.maker if trade else False,
            "R": order.reduce_only,
            "wt": order.working_type,
            "ot": (order.began_as or order.type).value,
            "ps": order.position_side,
            "cp": order.close_position,
            "rp": f8(trade.realised) if trade else "0",
            "pP": order.price_protect,
            "si": 0,
            "ss": 0,
            "V": order.self_trade,
            "pm": order.price_match,
            "gtd": order.good_till_ms,
        }
        return {"e": "ORDER_TRADE_UPDATE", "T": news.time_ms, "E": now_ms, "o": body}

    def _trade_lite(self, news: Changed, now_ms: int) -> Json:
        order, trade, name = news.order, news.trade, news.order.symbol
        assert trade is not None  # noqa: S101 - the caller has looked
        return {
            "e": "TRADE_LITE",
            "E": now_ms,
            "T": news.time_ms,
            "s": name,
            "q": self.quantity(name, order.quantity),
            "p": self.price(name, order.price),
            "m": trade.maker,
            "c": order.client_id,
            "S": side(order),
            "L": self.price(name, trade.price),
            "l": self.quantity(name, trade.quantity),
            "t": trade.number,
            "i": order.number,
        }

    def _algo_update(self, news: AlgoChanged, now_ms: int) -> Json:
        order, name = news.order, news.order.symbol
        child = self._venue.memory.orders.get(order.child) if order.child else None
        body = {
            "caid": order.client_id,
            "aid": order.number,
            "at": "CONDITIONAL",
            "o": order.type.value,
            "s": name,
            "S": side(order),
            "ps": order.position_side,
            "f": order.tif.value,
            "q": self.quantity(name, order.quantity),
            "X": order.status.value,
            "ai": str(order.child) if order.child else "",
            "ap": self.price(name, child.average if child else ZERO),
            "aq": self.quantity(name, child.filled if child else ZERO),
            "act": child.type.value if child else "0",
            "tp": self.price(name, order.stop),
            "p": self.price(name, order.price),
            "V": order.self_trade,
            "wt": order.working_type,
            "pm": order.price_match,
            "cp": order.close_position,
            "pP": order.price_protect,
            "R": order.reduce_only,
            "tt": order.updated_ms if order.child else 0,
            "gtd": order.good_till_ms,
            "rm": order.told,
        }
        return {"e": "ALGO_UPDATE", "T": news.time_ms, "E": now_ms, "o": body}

    def _account_update(self, news: BalanceMoved, now_ms: int) -> Json:
        holdings = self._venue.holdings
        change = news.deltas[0] if news.deltas else ZERO
        balances = [
            {
                "a": asset,
                "wb": f8(holdings.ledger.wallets.get(asset, ZERO)),
                "cw": f8(holdings.cross_wallet(asset)),
                "bc": f8(change),
            }
            for asset in news.assets
        ]
        positions = [self._position_event(held) for held in self.shown(news.symbol)] if news.symbol else []
        body = {"m": news.reason, "B": balances, "P": positions}
        return {"e": "ACCOUNT_UPDATE", "T": news.time_ms, "E": now_ms, "a": body}

    def _position_event(self, held: Held) -> Json:
        holdings, name = self._venue.holdings, held.symbol
        return {
            "s": name,
            "pa": self.quantity(name, held.amount),
            "ep": plain(held.entry) if held.entry else "0",
            "bep": plain(held.entry) if held.entry else "0",
            "cr": "0",
            "up": f8(holdings.profit(held)),
            "mt": "isolated" if holdings.isolated(held) else "cross",
            "iw": f8(held.isolated_wallet),
            "ps": held.side,
        }
