"""What goes wrong, and when: a list of faults at absolute times, made from a seed or written down.

    seed ─▶ Schedule(faults) ─▶ Timeline.at("post", now)     removing one fault moves no other: that is what shrinks

A fault holds from `at_s` for `for_s` seconds; one that happens in an instant has `for_s` 0.
"""

import random
from bisect import bisect_right
from collections.abc import Sequence
from math import inf

import msgspec
from msgspec import Struct

BAR_S = 60.0
CALM_BARS = 30  # without a fault, at the end: trading must go on as if nothing had been

CHANNELS: dict[str, tuple[str, ...]] = {
    "post": ("lost", "done", "drop", "late", "reject", "slow", "refused", "partial"),
    "read": ("lag", "fail", "slow"),
    "user": ("miss", "twice", "delay"),
    "feed": ("stall", "twice", "swap", "skip", "revise", "garble", "cut", "rest"),
    "net": ("dark",),
    "clock": ("step",),
    "machine": ("suspend", "stop"),
    "disk": ("full", "readonly", "slow", "busy"),
    "signal": ("term", "term_twice"),
    "person": ("pause", "resume", "flatten", "swap"),
    "kill": ("kill", "power"),
}
INSTANT = frozenset({"clock", "machine", "signal", "person", "kill"})


class Fault(Struct, frozen=True, order=True):
    """`amount`: seconds of a lag or delay, ms of a step, turns until a kill, transactions until power fails in one."""

    at_s: float
    channel: str
    what: str
    for_s: float = 0.0
    amount: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.channel}.{self.what}"


class Schedule(Struct, frozen=True):
    """One scenario: which account, how long, what goes wrong."""

    seed: int
    bars: int
    symbols: tuple[str, ...]
    tight: bool  # limits so near that they are met
    faults: tuple[Fault, ...]
    orders: str = "market"  # or how they rest: limit, post_only

    @property
    def calm_s(self) -> float:
        """From here on nothing goes wrong."""
        return (self.bars - CALM_BARS) * BAR_S

    @property
    def kills(self) -> int:
        return sum(fault.channel == "kill" for fault in self.faults)


class Timeline:
    """The faults that hold at a moment, by channel. O(1) while nothing changes, else O(log n)."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.instants = [fault for fault in faults if fault.channel in INSTANT]
        self._lasting: dict[str, list[Fault]] = {channel: [] for channel in CHANNELS}
        for fault in sorted(faults):
            if fault.channel not in INSTANT:
                self._lasting[fault.channel].append(fault)
        self._starts = {channel: [fault.at_s for fault in found] for channel, found in self._lasting.items()}
        self._known: dict[str, tuple[float, float, Fault | None]] = dict.fromkeys(CHANNELS, (0.0, 0.0, None))

    def at(self, channel: str, now_s: float) -> Fault | None:
        """The newest fault of `channel` that holds now."""
        since_s, until_s, fault = self._known[channel]
        if since_s <= now_s < until_s:
            return fault
        starts = self._starts[channel]
        k = bisect_right(starts, now_s)
        since_s, until_s = starts[k - 1] if k else 0.0, starts[k] if k < len(starts) else inf
        fault = self._lasting[channel][k - 1] if k else None
        if fault is not None:
            end_s = fault.at_s + fault.for_s
            if now_s < end_s:
                until_s = min(until_s, end_s)
            else:
                since_s, fault = end_s, None
        self._known[channel] = since_s, until_s, fault
        return fault


SYMBOLS = (("ETH/USDT",), ("ETH/USDT:USDT",), ("ETH/USDT", "BTC/USDT"), ("ETH/USDT:USDT", "BTC/USDT:USDT"))
ORDERS = ("market", "limit", "post_only")
EACH_BAR = {"post": 0.5, "read": 0.25, "user": 0.25, "feed": 0.12}  # chance of a fault of that channel
STORM, STORM_BARS = 0.04, 3  # chance that a bar begins a storm, and how long it lasts
POWERLESS = 1 / 7
FLATTENS = frozenset({"person.flatten", "signal.term", "signal.term_twice"})
MOST = {"net": 2, "clock": 2, "machine": 1, "disk": 2, "signal": 1, "person": 4}  # in one run


def make_schedule(seed: int, bars: int = 200, kills: int = 3) -> Schedule:
    """The scenario of a seed; the same on every machine.

    Raises:
        ValueError: fewer bars than the calm at the end needs.
    """
    if bars < CALM_BARS + 10:
        raise ValueError(f"bars = {bars}: at least {CALM_BARS + 10}, of which the last {CALM_BARS} are without faults")
    dice = random.Random(f"klined/{seed}")
    stormy = bars - CALM_BARS - 1
    faults: list[Fault] = []
    k = 0
    while k < stormy:
        if dice.random() < STORM and k + STORM_BARS <= stormy:
            faults += _storm(dice, k)
            k += STORM_BARS
            continue
        faults += [_lasting(dice, channel, k) for channel, chance in EACH_BAR.items() if dice.random() < chance]
        k += 1
    for channel, most in MOST.items():
        faults += [_rare(dice, channel, stormy) for _ in range(dice.randint(0, most))]
    faults += _kills(dice, stormy, kills, [fault.at_s for fault in faults if fault.name in FLATTENS])
    symbols = SYMBOLS[dice.choices(range(4), (4, 4, 1, 1))[0]]
    tight = dice.random() < 0.2
    orders = dice.choices(ORDERS, (7, 2, 1))[0]
    return Schedule(seed, bars, symbols, tight, tuple(sorted(faults)), orders)


def _lasting(dice: random.Random, channel: str, k: int) -> Fault:
    """From just before the close of bar k until just before the next."""
    what = dice.choice(CHANNELS[channel])
    amount = 0.0
    match what:
        case "lag":
            amount = _round(dice.uniform(1.0, 20.0))
        case "delay" | "slow":
            amount = _round(dice.uniform(2.0, 9.0))
        case "late":
            amount = _round(dice.uniform(0.8, 4.6))
        case "stall":
            amount = _round(dice.choice((2.0, 20.0, 70.0, 200.0)))
        case "revise":
            amount = _round(dice.uniform(-0.01, 0.01), 5)
        case _:
            pass
    return Fault(k * BAR_S - 1.0, channel, what, BAR_S, amount)


def _storm(dice: random.Random, k: int) -> list[Fault]:
    """An order goes out, and for minutes nothing true can be learned about it."""
    at_s, for_s = k * BAR_S - 1.0, STORM_BARS * BAR_S
    reads = Fault(at_s, "read", "lag", for_s, 20.0) if dice.random() < 0.5 else Fault(at_s, "read", "fail", for_s)
    found = [
        Fault(at_s, "post", dice.choice(("lost", "done", "late")), BAR_S, 4.0),
        reads,
        Fault(at_s, "user", dice.choice(("miss", "delay")), for_s, 60.0),
    ]
    if dice.random() < 0.4:
        channel, what = dice.choice((("person", "flatten"), ("person", "resume"), ("signal", "term")))
        found.append(Fault(_round(at_s + dice.uniform(1.2, 5.0)), channel, what))
    return found


def _rare(dice: random.Random, channel: str, stormy: int) -> Fault:
    at_s = _moment(dice, stormy)
    what = dice.choice(CHANNELS[channel])
    for_s = amount = 0.0
    match channel, what:
        case "net", _:
            for_s = dice.choice((8.0, 40.0, 150.0, 400.0))
        case "clock", _:
            amount = dice.choice((-3_600_000.0, -5_000.0, -700.0, 900.0, 5_000.0, 100_000.0, 3_600_000.0))
        case "machine", _:
            amount = dice.choice((3.0, 30.0, 100.0, 600.0))
        case "disk", "busy":
            for_s = dice.choice((3.0, 20.0, 100.0))
        case "disk", "slow":
            for_s, amount = 120.0, _round(dice.uniform(0.05, 2.0))
        case "disk", _:
            for_s = dice.choice((5.0, 50.0, 200.0))
        case _:
            pass
    end_s = stormy * BAR_S
    return Fault(
        at_s,
        channel,
        what,
        _round(max(0.0, min(for_s, end_s - at_s))),
        min(amount, max(0.0, end_s - at_s)) if channel == "machine" else amount,
    )


def _kills(dice: random.Random, stormy: int, kills: int, flattens: Sequence[float]) -> list[Fault]:
    """Just after a close, where there is something to interrupt; soon after the one before; or in a flatten.

    In every seventh seed they are losses of power as well, which need real files and so more time.
    """
    found: list[Fault] = []
    powerless = dice.random() < POWERLESS
    for k in range(kills):
        at_s = _moment(dice, stormy)
        if k and dice.random() < 0.5:
            at_s = min(found[-1].at_s + _round(dice.uniform(5.0, 120.0)), stormy * BAR_S)
        elif flattens and dice.random() < 0.25:
            at_s = _round(dice.choice(flattens) + dice.uniform(0.0, 4.0))
        if powerless and dice.random() < 0.7:
            found.append(Fault(at_s, "kill", "power", 0.0, float(dice.randint(0, 3))))
        else:
            found.append(Fault(at_s, "kill", "kill", 0.0, float(dice.randint(0, 30))))
    return found


def _moment(dice: random.Random, stormy: int) -> float:
    """Most often within two seconds of a close, else anywhere."""
    close_s = dice.randrange(1, stormy) * BAR_S
    return _round(close_s + (dice.uniform(0.0, 2.0) if dice.random() < 0.75 else dice.uniform(0.0, BAR_S - 1.0)))


def _round(value: float, digits: int = 3) -> float:
    return round(value, digits)


def encode(schedule: Schedule) -> bytes:
    return msgspec.json.encode(schedule)
