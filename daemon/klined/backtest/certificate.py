"""The parity certificate: one account, one policy, the same bars, three or four ways through them, one outcome.

settings ─┬─ pipeline (asyncio, Decimal ledger, paper exchange)
          ├─ the same, the bars told by the sandbox over websockets, where asked for
          ├─ lane, interpreted                                  equal ─▶ Certificate
          └─ lane, compiled, where numba is installed           else ─▶ Divergence
"""

import hashlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from msgspec import Struct

from klined.backtest.history import history_of
from klined.backtest.lanes import NO_BOX, EmaCross, Policy, Terms, run
from klined.backtest.parity import Divergence, Sums, compare, sums
from klined.backtest.piped import run_piped
from klined.config.settings import Settings
from klined.feeds.columns import read_columns
from klined.kernels import jit
from klined.kernels.layout import KERNEL_ABI
from klined.policies import rules
from klined.ports import Policy as PolicyPort
from klined.runtime.assembly import (
    BPS,
    fitting_plan,
    make_funding,
    make_instruments,
    make_limits,
    make_policy,
    shipped,
    training_box,
)
from klined.trader.book import Costs

PIPELINE, INTERPRETED, COMPILED, WIRE = "pipeline", "interpreted lane", "compiled lane", "run on the sandbox"


class Certificate(Struct, frozen=True):
    """What was proved equal, over what."""

    bars: int  # bar times
    symbols: tuple[str, ...]
    from_ms: int  # open time of the first bar
    to_ms: int  # and of the last
    bars_sha256: str
    policy: str
    policy_sha256: str  # of the file; of name and options where the policy is a rule
    plan_sha256: str
    kernel_abi: int
    ways: tuple[str, ...]
    sums: Sums


def certify(settings: Settings, *, sandbox: bool = False) -> Certificate | Divergence:
    """Run `settings.market.files` every way and compare; with `sandbox`, as a live daemon too, about 1.5 ms a bar.

    Raises:
        ConfigError, ModelError: as the daemon's start would.
    """
    policy = make_policy(settings)
    plan, instruments, interval_ms = (
        fitting_plan(settings, policy),
        make_instruments(settings),
        settings.market.interval_ms,
    )
    history = history_of(
        read_columns(settings.market.symbols, interval_ms, settings.market.files),
        instruments,
        interval_ms,
        rates=make_funding(settings),
        count=settings.market.bars,
    )
    terms, box = terms_of(settings, policy), training_box(policy)
    ways = [PIPELINE]
    builds = [(INTERPRETED, jit.interpreted())]
    if find_spec("numba") is not None:
        builds.append((COMPILED, jit.compiled()))
    piped = run_piped(settings, history, instruments)
    for name, kernels in builds:
        (result,) = run(
            history,
            instruments,
            [terms],
            lane_policy(make_policy(settings)),
            plan=plan,
            box=NO_BOX if box is None else np.array(box),
            kernels=kernels,
            record=True,
        )
        parted = compare(piped, result, history, instruments, plan, (PIPELINE, name))
        if parted is not None:
            return parted
        ways.append(name)
    if sandbox:
        from klined.backtest.wired import run_wired  # noqa: PLC0415 - aiohttp and an exchange, only for this

        parted = compare(piped, run_wired(settings, history, instruments), history, instruments, plan, (PIPELINE, WIRE))
        if parted is not None:
            return parted
        ways.append(WIRE)
    return Certificate(
        bars=len(history.times),
        symbols=tuple(instrument.symbol for instrument in instruments),
        from_ms=int(history.times[0]),
        to_ms=int(history.times[-1]),
        bars_sha256=history.sha256(),
        policy=policy.name,
        policy_sha256=_policy_sha256(settings),
        plan_sha256=hashlib.sha256(plan.canonical()).hexdigest(),
        kernel_abi=KERNEL_ABI,
        ways=tuple(ways),
        sums=sums(piped, plan),
    )


def terms_of(settings: Settings, policy: PolicyPort) -> Terms:
    """What the account of these settings trades on."""
    costs = settings.costs
    return Terms(
        make_limits(settings, policy, fitting_plan(settings, policy)),
        Costs(half_spread=costs.half_spread_bps * BPS, impact=costs.impact, participation=costs.participation),
        float(settings.paper.balance),
    )


def lane_policy(policy: PolicyPort) -> Policy:
    """A rule that lanes know is compiled with them; all others are asked bar by bar."""
    return EmaCross(policy.long, policy.short) if isinstance(policy, rules.EmaCross) else policy


def _policy_sha256(settings: Settings) -> str:
    policy = settings.policy
    if policy.name == "onnx":
        return hashlib.sha256(Path(policy.model or shipped()).read_bytes()).hexdigest()
    return hashlib.sha256(f"{policy.name} {sorted(policy.options.items())}".encode()).hexdigest()
