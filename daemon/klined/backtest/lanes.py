"""Lanes over a history: each an account with limits and costs of its own, all under one policy.

    run(history, instruments, terms, policy) ─▶ one Result for each of the terms

The policy is a rule that is compiled with the lane, targets that are known beforehand, or anything with the port's
`decide`, which is then asked bar by bar. Interpreted and compiled lanes leave the same bytes, and both what the
daemon's pipeline would have done.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from klined.backtest.history import Floats, History
from klined.domain import Instrument
from klined.errors import ConfigError
from klined.kernels import jit, lane, tapes
from klined.kernels import layout as at
from klined.kernels.blocks import BLOCK, NB
from klined.kernels.memory import forget_book
from klined.kernels.observe import DIM
from klined.kernels.rows import Block, Row, write_market
from klined.ports import Choice
from klined.trader.book import Costs
from klined.trader.engine import step_of
from klined.trader.limits import Limits
from klined.trader.plans import ETH15, Plan

NO_BOX: Floats = np.zeros((0, DIM))
FUSED = "eth15_history"
"""The kernel that lanes have at hand bar by bar; features of all other plans are computed before."""


class EmaCross(Struct, frozen=True):
    """`policies.rules.EmaCross` inside the lane: targets while EMA12 is above EMA26, and below."""

    long: float = 1.0
    short: float = -1.0


class Decides(Protocol):
    """A policy that is asked bar by bar: rows of all lanes and symbols, lane by lane, in; a choice for each out."""

    def decide(self, observations: NDArray[np.float32], /) -> Sequence[Choice]: ...


Targets = Floats
"""Targets known beforehand, shape (n, T)."""

Policy = EmaCross | Targets | Decides


class Terms(Struct, frozen=True):
    """On what terms one lane trades."""

    limits: Limits
    costs: Costs
    balance: float = 10_000.0  # quote


class Result(Struct, frozen=True, eq=False):
    """What one way through the history came to. What was not recorded has length 0 in T.

    Columns of `decisions` and `fills` are named in `klined.kernels.tapes`.
    """

    equity: Floats  # (T,), quote, marked at each close
    fills: Floats  # (K, NX)
    decisions: Floats  # (n, T, ND), NaN where a symbol had no bar
    observations: NDArray[np.float32]  # (n, T, plan.dim)
    account: Floats  # (NA,), the row A at the end
    positions: Floats  # (n, NQ), the rows Q at the end


class Tape:
    """Rows of an array as interpreted kernels take them, made when they are asked for."""

    __slots__ = ("array",)

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: int) -> Any:
        row = self.array[index]
        return memoryview(row).cast("B").cast(row.dtype.char) if row.ndim == 1 else Tape(row)


def run(
    history: History,
    instruments: Sequence[Instrument],
    terms: Sequence[Terms],
    policy: Policy,
    *,
    plan: Plan = ETH15,
    box: Floats = NO_BOX,
    kernels: jit.Kernels | None = None,
    record: bool = False,
) -> list[Result]:
    """One lane for each of `terms`, all through the whole history.

    `box` (2, plan.dim) holds the lowest and highest features of training, for the gate's OUT_OF_RANGE. `kernels` are
    `jit.compiled()` when not given. With `record`, decisions and observations are kept; they take 48 bytes a bar and 4
    more a feature. Any plan runs, by the same machine code: what it consists of is data.

    Raises:
        ConfigError: history and instruments do not fit, or the rule does not read the plan.
        ImportError: numba is not installed, and no other kernels were given.
    """
    n = len(history.bars)
    if len(instruments) != n:
        raise ConfigError(f"the history has {n} symbols, there are {len(instruments)} instruments; give one for each")
    if isinstance(policy, EmaCross) and plan.name != ETH15.name:
        raise ConfigError(f"the EMA cross reads plan {ETH15.name}, not {plan.name}")
    kernels = kernels or jit.compiled()
    plain = kernels.name == "interpreted"
    lanes = [Lane(history, instruments, each, plan, plain=plain, record=record) for each in terms]
    before = len(lanes) > 1 or plan.history != FUSED
    features = features_of(history, plan, kernels) if before else np.zeros((n, 0, plan.market_dim))
    market = (
        history.bars.tolist() if plain else history.bars,
        history.rates.tolist() if plain else history.rates,
        Tape(features) if plain else features,
        Tape(box) if plain else box,
    )
    if isinstance(policy, EmaCross | np.ndarray):
        _follow(policy, lanes, market, history, kernels)
    else:
        _ask(policy, lanes, market, history, kernels)
    return [each.result() for each in lanes]


def features_of(history: History, plan: Plan, kernels: jit.Kernels | None = None) -> Floats:
    """The plan's market features of every bar, shape (n, T, plan.market_dim); where no bar came, those of the last.

    They depend on bars alone, so lanes can share them.
    """
    kernels = kernels or jit.compiled()
    plain = kernels.name == "interpreted"
    n, count = history.bars.shape[:2]
    features = np.full((n, count, plan.market_dim), np.nan)
    for own, bars in zip(features, history.bars, strict=True):
        came = bars[:, 4] > 0.0
        state, rows = Block(1, plan.state_size), np.empty((int(came.sum()), plan.market_dim))
        _history_step(plan, kernels)(
            state.row[0] if plain else state.array[0],
            bars[came].tolist() if plain else bars[came],
            Tape(rows) if plain else rows,
        )
        last = np.cumsum(came) - 1
        own[last >= 0] = rows[last[last >= 0]]
    return features


def slots_of(plan: Plan, *, plain: bool) -> tuple[Any, ...]:
    """The last argument of the lane's kernels: what stands where in an observation; none for the fused plans."""
    if plan.program is None:
        return ()
    return (plan.slots if plain else np.array(plan.slots, dtype=np.int64),)


def _history_step(plan: Plan, kernels: jit.Kernels) -> Callable[..., None]:
    """The plan's kernel over many bars: history(S, bars, out)."""
    program = plan.program
    if program is None:
        fused: Callable[..., None] = getattr(kernels.features, plan.history)
        return fused
    if kernels.name != "interpreted":
        code, constants = np.array(program.code, dtype=np.int64), np.array(program.constants)
        return partial(kernels.program.plan_history, code, constants)
    step = step_of(plan)

    def walked(state: Row, bars: Sequence[Sequence[float]], out: Sequence[Row]) -> None:
        for t, bar in enumerate(bars):
            step(state, bar, out[t])

    return walked


class Lane:
    """One account's rows and tapes, as `plain` (interpreted) or compiled kernels take them."""

    def __init__(
        self,
        history: History,
        instruments: Sequence[Instrument],
        terms: Terms,
        plan: Plan,
        *,
        plain: bool,
        record: bool,
    ) -> None:
        n, count = history.bars.shape[:2]
        recorded = count if record else 0
        self.A, self.P, self.W = Block(1, at.NA), Block(1, at.NP), Block(1, tapes.NW)
        self.Q, self.M, self.C = Block(n, at.NQ), Block(n, at.NM), Block(n, n)
        self.S, self.F = Block(n, plan.state_size), Block(n, plan.market_dim)
        self.observations = np.zeros((n, plan.dim), np.float32)
        self.wanted = np.full(n, np.nan)
        self.equity = np.zeros(count)
        self.decisions = np.full((n, recorded, tapes.ND), np.nan)
        self.seen = np.zeros((n, recorded, plan.dim), np.float32)
        self.fills = np.empty((2 * n * count, tapes.NX))  # an order and a liquidation a bar; what stays unused is free
        self._plain = plain
        self._begin(terms, instruments)
        self.rows = (
            *(self._one(self.A), self._all(self.Q), self._all(self.M), self._one(self.P), self._all(self.C)),
            *(self._all(self.S), self._all(self.F), self._tape(self.observations), self._one(self.W)),
        )
        self.tapes = tuple(self._tape(tape) for tape in (self.equity, self.decisions, self.seen, self.fills))
        self.targets = self._tape(self.wanted)
        self.slots = slots_of(plan, plain=plain)
        self.blocks = (self._tape(np.zeros((BLOCK, plan.dim), np.float32)), self._one(Block(1, NB)))

    def result(self) -> Result:
        return Result(
            equity=self.equity,
            fills=self.fills[: int(self.W.row[0][tapes.FILLS])].copy(),
            decisions=self.decisions,
            observations=self.seen,
            account=self.A.array[0],
            positions=self.Q.array,
        )

    def _one(self, block: Block) -> Any:
        return block.row[0] if self._plain else block.array[0]

    def _all(self, block: Block) -> Any:
        return block.row if self._plain else block.array

    def _tape(self, array: NDArray[Any]) -> Any:
        if not self._plain:
            return array
        return array.data.cast("B").cast("d") if array.ndim == 1 and len(array) else Tape(array)

    def _begin(self, terms: Terms, instruments: Sequence[Instrument]) -> None:
        """A fresh account that owns nothing but its balance."""
        costs, a, p = terms.costs, self.A.row[0], self.P.row[0]
        for q, m, instrument in zip(self.Q.row, self.M.row, instruments, strict=True):
            write_market(m, instrument, costs.half_spread, costs.impact, costs.participation)
            forget_book(q)
        terms.limits.write(p)
        p[at.MODEL_OK] = 1.0
        a[at.CASH] = a[at.EQUITY] = a[at.PEAK] = a[at.DAY_EQUITY] = a[at.WEEK_EQUITY] = terms.balance
        self.F.array.fill(np.nan)


def _follow(
    policy: EmaCross | Targets, lanes: Sequence[Lane], market: tuple[Any, ...], history: History, kernels: jit.Kernels
) -> None:
    """Every lane through all bars in one call."""
    n, count = history.bars.shape[:2]
    targets = np.zeros((n, 0)) if isinstance(policy, EmaCross) else np.ascontiguousarray(policy, dtype=np.float64)
    if targets.shape not in {(n, 0), (n, count)}:
        raise ConfigError(f"targets of shape {targets.shape} do not fit {n} symbols and {count} bars")
    wanted = targets.tolist() if kernels.name == "interpreted" else targets
    long, short = (policy.long, policy.short) if isinstance(policy, EmaCross) else (0.0, 0.0)
    rule = (wanted, lane.EMA_CROSS if isinstance(policy, EmaCross) else lane.GIVEN, long, short)
    interval_ms = float(history.interval_ms)
    if n > 1 or not history.is_whole:
        for each in lanes:
            kernels.lane.lane_run(*each.rows, *market, *rule, interval_ms, n, 0, count, *each.tapes, *each.slots)
        return
    bars, rates, features, box = market
    for each in lanes:
        A, Q, M, P, C, S, F, _, W = each.rows  # noqa: N806 - the rows' names are the kernels'
        E, D, V, X = each.tapes  # noqa: N806
        rows = (A, Q, M, P, C, S[0], F[0], *each.blocks, W, bars[0], rates[0], features[0], box)
        kernels.lane.solo_run(*rows, rule[0][0], *rule[1:], interval_ms, 0, count, E, D[0], V[0], X, *each.slots)


def _ask(
    policy: Decides, lanes: Sequence[Lane], market: tuple[Any, ...], history: History, kernels: jit.Kernels
) -> None:
    """Bar by bar: every lane up to its observations, the policy once for all of them, every lane to its orders."""
    open_step, close_step, bars = kernels.lane.open_step, kernels.lane.close_step, market[0]
    n, count = history.bars.shape[:2]
    interval_ms = float(history.interval_ms)
    observations = np.concatenate([each.observations for each in lanes])
    for t in range(count):
        warm = [
            open_step(*each.rows, *market, interval_ms, n, t, each.tapes[0], each.tapes[3], *each.slots) != 0.0
            for each in lanes
        ]
        for k, each in enumerate(lanes):
            observations[k * n : (k + 1) * n] = each.observations
            if len(each.seen[0]):
                each.seen[:, t] = each.observations
        choices = [choice[0] for choice in policy.decide(observations)] if any(warm) else []
        for k, each in enumerate(lanes):
            each.wanted[:] = choices[k * n : (k + 1) * n] if warm[k] else np.nan
            A, Q, M, P, C, _, _, _, W = each.rows  # noqa: N806 - the rows' names are the kernels'
            close_step(A, Q, M, P, C, W, bars, each.targets, interval_ms, n, t, each.tapes[1])
