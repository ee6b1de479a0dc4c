"""Market data as Binance's JSON, for REST and for streams. Spot prints eight places, futures the symbol's own."""

from typing import Any

from klined.domain import Instrument
from klined.sandbox.candles import INTERVALS_MS, Candle, History, joined
from klined.sandbox.depths import Depths
from klined.sandbox.info import digits
from klined.sandbox.market import Market, Move
from klined.world.book import LEVELS, Level
from klined.world.venue import Venue

Json = dict[str, Any]
DAY_MS = 86_400_000


class Quotes:
    """One kind of market, `spot` or `perp`."""

    def __init__(self, venue: Venue, market: Market, *, spot: bool) -> None:
        self.venue, self.market, self.spot = venue, market, spot
        self._depths: dict[str, Depths] = {}

    def pair(self, symbol: str) -> str:
        return self.venue.listed[symbol].symbol.partition(":")[0]

    def history(self, symbol: str) -> History:
        return self.market.histories[self.pair(symbol)]

    def price(self, item: Instrument, value: float) -> str:
        """On the symbol's price step."""
        tick = float(item.tick)
        value = round(value / tick) * tick
        return f"{value:.8f}" if self.spot else f"{value:.{digits(item.tick)}f}"

    def amount(self, item: Instrument, value: float) -> str:
        """In whole lots."""
        places = digits(item.lot)
        return f"{round(value, places):.8f}" if self.spot else f"{value:.{places}f}"

    def volume(self, item: Instrument, value: float) -> str:
        """Of a candle: recorded ones are told as they were, whatever the lot was then."""
        return f"{value:.8f}" if self.spot else self.amount(item, value)

    # --- klines -------------------------------------------------------------------------------------------------------

    def kline(self, symbol: str, candle: Candle, interval_ms: int) -> list[Any]:
        """One row of GET klines."""
        item = self.venue.listed[symbol]
        return [
            candle.open_ms,
            self.price(item, candle.open),
            self.price(item, candle.high),
            self.price(item, candle.low),
            self.price(item, candle.close),
            self.volume(item, candle.volume),
            candle.open_ms + interval_ms - 1,
            f"{candle.quote:.8f}",
            candle.trades,
            self.volume(item, candle.volume * 0.5),
            f"{candle.quote * 0.5:.8f}",
            "0",
        ]

    def kline_event(self, symbol: str, interval: str, candle: Candle, now_ms: int, *, closed: bool) -> Json:
        item, interval_ms = self.venue.listed[symbol], INTERVALS_MS[interval]
        body = {
            "t": candle.open_ms,
            "T": candle.open_ms + interval_ms - 1,
            "s": symbol,
            "i": interval,
            "f": candle.first,
            "L": candle.first + candle.trades - 1,
            "o": self.price(item, candle.open),
            "c": self.price(item, candle.close),
            "h": self.price(item, candle.high),
            "l": self.price(item, candle.low),
            "v": self.volume(item, candle.volume),
            "n": candle.trades,
            "x": closed,
            "q": f"{candle.quote:.8f}",
            "V": self.volume(item, candle.volume * 0.5),
            "Q": f"{candle.quote * 0.5:.8f}",
            "B": "0",
        }
        return {"e": "kline", "E": now_ms, "s": symbol, "k": body}

    def continuous(self, symbol: str, interval: str, candle: Candle, now_ms: int, *, closed: bool) -> Json:
        body = self.kline_event(symbol, interval, candle, now_ms, closed=closed)["k"]
        del body["s"]
        return {"e": "continuous_kline", "E": now_ms, "ps": symbol, "ct": "PERPETUAL", "k": body}

    # --- trades and books ---------------------------------------------------------------------------------------------

    def trade(self, symbol: str, move: Move, kind: str, now_ms: int) -> Json:
        """AggTrade or trade: each move of the price is one."""
        item = self.venue.listed[symbol]
        common: Json = {"e": kind, "E": now_ms, "s": symbol}
        number: Json = {"a": move.trade} if kind == "aggTrade" else {"t": move.trade}
        common |= number | {"p": self.price(item, move.price), "q": self.amount(item, move.volume)}
        if kind == "aggTrade":
            common |= {"f": move.trade, "l": move.trade}
        common |= {"T": move.time_ms, "m": bool(move.trade % 2)}
        return {**common, "M": True} if self.spot else common

    def book_ticker(self, symbol: str, now_ms: int) -> Json:
        book, item = self.venue.books[symbol], self.venue.listed[symbol]
        bid, ask = book.best_bid(), book.best_ask()
        found: Json = {
            "u": book.updates,
            "s": symbol,
            "b": self.price(item, float(bid.price)),
            "B": self.amount(item, float(bid.quantity)),
            "a": self.price(item, float(ask.price)),
            "A": self.amount(item, float(ask.quantity)),
        }
        return found if self.spot else {"e": "bookTicker", **found, "T": now_ms, "E": now_ms}

    def depth(self, symbol: str, count: int) -> Json:
        """GET depth."""
        book, item = self.venue.books[symbol], self.venue.listed[symbol]
        return {
            "lastUpdateId": book.updates,
            "bids": self._levels(item, book.side(buy=False, count=count)),
            "asks": self._levels(item, book.side(buy=True, count=count)),
        }

    def snapshot(self, symbol: str, count: int) -> Json:
        """GET depth; the diffs that follow know what it showed."""
        shown = self.depth(symbol, count)
        self._depths.setdefault(symbol, Depths()).snapshot(shown)
        return shown

    def depth_event(self, symbol: str, count: int, now_ms: int, before: int) -> Json:
        """The best levels; `before` is the last update id that was told."""
        shown = self.depth(symbol, count)
        return self._depth_update(symbol, shown, shown["bids"], shown["asks"], now_ms, before)

    def depth_diff(self, symbol: str, stream: str, now_ms: int) -> Json | None:
        """What has changed since `stream` told it last; None when nothing has."""
        shown = self.depth(symbol, LEVELS)
        found = self._depths.setdefault(symbol, Depths()).diff(stream, shown)
        if found is None:
            return None
        before, bids, asks = found
        return self._depth_update(symbol, shown, bids, asks, now_ms, before)

    def _depth_update(self, symbol: str, shown: Json, bids: Any, asks: Any, now_ms: int, before: int) -> Json:
        last = shown["lastUpdateId"]
        found: Json = {"e": "depthUpdate", "E": now_ms}
        if not self.spot:
            found["T"] = now_ms
        found |= {"s": symbol, "U": min(before + 1, last), "u": last}
        if not self.spot:
            found["pu"] = before
        return {**found, "b": bids, "a": asks}

    # --- statistics ---------------------------------------------------------------------------------------------------

    def day(self, symbol: str, now_ms: int) -> Candle:
        """The last 24 hours as one candle."""
        history = self.history(symbol)
        whole = joined(history.since(now_ms - DAY_MS), now_ms - DAY_MS)
        if whole is not None:
            return whole
        price = self.market.prices[self.pair(symbol)]
        return Candle(now_ms - DAY_MS, price, price, price, price)

    def window(self, symbol: str, opens_ms: int, closes_ms: int, *, mini: bool = False) -> Json:
        """What the price did from `opens_ms` on, as GET ticker tells it; `closes_ms` is only told."""
        found = joined(self.history(symbol).since(opens_ms), opens_ms)
        if found is None:
            price = self.market.prices[self.pair(symbol)]
            found = Candle(opens_ms, price, price, price, price)
        return {
            "symbol": symbol,
            **({} if mini else self._change(symbol, found)),
            **self._body(symbol, found, closes_ms),
        }

    def window_event(self, symbol: str, window: str, opens_ms: int, now_ms: int) -> Json:
        """Of the streams of rolling windows."""
        told = self.window(symbol, opens_ms - opens_ms % 60_000, now_ms)
        names = {
            "p": "priceChange", "P": "priceChangePercent", "o": "openPrice", "h": "highPrice", "l": "lowPrice",
            "c": "lastPrice", "w": "weightedAvgPrice", "v": "volume", "q": "quoteVolume", "O": "openTime",
            "C": "closeTime", "F": "firstId", "L": "lastId", "n": "count",
        }  # fmt: skip
        return {"e": f"{window}Ticker", "E": now_ms, "s": symbol} | {short: told[name] for short, name in names.items()}

    def _change(self, symbol: str, found: Candle) -> Json:
        item, mean = self.venue.listed[symbol], found.quote / found.volume if found.volume else found.close
        return {
            "priceChange": self.price(item, found.close - found.open),
            "priceChangePercent": f"{(found.close / found.open - 1) * 100:.3f}",
            "weightedAvgPrice": self.price(item, mean),
        }

    def _body(self, symbol: str, found: Candle, closes_ms: int) -> Json:
        item = self.venue.listed[symbol]
        return {
            "lastPrice": self.price(item, found.close),
            "openPrice": self.price(item, found.open),
            "highPrice": self.price(item, found.high),
            "lowPrice": self.price(item, found.low),
            "volume": self.amount(item, found.volume),
            "quoteVolume": f"{found.quote:.8f}",
            "openTime": found.open_ms,
            "closeTime": closes_ms,
            "firstId": found.first,
            "lastId": found.first + found.trades - 1,
            "count": found.trades,
        }

    def ticker(self, symbol: str, now_ms: int, *, mini: bool = False) -> Json:
        """GET ticker/24hr."""
        item, day, book = self.venue.listed[symbol], self.day(symbol, now_ms), self.venue.books[symbol]
        found: Json = {"symbol": symbol, **self._body(symbol, day, now_ms)}
        if mini:
            return found
        found |= {**self._change(symbol, day), "lastQty": self.amount(item, float(item.lot))}
        if self.spot:
            bid, ask = book.best_bid(), book.best_ask()
            found |= {
                "prevClosePrice": self.price(item, day.open),
                "bidPrice": self.price(item, float(bid.price)),
                "bidQty": self.amount(item, float(bid.quantity)),
                "askPrice": self.price(item, float(ask.price)),
                "askQty": self.amount(item, float(ask.quantity)),
            }
        return found

    def ticker_event(self, symbol: str, now_ms: int, *, mini: bool) -> Json:
        told = self.ticker(symbol, now_ms)
        found: Json = {"e": "24hrMiniTicker" if mini else "24hrTicker", "E": now_ms, "s": symbol}
        if not mini:
            found |= {
                "p": told["priceChange"],
                "P": told["priceChangePercent"],
                "w": told["weightedAvgPrice"],
                "Q": told["lastQty"],
            }
            if self.spot:
                names = {"x": "prevClosePrice", "b": "bidPrice", "B": "bidQty", "a": "askPrice", "A": "askQty"}
                found |= {short: told[name] for short, name in names.items()}
            times = {"O": "openTime", "C": "closeTime", "F": "firstId", "L": "lastId", "n": "count"}
            found |= {short: told[name] for short, name in times.items()}
        names = {
            "c": "lastPrice",
            "o": "openPrice",
            "h": "highPrice",
            "l": "lowPrice",
            "v": "volume",
            "q": "quoteVolume",
        }
        return found | {short: told[name] for short, name in names.items()}

    def _levels(self, item: Instrument, levels: list[Level]) -> list[list[str]]:
        return [[self.price(item, float(level.price)), self.amount(item, float(level.quantity))] for level in levels]
