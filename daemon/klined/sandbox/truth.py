"""The truth about both accounts, for tests: nothing lags here and nothing lies."""

from typing import Any

from klined.sandbox.exchange import SandboxExchange
from klined.world.tickets import Order, Trade


def ledger(exchange: SandboxExchange) -> dict[str, Any]:
    """Everything that was ever ordered and traded (within what is kept), balances, positions."""
    return {
        "time": exchange.clock.now_ms(),
        "spot": {
            "balances": {
                asset: {"free": exchange.spot.balance(asset).free, "locked": exchange.spot.balance(asset).locked}
                for asset in exchange.spot.totals
            },
            **_common(exchange.spot),
        },
        "perp": {
            "wallets": exchange.perp.holdings.ledger.wallets,
            "positions": {
                f"{held.symbol}/{held.side}": {"amount": held.amount, "entry": held.entry}
                for held in exchange.perp.holdings.positions()
            },
            "algos": [_order(order) for order in exchange.perp.memory.algos.values()],
            "income": list(exchange.perp.memory.incomes.values()),
            **_common(exchange.perp),
        },
    }


def _common(venue: Any) -> dict[str, Any]:
    memory = venue.memory
    return {
        "prices": {name: book.last for name, book in venue.books.items()},
        "states": venue.states,
        "orders": [_order(order) for order in memory.orders.values()],
        "trades": [_trade(trade) for trade in memory.trades.values()],
    }


def _order(order: Order) -> dict[str, Any]:
    return {
        "number": order.number, "client_id": order.client_id, "symbol": order.symbol, "buy": order.buy,
        "type": order.began_as or order.type, "status": order.status, "quantity": order.quantity,
        "filled": order.filled, "quote_filled": order.quote_filled, "price": order.price, "stop": order.stop,
        "reduce_only": order.reduce_only, "close_position": order.close_position, "open": order.status.open,
        "created_ms": order.created_ms, "updated_ms": order.updated_ms, "list": order.list_number,
    }  # fmt: skip


def _trade(trade: Trade) -> dict[str, Any]:
    return {
        "number": trade.number, "order": trade.order, "symbol": trade.symbol, "buy": trade.buy, "price": trade.price,
        "quantity": trade.quantity, "fee": trade.fee, "fee_asset": trade.fee_asset, "maker": trade.maker,
        "time_ms": trade.time_ms, "realised": trade.realised,
    }  # fmt: skip
