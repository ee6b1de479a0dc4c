"""One lane as a `gymnasium.Env`: what `gymnasium.make("klined/Trading-v0")` makes."""

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from klined.domain import Reason
from klined.errors import ConfigError
from klined.kernels import layout as at
from klined.kernels import lives, tapes
from klined.kernels.jit import Kernels
from klined_models.envs.bars import Data
from klined_models.envs.lanes import Lanes
from klined_models.envs.scene import Scene, scene_of
from klined_models.envs.screen import MODES, Screen
from klined_models.envs.settings import Levels, Settings
from klined_models.envs.spaces import action_space, observation_space, shown

Floats = NDArray[np.float64]


class TradingEnv(gymnasium.Env[Any, Any]):
    """One lane: the same bytes as lane k of a vector that was seeded with this seed minus k.

    `info` has what a person asks first: equity, position (exposure of each symbol), bar (index), time_ms; with
    `record`, also `reason` (the gate's last), and `fills` and `decisions` tell all. An episode that has ended must be
    reset before the next step.
    """

    metadata: dict[str, Any] = {"render_modes": ["human", "rgb_array"], "render_fps": 10}  # noqa: RUF012 - gymnasium's

    def __init__(
        self,
        data: Scene | Data = None,
        *,
        settings: Settings | None = None,
        masks: bool = False,
        record: bool = True,
        render_mode: str | None = None,
        kernels: Kernels | None = None,
        **options: Any,
    ) -> None:
        """Settings come as one value or by their names.

        Raises:
            ConfigError: bars or settings that cannot be.
        """
        if isinstance(data, Scene) and settings is None and not options:
            settings = data.settings
        self.scene = scene_of(data, settings or Settings.of(options), kernels)
        record = record or render_mode is not None
        self.lanes = Lanes(self.scene, 1, reset="disabled", record=record)
        self.screen = Screen(self.lanes, render_mode) if render_mode is not None else None
        self.render_mode, self.with_masks, self.recorded = render_mode, masks, record
        self.action_space = action_space(self.scene)
        self.observation_space = observation_space(self.scene)
        self._customs = self.scene.settings.rewards.customs
        self._scalar = isinstance(self.scene.settings.action_kind, Levels) and self.scene.n == 1
        self._flat = not self.scene.settings.observation.as_dict
        self._begun = False
        self._all = np.ones(1, np.bool_)
        lanes = self.lanes
        self._action = lanes.actions[0].data.cast("B").cast("d")
        self._episode = lanes.N[0].data.cast("B").cast("d")
        self._account = lanes.A[0].data.cast("B").cast("d")
        self._rewards = [each.data.cast("B").cast("d") for each in lanes.rewards]
        self._over = [(each[0].data, each[1].data) for each in lanes.flags]
        self._rows = [lanes.observations[0, 0], lanes.observations[1, 0]]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin the seed's first episode, or the next one."""
        super().reset(seed=seed, options=options)
        if seed is None and not self._begun:
            seed = int(self.np_random.integers(0, 2**62))
        if seed is not None:
            self.lanes.seed(self._all, np.array([seed], np.uint64))
        self.lanes.begin(self._all)
        self._begun = True
        if self.screen is not None:
            self.screen.begin(self.bar_index)
        return self._shown(), self._info()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Move one bar.

        Raises:
            ConfigError: used before reset or after the end, or an action outside its space.
        """
        if self._episode[lives.BEGIN] != 0.0:
            self._refuse()
        try:
            if self._scalar:
                self._action[0] = float(action)
            else:
                self.lanes.actions[0] = action
        except (TypeError, ValueError):
            raise ConfigError(f"action {action!r} does not fit {self.action_space}") from None
        lanes = self.lanes
        lanes.step()
        if self.screen is not None:
            self.screen.add()
        turn = lanes.turn
        reward = self._rewards[turn][0]
        if self._customs:
            steps = lanes.steps()
            reward += sum(weight * float(np.asarray(custom(steps))[0]) for custom, weight in self._customs)
        terminated, truncated = self._over[turn]
        seen = self._rows[turn].copy() if self._flat else self._shown()
        return seen, reward, terminated[0] != 0, truncated[0] != 0, self._info()

    def render(self) -> Any:
        """The episode as a picture (720, 960, 3) uint8; with `human`, steps draw it in a window and this does nothing.

        Raises:
            ConfigError: made without render_mode, used before reset, or no display for `human`.
        """
        if self.screen is None:
            raise ConfigError(f"nothing to render: make the environment with render_mode, one of {', '.join(MODES)}")
        if not self._begun:
            raise ConfigError("render was called before reset; call reset(seed=...) first")
        return self.screen.render()

    def close(self) -> None:
        """Close the window, if there is one."""
        if self.screen is not None:
            self.screen.close()

    def action_masks(self) -> NDArray[np.bool_]:
        """Which levels the gate would pass or hold, flat, as sb3-contrib's MaskablePPO asks."""
        if not isinstance(self.scene.settings.action_kind, Levels):
            raise ConfigError(f"{self.action_space} has no masks; they are for actions 'levels'")
        return self.lanes.masks([0]).ravel()

    @property
    def fills(self) -> Floats:
        """Fills of this episode, (K, NX); columns are named in `klined.kernels.tapes`."""
        count = int(self.lanes.W[0, tapes.FILLS])
        return self.lanes.fills[0, :count]

    @property
    def decisions(self) -> Floats:
        """The last decision on each symbol, (n, ND)."""
        decisions: Floats = self.lanes.decisions[0]
        return decisions

    @property
    def bar_index(self) -> int:
        """Of the bar that was seen last, in `scene.bars`."""
        return int(self._episode[lives.BAR])

    def _shown(self) -> Any:
        return shown(self.scene, self._rows[self.lanes.turn].copy())

    def _info(self) -> dict[str, Any]:
        bar = int(self._episode[lives.BAR])
        info: dict[str, Any] = {
            "equity": self._account[at.EQUITY],
            "position": self.lanes.Q[0, :, at.EXPOSURE].copy(),
            "bar": bar,
        }
        if self.recorded:
            info["reason"] = int(self._episode[lives.REASON])
        if self.with_masks:
            info["action_mask"] = self.action_masks()
        return info

    def _refuse(self) -> None:
        if not self._begun:
            raise ConfigError("step was called before reset; call reset(seed=...) first")
        raise ConfigError("the episode has ended; call reset() before the next step")


def reason_name(code: int) -> str:
    """The gate's word for a reason in `info`."""
    return Reason(code).name
