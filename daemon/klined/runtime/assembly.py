"""Settings into parts: the one place that knows which adapter stands behind which port.

settings ─▶ feed, venue, policy, journal ─▶ book, engine, gate, executor ─▶ trader ─▶ pipeline ─▶ daemon
"""

import csv
import gzip
import json
from collections.abc import Sequence
from dataclasses import fields
from decimal import Decimal
from difflib import get_close_matches
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from klined.config.settings import Settings
from klined.domain import Batch, Instrument, MarketKind, OrderKind
from klined.errors import ConfigError, ModelError
from klined.policies.registry import load_policy
from klined.ports import Clocked, Feed, Observer, Policy, Quoter, Venue
from klined.runtime.clock import FeedClock, HurriedClock, SystemClock
from klined.runtime.daemon import Daemon, Durable
from klined.runtime.freezer import Freezer
from klined.runtime.observing import Bus
from klined.runtime.outbox import Outbox
from klined.runtime.pipeline import Pipeline
from klined.runtime.protecting import Protecting
from klined.runtime.reconciling import Reconciling
from klined.runtime.remote import is_remote, make_remote, market_of, open_remote
from klined.runtime.resting import Resting
from klined.store.bars import BarStore
from klined.trader.book import Book, Costs
from klined.trader.engine import Engine
from klined.trader.executor import Executor, Patience
from klined.trader.ids import ClientIds
from klined.trader.limits import Limits
from klined.trader.manifest import Manifest, check_plan, plan_of
from klined.trader.metrics import Metrics
from klined.trader.plans import PLANS, Plan
from klined.trader.risk import Gate
from klined.trader.styles import Style
from klined.trader.trader import Box, Trader
from klined.venues.ccxt import CcxtVenue
from klined.venues.paper import PaperVenue
from klined.world.filters import default_instrument, instruments_from_exchange_info, venue_symbol
from klined.world.margin import FundingTable
from klined.world.matching import Friction

BPS = 1e-4


def named(group: str, name: str) -> Any:
    """What the entry point `name` of `group` points at.

    Raises:
        ConfigError: there is none; says the nearest and lists them all.
    """
    entries = {entry.name: entry for entry in entry_points(group=group)}
    if name not in entries:
        near = get_close_matches(name, entries, 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        kind = group.removeprefix("klined.").removesuffix("s")
        raise ConfigError(f"{kind} {name!r} is not known{hint}; there are {', '.join(sorted(entries)) or 'none'}")
    return entries[name].load()


def make_clock(settings: Settings) -> FeedClock | SystemClock:
    """The feed's own time where it brings one; else the machine's, sped up as the exchange's is."""
    if settings.market.feed_name in {"generated", "recorded"}:
        return FeedClock()
    return SystemClock() if settings.exchange.speed == 1.0 else HurriedClock(settings.exchange.speed)


def make_feed(settings: Settings) -> Feed:
    """The feed by its name; an exchange that has none of its own is watched by ccxt."""
    name = settings.market.feed_name
    if not settings.market.feed and name not in {entry.name for entry in entry_points(group="klined.feeds")}:
        name = "ccxt"
    feed: Feed = named("klined.feeds", name).configured(market_of(settings))
    return feed


def make_instruments(settings: Settings) -> list[Instrument]:
    """From a saved exchangeInfo, or what is usual; with the fees as configured."""
    market = settings.market
    if market.instruments_file is not None:
        info = _json(market.instruments_file)
        found = instruments_from_exchange_info(info, market.symbols, market.kind)
        listed = [found[symbol] for symbol in market.symbols]
    else:
        listed = [default_instrument(symbol, market.kind) for symbol in market.symbols]
    return _with_fees(settings, listed)


def _with_fees(settings: Settings, listed: Sequence[Instrument]) -> list[Instrument]:
    costs = settings.costs
    changes: dict[str, Decimal] = {}
    if costs.taker_fee_bps is not None:
        changes["taker_fee"] = Decimal(repr(costs.taker_fee_bps)) / 10_000
    if costs.maker_fee_bps is not None:
        changes["maker_fee"] = Decimal(repr(costs.maker_fee_bps)) / 10_000
    return [replace(instrument, **changes) for instrument in listed]


def make_venue(settings: Settings, instruments: Sequence[Instrument]) -> Venue:
    """The paper exchange; its money starts as `paper.balance`."""
    costs = settings.costs
    friction = Friction(half_spread=costs.half_spread_bps * BPS, impact=costs.impact, participation=costs.participation)
    return PaperVenue(
        instruments,
        {instruments[0].quote: settings.paper.balance},
        friction=friction,
        funding=make_funding(settings),
    )


def make_observers(settings: Settings) -> list[Observer]:
    """Observers of installed plugins that these settings ask for."""
    entries = sorted(entry_points(group="klined.observers"), key=lambda entry: entry.name)
    made = (entry.load().configured(settings) for entry in entries)
    return [observer for observer in made if observer is not None]


def make_policy(settings: Settings) -> Policy:
    """The configured policy, verified; raises ModelError or ConfigError."""
    policy = settings.policy
    if policy.name == "onnx":
        return load_policy(str(policy.model) if policy.model is not None else shipped(), policy.options)
    return load_policy(policy.name, policy.options)


def shipped() -> str:
    """Path of the policy that comes with klined.

    Raises:
        ConfigError: this installation has none.
    """
    entries = list(entry_points(group="klined.zoo"))
    if not entries:
        raise ConfigError("no policy is shipped with this installation; set policy.model")
    path: str = entries[0].load()()
    return path


def fitting_plan(settings: Settings, policy: Policy) -> Plan:
    """The plan of `policy`, once its manifest was found to fit it and the bars it will see.

    Raises:
        ModelError: names the field or feature that differs.
    """
    plan = make_plan(policy)
    manifest = getattr(policy, "manifest", None)
    if isinstance(manifest, Manifest):
        check_plan(manifest, plan, settings.market.interval_ms)
    return plan


def training_box(policy: Policy) -> Box | None:
    """Lowest and highest value of each feature in training; None for a rule, which was not trained."""
    manifest = getattr(policy, "manifest", None)
    return (manifest.lows(), manifest.highs()) if isinstance(manifest, Manifest) else None


def equip(trader: Trader, policy: Policy) -> None:
    """Let the trader know what is particular to the policy that decides."""
    trader.box = training_box(policy)
    trader.quoter = policy if isinstance(policy, Quoter) else None


def make_plan(policy: Policy) -> Plan:
    manifest, declared = getattr(policy, "manifest", None), getattr(policy, "declared", None)
    if isinstance(declared, Plan):
        return declared
    plan = plan_of(manifest) if isinstance(manifest, Manifest) else PLANS.get(policy.plan)
    if plan is None:
        raise ModelError(f"policy {policy.name} was made for plan {policy.plan!r}; this klined has {', '.join(PLANS)}")
    return plan


async def assemble(
    settings: Settings,
    *,
    journal: Durable,
    observers: Sequence[Observer] = (),
    installation: str,
    bars: BarStore | None = None,
    forgiving: bool = False,
    policy: Policy | None = None,
) -> Daemon:
    """One daemon, not yet started. `policy` decides instead of the configured one.

    Raises:
        ConfigError, ModelError: something named in the settings cannot be had.
    """
    clock, policy = make_clock(settings), policy or make_policy(settings)
    plan = fitting_plan(settings, policy)
    remote = make_remote(settings, clock, ClientIds(installation).prefix) if is_remote(settings) else None
    if remote is None:
        instruments = make_instruments(settings)
        venue = make_venue(settings, instruments)
    else:
        instruments = _with_fees(settings, await open_remote(remote, settings.market.symbols, clock))
        venue = remote
    feed = make_feed(settings)
    if isinstance(feed, Clocked) and isinstance(clock, HurriedClock):
        feed.keep_time(clock.now_ms, clock.monotonic_s)
    trader = make_trader(settings, instruments, policy, plan, installation, patient=not venue.in_process)
    equip(trader, policy)
    trader.gate.trust(verified=True)  # a policy that could not be verified was refused above
    freezer = Freezer(settings, trader=trader, policy=policy, venue=venue, clock=clock, bars=bars)
    bus = Bus(observers)
    outbox = Outbox(
        venue=venue, journal=journal, clock=clock, trader=trader, snapshot=freezer.take, bus=bus, forgiving=forgiving
    )
    pipeline = Pipeline(
        feed=feed,
        policy=policy,
        venue=venue,
        clock=clock,
        trader=trader,
        outbox=outbox,
        progress=_ignore,
        set_time=partial(setattr, clock, "time_ms") if isinstance(clock, FeedClock) else None,
    )
    return Daemon(
        settings=settings,
        clock=clock,
        journal=journal,
        feed=feed,
        venue=venue,
        trader=trader,
        pipeline=pipeline,
        outbox=outbox,
        bus=bus,
        freezer=freezer,
        warmup_bars=settings.market.history_bars
        or (0 if settings.market.feed_name == "recorded" else plan.warmup_bars),
        reconciling=_beside(settings, remote, pipeline, outbox, bus),
    )


def make_style(settings: Settings) -> Style | None:
    """How ordinary orders are sent; None: at the market."""
    orders = settings.orders
    if orders.type == "market":
        return None
    return Style(
        kind=OrderKind(orders.type),
        offset=Decimal(repr(orders.offset_bps)) / 10_000,
        reprices_max=orders.reprices_max,
        then_market=orders.then == "market",
    )


def _beside(
    settings: Settings, remote: CcxtVenue | None, pipeline: Pipeline, outbox: Outbox, bus: Bus
) -> Reconciling | None:
    """What orders that rest need, and a venue behind a wire: reconciliation, and a stop that rests there."""
    trader, clock = pipeline.trader, pipeline.clock
    outbox.rests = trader.gate.style is not None or trader.quoter is not None
    if remote is None:
        return None
    if outbox.rests:
        after_s = settings.orders.reprice_after_s if trader.gate.style is not None else 0.0
        resting = Resting(trader=trader, outbox=outbox, venue=remote, clock=clock, after_s=after_s)
        bus.add(resting)
        pipeline.beside.append(resting.run)
    distance = settings.exits.resting if settings.market.kind is MarketKind.PERP else 0.0
    if distance:
        protecting = Protecting(trader=trader, outbox=outbox, clock=clock, distance=Decimal(repr(distance)))
        bus.add(protecting)
        pipeline.beside.append(protecting.run)
    return Reconciling(
        venue=remote,
        trader=trader,
        outbox=outbox,
        clock=clock,
        period_s=settings.exchange.reconcile_s,
        # The switch may cancel stops as well: they protect better, so it is either.
        countdown_s=0.0 if distance else settings.exchange.countdown_s,
    )


def make_trader(
    settings: Settings,
    instruments: Sequence[Instrument],
    policy: Policy,
    plan: Plan,
    installation: str,
    *,
    patient: bool,
) -> Trader:
    """The account of these settings. `patient`: the venue may answer late, so working orders are asked for."""
    costs, interval_ms = settings.costs, settings.market.interval_ms
    assumed = Costs(half_spread=costs.half_spread_bps * BPS, impact=costs.impact, participation=costs.participation)
    book = Book(instruments, {instruments[0].quote: settings.paper.balance}, assumed)
    make_limits(settings, policy, plan).write(book.P.row[0])
    rows = (book.A.row[0], book.Q.row, book.M.row, book.P.row[0], book.C.row)
    gate = Gate(instruments, *rows, ClientIds(installation))
    gate.style = make_style(settings)
    patience = Patience(recv_window_ms=settings.exchange.recv_window_ms)
    executor = Executor(patience if patient else Patience(working_ask_ms=0))
    return Trader(
        book=book,
        engine=Engine(plan, len(instruments)),
        gate=gate,
        executor=executor,
        metrics=Metrics(float(settings.paper.balance), interval_ms),
        interval_ms=interval_ms,
    )


def make_limits(settings: Settings, policy: Policy, plan: Plan) -> Limits:
    """The gate's limits: sections risk and exits, and what plan and policy ask for.

    Deadband and largest change belong to what a policy learned: its manifest's hold where the settings give none.
    """
    risk, exits = settings.risk, settings.exits
    known = {field.name for field in fields(Limits)}
    told = ((name, getattr(risk, name)) for name in type(risk).model_fields if name in known)
    given = {name: value for name, value in told if value is not None}
    manifest = getattr(policy, "manifest", None)
    if isinstance(manifest, Manifest):
        for name in ("deadband", "max_change"):
            if settings.origin(f"risk.{name}") == "default":
                given[name] = getattr(manifest.action, name)
    return Limits(
        **given,
        warmup_bars=plan.warmup_bars,
        long_only=settings.policy.long_only or settings.market.kind is MarketKind.SPOT,
        stop_fixed=exits.fixed,
        stop_trail_atr=exits.trail_atr,
        stop_break_even_atr=exits.break_even_atr,
        stop_sigma=exits.sigma,
        stop_minutes=exits.time_minutes,
        stop_cooldown_minutes=exits.cooldown_minutes,
    )


def _ignore(_batch: Batch) -> None:
    """Nobody follows the progress."""


def _json(path: Path) -> Any:
    try:
        raw = path.read_bytes()
        return json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as JSON: {error}") from error


def make_funding(settings: Settings) -> FundingTable | None:
    """Past funding rates by unified symbol; a CSV of symbol, funding_time, funding_rate."""
    path = settings.market.funding_file
    if path is None or settings.market.kind is not MarketKind.PERP:
        return None
    unified = {venue_symbol(symbol): symbol for symbol in settings.market.symbols}
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
        rows = [
            (unified[row["symbol"]], int(row["funding_time"]), float(row["funding_rate"]))
            for row in csv.DictReader(text.splitlines())
            if row["symbol"] in unified
        ]
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"market.funding_file {path}: {error}; it needs symbol, funding_time, funding_rate"
        ) from error
    return FundingTable(rows)
