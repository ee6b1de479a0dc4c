"""The same lanes as stable-baselines3 has them: a `VecEnv` over the buffers of a `TradingVectorEnv`, without copies.

What `step` returned stays as it is during the next step, which is as long as on-policy and off-policy algorithms need
it. Rewards are float32 there, the only thing that is converted.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv  # pyright: ignore[reportMissingImports]  # of the extra `train`

from klined.errors import ConfigError
from klined_models.envs.vector import TradingVectorEnv


class LaneVecEnv(VecEnv):  # type: ignore[misc,unused-ignore]  # without stable-baselines3, VecEnv is Any
    """`vector` in same-step mode; give `LaneVecEnv.of(n, data, **options)` what `make_vec` takes."""

    def __init__(self, vector: TradingVectorEnv) -> None:
        if vector.mode is not AutoresetMode.SAME_STEP or vector.copy:
            raise ConfigError(
                "stable-baselines3 resets in the same step: make_vec(..., autoreset_mode='same_step', copy=False)"
            )
        self.vector = vector
        self.metadata = vector.metadata
        self.render_mode = None
        super().__init__(vector.num_envs, vector.single_observation_space, vector.single_action_space)
        self._rewards = np.zeros((2, self.num_envs), np.float32)

    @classmethod
    def of(cls, n: int, data: Any = None, **options: Any) -> "LaneVecEnv":
        """`n` lanes over `data`."""
        return cls(TradingVectorEnv(n, data, autoreset_mode="same_step", copy=False, **options))

    def reset(self) -> Any:
        """Begin episodes; the seeds of `seed()` count once."""
        seeds = list(self._seeds)
        given = any(seed is not None for seed in seeds)
        observations, _ = self.vector.reset(seed=seeds if given else None)
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: NDArray[Any]) -> None:
        self._actions = actions

    def step_wait(self) -> Any:
        """Observations, rewards, dones and infos; of a lane that ended, info has its last observation."""
        observations, rewarded, terminated, truncated, told = self.vector.step(self._actions)
        row = self._rewards[self.vector.lanes.turn]
        row[:] = rewarded
        dones = terminated | truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if dones.any():
            equity = told["final_info"]["equity"]
            for k in np.flatnonzero(dones).tolist():
                infos[k] = {
                    "terminal_observation": told["final_obs"][k],
                    "TimeLimit.truncated": bool(truncated[k] and not terminated[k]),
                    "equity": float(equity[k]),
                }
        return observations, row, dones, infos

    def close(self) -> None:
        self.vector.close()

    def action_masks(self) -> NDArray[np.bool_]:
        """For sb3-contrib's MaskablePPO."""
        return self.vector.action_masks()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        value = getattr(self.vector, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:  # noqa: ARG002 - VecEnv's signature
        raise ConfigError(f"{attr_name} of lanes cannot be set to {value!r} for some of them; make another environment")

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """One answer per lane; of methods, lanes have `action_masks` and `render`."""
        lanes = list(self._get_indices(indices))
        if method_name == "action_masks":
            masks = self.vector.action_masks()
            return [masks[k] for k in lanes]
        method = getattr(self.vector, method_name)
        return [method(*method_args, **method_kwargs) for _ in lanes]

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:  # noqa: ARG002 - VecEnv's signature
        return [False for _ in self._get_indices(indices)]

    def get_images(self) -> Sequence[Any]:
        return [None for _ in range(self.num_envs)]
