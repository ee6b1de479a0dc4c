"""Feature plans by name: which values a policy sees, in which order, and the kernel that computes them.

    PLANS["eth15"] ─▶ Plan: 15 features, state of 250-odd numbers, 300 bars of warm-up, kernels `eth15_step`, ...
    declared_plan("mine", ["rsi(14) / 50 - 1", ..., "position"]) ─▶ Plan whose kernel is a program

A plan is a value. Its canonical form goes into a policy's manifest, so that a policy is only ever fed by the plan it
was trained with; whatever changes a feature's meaning must change the plan's description or KERNEL_ABI.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from klined.errors import ConfigError
from klined.kernels import assembly, observe
from klined.kernels import features as kernel
from klined.trader import presets
from klined.trader.declarations import Declaration, parse
from klined.trader.programs import Program, Result, build

ACCOUNT = "account"
MARKET = "market"
SENTIMENT = "sentiment"


class Feature(Struct, frozen=True):
    """One slot of the observation."""

    name: str
    source: str  # ACCOUNT, MARKET or SENTIMENT
    formula: str  # in words of bars (c, h, l, v; c1 is the close before) and named indicators
    params: tuple[tuple[str, float], ...] = ()
    first_bar: int = 0  # index of the first bar with a value of its own; the row is finite once all have one
    stable_bars: int | None = 0  # bars until the start is forgotten to 1e-8; None when it never is
    low: float | None = -1.0  # None: unbounded, as `high`
    high: float | None = 1.0


class Plan(Struct, frozen=True, omit_defaults=True):
    """What a policy sees. Kernels: `step(S, bar, out)` per bar, `history(S, bars, out)` over many.

    With a `program`, both take its code and constants first and live in klined.kernels.program, and `slots` tells
    `klined.kernels.assembly.assemble` what stands where; else they live in klined.kernels.features.
    """

    name: str
    features: tuple[Feature, ...]  # in the order of the observation
    state_size: int  # float64 in one S row
    first_bar: int  # index of the first bar with a finite row
    warmup_bars: int  # bars to feed before the first decision
    step: str  # name in klined.kernels.features
    history: str
    program: Program | None = None
    slots: tuple[int, ...] = ()

    @property
    def dim(self) -> int:
        return len(self.features)

    @property
    def market_dim(self) -> int:
        """Width of the kernel's feature row."""
        return sum(feature.source == MARKET for feature in self.features)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.features)

    def canonical(self) -> bytes:
        """The plan as JSON with sorted keys, the same bytes for the same plan on every machine."""
        return msgspec.json.encode(self, order="sorted")


def _sorted(params: dict[str, float]) -> tuple[tuple[str, float], ...]:
    return tuple((name, float(params[name])) for name in sorted(params))


def _market(name: str, formula: str, first_bar: int, stable_bars: int | None, **params: float) -> Feature:
    return Feature(name, MARKET, formula, _sorted(params), first_bar, stable_bars)


def _raw(name: str, formula: str, stable_bars: int | None, **params: float) -> Feature:
    return Feature(name, MARKET, formula, _sorted(params), 0, stable_bars, None, None)


POSITION = Feature("position", ACCOUNT, "clip(signed notional / (max_exposure * equity), 1)")
POSITION_CHANGE = Feature("position_change", ACCOUNT, "clip(last executed change of position / 2, 1)")
SCORE = Feature("sentiment_score", SENTIMENT, "last score published by the close, decayed; 0 when none")

ETH15 = Plan(
    name="eth15",
    features=(
        POSITION,
        _market("z_score", "clip(z(c - SMA(c, mean)) over window, ddof 0, 5) / 5", 78, 80, mean=20, window=60),
        _market("zone_norm", "five levels of z at inner and outer", 78, 80, inner=0.5, outer=1.5),
        _market("price_momentum", "clip(ln(c / c1) / EWMA sigma before c, 5) / 5", 21, 300, weight=kernel.WEIGHT),
        _market("z_score_momentum", "clip(z - z1, 2) / 2", 79, 80),
        POSITION_CHANGE,
        _market("macd_norm", "softsign(MACD / ATR)", 33, 300, fast=12, slow=26, signal=9, atr=14),
        _market("macd_signal_norm", "softsign(MACD signal / ATR)", 33, 300, fast=12, slow=26, signal=9, atr=14),
        _market("macd_diff_norm", "softsign(3 (MACD - signal) / ATR)", 33, 300, fast=12, slow=26, signal=9, atr=14),
        _market("rsi_norm", "RSI / 50 - 1, 0 in a dead market", 14, 300, rsi=14),
        _market("bb_mid_norm", "softsign((c - middle) / ATR)", 19, 300, bands=20, width=2, atr=14),
        _market("bb_high_norm", "softsign((upper - c) / ATR)", 19, 300, bands=20, width=2, atr=14),
        _market("bb_low_norm", "softsign((c - lower) / ATR)", 19, 300, bands=20, width=2, atr=14),
        _market("obv_norm", "sum(sign(c - c1) v) / sum(v) over window", 20, 21, window=20),
        SCORE,
    ),
    state_size=kernel.ETH15_SIZE,
    first_bar=kernel.ETH15_FIRST - 1,
    warmup_bars=300,
    step="eth15_step",
    history="eth15_history",
)

ORIGINAL = Plan(
    name="original",
    features=(
        POSITION,
        _raw("z_score", "z(c - SMA(c, mean)) over window, ddof 0, + 1e-8", 80, mean=20, window=60),
        _market("zone_norm", "five levels of z at inner and outer", 0, 80, inner=0.5, outer=1.5),
        _raw("price_momentum", "clip(c / c1 - 1, 0.1)", 2),
        _raw("z_score_momentum", "clip(z - z1, 2)", 80),
        POSITION_CHANGE,
        _raw("macd_norm", "MACD in quote, EMAs seeded by the first close", 300, fast=12, slow=26, signal=9),
        _raw("macd_signal_norm", "MACD signal in quote", 300, fast=12, slow=26, signal=9),
        _raw("macd_diff_norm", "MACD - signal in quote", 300, fast=12, slow=26, signal=9),
        _raw("rsi_norm", "RSI / 100 in [0, 1], 0 without losses", 300, rsi=14),
        _raw("bb_mid_norm", "middle band in quote", 20, bands=20, width=2),
        _raw("bb_high_norm", "upper band in quote", 20, bands=20, width=2),
        _raw("bb_low_norm", "lower band in quote", 20, bands=20, width=2),
        _raw("obv_norm", "OBV in base since the start of the process", None),
        SCORE,
    ),
    state_size=kernel.ORIGINAL_SIZE,
    first_bar=0,
    warmup_bars=300,
    step="original_step",
    history="original_history",
)

FIXED = (ETH15, ORIGINAL)
"""Plans fused into one kernel each, whose observation `klined.kernels.observe` assembles."""

OUTSIDE = {
    "position": (assembly.POSITION, POSITION),
    "position_change": (assembly.POSITION_CHANGE, POSITION_CHANGE),
    "open_profit": (assembly.OPEN_PROFIT, Feature("open_profit", ACCOUNT, "softsign((mark - entry) sign / ATR)")),
    "held": (assembly.HELD, Feature("held", ACCOUNT, "softsign(hours since entry)")),
    "retreat": (assembly.RETREAT, Feature("retreat", ACCOUNT, "softsign((mark - best since entry) sign / ATR)")),
    "last_target": (assembly.LAST_TARGET, Feature("last_target", ACCOUNT, "clip(last target that passed the gate, 1)")),
    "sentiment_score": (assembly.SENTIMENT, SCORE),
}
"""Features that no bar tells, by name."""


def declared_plan(name: str, declared: Sequence[str], interval_ms: int = 60_000) -> Plan:
    """The plan of these features, in their order, for bars of `interval_ms`; see `klined.trader.declarations`.

    Raises:
        ConfigError: a feature that cannot be, two of one name, or none that reads bars.
    """
    parsed = [parse(one) for one in declared]
    market = [one for one in parsed if one.text not in OUTSIDE]
    names = [one.name for one in parsed]
    twice = {one for one in names if names.count(one) > 1}
    if twice or not market:
        raise ConfigError(f"plan {name!r}: {f'two features named {min(twice)!r}' if twice else 'no market feature'}")
    program = build(market, interval_ms)
    told = {result.name: (slot, result) for slot, result in enumerate(program.results)}
    features, slots = zip(*(_declared(one, told) for one in parsed), strict=True)
    return Plan(
        name=name,
        features=features,
        state_size=program.state_size,
        first_bar=program.first_bar,
        warmup_bars=max(program.stable_bars, program.first_bar + 1),
        step="plan_step",
        history="plan_history",
        program=program,
        slots=slots,
    )


def _declared(one: Declaration, results: dict[str, tuple[int, Result]]) -> tuple[Feature, int]:
    if one.text in OUTSIDE:
        slot, feature = OUTSIDE[one.text]
        return feature, slot
    slot, result = results[one.name]
    told = (result.first_bar, result.stable_bars, result.low, result.high)
    return Feature(one.name, MARKET, result.text, (), *told), slot


ETH44 = declared_plan("eth44", presets.ETH44)
ETH44_MTF = declared_plan("eth44-mtf", presets.ETH44_MTF)
PLANS = {plan.name: plan for plan in (*FIXED, ETH44, ETH44_MTF)}

assert all(plan.dim == observe.DIM and plan.market_dim == kernel.MARKET for plan in FIXED)  # noqa: S101 - checked at import
