"""Scenarios laid over bars, as a whole table or one bar after the other; both come to the same.

bars ─▶ stretch (returns) ─▶ level ─▶ wick ─▶ volume ─▶ absence ─▶ bars on ticks, each of them sound
                                                             └──▶ bad klines, which no feed may let pass
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from klined.domain import Bar
from klined.errors import ConfigError
from klined.world.dice import Dice, Floats
from klined.world.scenarios import BadKlines, Numbers, Scenario, strain_now
from klined.world.tables import CLOSE, HIGH, LOW, OPEN, VOLUME, checked, on_tick

TICK_DIGITS = 10


class _Memory(Struct):
    """What stretching needs to know of the base: its close before the scenario, and the last one within."""

    before: float = 0.0
    within: float = 0.0


class Laying:
    """One symbol's bars under `scenarios`, as they come. O(1) a bar, and nothing at all before the first start."""

    def __init__(self, symbol: str, scenarios: Sequence[Scenario], tick: float = 0.0) -> None:
        """Prices are rounded to `tick` where one is given.

        Raises:
            ConfigError: bad klines, which are no bars and cannot come as such.
        """
        if any(isinstance(one, BadKlines) for one in scenarios):
            raise ConfigError("bad_klines is for recorded bars; where frames are sent, arm the fault bad_frame")
        self._symbol, self._scenarios, self._tick = symbol, tuple(scenarios), tick
        self._first = min((one.start for one in scenarios), default=0)
        self._memories = [_Memory() for _ in scenarios]

    def next(self, bar: Bar, number: int) -> Bar | None:
        """The bar as it is under all scenarios; None where there is none. `number` counts from the first traded."""
        if not self._scenarios:
            return bar
        row = np.array([[bar.open_time_ms, bar.open, bar.high, bar.low, bar.close, bar.volume]])
        numbers = np.array([number])
        for one, memory in zip(self._scenarios, self._memories, strict=True):
            row = _bent(row, numbers, one, memory, self._symbol)
            if one.absent and one.start <= number < one.start + one.bars:
                return None
        if self._tick and number >= self._first:
            row[0, OPEN : CLOSE + 1] = on_tick(row[0, OPEN : CLOSE + 1], self._tick)
        open_, high, low, close, volume = row[0, 1:].tolist()
        return replace(bar, open=open_, high=high, low=low, close=close, volume=volume)


def lay(
    tables: Mapping[str, Floats],
    scenarios: Sequence[Scenario],
    *,
    first: int = 0,
    ticks: Mapping[str, float] | None = None,
) -> dict[str, Floats]:
    """The bars (n, 6) of every symbol under `scenarios`, one laid over the other; fewer where there are none.

    Bar 0 is row `first` of the series that begins earliest; others are counted by their times. Prices are rounded to
    `ticks`, else to the decimals that the bars have. With `bad_klines` the result is no clean table any more: it is
    what a feed has to refuse.

    Raises:
        ConfigError: the bars are no clean table.
    """
    clean = {symbol: checked(table) for symbol, table in tables.items()}
    start_ms = min(table[0, 0] for table in clean.values())
    step_ms = min(float(np.median(np.diff(table[:, 0]))) if len(table) > 1 else 1.0 for table in clean.values())
    found: dict[str, Floats] = {}
    for symbol, table in clean.items():
        numbers = np.round((table[:, 0] - start_ms) / step_ms).astype(np.int64) - first
        found[symbol] = _laid(symbol, table, numbers, scenarios, (ticks or {}).get(symbol) or tick_seen(table))
    return found


def strains(scenarios: Sequence[Scenario], count: int) -> dict[str, Floats]:
    """What scenarios do beside bars, each (count,), from the first traded bar on.

    spread and liquidity (factors), latency_ms, funding_rate (NaN: the market's own), refused (1: no order is taken).
    """
    every = [strain_now(tuple(scenarios), number) for number in range(count)]
    return {
        "spread": np.array([one.spread for one in every]),
        "liquidity": np.array([one.liquidity for one in every]),
        "latency_ms": np.array([one.latency_ms for one in every]),
        "funding_rate": np.array([np.nan if one.funding_rate is None else one.funding_rate for one in every]),
        "refused": np.array([float(bool(one.refuses)) for one in every]),
    }


def funded(
    rates: Callable[[str, int], float | None], scenarios: Sequence[Scenario], start_ms: int, interval_ms: int
) -> Callable[[str, int], float | None]:
    """Funding rates under `scenarios`, whose bar 0 opens at `start_ms`; what is unknown stays unknown elsewhere."""

    def rate(symbol: str, time_ms: int) -> float | None:
        forced = strain_now(tuple(scenarios), (time_ms - start_ms) // interval_ms).funding_rate
        return rates(symbol, time_ms) if forced is None else forced

    return rate


def tick_seen(table: Floats) -> float:
    """The decimal step that all prices of `table` lie on; 0 when they lie on none."""
    prices = table[:, OPEN : CLOSE + 1]
    for digits in range(TICK_DIGITS + 1):
        if np.array_equal(np.round(prices, digits), prices):
            return float(10.0**-digits)
    return 0.0


def _laid(symbol: str, table: Floats, numbers: Numbers, scenarios: Sequence[Scenario], tick: float) -> Floats:
    kept, times = table, numbers
    for one in scenarios:
        kept = _bent(kept, times, one, _Memory(), symbol)
        if one.absent:
            there = ~one.covers(times)
            kept, times = kept[there], times[there]
    touched = times >= min((one.start for one in scenarios), default=0)
    if tick and touched.any() and any(_moves(one) for one in scenarios):
        kept = kept.copy()
        kept[touched, OPEN : CLOSE + 1] = on_tick(kept[touched, OPEN : CLOSE + 1], tick)
    for one in scenarios:
        if isinstance(one, BadKlines):
            kept, times = _spoilt(kept, times, one)
    return kept


def _moves(one: Scenario) -> bool:
    """Whether it changes prices at all."""
    numbers = np.arange(one.start, one.start + one.bars + 1)
    flat = all((factor == 1.0).all() for factor in (one.level(numbers, ""), *one.wick(numbers)))
    return not flat or one.stretch != 1.0


def _bent(table: Floats, numbers: Numbers, one: Scenario, memory: _Memory, symbol: str) -> Floats:
    """Prices and volumes under one scenario; remembers what later bars need."""
    during = one.covers(numbers)
    _remember(table, numbers, during, memory, one)
    if not one.bars or not (numbers >= one.start).any():
        return table
    bent = _stretched(table, numbers, during, memory, one)
    at_open, at_close = one.level(numbers, symbol), one.level(numbers + 1, symbol)
    bent = _levelled(bent, at_open, at_close)
    up, down = one.wick(numbers)
    bent[:, HIGH] = np.maximum(bent[:, HIGH], np.maximum(bent[:, OPEN], bent[:, CLOSE]) * up)
    bent[:, LOW] = np.minimum(bent[:, LOW], np.minimum(bent[:, OPEN], bent[:, CLOSE]) * down)
    bent[during, VOLUME] *= one.volume_factor
    return bent


def _remember(table: Floats, numbers: Numbers, during: NDArray[np.bool_], memory: _Memory, one: Scenario) -> None:
    before = np.flatnonzero(numbers < one.start)
    if len(before):
        memory.before = float(table[before[-1], CLOSE])
    if during.any():
        memory.before = memory.before or float(table[during][0, OPEN])
        memory.within = float(table[during][-1, CLOSE])


def _stretched(table: Floats, numbers: Numbers, during: NDArray[np.bool_], memory: _Memory, one: Scenario) -> Floats:
    """Log distances from the price before the scenario, `stretch` times as long; afterwards the offset stays."""
    bent = table.copy()
    if one.stretch == 1.0 or not memory.before:
        return bent
    prices = slice(OPEN, CLOSE + 1)
    bent[during, prices] = memory.before * (table[during, prices] / memory.before) ** one.stretch
    if memory.within:
        later = numbers >= one.start + one.bars
        bent[later, prices] = table[later, prices] * (memory.within / memory.before) ** (one.stretch - 1.0)
    return bent


def _levelled(table: Floats, at_open: Floats, at_close: Floats) -> Floats:
    """Open and close each at its own level; high and low keep their distance, in proportion, from the outer of both."""
    bent = table.copy()
    body_top, body_bottom = (pick(table[:, OPEN], table[:, CLOSE]) for pick in (np.maximum, np.minimum))
    bent[:, OPEN] = table[:, OPEN] * at_open
    bent[:, CLOSE] = table[:, CLOSE] * at_close
    top, bottom = np.maximum(bent[:, OPEN], bent[:, CLOSE]), np.minimum(bent[:, OPEN], bent[:, CLOSE])
    bent[:, HIGH] = np.maximum(top, table[:, HIGH] * (top / body_top))  # where nothing changes, by a factor of 1
    bent[:, LOW] = np.minimum(bottom, table[:, LOW] * (bottom / body_bottom))
    return bent


def _spoilt(table: Floats, numbers: Numbers, one: BadKlines) -> tuple[Floats, Numbers]:
    """Before some rows stands one that is no bar, or was there already, or lies off the grid."""
    rows: list[Floats] = []
    counts: list[int] = []
    chance = Dice(one.start, "bad klines", len(table)).uniform(0, 0)
    hit = one.covers(numbers) & (chance < one.share)
    for place, (row, number, bad) in enumerate(zip(table, numbers.tolist(), hit.tolist(), strict=True)):
        if bad and place:
            rows.append(_spoil(row, table[place - 1], len(rows)))
            counts.append(number)
        rows.append(row)
        counts.append(number)
    return np.array(rows).reshape(-1, table.shape[1]), np.array(counts, dtype=np.int64)


def _spoil(row: Floats, before: Floats, kind: int) -> Floats:
    """One of seven ways in which a row is bad."""
    bad = row.copy()
    match kind % 7:
        case 0:
            bad[CLOSE] = np.nan
        case 1:
            bad[LOW] = 0.0
        case 2:
            bad[HIGH] = bad[LOW] * 0.5
        case 3:
            bad[:] = before  # a double
        case 4:
            bad[:] = before
            bad[0] -= 60_000.0 * 60.0  # from an hour ago
        case 5:
            bad[0] += 1.0  # off the grid
        case _:
            bad[VOLUME] = -1.0
    return bad
