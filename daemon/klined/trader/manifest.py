"""What a policy file says about itself, and the proof that this engine is the one it was trained with.

    file.onnx ── metadata_props ─┬─ klined.manifest         canonical JSON of `Manifest`
                                 └─ klined.manifest_sha256  hex digest of exactly that text

Canonical means sorted keys, no spaces, floats as `repr` writes them: the same values give the same bytes and digest.
"""

import hashlib
import json
from itertools import pairwise
from math import inf, isfinite
from typing import Literal

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from klined.errors import ConfigError, ModelError
from klined.kernels.layout import KERNEL_ABI
from klined.trader.plans import ACCOUNT, OUTSIDE, PLANS, Plan, declared_plan

SCHEMA = 1
UNBOUNDED = 1e300  # stands for no limit, which JSON cannot say
KEY = "klined.manifest"
KEY_SHA256 = "klined.manifest_sha256"
REMEDY = "export it again with klined_models, or use a policy made for this version"


class Feature(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One slot of the observation, in order, with the range it took in training (inclusive)."""

    name: str
    source: str = "market"
    formula: str = ""
    params: dict[str, float] = {}
    low: float = -1.0
    high: float = 1.0


class Sentiment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the sentiment slot came from in training; `neutral` stands in when nothing is known."""

    source: str = "none"
    neutral: float = 0.0


class ActionMap(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the graph's `target` may be: one of `levels`, or anything in [low, high]; fractions of max_exposure."""

    kind: Literal["levels", "range"]
    levels: tuple[float, ...] = ()  # ascending
    low: float = -1.0
    high: float = 1.0
    deadband: float = 0.0  # smallest change of exposure worth an order
    max_change: float = 2.0  # largest change of exposure per bar
    long_only: bool = False


class CostModel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What trading cost in training; all fractions of notional, one way."""

    taker_fee: float
    half_spread: float
    impact: float = 0.0  # Y of the square-root law


class TrainedOn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The bars behind the weights; `data_sha256` is over (open_time_ms, o, h, l, c, v) float64 rows, in order."""

    origin: Literal["generated", "real", "generated+real"]
    symbols: tuple[str, ...]
    first_open_ms: int
    last_open_ms: int
    bars: int
    data_sha256: str
    how: str = ""  # the command or generator and its seed


class Split(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How train and validation bars were cut in time; `purge_bars` lie between them and belong to neither."""

    kind: str
    train_bars: int
    validation_bars: int
    purge_bars: int
    horizon_bars: int  # how far a label looks ahead


class OutOfSample(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One closed-loop run over bars that training never saw, costs included."""

    data: str
    bars: int
    net_log_return: float
    buy_hold_log_return: float
    sharpe_annual: float | None  # None when nothing was at risk; of daily returns, 365 days
    sharpe_low: float | None  # 95 % interval
    sharpe_high: float | None
    days: float
    min_track_days: float | None  # track record needed to tell this Sharpe from zero at 95 %; None when it is <= 0
    fills: int
    turnover: float  # sum of |change of exposure|
    levels_used: tuple[float, ...]
    oracle_agreement: float  # share of bars with the oracle's best level, from the policy's own position
    class_prior: float  # share a constant guess of the oracle's commonest level reaches
    hold_agreement: float  # share that "keep the position" reaches
    remark: str = ""


class Recurrent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A state tensor fed back from bar to bar; `shape` is per symbol, without the batch axis; float32, 0 at start."""

    input: str
    output: str
    shape: tuple[int, ...]


class Golden(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bars in, observations and actions out: little-endian rows, base64 in JSON.

    `bars` float64 (n, 5) open, high, low, close, volume at consecutive intervals; `observations` float32 (k, dim) and
    `actions` float32 (k,) belong to the last k bars. Account slots of the observations are inputs, all others outputs
    of the engine.
    """

    symbol: str
    first_open_ms: int
    bars: bytes
    observations: bytes
    actions: bytes

    def bar_rows(self) -> NDArray[np.float64]:
        """Shape (n, 5)."""
        return np.frombuffer(self.bars, dtype="<f8").astype(np.float64).reshape(-1, 5)

    def observation_rows(self, dim: int) -> NDArray[np.float32]:
        """Shape (k, dim)."""
        return np.frombuffer(self.observations, dtype="<f4").astype(np.float32).reshape(-1, dim)

    def action_rows(self) -> NDArray[np.float32]:
        """Shape (k,)."""
        return np.frombuffer(self.actions, dtype="<f4").astype(np.float32)


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything the daemon must know before it lets a graph trade."""

    schema: int = SCHEMA
    name: str
    plan: str
    features: tuple[Feature, ...]
    account_features: tuple[str, ...]  # slots that come from the ledger, not from bars
    sentiment: Sentiment
    dim: int
    dtype: str = "float32"
    bar_interval_ms: int
    warmup_bars: int
    action: ActionMap
    cost: CostModel
    kernel_abi: int
    trained_on: TrainedOn
    split: Split
    seeds: tuple[int, ...]
    metrics_oos: tuple[OutOfSample, ...]
    recurrent: tuple[Recurrent, ...] = ()
    exporter: dict[str, str]  # versions of what wrote the file
    golden: Golden

    def lows(self) -> tuple[float, ...]:
        return tuple(feature.low for feature in self.features)

    def highs(self) -> tuple[float, ...]:
        return tuple(feature.high for feature in self.features)

    def canonical(self) -> str:
        """Canonical JSON; equal manifests give equal text."""
        return json.dumps(msgspec.to_builtins(self), sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(text: str) -> str:
    """SHA-256 of a manifest's text, hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def parse(text: str, sha256: str | None = None) -> Manifest:
    """The manifest in `text`, checked for itself; with `sha256` also against its stored digest.

    Raises:
        ModelError: names the field that is missing, wrong or does not fit the others.
    """
    if sha256 is not None and digest(text) != sha256:
        raise ModelError(f"policy manifest was changed after export: sha256 is {digest(text)}, not {sha256}; {REMEDY}")
    try:
        manifest = msgspec.json.decode(text.encode(), type=Manifest)
    except msgspec.DecodeError as error:
        raise ModelError(f"policy manifest cannot be read: {error}; {REMEDY}") from None
    fault = _fault(manifest)
    if fault:
        raise ModelError(f"policy manifest {manifest.name!r}: {fault}; {REMEDY}")
    return manifest


def features_of(plan: Plan) -> tuple[Feature, ...]:
    """The plan's slots as a manifest lists them, with the range the plan promises (or any, where it promises none)."""
    return tuple(
        Feature(
            name=feature.name,
            source=feature.source,
            formula=feature.formula,
            params={name: float(value) for name, value in feature.params},
            low=-UNBOUNDED if feature.low is None else feature.low,
            high=UNBOUNDED if feature.high is None else feature.high,
        )
        for feature in plan.features
    )


def plan_of(manifest: Manifest) -> Plan:
    """The plan a policy was trained with: one that ships, or one declared anew from the formulas in its manifest.

    Raises:
        ModelError: a plan that this klined neither has nor can declare.
    """
    if manifest.plan in PLANS:
        return PLANS[manifest.plan]
    lines = [
        one.name if one.name in OUTSIDE else f"{one.name} = {one.formula}" if one.name.isidentifier() else one.formula
        for one in manifest.features
    ]
    try:
        return declared_plan(manifest.plan, lines, manifest.bar_interval_ms)
    except ConfigError as error:
        raise ModelError(
            f"policy manifest {manifest.name!r} needs feature plan {manifest.plan!r}; this klined has "
            f"{', '.join(sorted(PLANS))}, and cannot declare it: {error}"
        ) from None


def check_plan(manifest: Manifest, plan: Plan, bar_interval_ms: int | None = None) -> None:
    """Compare what the policy was trained to see with what this engine shows it.

    Raises:
        ModelError: names the first field or feature that differs, and both values.
    """
    fault = _plan_fault(manifest, plan)
    if fault is None and bar_interval_ms is not None and bar_interval_ms != manifest.bar_interval_ms:
        fault = f"bar_interval_ms is {manifest.bar_interval_ms}, but the feed gives bars of {bar_interval_ms}"
    if fault:
        raise ModelError(f"policy manifest {manifest.name!r} does not fit plan {plan.name!r}: {fault}; {REMEDY}")


def _plan_fault(manifest: Manifest, plan: Plan) -> str | None:
    account = tuple(feature.name for feature in plan.features if feature.source == ACCOUNT)
    if manifest.plan != plan.name:
        return f"plan is {manifest.plan!r}"
    for index, (ours, theirs) in enumerate(zip(features_of(plan), manifest.features, strict=False)):
        for field in ("name", "source", "formula", "params"):
            found, wanted = getattr(theirs, field), getattr(ours, field)
            if found != wanted:
                return f"features[{index}].{field} ({ours.name}) is {found!r}, the engine computes {wanted!r}"
    for name, value, needed in (
        ("kernel_abi", manifest.kernel_abi, KERNEL_ABI),
        ("dim", manifest.dim, plan.dim),
        ("account_features", manifest.account_features, account),
        ("warmup_bars", manifest.warmup_bars, max(manifest.warmup_bars, plan.warmup_bars)),
    ):
        if value != needed:
            return f"{name} is {value}, the engine has {needed}"
    return None


def _fault(manifest: Manifest) -> str | None:
    """The first thing in `manifest` that cannot be, as a clause naming the field."""
    names = [feature.name for feature in manifest.features]
    if manifest.schema != SCHEMA:
        return f"schema is {manifest.schema}, this klined reads {SCHEMA}"
    if manifest.dtype != "float32":
        return f"dtype is {manifest.dtype!r}, observations are float32"
    if manifest.dim != len(names):
        return f"dim is {manifest.dim}, but {len(names)} features are listed"
    if manifest.bar_interval_ms <= 0 or manifest.warmup_bars < 0:
        return f"bar_interval_ms {manifest.bar_interval_ms} or warmup_bars {manifest.warmup_bars} makes no sense"
    return _features_fault(manifest, names) or _action_fault(manifest.action) or _golden_fault(manifest)


def _features_fault(manifest: Manifest, names: list[str]) -> str | None:
    for index, feature in enumerate(manifest.features):
        if feature.name in names[:index]:
            return f"features[{index}] repeats {feature.name!r}"
        if not -inf < feature.low <= feature.high < inf:
            return f"features[{index}] {feature.name!r} has range [{feature.low}, {feature.high}]"
    for name in manifest.account_features:
        if name not in names:
            return f"account_features names {name!r}, which is no feature"
    return None


def _action_fault(action: ActionMap) -> str | None:
    levels = action.levels if action.kind == "levels" else (action.low, action.high)
    field = "action.levels" if action.kind == "levels" else "action.low and action.high"
    if len(levels) < 2 or any(a >= b for a, b in pairwise(levels)):
        return f"{field} {levels} are not ascending"
    if levels[0] < -1.0 or levels[-1] > 1.0:
        return f"{field} {levels} leave [-1, 1]"
    if action.long_only and levels[0] < 0.0:
        return f"action.long_only contradicts {field} {levels}"
    if not (0.0 <= action.deadband <= 2.0 and 0.0 < action.max_change <= 2.0):
        return f"action.deadband {action.deadband} or action.max_change {action.max_change} lies outside [0, 2]"
    return None


def _golden_fault(manifest: Manifest) -> str | None:
    golden = manifest.golden
    if not golden.bars or len(golden.bars) % 40:
        return f"golden.bars has {len(golden.bars)} bytes, not rows of five float64"
    rows = len(golden.actions) // 4
    if rows == 0 or len(golden.actions) % 4 or len(golden.observations) != rows * manifest.dim * 4:
        return f"golden.observations and golden.actions are not {manifest.dim} and 1 float32 for each bar"
    bars, needed = len(golden.bars) // 40, manifest.warmup_bars + rows
    if bars < needed:
        return f"golden.bars holds {bars} bars, warm-up and answers need {needed}"
    if not (isfinite(float(golden.bar_rows().sum())) and np.isfinite(golden.observation_rows(manifest.dim)).all()):
        return "golden vectors are not finite"
    return None
