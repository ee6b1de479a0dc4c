"""What is done to series by name, and the other names of indicators.

squash(x)   clip(x, 5)   zscore(x, 60)   per(x, atr(14))   rank(x, 240)   log(x)   diff(x) ...
"""

from collections.abc import Callable
from math import inf

from msgspec import Struct

from klined.kernels import arithmetic, oscillators, regimes, windows
from klined.kernels import program as op
from klined.trader.indicators import Param, Whole


class Function(Struct, frozen=True):
    """What is done to series: `squash(x)`, `zscore(x, 60)`, `per(x, atr(14))`. Interval of results by `bounds`."""

    name: str
    op: int
    kernel: Callable[..., object]
    says: str
    series: int  # how many it takes
    params: tuple[Param, ...] = ()
    bounds: Callable[..., tuple[float, float]] = lambda *_: (-inf, inf)  # from its parameters
    size: Whole = lambda *_: 0
    lookback: Whole = lambda *_: 0  # after the first value of its series
    stable: Whole = lambda *_: 0
    stateful: bool = False
    extra: tuple[str, ...] = ()  # series of the bar that it reads besides


FUNCTIONS = {
    function.name: function
    for function in (
        Function("clip", op.CLIP, arithmetic.bounded, "kept within [-bound, bound]", 1,
                 (Param("bound", 1.0, 1e-12, 1e12, whole=False),), lambda bound: (-bound, bound)),
        Function("squash", op.SQUASH, oscillators.squash, "x / (1 + |x|)", 1, bounds=lambda: (-1.0, 1.0)),
        Function("zscore", op.ZSCORE, arithmetic.zscore_step, "deviations from the mean of the last n", 1,
                 (Param("n", 60.0, 2.0),), size=windows.moments_size, lookback=lambda n: n - 1, stable=lambda n: n,
                 stateful=True),
        Function("per", op.PER, arithmetic.per, "x in units of y, y at least 1e-9 of the close", 2, extra=("close",)),
        Function("abs", op.ABS, arithmetic.size_of, "|x|", 1, bounds=lambda: (0.0, inf)),
        Function("log", op.LOG, arithmetic.logarithm, "natural logarithm, 0 where there is none", 1),
        Function("sqrt", op.SQRT, arithmetic.root, "square root, 0 where there is none", 1, bounds=lambda: (0.0, inf)),
        Function("diff", op.DIFF, arithmetic.diff_step, "change from the value before", 1, size=lambda: 2,
                 lookback=lambda: 1, stable=lambda: 1, stateful=True),
        Function("rank", op.RANK, regimes.rank_step, "share of the last whole block of minutes (UTC) below x, by P2",
                 1, (Param("minutes", 240.0, 5.0, 10_080.0),), lambda _: (0.0, 1.0), lambda _: regimes.RANK_SIZE,
                 stable=lambda minutes: 3 * minutes, stateful=True, extra=("time",)),
    )
}  # fmt: skip

MACROS = {"natr": ("100 * atr({}) / close", (Param("n", 14.0),)), "pct": ("100 * ({} / {} - 1)", ())}
"""Written out before anything else: `natr(14)` is ATR in percent of the close, `pct(x, y)` x over y in percent."""

HMM = "hmm"
"""hmm(x, ..., numbers).p0: start, transitions, means, variances of 2 to 4 states, as `klined_models.regimes` prints."""

ALIASES = {
    "bollinger": "bbands",
    "kc": "keltner",
    "slope": "linearreg.slope",
    "var": "stddev.variance",
    "plus_di": "dmi.plus",
    "minus_di": "dmi.minus",
    "dx": "dmi.dx",
    "adx": "dmi.adx",
    "midprice": "donchian.middle",
    "smma": "rma",
}
"""Other names, most of them of one output: `adx(14)` is `dmi(14).adx`, and shares its memory."""
