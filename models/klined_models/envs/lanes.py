"""The rows of `n` lanes and the one compiled call that moves them all.

    actions ─▶ play() ─▶ observations (two buffers, in turn), rewards, terminated, truncated ─▶ env, VectorEnv, VecEnv

What the last call returned stays as it is during the next one; the call after that writes over it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from klined.backtest.lanes import Tape
from klined.errors import ConfigError
from klined.kernels import game, lives, resting, rewards, scaling, tapes
from klined.kernels import layout as at
from klined.kernels.rows import Block, write_market
from klined_models.envs.pages import laid
from klined_models.envs.scene import Scene
from klined_models.envs.settings import Levels, Orders, Steps, Weights
from klined_models.envs.starts import uniform

RESETS = {"next_step": game.NEXT_STEP, "same_step": game.SAME_STEP, "disabled": game.DISABLED}
FILLS_KEPT = 4096
KELLY_WIDTH = scaling.NB


class Lanes:
    """`count` lanes over a scene. With `record`, decisions and the first FILLS_KEPT fills of an episode are kept."""

    def __init__(self, scene: Scene, count: int, *, reset: str = "next_step", record: bool = False) -> None:
        if count < 1:
            raise ConfigError(f"{count} lanes; at least 1 is needed")
        settings, n = scene.settings, scene.n
        self.scene, self.count = scene, count
        lane, symbol = (at.NA, tapes.NW, lives.NN, rewards.NU), (at.NQ, KELLY_WIDTH, resting.NY)
        shapes = [*((count, width) for width in lane), *((count, n, width) for width in symbol)]
        self.A, self.W, self.N, self.U, self.Q, self.B, self.Y = laid(*((shape, np.float64) for shape in shapes))
        self.Z = settings.game()
        self.Z[game.RESET], self.Z[game.WIDTH] = RESETS[reset], scene.width
        self.rings = np.zeros((count, rewards.ring_size(self.Z.data.cast("B").cast("d"))))
        self.levels = self._levels()
        self.M, self.P = self._terms()
        looped = settings.engine == "loop"
        self.S = np.zeros((count if looped else 0, n, scene.plan.state_size))
        self.F = np.zeros((count if looped else 0, n, scene.plan.market_dim))
        self.actions = np.zeros((count, self.width))
        self.observations = np.zeros((2, count, scene.dim), np.float32)
        self.final = np.zeros((count, scene.dim), np.float32)
        self.rewards = np.zeros((2, count))
        self.flags = np.zeros((2, 2, count), np.uint8)  # turn, terminated or truncated, lane
        self.decisions = np.full((count, n if record else 0, tapes.ND), np.nan)
        self.fills = np.zeros((count, FILLS_KEPT if record else 0, tapes.NX))
        self.seeds = np.zeros(count, np.uint64)
        self.turn = 0
        self._waiting = 0
        self._all = np.ones(count, np.bool_)
        self.moved = self._all  # which lanes the last step moved; the others began
        self.N[:, lives.TERMS] = np.arange(count) % len(self.P)
        self.N[:, lives.BEGIN] = 1.0
        self._play = scene.kernels.episode.play_lanes
        self._rows = (self._arguments(0), self._arguments(1))

    @property
    def width(self) -> int:
        """Numbers in one lane's action."""
        match self.scene.settings.action_kind:
            case Orders():
                return 3 * self.scene.n
            case Weights():
                return self.scene.n + 1
            case _:
                return self.scene.n

    def seed(self, lanes: NDArray[np.bool_], seeds: NDArray[np.uint64]) -> None:
        """Begin the episodes of these lanes anew, from the first of their seeds."""
        self.seeds[lanes] = seeds[lanes]
        self.N[lanes, lives.EPISODE] = 0.0
        self.draw(lanes)

    def draw(self, lanes: NDArray[np.bool_]) -> None:
        """Where the next episode of these lanes begins and ends."""
        drawn = uniform(self.seeds[lanes], self.N[lanes, lives.EPISODE].astype(np.uint64))
        self.N[lanes, lives.NEXT_START], self.N[lanes, lives.NEXT_END] = self.scene.episodes(drawn)

    def begin(self, lanes: NDArray[np.bool_]) -> None:
        """Start the drawn episodes of these lanes at once; the others stay as they are."""
        turn = 1 - self.turn
        for buffer in (self.observations, self.rewards, self.flags):
            buffer[turn] = buffer[self.turn]
        self.turn = turn
        waiting = self.N[:, lives.BEGIN].copy()
        self.N[:, lives.BEGIN] = lanes
        self._play(*self._rows[turn], 1.0)
        waiting[lanes] = 0.0
        self.N[:, lives.BEGIN] = waiting
        self.draw(lanes)

    def step(self) -> int:
        """Move all lanes by `actions`; how many episodes ended.

        Raises:
            ConfigError: an action outside its space; nothing has moved.
        """
        turn = 1 - self.turn
        self.moved = self.N[:, lives.BEGIN] == 0.0 if self._waiting else self._all
        ended: int = self._play(*self._rows[turn], 0.0)
        if ended < 0:
            self._refuse(-ended - 1)
        self.turn = turn
        if ended or self._waiting:
            self._waiting = ended
            self.draw(self.N[:, lives.STEPS] == 0.0)
        return ended

    def steps(self) -> Steps:
        """What the last step did, as rewards in Python see it."""
        u = self.U
        columns = (rewards.EQUITY0, rewards.EQUITY1, rewards.HOLD0, rewards.HOLD1, rewards.PEAK1, rewards.TRADED)
        return Steps(*(u[:, column] for column in (*columns, rewards.POSITION1)))

    def masks(self, lanes: Sequence[int]) -> NDArray[np.bool_]:
        """Which levels the gate would pass or hold now, (len(lanes), n, levels); see docs."""
        allowed = np.zeros((len(lanes), self.scene.n, len(self.levels)), np.uint8)
        account, positions, verdict = np.zeros(at.NA), np.zeros((self.scene.n, at.NQ)), np.zeros(tapes.NW)
        for row, k in enumerate(lanes):
            self._mask(k, account, positions, verdict, allowed[row])
        return allowed.view(np.bool_)

    def _mask(self, k: int, account: Any, positions: Any, verdict: Any, allowed: Any) -> None:
        tape = Tape if self.scene.plain else _same
        terms, t = int(self.N[k, lives.TERMS]), int(self.N[k, lives.BAR])
        kernel = self.scene.kernels.masks.mask_levels
        rows = (
            self.A[k],
            self.Q[k],
            self.M[terms],
            self.P[terms],
            self.scene.correlations[t if self.scene.n > 1 else 0],
        )
        close_ms = float(self.scene.times[t] + self.scene.settings.interval_ms)
        kernel(
            *(_row(each, self.scene.plain) for each in (*rows, self.Z, self.levels, self.B[k])),
            self.scene.n,
            close_ms,
            *(_row(each, self.scene.plain) for each in (account, positions, verdict)),
            tape(allowed),
        )

    def _levels(self) -> NDArray[np.float64]:
        kind = self.scene.settings.action_kind
        if not isinstance(kind, Levels):
            return np.zeros(1)
        levels = np.array(kind.of(self.scene.settings.market_kind), dtype=np.float64)
        if not len(levels) or not (np.abs(levels) <= 1.0).all():
            raise ConfigError(f"levels {levels.tolist()} must lie in [-1, 1]: 1 is max_exposure times equity")
        return levels

    def _terms(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rows M and P of every set of terms."""
        terms = self.scene.settings.terms
        markets, limits = [], []
        for each in terms:
            costs, m, p = each.costs, Block(self.scene.n, at.NM), Block(1, at.NP)
            for row, instrument in zip(m.row, self.scene.instruments, strict=True):
                write_market(row, instrument, costs.half_spread, costs.impact, costs.participation)
            each.limits.write(p.row[0])
            p.row[0][at.MODEL_OK] = 1.0
            markets.append(m.array)
            limits.append(p.array[0])
        return np.stack(markets), np.stack(limits)

    def _arguments(self, turn: int) -> tuple[Any, ...]:
        """All arguments of the kernel but the last, with the buffers of `turn`."""
        scene, plain = self.scene, self.scene.plain
        looped = scene.settings.engine == "loop"
        states = scene.states if looped else np.zeros((scene.n, 0, scene.plan.state_size))
        mine = (self.A, self.Q, self.M, self.P, scene.correlations, self.W, self.N, self.U, self.rings, self.B, self.Y)
        shared = (scene.gauges, scene.market)
        after = (self.S, self.F, states, self.actions, self.observations[turn], self.final, self.rewards[turn])
        flags = (self.flags[turn, 0], self.flags[turn, 1], self.decisions, self.fills)
        bars, rates, slots = scene.tape, scene.rates, scene.slots
        return (
            *(_row(each, plain) for each in (*mine, self.Z, self.levels)),
            *((bars.tolist(), rates.tolist()) if plain else (bars, rates)),
            *(_row(each, plain) for each in shared),
            slots.tolist() if plain else slots,
            *(_row(each, plain) for each in (*after, *flags)),
        )

    def _refuse(self, lane: int) -> None:
        action = self.actions[lane].tolist()
        match self.scene.settings.action_kind:
            case Levels():
                space = f"whole numbers from 0 to {len(self.levels) - 1}, one per symbol"
            case Weights(_, normalise):
                space = "weights in [0, 1], the last one cash" + (
                    "" if normalise else f", which sum to 1, not {sum(action)}"
                )
            case Orders():
                space = "(target in [-1, 1], offset in [0, 1], stop in [0, 1]) per symbol"
            case _:
                space = "a target in [-1, 1] per symbol"
        raise ConfigError(f"the action of lane {lane} is {action}; it must be {space}")


def _same(array: NDArray[Any]) -> Any:
    return array


def _row(array: NDArray[Any], plain: bool) -> Any:  # noqa: FBT001 - of two builds one
    """An array as the kernels of one build take it."""
    if not plain:
        return array
    if array.ndim > 1:
        return Tape(array)
    return Tape(array[np.newaxis])[0] if len(array) else array
