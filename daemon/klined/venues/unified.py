"""Any other exchange, by ccxt's unified calls: orders by our own id, found again by listing, fills from its trades.

    place    create_order(clientOrderId)                 the answer counts only when it bears an order id
    find     the venue's id if we know it, else every open and ended order of the symbol, by our id
    fills    fetch_my_trades, those of the order

ccxt words the requests and reads the answers; what an answer proves is still `classify`'s matter. A request that ccxt
makes before the order itself and that fails is a sure "not sent". Permissions and account modes are not checked here.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from msgspec.structs import replace

from klined.domain import (
    ZERO,
    Account,
    Fill,
    Funded,
    Instrument,
    Intent,
    MarketKind,
    OpenOrder,
    OrderKind,
    Position,
    Transferred,
)
from klined.errors import ConfigError
from klined.ports import Clock
from klined.venues.classify import Reaction, Refused, rules_of
from klined.venues.dialect import Found, Trade
from klined.venues.governor import Governor
from klined.venues.permissions import key_refused
from klined.venues.wire import Doubt, Refusal, Wire, exchange_of

REQUESTS_PER_MINUTE = 600
LISTED_MAX = 50  # ended orders looked through for one of ours
ENDED = ("canceled", "expired", "rejected")
MARKET_TYPES = {MarketKind.SPOT: {"spot"}, MarketKind.PERP: {"linear", "swap"}}

Order = Mapping[str, Any]


class UnifiedDialect:
    """Implements `Dialect` for exchange `name` as ccxt calls it."""

    def __init__(
        self,
        name: str,
        kind: MarketKind,
        *,
        network: str,
        api_key: str,
        api_secret: str,
        password: str = "",
        recv_window_ms: int,
        share: float,
        clock: Clock,
        rest_url: str = "",
    ) -> None:
        self.name, self.kind, self.network = name, kind, network
        governor = Governor(REQUESTS_PER_MINUTE, share=share)
        self.wire = Wire(rules_of(name, kind), governor, clock, weigh=lambda *_: 1)
        config = {"apiKey": api_key, "secret": api_secret, "password": password}
        self.ccxt = exchange_of(name, self.wire, clock, config)
        self.ccxt.number = str  # as the exchange wrote it, for Decimal
        self.ccxt.has["fetchCurrencies"] = False
        self.ccxt.options["recvWindow"] = recv_window_ms
        offered = self.ccxt.options.get("fetchMarkets")
        if isinstance(offered, dict) and isinstance(offered.get("types"), list):
            offered["types"] = [each for each in offered["types"] if each in MARKET_TYPES[kind]] or offered["types"]
        self._instruments: dict[str, Instrument] = {}
        self._venue_ids: dict[str, str] = {}
        if rest_url:
            self.ccxt.urls["api"] = _moved(self.ccxt.urls["api"], rest_url.rstrip("/"))
        elif network != "live":
            if not self.ccxt.urls.get("test"):
                raise ConfigError(f"ccxt knows no test network of {name}; set exchange.rest_url, or keep to paper")
            self.ccxt.set_sandbox_mode(True)

    async def server_time_ms(self) -> int:
        told = await self._ask("fetch_time")
        if not isinstance(told, int):
            raise Doubt("the exchange does not tell its time")
        return told

    async def instruments(self, symbols: Sequence[str]) -> dict[str, Instrument]:
        markets = await self._ask("load_markets")
        found = {}
        for symbol in symbols:
            if symbol not in markets:
                raise ConfigError(f"{symbol} is not among the {len(markets)} markets of {self.name}; check it")
            found[symbol] = _instrument(symbol, markets[symbol], self.kind)
        self._instruments |= found
        return found

    async def check(self, instruments: Sequence[Instrument]) -> Sequence[str]:  # noqa: ARG002 - the whole account
        """Whether the key is taken; what it may do is not known here."""
        try:
            await self._ask("fetch_balance")
        except Refusal as refusal:
            if refusal.proof.reaction is Reaction.HALT:
                raise key_refused(refusal, f"{self.name} ({self.network})") from refusal
            raise
        return [f"klined cannot check what a key of {self.name} may do: allow it neither withdrawals nor transfers"]

    def prepare(self, intent: Intent, signed_at_ms: int) -> None:
        """Nothing: ccxt words, signs and sends in one."""

    async def place(self, intent: Intent, signed_at_ms: int) -> Found:  # noqa: ARG002 - ccxt signs by our clock
        words: dict[str, object] = {"clientOrderId": intent.client_id}
        if self.kind is MarketKind.PERP and (intent.reduce_only or intent.kind is OrderKind.STOP):
            words["reduceOnly"] = True
        if intent.kind is OrderKind.POST_ONLY:
            words["postOnly"] = True
        if intent.kind is OrderKind.STOP:
            words["stopLossPrice"] = _text(intent.price)
        limited = intent.kind in {OrderKind.LIMIT, OrderKind.POST_ONLY}
        price = _text(intent.price) if limited else None
        side = "buy" if intent.quantity > 0 else "sell"
        posts = self.wire.posts
        try:
            order = await self._ask(
                "create_order",
                intent.symbol,
                "limit" if limited else "market",
                side,
                _text(abs(intent.quantity)),
                price,
                words,
            )
        except Doubt as doubt:
            if self.wire.posts == posts:
                raise Refusal(Refused("", f"never sent: {doubt}")) from doubt
            raise
        venue_id = str(order.get("id") or "") if isinstance(order, Mapping) else ""
        if not venue_id:
            raise Doubt("an answer without an order id")
        self._venue_ids[intent.client_id] = venue_id
        return Found(client_id=intent.client_id, symbol=intent.symbol, venue_id=venue_id)

    async def cancel(self, client_id: str, symbol: str) -> Found | None:
        venue_id = self._venue_ids.get(client_id)
        if venue_id is None:
            found = await self.find(client_id, symbol)
            if found is None or found.ended:
                return found
            venue_id = found.venue_id
        try:
            await self._ask("cancel_order", venue_id, symbol)
        except Refusal as refusal:
            if refusal.proof.reaction is not Reaction.ABSENT:
                raise
        return None

    async def find(self, client_id: str, symbol: str) -> Found | None:
        for order in await self._listed(symbol):
            if order.get("clientOrderId") == client_id or order["id"] == self._venue_ids.get(client_id, ""):
                self._venue_ids[client_id] = str(order["id"])
                return _found(order, client_id, symbol)
        return None

    async def fills(self, found: Found) -> Sequence[Fill]:
        return [
            replace(trade.fill, client_id=found.client_id)
            for trade in await self._trades(found.symbol)
            if trade.order_id == found.venue_id
        ]

    async def trades(self, symbol: str, since_ms: int) -> Sequence[Trade]:
        return [trade for trade in await self._trades(symbol) if trade.fill.time_ms >= since_ms]

    async def name_of(self, symbol: str, order_id: str) -> str:
        for client_id, venue_id in self._venue_ids.items():
            if venue_id == order_id:
                return client_id
        for order in await self._listed(symbol):
            if str(order["id"]) == order_id:
                return str(order.get("clientOrderId") or "")
        return ""

    async def income(self, since_ms: int) -> Sequence[Funded | Transferred]:  # noqa: ARG002
        """Nothing: funding and transfers show in the balances, which reconciliation compares."""
        return []

    async def account(self, at_ms: int) -> Account:
        symbols = list(self._instruments)
        orders: list[OpenOrder] = []
        for symbol in symbols:
            orders += [_open_order(order, symbol) for order in await self._ask("fetch_open_orders", symbol)]
        told = await self._ask("fetch_balance")
        totals = told.get("total") if isinstance(told, Mapping) else None
        if not isinstance(totals, Mapping):
            raise Doubt("the balances cannot be read")
        balances = {asset: _decimal(amount) for asset, amount in totals.items() if _decimal(amount)}
        if self.kind is MarketKind.SPOT:
            held = [Position(s, balances.get(i.base, ZERO)) for s, i in self._instruments.items()]
        else:
            held = [_position(each) for each in await self._ask("fetch_positions", symbols)]
        return Account(at_ms, balances, tuple(each for each in held if each.quantity), tuple(orders))

    async def quote(self, symbol: str) -> tuple[Decimal, Decimal]:
        told = await self._ask("fetch_ticker", symbol)
        if not isinstance(told, Mapping):
            raise Doubt("the best prices cannot be read")
        return _decimal(told.get("bid")), _decimal(told.get("ask"))

    async def countdown(self, symbols: Sequence[str], after_s: float) -> bool:  # noqa: ARG002
        return False

    async def close(self) -> None:
        await self.wire.close()
        await self.ccxt.close()

    async def _listed(self, symbol: str) -> list[Order]:
        """Open orders, then those that ended, newest first where the exchange says so."""
        has = self.ccxt.has
        whole = "fetchCanceledAndClosedOrders"
        ended = [whole] if has.get(whole) else [n for n in ("fetchClosedOrders", "fetchCanceledOrders") if has.get(n)]
        orders: list[Order] = list(await self._ask("fetch_open_orders", symbol))
        for name in ended:
            orders += await self._ask(name, symbol, None, LISTED_MAX)
        return orders

    async def _trades(self, symbol: str) -> list[Trade]:
        return [_trade(row, symbol) for row in await self._ask("fetch_my_trades", symbol)]

    async def _ask(self, call: str, *words: object) -> Any:
        """A unified call. What ccxt refuses or cannot read is told by what was sent, not by its exceptions."""
        import ccxt as library  # noqa: PLC0415 - loaded already

        posts = self.wire.posts
        try:
            return await getattr(self.ccxt, call)(*words)
        except library.BaseError as error:
            if call == "create_order" and self.wire.posts == posts:
                raise Refusal(Refused("", f"never sent: {error}")) from error
            raise Doubt(f"{call}: {type(error).__name__}: {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise Doubt(f"{call}: an answer that cannot be read: {error!r}") from error


def _moved(urls: Any, host: str) -> Any:
    """The same paths on another host."""
    if isinstance(urls, Mapping):
        return {name: _moved(inner, host) for name, inner in urls.items()}
    rest = str(urls).partition("://")[2].partition("/")[2]
    return f"{host}/{rest}" if rest else host


def _decimal(value: object) -> Decimal:
    try:
        return Decimal(str(value)) if value is not None else ZERO
    except InvalidOperation as error:
        raise Doubt(f"{value!r} is no number") from error


def _text(number: Decimal | None) -> str:
    return f"{number:f}" if number is not None else "0"


def _instrument(symbol: str, market: Mapping[str, Any], kind: MarketKind) -> Instrument:
    if kind is MarketKind.PERP and _decimal(market.get("contractSize") or 1) != 1:
        raise ConfigError(f"{symbol}: contracts of {market.get('contractSize')} base units are not supported")
    tick, lot = _decimal(market["precision"]["price"]), _decimal(market["precision"]["amount"])
    if not tick or not lot:
        raise ConfigError(f"{symbol}: price or quantity step is not told; trade another")
    limits = market["limits"]
    maker, taker = _decimal(market.get("maker")), _decimal(market.get("taker"))
    return Instrument(
        symbol=symbol,
        venue_symbol=str(market["id"]),
        kind=kind,
        base=str(market["base"]),
        quote=str(market["quote"]),
        tick=tick,
        lot=lot,
        quantity_min=max(_decimal(limits["amount"].get("min")), lot),
        quantity_max=_decimal(limits["amount"].get("max")) or lot * 10_000_000,
        notional_min=_decimal(limits["cost"].get("min")),
        maker_fee=maker or Decimal("0.001"),
        taker_fee=taker or Decimal("0.001"),
        trading=market.get("active") is not False,
    )


def _sign(order: Order) -> int:
    return 1 if order.get("side") == "buy" else -1


def _found(order: Order, client_id: str, symbol: str) -> Found:
    status = str(order.get("status") or "open")
    return Found(
        client_id=client_id,
        symbol=symbol,
        venue_id=str(order["id"]),
        executed=_sign(order) * _decimal(order.get("filled")),
        ended=status if status in ENDED else "",
    )


def _open_order(order: Order, symbol: str) -> OpenOrder:
    kind = OrderKind.STOP if order.get("triggerPrice") or order.get("stopLossPrice") else OrderKind.LIMIT
    name = str(order.get("clientOrderId") or order["id"])
    sign = _sign(order)
    return OpenOrder(name, symbol, sign * _decimal(order.get("amount")), sign * _decimal(order.get("filled")), kind)


def _position(row: Mapping[str, Any]) -> Position:
    size = _decimal(row.get("contracts"))
    return Position(str(row["symbol"]), -size if row.get("side") == "short" else size, _decimal(row.get("entryPrice")))


def _trade(row: Mapping[str, Any], symbol: str) -> Trade:
    fee = row.get("fee") or {}
    quantity = _decimal(row["amount"])
    fill = Fill(
        trade_id=str(row["id"]),
        client_id="",
        symbol=symbol,
        quantity=quantity if row["side"] == "buy" else -quantity,
        price=_decimal(row["price"]),
        fee=_decimal(fee.get("cost")),
        fee_asset=str(fee.get("currency") or symbol.partition(":")[0].partition("/")[2]),
        time_ms=int(row["timestamp"]),
        maker=row.get("takerOrMaker") == "maker",
    )
    return Trade(fill, str(row["order"]))
