"""Every indicator by name gives what TA-Lib, or its definition written apart, gives: same first bar, same values."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import talib
import talib.stream
from numpy.typing import NDArray

from kernels import definitions as by
from kernels.conftest import made
from kernels.declared import alone
from klined.trader.functions import ALIASES, FUNCTIONS, MACROS
from klined.trader.indicators import INDICATORS

Floats = NDArray[np.float64]


class Market(NamedTuple):
    o: Floats
    h: Floats
    l: Floats  # noqa: E741 - as everywhere
    c: Floats
    v: Floats


def market(bars: Floats) -> Market:
    return Market(*(np.ascontiguousarray(bars[:, k]) for k in range(1, 6)))


Oracle = Callable[[Market], tuple[Floats, ...]]
TOLERANCE = 1e-9  # of max(1, |value|)

TA_LIB: dict[str, tuple[str, Oracle]] = {
    "sma(20)": ("", lambda b: (talib.SMA(b.c, 20),)),
    "ema(20)": ("", lambda b: (talib.EMA(b.c, 20),)),
    "ema(200)": ("", lambda b: (talib.EMA(b.c, 200),)),
    "wma(20)": ("", lambda b: (talib.WMA(b.c, 20),)),
    "dema(20)": ("", lambda b: (talib.DEMA(b.c, 20),)),
    "tema(20)": ("", lambda b: (talib.TEMA(b.c, 20),)),
    "trima(20)": ("", lambda b: (talib.TRIMA(b.c, 20),)),
    "trima(21)": ("", lambda b: (talib.TRIMA(b.c, 21),)),
    "kama(30)": ("", lambda b: (talib.KAMA(b.c, 30),)),
    "t3(5)": ("", lambda b: (talib.T3(b.c, 5, 0.7),)),
    "macd(12, 26, 9)": ("macd signal hist", lambda b: talib.MACD(b.c, 12, 26, 9)),
    "apo(12, 26)": ("", lambda b: (talib.APO(b.c, 12, 26, 1),)),
    "ppo(12, 26)": ("", lambda b: (talib.PPO(b.c, 12, 26, 1),)),
    "rsi(14)": ("", lambda b: (talib.RSI(b.c, 14),)),
    "cmo(14)": ("", lambda b: (talib.CMO(b.c, 14),)),
    "stochrsi(14, 5, 3)": ("k d", lambda b: talib.STOCHRSI(b.c, 14, 5, 3, 0)),
    "stoch(5, 3, 3)": ("k d", lambda b: talib.STOCH(b.h, b.l, b.c, 5, 3, 0, 3, 0)),
    "stochf(5, 3)": ("k d", lambda b: talib.STOCHF(b.h, b.l, b.c, 5, 3, 0)),
    "willr(14)": ("", lambda b: (talib.WILLR(b.h, b.l, b.c, 14),)),
    "cci(20)": ("", lambda b: (talib.CCI(b.h, b.l, b.c, 20),)),
    "mfi(14)": ("", lambda b: (talib.MFI(b.h, b.l, b.c, b.v, 14),)),
    "ultosc(7, 14, 28)": ("", lambda b: (talib.ULTOSC(b.h, b.l, b.c, 7, 14, 28),)),
    "mom(10)": ("", lambda b: (talib.MOM(b.c, 10),)),
    "roc(10)": ("", lambda b: (talib.ROC(b.c, 10),)),
    "bop": ("", lambda b: (talib.BOP(b.o, b.h, b.l, b.c),)),
    "trix(15)": ("", lambda b: (talib.TRIX(b.c, 15),)),
    "dmi(14)": (
        "plus minus dx adx",
        lambda b: (
            talib.PLUS_DI(b.h, b.l, b.c, 14),
            talib.MINUS_DI(b.h, b.l, b.c, 14),
            talib.DX(b.h, b.l, b.c, 14),
            talib.ADX(b.h, b.l, b.c, 14),
        ),
    ),
    "adxr(14)": ("", lambda b: (talib.ADXR(b.h, b.l, b.c, 14),)),
    "aroon(14)": ("down up osc", lambda b: (*talib.AROON(b.h, b.l, 14), talib.AROONOSC(b.h, b.l, 14))),
    "sar(0.02, 0.2)": ("", lambda b: (talib.SAR(b.h, b.l, 0.02, 0.2),)),
    "bbands(20, 2)": ("upper middle lower", lambda b: talib.BBANDS(b.c, 20, 2.0, 2.0)),
    "stddev(20)": ("", lambda b: (talib.STDDEV(b.c, 20, 1.0),)),
    "var(20)": ("", lambda b: (talib.VAR(b.c, 20),)),
    "max(20)": ("", lambda b: (talib.MAX(b.c, 20),)),
    "min(20)": ("", lambda b: (talib.MIN(b.c, 20),)),
    "midprice(14)": ("", lambda b: (talib.MIDPRICE(b.h, b.l, 14),)),
    "donchian(20)": ("upper lower", lambda b: (talib.MAX(b.h, 20), talib.MIN(b.l, 20))),
    "atr(14)": ("", lambda b: (talib.ATR(b.h, b.l, b.c, 14),)),
    "natr(14)": ("", lambda b: (talib.NATR(b.h, b.l, b.c, 14),)),
    "trange": ("", lambda b: (talib.TRANGE(b.h, b.l, b.c),)),
    "linearreg(14)": ("value slope", lambda b: (talib.LINEARREG(b.c, 14), talib.LINEARREG_SLOPE(b.c, 14))),
    "correl(30)": ("", lambda b: (talib.CORREL(b.c, b.v, 30),)),
    "obv": ("", lambda b: (talib.OBV(b.c, b.v),)),
    "ad": ("", lambda b: (talib.AD(b.h, b.l, b.c, b.v),)),
    "adosc(3, 10)": ("", lambda b: (talib.ADOSC(b.h, b.l, b.c, b.v, 3, 10),)),
}
"""Declaration, its outputs (empty: the first), and TA-Lib's batch function."""

DEFINED: dict[str, tuple[str, Oracle]] = {
    "rma(14)": ("", lambda b: (by.rma(b.c, 14),)),
    "hma(20)": ("", lambda b: (by.hma(b.c, 20),)),
    "vwma(20)": ("", lambda b: (by.vwma(b.c, b.v, 20),)),
    "kdj(9, 3, 3)": ("k d j", lambda b: by.kdj(b.h, b.l, b.c, 9, 3, 3)),
    "tsi(25, 13)": ("", lambda b: (by.tsi(b.c, 25, 13),)),
    "vortex(14)": ("plus minus", lambda b: by.vortex(b.h, b.l, b.c, 14)),
    "supertrend(10, 3)": ("value way", lambda b: by.supertrend(b.h, b.l, b.c, 10, 3.0)),
    "keltner(20, 10, 2)": ("upper middle lower", lambda b: by.keltner(b.h, b.l, b.c, 20, 10, 2.0)),
    "cmf(20)": ("", lambda b: (by.cmf(b.h, b.l, b.c, b.v, 20),)),
    "efi(13)": ("", lambda b: (by.efi(b.c, b.v, 13),)),
    "pvo(12, 26)": ("", lambda b: (by.pvo(b.v, 12, 26),)),
    "rvol(20)": ("", lambda b: (by.rvol(b.v, 20),)),
    "percentrank(100)": ("", lambda b: (by.percentrank(b.c, 100),)),
    "er(10)": ("", lambda b: (by.er(b.c, 10),)),
    "ao(5, 34)": ("", lambda b: (by.ao(b.h, b.l),)),
    "vwap": ("", lambda b: (by.vwap(b.h, b.l, b.c, b.v),)),
    "flow(20)": ("net gross", lambda b: by.flow(b.c, b.v, 20)),
    "sigma(60)": ("", lambda b: (by.sigma(b.c, 60),)),
    "bbands(20, 2).inside": ("", lambda b: (by.inside(b.c, 20, 2.0),)),
    "zscore(close, 60)": ("", lambda b: (by.zscore(b.c, 60),)),
}
WITHOUT_ORACLE = {"week_sin", "week_cos", "day_sin", "day_cos", "until"}  # held by tests of their own

NOISE = {"rsi", "cmo", "stochrsi", "dmi", "adxr", "ultosc"}
"""TA-Lib calls averages below 1e-14 nothing, and divides the rounding of an RSI that stands still: judged while
closes move."""


def outputs(declared: str, names: str) -> list[str]:
    return [f"{declared}.{name}" for name in names.split()] or [declared]


def moving(close: Floats, n: int = 60) -> Floats:
    """Bars among whose last n there were moves, and no standstill of five bars."""
    still = np.diff(close, prepend=close[0]) == 0.0
    recent = np.convolve(~still, np.ones(n), "full")[: len(close)] > 0.5 * n
    run = np.convolve(still, np.ones(5), "full")[: len(close)] >= 3
    return recent & ~(np.convolve(run, np.ones(20), "full")[: len(close)] > 0)


def faults(ours: Floats, theirs: Floats, judged: Floats, tolerance: float = TOLERANCE) -> str:
    """What differs, empty when nothing does."""
    if not np.array_equal(np.isnan(ours), np.isnan(theirs)):
        return f"first bar {np.argmax(~np.isnan(ours))} instead of {np.argmax(~np.isnan(theirs))}"
    gap = np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs))
    wrong = np.flatnonzero(judged & ~np.isnan(theirs) & ~(gap <= tolerance))
    return f"bar {wrong[0]}: {ours[wrong[0]]!r} is not {theirs[wrong[0]]!r} ({len(wrong)})" if len(wrong) else ""


def judged_bars(bars: Floats, declared: str) -> Floats:
    name = declared.partition("(")[0]
    return moving(bars[:, 4]) if name in NOISE else np.ones(len(bars), dtype=bool)


def calm(bars: Floats) -> Floats:
    """Bars before an outlier: TA-Lib's running sums are wrong for good after one."""
    shaken = bars[:, 4].max() / np.median(bars[:, 4]) > 1e9 or bars[:, 5].max() >= 1e15
    return bars[:300] if shaken else bars


@pytest.mark.parametrize("declared", TA_LIB)
def test_indicator_is_that_of_ta_lib_from_the_same_bar_on(bars: Floats, declared: str) -> None:
    bars = calm(bars)
    names, oracle = TA_LIB[declared]
    theirs = oracle(market(bars))
    # TA-Lib's slope of huge prices is itself off by 1e-8; ours is held to the definition below
    tolerance = 1e-7 if bars[0, 4] > 1e12 and declared.startswith("linearreg") else TOLERANCE
    ours = alone(bars, outputs(declared, names))
    for k, column in enumerate(theirs):
        assert not (what := faults(ours[:, k], column, judged_bars(bars, declared), tolerance)), (declared, k, what)


@pytest.mark.parametrize("declared", DEFINED)
def test_indicator_is_its_definition_from_the_same_bar_on(bars: Floats, declared: str) -> None:
    names, oracle = DEFINED[declared]
    theirs = oracle(market(bars))
    everywhere = np.ones(len(bars), dtype=bool)
    ours = alone(bars, outputs(declared, names))
    for k, column in enumerate(theirs):
        # an outlier in a recursion cancels against itself while it fades; windows must be right throughout
        judged = everywhere.copy()
        if calm(bars) is not bars:
            judged[300:400] = False
        assert not (what := faults(ours[:, k], column, judged)), (declared, k, what)


def test_slope_of_huge_prices_is_the_definition_where_ta_lib_is_not() -> None:
    bars = made("dear")
    n, x = 14, np.ascontiguousarray(bars[:, 4])
    steps = np.arange(n) - (n - 1) / 2.0
    theirs = by.windowed(x, n, lambda w: by.exact_sum(steps * (w - w[:, -1:])) / (steps * steps).sum())
    assert not faults(alone(bars, ["slope(14)"])[:, 0], theirs, np.ones(len(x), dtype=bool))
    assert faults(talib.LINEARREG_SLOPE(x, n), theirs, np.ones(len(x), dtype=bool))


def test_every_name_has_an_oracle() -> None:
    judged = {declared.partition("(")[0].partition(".")[0] for declared in (*TA_LIB, *DEFINED)}
    judged |= {ALIASES[name].partition(".")[0] for name in judged if name in ALIASES}
    framed = {name for name in INDICATORS if name.startswith(("book.", "trades."))}  # on real frames, in test_micro
    assert not set(INDICATORS) - judged - WITHOUT_ORACLE - framed
    assert len(judged - set(ALIASES)) + len(ALIASES) - 3 >= 61
    assert MACROS.keys() - {"pct"} <= judged
    assert FUNCTIONS


def test_comparison_sees_a_late_start_and_a_small_error(walk: Floats) -> None:
    theirs, everywhere = talib.RSI(np.ascontiguousarray(walk[:, 4]), 14), np.ones(len(walk), dtype=bool)
    ours = alone(walk, ["rsi(14)"])[:, 0]
    late, off = ours.copy(), ours.copy()
    late[14], off[500] = np.nan, ours[500] + 1e-6
    assert not faults(ours, theirs, everywhere)
    assert "first bar 15" in faults(late, theirs, everywhere)
    assert "bar 500" in faults(off, theirs, everywhere)


STREAMED: dict[str, Callable[[Floats], Callable[[Floats], list[float]]]] = {
    "rsi(14)": lambda past: _streamed(talib.stream.RSI(past[:, 4].copy(), 14), (4,)),
    "kama(30)": lambda past: _streamed(talib.stream.KAMA(past[:, 4].copy(), 30), (4,)),
    "trix(15)": lambda past: _streamed(talib.stream.TRIX(past[:, 4].copy(), 15), (4,)),
    "atr(14)": lambda past: _streamed(talib.stream.ATR(*past[:, 2:5].T.copy(), 14), (2, 3, 4)),
    "adx(14)": lambda past: _streamed(talib.stream.ADX(*past[:, 2:5].T.copy(), 14), (2, 3, 4)),
    "sar": lambda past: _streamed(talib.stream.SAR(*past[:, 2:4].T.copy(), 0.02, 0.2), (2, 3)),
    "mfi(14)": lambda past: _streamed(talib.stream.MFI(*past[:, 2:6].T.copy(), 14), (2, 3, 4, 5)),
    "adosc(3, 10)": lambda past: _streamed(talib.stream.ADOSC(*past[:, 2:6].T.copy(), 3, 10), (2, 3, 4, 5)),
}
PAST = 300


def _streamed(handle: object, columns: tuple[int, ...]) -> Callable[[Floats], list[float]]:
    return lambda bars: [handle.update(*(float(bar[k]) for k in columns)) for bar in bars]  # type: ignore[attr-defined]  # every handle has it


@pytest.mark.parametrize("declared", STREAMED)
def test_indicator_is_what_ta_lib_streams_bar_by_bar(walk: Floats, declared: str) -> None:
    streamed = np.array(STREAMED[declared](walk[:PAST])(walk[PAST:]))
    ours = alone(walk, [declared])[PAST:, 0]
    assert not faults(ours, streamed, np.ones(len(ours), dtype=bool))
