"""Methods of the websocket API, and the REST calls that they are."""

SPOT = {
    "ping": "GET ping", "time": "GET time", "exchangeInfo": "GET exchangeInfo", "depth": "GET depth",
    "trades.recent": "GET trades", "trades.historical": "GET historicalTrades", "trades.aggregate": "GET aggTrades",
    "klines": "GET klines", "uiKlines": "GET uiKlines", "avgPrice": "GET avgPrice", "ticker.24hr": "GET ticker/24hr",
    "ticker": "GET ticker", "ticker.tradingDay": "GET ticker/tradingDay",
    "blockTrades.historical": "GET historicalBlockTrades", "referencePrice": "GET referencePrice",
    "referencePrice.calculation": "GET referencePrice/calculation",
    "executionRules": "GET executionRules", "myPreventedMatches": "GET myPreventedMatches",
    "myAllocations": "GET myAllocations", "myFilters": "GET myFilters",
    "sor.order.place": "POST sor/order", "sor.order.test": "POST sor/order/test",
    "ticker.price": "GET ticker/price", "ticker.book": "GET ticker/bookTicker",
    "order.place": "POST order", "order.test": "POST order/test", "order.status": "GET order",
    "order.cancel": "DELETE order", "order.cancelReplace": "POST order/cancelReplace",
    "openOrders.status": "GET openOrders", "openOrders.cancelAll": "DELETE openOrders", "allOrders": "GET allOrders",
    "order.amend.keepPriority": "PUT order/amend/keepPriority", "order.amendments": "GET order/amendments",
    "orderList.place": "POST order/oco", "orderList.place.oco": "POST orderList/oco",
    "orderList.place.oto": "POST orderList/oto", "orderList.place.otoco": "POST orderList/otoco",
    "orderList.place.opo": "POST orderList/opo", "orderList.place.opoco": "POST orderList/opoco",
    "orderList.status": "GET orderList",
    "orderList.cancel": "DELETE orderList", "openOrderLists.status": "GET openOrderList",
    "allOrderLists": "GET allOrderList", "account.status": "GET account",
    "account.commission": "GET account/commission",
    "account.rateLimits.orders": "GET rateLimit/order", "myTrades": "GET myTrades",
}  # fmt: skip
PERP = {
    "ping": "GET v1/ping", "time": "GET v1/time", "depth": "GET v1/depth", "ticker.price": "GET v1/ticker/price",
    "ticker.book": "GET v1/ticker/bookTicker", "order.place": "POST v1/order", "order.cancel": "DELETE v1/order",
    "order.modify": "PUT v1/order", "order.status": "GET v1/order", "algoOrder.place": "POST v1/algoOrder",
    "algoOrder.cancel": "DELETE v1/algoOrder",
    "account.balance": "GET v2/balance", "v2/account.balance": "GET v3/balance", "account.status": "GET v2/account",
    "v2/account.status": "GET v3/account", "account.position": "GET v2/positionRisk",
    "v2/account.position": "GET v3/positionRisk", "userDataStream.start": "POST v1/listenKey",
    "userDataStream.ping": "PUT v1/listenKey", "userDataStream.stop": "DELETE v1/listenKey",
}  # fmt: skip
ROUTES = {
    "spot": {name: (to.split()[0], f"/api/v3/{to.split()[1]}") for name, to in SPOT.items()},
    "perp": {name: (to.split()[0], f"/fapi/{to.split()[1]}") for name, to in PERP.items()},
}
PLACING = {name for name, (verb, _) in {**ROUTES["spot"], **ROUTES["perp"]}.items() if verb in {"POST", "PUT"}}
