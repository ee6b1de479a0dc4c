"""Feature plans by name: which values a policy sees, in which order, and the kernel that computes them.

    PLANS["eth15"] ─▶ Plan: 15 features, state of 250-odd numbers, 300 bars of warm-up, kernels `eth15_step`, ...

A plan is a value. Its canonical form goes into a policy's manifest, so that a policy is only ever fed by the plan it
was trained with; whatever changes a feature's meaning must change the plan's description or KERNEL_ABI.
"""

import msgspec
from msgspec import Struct

from klined.kernels import features as kernel
from klined.kernels import observe

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


class Plan(Struct, frozen=True):
    """What a policy sees. Kernels: `step(S, bar, out)` per bar, `history(S, bars, out)` over many."""

    name: str
    features: tuple[Feature, ...]  # in the order of the observation
    state_size: int  # float64 in one S row
    first_bar: int  # index of the first bar with a finite row
    warmup_bars: int  # bars to feed before the first decision
    step: str  # name in klined.kernels.features
    history: str

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

PLANS = {plan.name: plan for plan in (ETH15, ORIGINAL)}
"""Every plan whose observation `klined.kernels.observe` assembles."""

assert all(plan.dim == observe.DIM and plan.market_dim == kernel.MARKET for plan in PLANS.values())  # noqa: S101 - checked at import
