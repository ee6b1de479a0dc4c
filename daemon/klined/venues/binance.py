"""Binance, spot and USDT-M perpetuals, by ccxt's signatures and our own words.

Every call names its endpoint, so what is sent is what stands here: one exchangeInfo, no currencies, no margin pairs.
Stops of perpetuals live at the algo endpoints, which the others do not cover: reads and cancels ask both.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from klined.domain import ZERO, Account, Fill, Funded, Instrument, Intent, MarketKind, OrderKind, Position, Transferred
from klined.ports import Clock
from klined.venues import binance_words as words
from klined.venues.classify import BINANCE, Reaction
from klined.venues.dialect import Found, Trade
from klined.venues.governor import Governor
from klined.venues.permissions import Setup, check_binance
from klined.venues.wire import Doubt, Refusal, Wire, exchange_of
from klined.world.filters import instruments_from_exchange_info

NETWORKS = {
    ("live", MarketKind.SPOT): "https://api.binance.com",
    ("testnet", MarketKind.SPOT): "https://testnet.binance.vision",
    ("demo", MarketKind.SPOT): "https://demo-api.binance.com",
    ("live", MarketKind.PERP): "https://fapi.binance.com",
    ("testnet", MarketKind.PERP): "https://testnet.binancefuture.com",
    ("demo", MarketKind.PERP): "https://demo-fapi.binance.com",
}
WEIGHT_PER_MINUTE = {MarketKind.SPOT: 6000, MarketKind.PERP: 2400}
WEIGHTS = {
    "/api/v3/account": 20,
    "/api/v3/openOrders": 80,
    "/api/v3/order": 4,
    "/api/v3/myTrades": 20,
    "/api/v3/ticker/bookTicker": 2,
    "/fapi/v1/ticker/bookTicker": 2,
    "/api/v3/exchangeInfo": 20,
    "/fapi/v3/account": 5,
    "/fapi/v3/positionRisk": 5,
    "/fapi/v1/openOrders": 40,
    "/fapi/v1/openAlgoOrders": 40,
    "/fapi/v1/userTrades": 5,
    "/fapi/v1/income": 30,
    "/fapi/v1/countdownCancelAll": 10,
}
"""Of GET; whatever else counts 1. Documented figures, corrected by the headers."""

ONE_SYMBOL = {"/api/v3/openOrders": 6, "/fapi/v1/openOrders": 1, "/fapi/v1/openAlgoOrders": 1}
SYMBOLS_MAX = 10  # with more, one question for the whole account costs less

TRADES_MAX = 1000
PREPARED_MS = 500  # an older signature is made anew: the window that it opens would be over too soon
NO_SUCH_ORDER = ("-2013", "-2011", "-2026")


def weight_of(method: str, path: str, query: str) -> int:
    if "symbol=" in query and path in ONE_SYMBOL:
        return ONE_SYMBOL[path]
    return WEIGHTS.get(path, 1) if method == "GET" or path.endswith("countdownCancelAll") else 1


class Signed(Struct, frozen=True):
    """An order's request, ready to be sent."""

    intent: Intent
    at_ms: int
    request: Mapping[str, Any]


class BinanceDialect:
    """Implements `Dialect`. `rest_url` overrides the network's host."""

    def __init__(
        self,
        kind: MarketKind,
        *,
        network: str,
        api_key: str,
        api_secret: str,
        recv_window_ms: int,
        share: float,
        clock: Clock,
        setup: Setup,
        rest_url: str = "",
    ) -> None:
        self.kind, self.network, self.recv_window_ms, self.setup = kind, network, recv_window_ms, setup
        self.rest_url = (rest_url or NETWORKS[network, kind]).rstrip("/")
        self.wire = Wire(BINANCE[kind], Governor(WEIGHT_PER_MINUTE[kind], share=share), clock, weigh=weight_of)
        self.symbols: dict[str, str] = {}  # ours by Binance's name
        self._names: dict[str, str] = {}
        self._instruments: dict[str, Instrument] = {}
        self._order_types: dict[str, frozenset[str]] = {}
        self._prepared: Signed | None = None
        self._stops: set[str] = set()  # client ids of algo orders sent by this process
        self._executed_by: dict[str, str] = {}  # venue's order id -> client id of the stop that made it
        config = {"apiKey": api_key, "secret": api_secret}
        self.ccxt = exchange_of("binance", self.wire, clock, config)
        self.ccxt.options["recvWindow"] = recv_window_ms
        for name, path in _PLACES.items():
            self.ccxt.urls["api"][name] = self.rest_url + path

    async def server_time_ms(self) -> int:
        api = "public" if self._spot else "fapiPublic"
        return int((await self._object("GET", api, "time"))["serverTime"])

    async def instruments(self, symbols: Sequence[str]) -> dict[str, Instrument]:
        """One exchangeInfo, whose limits and order types are remembered."""
        info = await self._object("GET", "public" if self._spot else "fapiPublic", "exchangeInfo")
        try:
            found = instruments_from_exchange_info(info, symbols, self.kind)
            listed = {str(entry["symbol"]): entry for entry in info["symbols"]}
            for limit in info.get("rateLimits", ()):
                if (limit["rateLimitType"], limit["interval"], limit["intervalNum"]) == ("REQUEST_WEIGHT", "MINUTE", 1):
                    self.wire.governor.limit = int(limit["limit"])
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise Doubt(f"the exchangeInfo cannot be read: {error!r}") from error
        for symbol, instrument in found.items():
            name = instrument.venue_symbol
            self.symbols[name], self._names[symbol], self._instruments[symbol] = symbol, name, instrument
            self._order_types[symbol] = frozenset(listed[name].get("orderTypes", ()))
        return found

    async def check(self, instruments: Sequence[Instrument]) -> Sequence[str]:
        return await check_binance(self, self.setup, instruments)

    def prepare(self, intent: Intent, signed_at_ms: int) -> None:
        """Sign the newest order only: others are signed when it is their turn."""
        self._prepared = Signed(intent, signed_at_ms, self._sign(intent, signed_at_ms))

    async def place(self, intent: Intent, signed_at_ms: int) -> Found:
        algo = not self._spot and intent.kind is OrderKind.STOP
        if algo:
            self._stops.add(intent.client_id)
        ready, self._prepared = self._prepared, None
        if ready is not None and ready.intent == intent and 0 <= signed_at_ms - ready.at_ms <= PREPARED_MS:
            request = ready.request
        else:
            request = self._sign(intent, signed_at_ms)
        answer = await self.wire.fetch(request["url"], request["method"], request["headers"], request["body"])
        return self._found(answer, intent.symbol, algo=algo)

    def _sign(self, intent: Intent, at_ms: int) -> Mapping[str, Any]:
        """The whole request of an order, by ccxt: url, method, headers, body."""
        name, path = self._names[intent.symbol], "order"
        if self._spot:
            tick, types = self._instruments[intent.symbol].tick, self._order_types[intent.symbol]
            order = words.spot_order(intent, name, tick, types)
        else:
            order = words.perp_order(intent, name)
            path = "algoOrder" if intent.kind is OrderKind.STOP else path
        request: Mapping[str, Any] = self.ccxt.sign(path, [self._private], "POST", {**order, "timestamp": at_ms})
        return request

    async def cancel(self, client_id: str, symbol: str) -> Found | None:
        name = self._names[symbol]
        if not self._spot:
            return await self._cancel_perp(client_id, symbol, name)
        query = {"symbol": name, "origClientOrderId": client_id}
        try:
            answer = await self.call("DELETE", "private", "order", query)
        except Refusal as refusal:
            _absent(refusal)
            return None
        return self._found(answer, symbol, client_id=client_id)

    async def _cancel_perp(self, client_id: str, symbol: str, name: str) -> Found | None:
        if client_id not in self._stops:
            query = {"symbol": name, "origClientOrderId": client_id}
            try:
                return self._found(await self.call("DELETE", "fapiPrivate", "order", query), symbol)
            except Refusal as refusal:
                _absent(refusal)
        try:
            await self.call("DELETE", "fapiPrivate", "algoOrder", {"clientAlgoId": client_id})
        except Refusal as refusal:
            _absent(refusal)
        return None  # what became of it is asked for: the answer does not say

    async def find(self, client_id: str, symbol: str) -> Found | None:
        name = self._names[symbol]
        if self._spot or client_id not in self._stops:
            try:
                query = {"symbol": name, "origClientOrderId": client_id}
                return self._found(await self.call("GET", self._private, "order", query), symbol, client_id=client_id)
            except Refusal as refusal:
                _absent(refusal)
        return None if self._spot else await self._find_stop(client_id, symbol, name)

    async def _find_stop(self, client_id: str, symbol: str, name: str) -> Found | None:
        """A stop by its algo order, or by the order that it became when it was triggered."""
        try:
            answer = _mapping(await self.call("GET", "fapiPrivate", "algoOrder", {"clientAlgoId": client_id}))
        except Refusal as refusal:
            _absent(refusal)
            return None
        made = str(answer.get("actualOrderId") or "")
        if not made:
            return self._found(answer, symbol, algo=True)
        self._executed_by[made] = client_id
        try:
            order = await self.call("GET", "fapiPrivate", "order", {"symbol": name, "orderId": made})
        except Refusal as refusal:
            _absent(refusal)
            return None
        return self._found(order, symbol, client_id=client_id)

    async def fills(self, found: Found) -> Sequence[Fill]:
        query = {"symbol": self._names[found.symbol], "orderId": found.venue_id}
        return [replace(each.fill, client_id=found.client_id) for each in await self._trades(found.symbol, query)]

    async def trades(self, symbol: str, since_ms: int) -> Sequence[Trade]:
        query = {"symbol": self._names[symbol], "startTime": str(since_ms), "limit": str(TRADES_MAX)}
        return await self._trades(symbol, query)

    async def name_of(self, symbol: str, order_id: str) -> str:
        if order_id in self._executed_by:
            return self._executed_by[order_id]
        try:
            query = {"symbol": self._names[symbol], "orderId": order_id}
            return str(_mapping(await self.call("GET", self._private, "order", query)).get("clientOrderId", ""))
        except Refusal as refusal:
            _absent(refusal)
            return ""

    async def income(self, since_ms: int) -> Sequence[Funded | Transferred]:
        """Funding and transfers of perpetuals; spot tells its transfers by the user stream or by its balances."""
        if self._spot:
            return []
        query = {"startTime": str(since_ms), "limit": str(TRADES_MAX)}
        told: list[Funded | Transferred] = []
        for row in _rows(await self.call("GET", "fapiPrivate", "income", query)):
            amount, at_ms, name = Decimal(row["income"]), int(row["time"]), f"{row['tranId']}-{row['incomeType']}"
            if row["incomeType"] == "FUNDING_FEE" and row.get("symbol") in self.symbols:
                told.append(Funded(self.symbols[row["symbol"]], amount, at_ms, name))
            elif row["incomeType"] in {"TRANSFER", "INTERNAL_TRANSFER", "CROSS_COLLATERAL_TRANSFER"}:
                told.append(Transferred(str(row["asset"]), amount, at_ms, name))
        return told

    async def account(self, at_ms: int) -> Account:
        try:
            return await (self._spot_account(at_ms) if self._spot else self._perp_account(at_ms))
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise Doubt(f"the account cannot be read: {error!r}") from error

    async def _spot_account(self, at_ms: int) -> Account:
        orders = [
            words.open_order(each, self.symbols.get(each["symbol"], str(each["symbol"])))
            for each in await self._listed("private", "openOrders")
        ]
        answer = _mapping(await self.call("GET", "private", "account", {"omitZeroBalances": "true"}))
        told = {str(each["asset"]): Decimal(each["free"]) + Decimal(each["locked"]) for each in answer["balances"]}
        balances = {asset: amount for asset, amount in told.items() if amount}
        held = [Position(symbol, balances.get(i.base, ZERO)) for symbol, i in self._instruments.items()]
        return Account(at_ms, balances, tuple(held), tuple(orders))

    async def _perp_account(self, at_ms: int) -> Account:
        listed = await self._listed("fapiPrivate", "openOrders") + await self._listed("fapiPrivate", "openAlgoOrders")
        orders = [words.open_order(each, self.symbols.get(each["symbol"], str(each["symbol"]))) for each in listed]
        held = [
            Position(self.symbols.get(row["symbol"], str(row["symbol"])), Decimal(row["positionAmt"]),
                     Decimal(row["entryPrice"]))
            for row in _rows(await self.call("GET", "fapiPrivateV3", "positionRisk", {}))
            if Decimal(row["positionAmt"])
        ]  # fmt: skip
        assets = _mapping(await self.call("GET", "fapiPrivateV3", "account", {}))["assets"]
        balances = {str(row["asset"]): Decimal(row["walletBalance"]) for row in assets if Decimal(row["walletBalance"])}
        return Account(at_ms, balances, tuple(held), tuple(orders))

    async def quote(self, symbol: str) -> tuple[Decimal, Decimal]:
        api = "public" if self._spot else "fapiPublic"
        answer = _mapping(await self.call("GET", api, "ticker/bookTicker", {"symbol": self._names[symbol]}))
        try:
            return Decimal(answer["bidPrice"]), Decimal(answer["askPrice"])
        except (KeyError, TypeError, ArithmeticError) as error:
            raise Doubt(f"the best prices cannot be read: {error!r}") from error

    async def countdown(self, symbols: Sequence[str], after_s: float) -> bool:
        if self._spot:
            return False
        for symbol in symbols:
            query = {"symbol": self._names[symbol], "countdownTime": str(int(after_s * 1000))}
            await self.call("POST", "fapiPrivate", "countdownCancelAll", query)
        return True

    async def close(self) -> None:
        await self.wire.close()
        await self.ccxt.close()

    async def call(self, method: str, api: str, path: str, query: Mapping[str, object]) -> object:
        """One request to a named endpoint; raises Refusal or Doubt."""
        return await self.ccxt.request(path, [api], method, dict(query))

    @property
    def _spot(self) -> bool:
        return self.kind is MarketKind.SPOT

    @property
    def _private(self) -> str:
        return "private" if self._spot else "fapiPrivate"

    async def _object(self, method: str, api: str, path: str) -> Mapping[str, Any]:
        return _mapping(await self.call(method, api, path, {}))

    async def _listed(self, api: str, path: str) -> list[Mapping[str, Any]]:
        """Open orders of our symbols, or of the whole account."""
        each = [{"symbol": name} for name in self.symbols] if len(self.symbols) <= SYMBOLS_MAX else [{}]
        rows: list[Mapping[str, Any]] = []
        for query in each:
            answer = await self.call("GET", api, path, query)
            rows += _rows(answer.get("orders", ()) if isinstance(answer, Mapping) else answer)
        return rows

    async def _trades(self, symbol: str, query: Mapping[str, object]) -> list[Trade]:
        rows = _rows(await self.call("GET", self._private, "myTrades" if self._spot else "userTrades", query))
        try:
            return [words.trade(row, symbol) for row in rows]
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise Doubt(f"trades cannot be read: {error!r}") from error

    def _found(self, answer: object, symbol: str, *, client_id: str = "", algo: bool = False) -> Found:
        """Read an order; what is none proves nothing, whatever its status was."""
        try:
            order = _mapping(answer)
            return words.found_algo(order, symbol) if algo else words.found(order, symbol, client_id=client_id)
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise Doubt(f"an answer that is no order: {error!r}") from error


_PLACES = {
    "public": "/api/v3",
    "private": "/api/v3",
    "sapi": "/sapi/v1",
    "fapiPublic": "/fapi/v1",
    "fapiPrivate": "/fapi/v1",
    "fapiPrivateV2": "/fapi/v2",
    "fapiPrivateV3": "/fapi/v3",
}


def _absent(refusal: Refusal) -> None:
    """Pass over "no such order", raise everything else."""
    if refusal.proof.reaction is not Reaction.ABSENT and refusal.proof.code not in NO_SUCH_ORDER:
        raise refusal


def _mapping(answer: object) -> Mapping[str, Any]:
    if not isinstance(answer, Mapping):
        raise Doubt(f"an object was expected, not {type(answer).__name__}")
    return answer


def _rows(answer: object) -> list[Mapping[str, Any]]:
    if not isinstance(answer, (list, tuple)) or not all(isinstance(row, Mapping) for row in answer):
        raise Doubt(f"a list of objects was expected, not {type(answer).__name__}")
    return list(answer)
