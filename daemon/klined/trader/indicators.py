"""The indicators by name: parameters, inputs, outputs, first bar, memory, and how long a start is remembered.

    rsi(14, flat=50) ─▶ Indicator("rsi") ─▶ operation RSI, inputs (change,), 3 numbers of state, first value at bar 14

One entry serves the parser, the builder of programs, the interpreted driver, `klined features list` and the tests.
Lookbacks count bars: the index of the first bar with a value. `stable` is the number of bars after which results no
longer depend on where they began, to 1e-8; None when they do for ever.
"""

from collections.abc import Callable
from math import ceil, inf, log, sqrt

from msgspec import Struct

from klined.kernels import (
    arithmetic,
    averages,
    chains,
    direction,
    extremes,
    frames,
    micro,
    momentum,
    oscillators,
    ramps,
    regimes,
    turnover,
    windows,
)
from klined.kernels import program as op

Whole = Callable[..., int]
WHOLE_MAX = 5_000

SERIES = {
    "open": frames.OPEN,
    "high": frames.HIGH,
    "low": frames.LOW,
    "close": frames.CLOSE,
    "volume": frames.VOLUME,
    "typical": frames.TYPICAL,
    "median": frames.MEDIAN,
    "change": frames.CHANGE,
    "trange": frames.TRUE_RANGE,
    "time": frames.TIME,
    "close_before": frames.CLOSE_BEFORE,
    "high_before": frames.HIGH_BEFORE,
    "low_before": frames.LOW_BEFORE,
    "typical_before": frames.TYPICAL_BEFORE,
}
"""What a block holds of each bar, by the name declarations use."""

MICRO = {
    "taken": micro.TAKEN,
    "spread": micro.SPREAD,
    "lean": micro.LEAN,
    "order_flow": micro.ORDER_FLOW,
    "touch": micro.TOUCH,
    **{
        f"{side}{k}": micro.DEPTHS + 2 * i + j
        for i, k in enumerate(micro.LEVELS)
        for j, side in enumerate(("bid", "ask"))
    },
}
"""What a feed may tell beside, by the name that the indicators below read it by; no series of their own."""

LATE = frozenset({"change", "trange", "close_before", "high_before", "low_before", "typical_before"})
"""Series that begin with the second bar."""


class Param(Struct, frozen=True):
    """A parameter; whole ones are numbers of bars."""

    name: str
    default: float | None = None  # None: must be given
    low: float = 1.0
    high: float = WHOLE_MAX
    whole: bool = True


class Output(Struct, frozen=True):
    """One result. `lookback` takes the whole parameters and counts from the first bar."""

    name: str
    lookback: Whole
    low: float = -inf
    high: float = inf


class Indicator(Struct, frozen=True):
    """One operation under the name declarations use; the first output is meant when none is named."""

    name: str
    op: int
    kernel: Callable[..., object]
    says: str
    inputs: tuple[str, ...]
    params: tuple[Param, ...]
    outputs: tuple[Output, ...]
    size: Whole  # numbers of state, from the whole parameters
    stable: Callable[..., int | None]  # bars, from the whole parameters
    start: int = 0  # bars before its first step
    stateful: bool = True  # `kernel` takes S and its place there

    @property
    def wholes(self) -> tuple[Param, ...]:
        return tuple(param for param in self.params if param.whole)

    @property
    def floats(self) -> tuple[Param, ...]:
        return tuple(param for param in self.params if not param.whole)

    @property
    def free(self) -> bool:
        """Whether it takes any series, in place of the close."""
        return self.inputs in {("close",), ("change",)} and self.name != "sigma"


def fading(weight: float, seed: int = 0) -> int:
    """Bars until an exponential average with `weight` for the newest keeps 1e-8 of its start."""
    return seed + (ceil(log(1e-8) / log(1.0 - weight)) if weight < 1.0 else 1)


def _ema(n: int) -> int:
    return fading(2.0 / (n + 1.0), n)


def _fine(n: int) -> int:
    """The same where averages of levels cancel, and what is left is hundreds of times smaller than they."""
    return _ema(n) + fading(2.0 / (n + 1.0)) // 3


def _wilder(n: int) -> int:
    return fading(1.0 / n, n + 1)


def _bars(name: str, default: int | None, low: int = 1) -> Param:
    return Param(name, default, low)


def _float(name: str, default: float, low: float = 0.0, high: float = 100.0) -> Param:
    return Param(name, default, low, high, whole=False)


FLAT = _float("flat", 0.0, -100.0)  # the answer in a dead market, where TA-Lib says 0
N2 = 2  # shortest window that has a slope or a spread


def _of(
    name: str,
    code: int,
    kernel: Callable[..., object],
    says: str,
    inputs: str,
    params: tuple[Param, ...],
    outputs: tuple[Output, ...],
    size: Whole | int,
    stable: Callable[..., int | None],
    *,
    stateful: bool = True,
    start: int | None = None,
) -> Indicator:
    series = tuple(inputs.split())
    begin = (1 if LATE & set(series) else 0) if start is None else start
    room = size if callable(size) else (lambda *_: size)
    return Indicator(name, code, kernel, says, series, params, outputs, room, stable, begin, stateful)


def _one(lookback: Whole, low: float = -inf, high: float = inf) -> tuple[Output, ...]:
    return (Output("", lookback, low, high),)


def _same(names: str, lookback: Whole, low: float = -inf, high: float = inf) -> tuple[Output, ...]:
    return tuple(Output(name, lookback, low, high) for name in names.split())


def _n(default: int | None, low: int = 1) -> tuple[Param, ...]:
    return (_bars("n", default, low),)


def _average(name: str, code: int, kernel: Callable[..., object], says: str, size: Whole | int, stable: Whole,
             lookback: Whole, low: int = 1) -> Indicator:  # fmt: skip
    return _of(name, code, kernel, says, "close", _n(20, low), _one(lookback), size, stable)


AVERAGES = (
    _average("sma", op.SMA, windows.mean_step, "mean of the last n", windows.sum_size, lambda n: n,
             lambda n: n - 1),
    _average("ema", op.EMA, averages.ema_step, "exponential average, weight 2/(n+1), seeded by the mean of n", 2,
             _ema, lambda n: n - 1),
    _average("rma", op.RMA, averages.wilder_step, "Wilder's average, weight 1/n, seeded by the mean of n", 2,
             _wilder, lambda n: n - 1),
    _average("wma", op.WMA, ramps.wma_step, "linearly weighted mean, the newest n times", ramps.ramp_size,
             lambda n: n, lambda n: n - 1, 2),
    _average("dema", op.DEMA, chains.dema_step, "2 e1 - e2 of a chain of EMAs", chains.DEMA_SIZE,
             lambda n: 2 * _ema(n), lambda n: 2 * n - 2),
    _average("tema", op.TEMA, chains.tema_step, "3 e1 - 3 e2 + e3 of a chain of EMAs", chains.TEMA_SIZE,
             lambda n: 3 * _ema(n), lambda n: 3 * n - 3),
    _average("trima", op.TRIMA, ramps.trima_step, "mean of means over half of n each", ramps.trima_size,
             lambda n: n, lambda n: n - 1),
    _average("hma", op.HMA, ramps.hma_step, "WMA(sqrt n) of 2 WMA(n/2) - WMA(n)", ramps.hma_size,
             lambda n: n + int(sqrt(n)), lambda n: n + int(sqrt(n)) - 2, 4),
    _of("vwma", op.VWMA, ramps.vwma_step, "mean of the last n weighted by volume", "close volume", _n(20),
        _one(lambda n: n - 1), ramps.vwma_size, lambda n: n),
    _of("kama", op.KAMA, chains.kama_step, "Kaufman's average: fast when the way is straight", "close", _n(30),
        _one(lambda n: n), chains.kama_size, lambda n: n + 600),
    _of("t3", op.T3, chains.t3_step, "Tillson's mix of the third to sixth EMA of a chain", "close",
        (_bars("n", 5), _float("factor", 0.7, 0.0, 1.0)), _one(lambda n: 6 * n - 6), chains.T3_SIZE,
        lambda n: 4 * _ema(n)),
    _of("macd", op.MACD, chains.macd_lines, "EMA(fast) - EMA(slow), its signal average and their difference",
        "close", (_bars("fast", 12), _bars("slow", 26), _bars("signal", 9)),
        _same("macd signal hist", lambda _, s, g: s + g - 2), averages.MACD_SIZE, lambda _, s, g: 2 * _ema(s) + g),
    _of("apo", op.APO, chains.apo_step, "EMA(fast) - EMA(slow), each with its own seed", "close",
        (_bars("fast", 12), _bars("slow", 26)), _one(lambda f, s: max(f, s) - 1), chains.APO_SIZE,
        lambda f, s: _fine(max(f, s))),
    _of("ppo", op.PPO, chains.ppo_step, "APO in percent of the slow EMA", "close",
        (_bars("fast", 12), _bars("slow", 26)), _one(lambda f, s: max(f, s) - 1), chains.APO_SIZE,
        lambda f, s: _fine(max(f, s))),
    _of("linearreg", op.LINEARREG, ramps.regression_step, "end and slope per bar of the least squares line",
        "close", _n(14, N2), _same("value slope", lambda n: n - 1), ramps.ramp_size, lambda n: n),
    _of("bbands", op.BBANDS, arithmetic.bandwidth_step, "mean and `width` deviations (ddof 0) around it; where c lies",
        "close", (_bars("n", 20, N2), _float("width", 2.0)), _same("upper middle lower inside", lambda n: n - 1),
        windows.moments_size, lambda n: n),
    _of("keltner", op.KELTNER, chains.keltner_step, "EMA(n) and `width` ATR(span) around it", "close trange",
        (_bars("n", 20), _bars("span", 10), _float("width", 2.0)),
        _same("upper middle lower", lambda n, s: max(n - 1, s)), chains.KELTNER_SIZE,
        lambda n, s: max(_ema(n), _wilder(s)), start=0),
    _of("stddev", op.STDDEV, arithmetic.deviation_step, "population standard deviation of the last n, and variance",
        "close", _n(20, N2), (Output("", lambda n: n - 1, 0.0), Output("variance", lambda n: n - 1, 0.0)),
        windows.moments_size, lambda n: n),
)  # fmt: skip

MOMENTUM = (
    _of("rsi", op.RSI, oscillators.rsi_step, "Wilder's relative strength, [0, 100]", "change",
        (_bars("n", 14), FLAT), _one(lambda n: n, 0.0, 100.0), oscillators.RSI_SIZE, _wilder),
    _of("cmo", op.CMO, momentum.cmo_step, "gains less losses over both, Wilder-smoothed, [-100, 100]", "change",
        _n(14), _one(lambda n: n, -100.0, 100.0), oscillators.RSI_SIZE, _wilder),
    _of("stochrsi", op.STOCHRSI, extremes.stochrsi_step, "fast stochastic of RSI(n): k and its mean d, [0, 100]",
        "change", (_bars("n", 14), _bars("span", 5), _bars("smooth", 3), FLAT),
        _same("k d", lambda n, s, d: n + s + d - 2, 0.0, 100.0), extremes.stochrsi_size,
        lambda n, s, d: 2 * _wilder(n) + s + d),
    _of("mom", op.MOM, momentum.mom_step, "change over n bars", "close", _n(10), _one(lambda n: n),
        windows.lag_size, lambda n: n + 1),
    _of("roc", op.ROC, momentum.roc_step, "change over n bars in percent", "close", _n(10), _one(lambda n: n),
        windows.lag_size, lambda n: n + 1),
    _of("bop", op.BOP, momentum.bop, "body of the bar over its span, [-1, 1]", "open high low close", (),
        _one(lambda: 0, -1.0, 1.0), 0, lambda: 1, stateful=False),
    _of("trix", op.TRIX, chains.trix_step, "change of the triple EMA in percent", "close", _n(15),
        _one(lambda n: 3 * n - 2), chains.TRIX_SIZE, lambda n: 3 * _ema(n)),
    _of("tsi", op.TSI, chains.tsi_step, "twice smoothed change over twice smoothed |change|, [-100, 100]", "change",
        (_bars("long", 25), _bars("short", 13)), _one(lambda n, m: n + m - 1, -100.0, 100.0), chains.TSI_SIZE,
        lambda n, m: 2 * _ema(n) + _ema(m)),
    _of("cci", op.CCI, momentum.cci_step, "distance from the mean in 0.015 mean deviations", "typical",
        _n(20, N2), _one(lambda n: n - 1), momentum.cci_size, lambda n: n),
    _of("ultosc", op.ULTOSC, momentum.ultosc_step, "buying pressure over true range, 4 a + 2 b + c, [0, 100]",
        "low close close_before trange", (_bars("a", 7), _bars("b", 14), _bars("c", 28), FLAT),
        _one(lambda _a, _b, c: c, 0.0, 100.0), momentum.ultosc_size, lambda _a, _b, c: c + 1),
    _of("ao", op.AO, momentum.ao_step, "SMA(fast) - SMA(slow) of the bars' middles", "median",
        (_bars("fast", 5), _bars("slow", 34)), _one(lambda f, s: max(f, s) - 1), momentum.ao_size,
        max),
    _of("er", op.ER, chains.efficiency_step, "distance gone over way travelled, [0, 1]; signed", "close", _n(10),
        (Output("", lambda n: n, 0.0, 1.0), Output("signed", lambda n: n, -1.0, 1.0)), chains.kama_size,
        lambda n: n + 1),
    _of("percentrank", op.PERCENTRANK, extremes.percentrank_step, "share of the n before that are lower, [0, 100]",
        "close", _n(100), _one(lambda n: n, 0.0, 100.0), extremes.percentrank_size, lambda n: n + 1),
    _of("correl", op.CORREL, ramps.correl_step, "Pearson's correlation over n, [-1, 1]", "close volume",
        _n(30, N2), _one(lambda n: n - 1, -1.0, 1.0), ramps.correl_size, lambda n: n),
)  # fmt: skip

PLACE = (
    _of("max", op.MAX, extremes.highest_step, "highest of the last n", "close", _n(20), _one(lambda n: n - 1),
        extremes.crest_size, lambda n: n),
    _of("min", op.MIN, extremes.lowest_step, "lowest of the last n", "close", _n(20), _one(lambda n: n - 1),
        extremes.crest_size, lambda n: n),
    _of("donchian", op.DONCHIAN, extremes.donchian_step, "highest high, middle, lowest low of n", "high low", _n(20),
        _same("upper middle lower", lambda n: n - 1), extremes.channel_size, lambda n: n),
    _of("willr", op.WILLR, extremes.willr_step, "Williams' %R, [-100, 0]", "high low close",
        (_bars("n", 14), FLAT), _one(lambda n: n - 1, -100.0, 0.0), extremes.channel_size, lambda n: n),
    _of("aroon", op.AROON, extremes.aroon_step, "how fresh the extremes of n + 1 bars are, [0, 100]", "high low",
        _n(14), (*_same("down up", lambda n: n, 0.0, 100.0), Output("osc", lambda n: n, -100.0, 100.0)),
        lambda n: extremes.channel_size(n + 1), lambda n: n + 1),
    _of("stoch", op.STOCH, extremes.stoch_step, "slow stochastic, [0, 100]", "high low close",
        (_bars("n", 5), _bars("slow", 3), _bars("smooth", 3), FLAT),
        _same("k d", lambda n, s, d: n + s + d - 3, 0.0, 100.0), extremes.stoch_size, lambda n, s, d: n + s + d),
    _of("stochf", op.STOCHF, extremes.stochf_step, "fast stochastic, [0, 100]", "high low close",
        (_bars("n", 5), _bars("smooth", 3), FLAT), _same("k d", lambda n, d: n + d - 2, 0.0, 100.0),
        extremes.stochf_size, lambda n, d: n + d),
    _of("kdj", op.KDJ, extremes.kdj_step, "stochastic by Wilder averages, [0, 100]; j = 3 k - 2 d", "high low close",
        (_bars("n", 9), _bars("slow", 3), _bars("smooth", 3), FLAT),
        (*_same("k d", lambda n, s, d: n + s + d - 3, 0.0, 100.0), Output("j", lambda n, s, d: n + s + d - 3, -200.0,
         300.0)),
        lambda n, _s, _d: extremes.kdj_size(n), lambda n, s, d: n + _wilder(s) + _wilder(d)),
)  # fmt: skip

MOVES = "high low high_before low_before trange"

DIRECTION = (
    _of("atr", op.RMA, averages.wilder_step, "Wilder's average true range", "trange", _n(14), _one(lambda n: n, 0.0),
        averages.WILDER_SIZE, _wilder),
    _of("dmi", op.DMI, direction.dmi_step, "directional movement: +DI, -DI, DX, ADX, [0, 100]", MOVES,
        _n(14), (*_same("plus minus dx", lambda n: n, 0.0, 100.0), Output("adx", lambda n: 2 * n - 1, 0.0, 100.0)),
        direction.DMI_SIZE, lambda n: 2 * _wilder(n)),
    _of("adxr", op.ADXR, direction.adxr_step, "mean of ADX now and n - 1 bars ago, [0, 100]", MOVES, _n(14, 2),
        _one(lambda n: 3 * n - 2, 0.0, 100.0), direction.adxr_size, lambda n: 2 * _wilder(n) + n),
    _of("vortex", op.VORTEX, direction.vortex_step, "rising and falling reach over true range", MOVES, _n(14),
        _same("plus minus", lambda n: n, 0.0), direction.vortex_size, lambda n: n + 1),
    _of("sar", op.SAR, direction.sar_step, "Wilder's parabolic stop", "high low high_before low_before",
        (_float("step", 0.02, 0.0, 1.0), _float("most", 0.2, 0.0, 1.0)), _one(lambda: 1), direction.SAR_SIZE,
        lambda: 250),
    _of("supertrend", op.SUPERTREND, direction.supertrend_step, "trailing ATR band, and 1 up or -1 down",
        "high low close trange", (_bars("n", 10), _float("width", 3.0)),
        (Output("value", lambda n: n), Output("way", lambda n: n, -1.0, 1.0)), direction.SUPERTREND_SIZE,
        lambda n: _wilder(n) + 150),
)  # fmt: skip

BAR = "high low close volume"

VOLUME = (
    _of("obv", op.OBV, turnover.obv_step, "on-balance volume since the first bar", "change volume", (),
        _one(lambda: 0), turnover.OBV_SIZE, lambda: None, start=0),
    _of("ad", op.AD, turnover.ad_step, "accumulation/distribution since the first bar", BAR, (), _one(lambda: 0),
        turnover.TOTAL_SIZE, lambda: None),
    _of("vwap", op.VWAP, turnover.vwap_step, "volume-weighted price since the first bar", "typical volume", (),
        _one(lambda: 0), turnover.VWAP_SIZE, lambda: None),
    _of("adosc", op.ADOSC, turnover.adosc_step, "fast less slow EMA of the accumulation line", BAR,
        (_bars("fast", 3), _bars("slow", 10)), _one(lambda f, s: max(f, s) - 1), turnover.ADOSC_SIZE,
        lambda f, s: _fine(max(f, s))),
    _of("cmf", op.CMF, turnover.cmf_step, "accumulation over volume of n bars, [-1, 1]", BAR, _n(20),
        _one(lambda n: n - 1, -1.0, 1.0), turnover.cmf_size, lambda n: n),
    _of("mfi", op.MFI, turnover.mfi_step, "money flow index, [0, 100]", "typical typical_before volume",
        (_bars("n", 14), FLAT), _one(lambda n: n, 0.0, 100.0), windows.flow_size, lambda n: n + 1),
    _of("efi", op.EFI, turnover.efi_step, "EMA of change times volume", "change volume", _n(13), _one(lambda n: n),
        turnover.EFI_SIZE, lambda n: _fine(n) + 1),
    _of("pvo", op.PPO, chains.ppo_step, "PPO of volume", "volume", (_bars("fast", 12), _bars("slow", 26)),
        _one(lambda f, s: max(f, s) - 1), chains.APO_SIZE, lambda f, s: _fine(max(f, s))),
    _of("rvol", op.RVOL, turnover.rvol_step, "volume over the mean of the n bars before", "volume", _n(20),
        _one(lambda n: n, 0.0), turnover.rvol_size, lambda n: n + 1),
    _of("flow", op.FLOW, windows.flow_step, "signed and gross volume of n bars: windowed OBV", "change volume", _n(20),
        _same("net gross", lambda n: n), windows.flow_size, lambda n: n + 1),
)  # fmt: skip

REGIME = (
    _of("sigma", op.SIGMA, arithmetic.sigma_step, "EWMA deviation of log returns per bar", "close close_before",
        _n(60), _one(lambda n: n, 0.0), 2, lambda n: _fine(n) + 1),
    _of("week_sin", op.WEEK_SIN, regimes.week_sin, "wave over the UTC week", "time", (), _one(lambda: 0, -1.0, 1.0),
        0, lambda: 0, stateful=False),
    _of("week_cos", op.WEEK_COS, regimes.week_cos, "the same, a quarter of a week ahead", "time", (),
        _one(lambda: 0, -1.0, 1.0), 0, lambda: 0, stateful=False),
    _of("day_sin", op.DAY_SIN, regimes.day_sin, "wave over the UTC day", "time", (), _one(lambda: 0, -1.0, 1.0),
        0, lambda: 0, stateful=False),
    _of("day_cos", op.DAY_COS, regimes.day_cos, "the same, a quarter of a day ahead", "time", (),
        _one(lambda: 0, -1.0, 1.0), 0, lambda: 0, stateful=False),
    _of("until", op.UNTIL, regimes.until, "time to the next multiple of n hours UTC (funding: 8), (0, 1]", "time",
        (_bars("hours", 8),), _one(lambda _: 0, 0.0, 1.0), 0, lambda _: 0, stateful=False),
)  # fmt: skip

ORDERS = (
    _of("book.known", op.KNOWN, micro.known, "1 where the feed told an order book: the mask of book.*", "spread",
        (), _one(lambda: 0, 0.0, 1.0), 0, lambda: 1, stateful=False),
    _of("book.spread", op.TOLD, micro.told, "ask - bid at the close, fraction of their middle", "spread", (),
        _one(lambda: 0, 0.0), 0, lambda: 1, stateful=False),
    _of("book.imbalance", op.IMBALANCE, micro.imbalance, "bids less asks over both, in the best 1, 5, 10 or 20 levels",
        "bid5 ask5", (_bars("levels", 5),), _one(lambda _: 0, -1.0, 1.0), 0, lambda _: 1, stateful=False),
    _of("book.microprice", op.LEAN, micro.same, "micro-price above the middle, fraction of the middle", "lean", (),
        _one(lambda: 0), 0, lambda: 1, stateful=False),
    _of("book.ofi", op.PRESSURE, micro.pressure_step, "order flow of n bars over the mean size at the touch",
        "order_flow touch", _n(20), _one(lambda n: n - 1), windows.pair_size, lambda n: n),
    _of("trades.known", op.KNOWN, micro.known, "1 where the feed told who traded aggressively: the mask of trades.*",
        "taken", (), _one(lambda: 0, 0.0, 1.0), 0, lambda: 1, stateful=False),
    _of("trades.imbalance", op.TAKERS, micro.takers_step, "bought less sold by takers, over the volume of n bars",
        "taken volume", _n(20), _one(lambda n: n - 1, -1.0, 1.0), windows.pair_size, lambda n: n),
    _of("trades.vpin", op.TOXICITY, micro.toxicity_step, "sum of |bought - sold| by takers over the volume of n bars",
        "taken volume", _n(50), _one(lambda n: n - 1, 0.0, 1.0), windows.pair_size, lambda n: n),
)  # fmt: skip

FAMILIES = {
    "averages and bands": AVERAGES,
    "momentum": MOMENTUM,
    "place in the range": PLACE,
    "direction": DIRECTION,
    "volume": VOLUME,
    "regime and time": REGIME,
    "order book and trades": ORDERS,
}
INDICATORS = {indicator.name: indicator for family in FAMILIES.values() for indicator in family}
