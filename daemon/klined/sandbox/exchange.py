"""The exchange behind the wire: market, both venues, who listens, what is durable. Time comes from the server's loop.

step ─▶ market.advance ─▶ venue.move ─▶ news ─▶ user events      every call that changes something ends in
                       └▶ broadcast                              `flush`: commit first, then tell
"""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Literal

import msgspec
from msgspec.structs import replace

from klined.domain import MarketKind
from klined.errors import StateError
from klined.sandbox import spot_events
from klined.sandbox.broadcast import Broadcast
from klined.sandbox.clock import SandboxClock
from klined.sandbox.fate import Fate
from klined.sandbox.faults import Fault, Faults
from klined.sandbox.info import load_instruments
from klined.sandbox.market import Closed, Market, Move
from klined.sandbox.perp_reports import PerpReports
from klined.sandbox.quotes import Quotes
from klined.sandbox.rates import Rates
from klined.sandbox.settings import SandboxSettings
from klined.sandbox.store import Store
from klined.sandbox.streams import Streams
from klined.sandbox.troubles import troubles
from klined.sandbox.users import UserStreams
from klined.world.book import Depth
from klined.world.laying import funded
from klined.world.markets import generated_funding
from klined.world.perpetual import PerpetualVenue
from klined.world.scenarios import Strain
from klined.world.spot import SpotVenue
from klined.world.venue import TRADING

Kind = Literal["spot", "perp"]
HOUR_MS = 3_600_000
KEEP_EVERY_MS = 60_000


class SandboxExchange:
    """Everything but sockets."""

    def __init__(self, settings: SandboxSettings) -> None:
        """Raises ConfigError or StateError when it cannot be set up."""
        self.settings = settings
        self.store = Store(Path(settings.state) if settings.state else None)
        self.started_ms, start_ms = self._origin(settings)
        self.clock = SandboxClock(start_ms, settings.speed)
        self._kept_ms = start_ms
        self.market = Market(settings, self.started_ms)
        self.faults = Faults(settings.seed, self.clock.now_ms(), settings.frictions)
        self._venues()
        self.keys = {key.key: key for key in settings.keys}
        self.rates: dict[str, Rates] = {"spot": Rates(settings.spot_limits), "perp": Rates(settings.perp_limits)}
        self.streams = {"spot": Streams(), "perp": Streams()}
        self.users = {"spot": UserStreams("spot", self.faults), "perp": UserStreams("perp", self.faults)}
        self.quotes = {
            "spot": Quotes(self.spot, self.market, spot=True),
            "perp": Quotes(self.perp, self.market, spot=False),
        }
        pushes = {"spot": settings.kline_spot_ms, "perp": settings.kline_perp_ms}
        self.broadcasts = {
            kind: Broadcast(self.quotes[kind], self.streams[kind], self.faults, pushes[kind]) for kind in pushes
        }
        self.reports = PerpReports(self.perp, average_in_answers=settings.average_in_answers)
        opened_ms = self.market.closes_ms - self.market.interval_ms
        scenarios, interval_ms = self.market.scenarios, self.market.interval_ms
        self.funding = funded(generated_funding(settings.seed), scenarios, opened_ms, interval_ms)
        self.fate = Fate(self)
        self._funded_ms = self.started_ms
        into_ms = self.faults.start_ms - opened_ms
        for fault in (*settings.faults, *troubles(scenarios, interval_ms, into_ms)):
            self.faults.arm(fault)
        self._step_market(quiet=True)
        self.flush()

    # --- time ---------------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Let the market catch up with the clock."""
        now_ms = self.clock.now_ms()
        for fault in self.faults.due(now_ms):
            self.fate.befall(fault, now_ms)
        self.fate.relent(now_ms)
        self._step_market()
        self._fund(now_ms)
        self.perp.expire(now_ms)
        self.users["perp"].expire(self.clock.told_ms())
        self.flush()
        if now_ms - self._kept_ms >= KEEP_EVERY_MS:
            self.keep_time()

    def _step_market(self, *, quiet: bool = False) -> None:
        moves: list[Move] = []
        for happened in self.market.advance(self.clock.now_ms()):
            if isinstance(happened, Closed):
                if not quiet:
                    self._broadcast(moves)
                    for broadcast in self.broadcasts.values():
                        broadcast.closed(happened, self.clock.told_ms())
                moves = []
            else:
                self._move(happened)
                moves.append(happened)
        if moves and not quiet:
            self._broadcast(moves)

    def _broadcast(self, moves: list[Move]) -> None:
        for broadcast in self.broadcasts.values():
            if moves:
                broadcast.moved(moves, self.clock.told_ms())

    def _move(self, move: Move) -> None:
        strain = self.market.strain()
        for kind, venue in (("spot", self.spot), ("perp", self.perp)):
            for name in venue.listed:
                if self.quotes[kind].pair(name) != move.pair or venue.states[name] != TRADING:
                    continue
                venue.books[name].depth = self._shaped(strain)
                venue.move(name, move.price, move.volume, move.time_ms, jump=move.jump)

    def _shaped(self, strain: Strain) -> Depth:
        """Thin and wide books while trouble lasts."""
        depth = self.settings.depth
        if strain.liquidity == strain.spread == 1.0:
            return depth
        return replace(
            depth,
            liquidity=depth.liquidity * strain.liquidity,
            half_spread=depth.half_spread * strain.spread,
            spacing=depth.spacing * strain.spread,
        )

    def _fund(self, now_ms: int) -> None:
        interval_ms = self.settings.funding_interval_h * HOUR_MS
        due_ms = self._funded_ms // interval_ms * interval_ms + interval_ms
        while due_ms <= now_ms:
            for name, item in self.perp.listed.items():
                self.perp.fund(name, Decimal(repr(self.funding(item.symbol, due_ms) or 0.0)), due_ms)
            self._funded_ms = due_ms
            due_ms += interval_ms

    # --- durable ------------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Make durable what has changed, then tell the user streams."""
        self.store.commit(self._rows())
        now_ms = self.clock.told_ms()
        for news in self.spot.drain():
            self.users["spot"].tell(spot_events.event(self.spot, news, now_ms), now_ms)
        for news in self.perp.drain():
            self.users["perp"].tell(self.reports.event(news, now_ms), now_ms)

    def _rows(self) -> Iterator[tuple[str, bytes | None]]:
        for kind, venue in (("spot", self.spot), ("perp", self.perp)):
            for key, value in venue.memory.dump():
                yield f"{kind}/{key}", value
            state = venue.state()
            if state is not None:
                yield f"{kind}/account", state

    def _venues(self) -> None:
        settings = self.settings
        spot, self.spot_raw = load_instruments(settings.spot, MarketKind.SPOT, settings.spot_info)
        perp, self.perp_raw = load_instruments(settings.perp, MarketKind.PERP, settings.perp_info)
        prices = {
            item.venue_symbol: Decimal(repr(self.market.prices[item.symbol.partition(":")[0]]))
            for item in (*spot, *perp)
        }
        balances = {asset: Decimal(amount) for asset, amount in settings.balances.items()}
        wallets = {asset: Decimal(amount) for asset, amount in settings.wallets.items()}
        bnb = Decimal(settings.bnb_price) if settings.bnb_price else None
        self.spot = SpotVenue(spot, prices, balances, depth=settings.depth, bnb_price=bnb, fee_tiers=settings.spot_fees)
        self.perp = PerpetualVenue(
            perp, prices, wallets, depth=settings.depth, leverage=settings.leverage, fee_tiers=settings.perp_fees
        )
        for kind, venue in (("spot", self.spot), ("perp", self.perp)):
            rows = self.store.load(f"{kind}/")
            try:
                venue.memory.load(rows)
                venue.recount()
                for key, raw in rows:
                    if key == "account":
                        venue.restore(raw)
            except (msgspec.DecodeError, KeyError, ValueError) as fault:
                raise StateError(f"the sandbox's state in {settings.state} is damaged: {fault}; remove it") from fault

    def _origin(self, settings: SandboxSettings) -> tuple[int, int]:
        """When this market began, and the time now: a restart makes the same market again and catches up."""
        told = dict(self.store.load("market/"))
        now_ms = settings.start_ms or SandboxClock().now_ms()
        name = repr((settings.seed, settings.timeframe, settings.spot, settings.perp, settings.files)).encode()
        name += repr(settings.scenarios).encode() if settings.scenarios else b""
        if told.get("name") == name:
            return int(told["began"]), max(now_ms, int(told["now"]))
        rows = {"name": name, "began": str(now_ms).encode(), "now": str(now_ms).encode()}
        self.store.commit((f"market/{key}", value) for key, value in rows.items())
        return now_ms, now_ms

    def keep_time(self) -> None:
        """Remember how far the clock is, so that it never goes back over a restart."""
        self._kept_ms = self.clock.now_ms()
        self.store.commit([("market/now", str(self._kept_ms).encode())])

    # --- faults -------------------------------------------------------------------------------------------------------

    def arm(self, fault: Fault) -> int:
        """Arm a fault; what works at once works now."""
        number = self.faults.arm(fault)
        for due in self.faults.due(self.clock.now_ms()):
            self.fate.befall(due, self.clock.now_ms())
        self.flush()
        return number

    def shock(self, symbol: str, factor: float) -> None:
        """Multiply the price of the symbol's pair, from now on; every order meets the new price at once."""
        now_ms = self.clock.now_ms()
        self._step_market()
        for kind in ("spot", "perp"):
            if symbol in self.venue(kind).listed:
                pair = self.quotes[kind].pair(symbol)
                break
        else:
            return
        self.market.shock(pair, factor)
        move = Move(pair, self.market.prices[pair] * factor, 1e9, now_ms)
        self.market.prices[pair] = move.price
        self._move(move)
        self._broadcast([move])
        self.flush()

    def venue(self, kind: str) -> SpotVenue | PerpetualVenue:
        return self.spot if kind == "spot" else self.perp
