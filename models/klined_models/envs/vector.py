"""Thousands of lanes as one `gymnasium.vector.VectorEnv`: a step is one compiled call.

make_vec(4096, files) ─▶ reset(seed) ─▶ step(actions (n, ...)) ─▶ observations (n, ...), rewards (n,), ...
"""

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from klined.errors import ConfigError
from klined.kernels import layout as at
from klined.kernels import lives, rewards
from klined.kernels.jit import Kernels
from klined_models.envs.bars import Data
from klined_models.envs.lanes import Lanes
from klined_models.envs.scene import Scene, scene_of
from klined_models.envs.settings import Settings, nearest
from klined_models.envs.spaces import action_space, observation_space, shown

MODES = {
    "next_step": AutoresetMode.NEXT_STEP,
    "same_step": AutoresetMode.SAME_STEP,
    "disabled": AutoresetMode.DISABLED,
}
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class TradingVectorEnv(VectorEnv[Any, Any, Any]):
    """`num_envs` lanes over the same bars, each with an account and an episode of its own.

    `copy=False` returns the buffers themselves: they stay as they are during one more step, and change after that.
    Rewards are float64. A lane's n-th episode depends on its seed alone; lane k is seeded `seed + k`.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.NEXT_STEP, "render_modes": []}  # noqa: RUF012 - gymnasium's

    def __init__(
        self,
        num_envs: int,
        data: Scene | Data = None,
        *,
        settings: Settings | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        copy: bool = True,
        masks: bool = False,
        record: bool = False,
        kernels: Kernels | None = None,
        **options: Any,
    ) -> None:
        """Settings come as one value or by their names.

        Raises:
            ConfigError: bars or settings that cannot be.
        """
        self.mode = _mode(autoreset_mode)
        self.scene = scene_of(data, settings or _settings(data, options), kernels)
        self.lanes = Lanes(self.scene, num_envs, reset=self.mode.name.lower(), record=record)
        self.metadata = {**self.metadata, "autoreset_mode": self.mode}
        self.num_envs, self.copy, self.with_masks = num_envs, copy, masks
        self.single_action_space = action_space(self.scene)
        self.single_observation_space = observation_space(self.scene)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._customs = self.scene.settings.rewards.customs
        self._begun = False

    def reset(self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None) -> Any:
        """Begin episodes of all lanes, or of those in `options["reset_mask"]`: the seeds' first ones, or else the next.

        Raises:
            ConfigError: seeds or a mask that do not fit.
        """
        mask = _reset_mask(options, self.num_envs)
        seeds, seeded = self._seeds(seed)
        if seeded.any():
            self.lanes.seed(mask & seeded, seeds)
        self.lanes.begin(mask)
        self._begun = self._begun or bool(mask.all())
        return self._shown(), self._info(mask)

    def step(self, actions: Any) -> Any:
        """Move every lane one bar.

        Raises:
            ConfigError: used before reset, an action outside its space, or (DISABLED) a lane that has ended.
        """
        lanes = self.lanes
        if not self._begun:
            raise ConfigError("step was called before reset; call reset(seed=...) first")
        self.put(actions)
        if self.mode is AutoresetMode.DISABLED:
            self._refuse_ended()
        ended = lanes.step()
        info: dict[str, Any] = {}
        if self._customs:
            self._add_customs()
        rewarded, (over, cut) = lanes.rewards[lanes.turn], lanes.flags[lanes.turn]
        terminated, truncated = over.view(np.bool_), cut.view(np.bool_)
        if ended and self.mode is AutoresetMode.SAME_STEP:
            info = self._final_info(terminated | truncated)
        if self.with_masks:
            info["action_mask"] = self.action_masks()
        if self.copy:
            rewarded, terminated, truncated = rewarded.copy(), terminated.copy(), truncated.copy()
        return self._shown(), rewarded, terminated, truncated, info

    def put(self, actions: Any) -> None:
        """Write the actions into the lanes' buffer. Raises: ConfigError: another shape."""
        buffer = self.lanes.actions
        try:
            given = np.asarray(actions)
            buffer[...] = given.reshape(buffer.shape)
        except (TypeError, ValueError):
            raise ConfigError(
                f"actions of shape {np.shape(actions)} do not fit {self.num_envs} lanes of {self.single_action_space}"
            ) from None

    def action_masks(self) -> Flags:
        """Which levels the gate would pass or hold: (n, levels), with several symbols (n, symbols x levels).

        Raises:
            ConfigError: the actions are no levels.
        """
        if len(self.lanes.levels) < 2:
            raise ConfigError(f"{self.single_action_space} has no masks; they are for actions 'levels'")
        return self.lanes.masks(range(self.num_envs)).reshape(self.num_envs, -1)

    @property
    def equity(self) -> Floats:
        """Of every lane, quote, marked at the last close; a view."""
        return self.lanes.A[:, at.EQUITY]

    @property
    def bar_index(self) -> NDArray[np.int64]:
        """Of the bar that each lane saw last."""
        return self.lanes.N[:, lives.BAR].astype(np.int64)

    @property
    def reward_terms(self) -> dict[str, Floats]:
        """The last step's value of every term that has a weight, before it was weighed."""
        return terms_of(self.lanes)

    def _shown(self) -> Any:
        rows = self.lanes.observations[self.lanes.turn]
        return shown(self.scene, rows.copy() if self.copy else rows)

    def _info(self, mask: Flags) -> dict[str, Any]:
        info: dict[str, Any] = {"equity": self.equity.copy(), "_equity": mask.copy()}
        if self.with_masks:
            info["action_mask"] = self.action_masks()
        return info

    def _final_info(self, done: Flags) -> dict[str, Any]:
        """What SAME_STEP tells of episodes that ended: their last observation, and what they came to."""
        lanes = self.lanes
        final = np.full(self.num_envs, None, dtype=object)
        for k in np.flatnonzero(done):
            final[k] = shown(self.scene, lanes.final[k].copy())
        told = {"equity": np.where(done, lanes.U[:, rewards.EQUITY1], 0.0), "_equity": done.copy()}
        return {"final_obs": final, "_final_obs": done.copy(), "final_info": told, "_final_info": done.copy()}

    def _add_customs(self) -> None:
        lanes = self.lanes
        given = lanes.rewards[lanes.turn]
        stepped = lanes.moved
        steps = lanes.steps()
        for custom, weight in self._customs:
            value = np.asarray(custom(steps), dtype=np.float64)
            if value.shape != given.shape:
                raise ConfigError(
                    f"reward {custom!r} gave shape {value.shape} for {self.num_envs} lanes; one value each"
                )
            given += np.where(stepped, weight * value, 0.0)

    def _refuse_ended(self) -> None:
        ended = self.lanes.N[:, lives.BEGIN] != 0.0
        if ended.any():
            raise ConfigError(
                f"lane {int(np.argmax(ended))} has ended and autoreset is off; "
                'call reset(options={"reset_mask": terminated | truncated})'
            )

    def _seeds(self, seed: int | list[int | None] | None) -> tuple[NDArray[np.uint64], Flags]:
        """A seed for each lane, and which lanes get one; at the first reset all do."""
        fresh = np.random.default_rng().integers(0, 2**63, self.num_envs, dtype=np.uint64)
        if seed is None:
            return fresh, np.full(self.num_envs, not self._begun)
        given = [seed + k for k in range(self.num_envs)] if isinstance(seed, int | np.integer) else list(seed)
        if len(given) != self.num_envs or any(each is not None and each < 0 for each in given):
            raise ConfigError(f"{len(given)} seeds for {self.num_envs} lanes; one each is needed, 0 or more")
        told = np.array([each is not None for each in given])
        fresh[told] = np.array([each for each in given if each is not None], dtype=np.uint64)
        return fresh, told | (not self._begun)


def make_vec(n: int, data: Scene | Data = None, **options: Any) -> TradingVectorEnv:
    """`n` lanes over `data`; options are those of `TradingVectorEnv` and of `Settings`."""
    return TradingVectorEnv(n, data, **options)


def terms_of(lanes: Lanes) -> dict[str, Floats]:
    """Values of all named reward terms that have a weight, (n,) each."""
    from klined_models.envs.settings import TERMS  # noqa: PLC0415

    return {
        name: lanes.U[:, rewards.TERM0 + slot].copy()
        for name, slot in TERMS.items()
        if lanes.Z[rewards.WEIGHT0 + slot] != 0.0
    }


def _settings(data: Scene | Data, options: dict[str, Any]) -> Settings:
    if isinstance(data, Scene) and not options:
        return data.settings
    return Settings.of(options)


def _mode(given: AutoresetMode | str) -> AutoresetMode:
    if isinstance(given, AutoresetMode):
        return given
    name = str(given).lower()
    if name not in MODES:
        raise ConfigError(f"autoreset mode {given!r} is not known; {nearest(name, MODES)}")
    return MODES[name]


def _reset_mask(options: dict[str, Any] | None, count: int) -> Flags:
    if not options or "reset_mask" not in options:
        return np.ones(count, np.bool_)
    mask = np.asarray(options["reset_mask"])
    if mask.shape != (count,) or mask.dtype != np.bool_ or not mask.any():
        raise ConfigError(f"reset_mask {mask!r} must be {count} booleans, at least one of them true")
    return mask
