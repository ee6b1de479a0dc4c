"""Spaces of actions and observations, and the flat row of an observation as blocks."""

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from klined.kernels.game import SUM_TOLERANCE
from klined_models.envs.scene import Scene, bounds_of
from klined_models.envs.settings import Levels, Orders, Weights


class Simplex(spaces.Box):
    """Weights in [0, 1] that sum to one; the last is cash. Samples are uniform on it."""

    def __init__(self, size: int, seed: int | None = None) -> None:
        super().__init__(0.0, 1.0, (size,), np.float32, seed=seed)

    def sample(self, mask: Any = None, probability: Any = None) -> NDArray[Any]:  # noqa: ARG002 - the signature is gymnasium's
        drawn = self.np_random.exponential(size=self.shape)
        weights: NDArray[np.float32] = (drawn / drawn.sum()).astype(np.float32)
        return weights

    def contains(self, x: Any) -> bool:
        return super().contains(x) and bool(abs(float(np.sum(x, dtype=np.float64)) - 1.0) <= SUM_TOLERANCE)

    def __repr__(self) -> str:
        return f"Simplex({self.shape[0]})"


@batch_space.register(Simplex)
def _batched(space: Simplex, n: int = 1) -> spaces.Box:
    return spaces.Box(0.0, 1.0, (n, *space.shape), np.float32)


def action_space(scene: Scene) -> spaces.Space[Any]:
    """The space of one lane's action."""
    kind, n = scene.settings.action_kind, scene.n
    match kind:
        case Levels():
            count = len(kind.of(scene.settings.market_kind))
            return spaces.Discrete(count) if n == 1 else spaces.MultiDiscrete([count] * n)
        case Weights(_, normalise):
            return spaces.Box(0.0, 1.0, (n + 1,), np.float32) if normalise else Simplex(n + 1)
        case Orders():
            low = np.tile(np.array([-1.0, 0.0, 0.0], np.float32), n)
            return spaces.Box(low, np.ones(3 * n, np.float32), dtype=np.float32)
        case _:
            return spaces.Box(-1.0, 1.0, (n,), np.float32)


def observation_space(scene: Scene) -> spaces.Space[Any]:
    """One flat Box, or a Dict of blocks; all bounds are those that the features promise."""
    boxes: dict[str, spaces.Box[Any]] = {}
    for name, part in scene.parts.items():
        low, high = np.full(part.shape, -1.0, np.float32), np.ones(part.shape, np.float32)
        if name == "indicators":
            bounds = bounds_of(scene.plan)
            low[...], high[...] = bounds[0], bounds[1]
        boxes[name] = spaces.Box(low, high, dtype=np.float32)
    if scene.settings.observation.as_dict:
        return spaces.Dict(dict(boxes))
    flat = list(boxes.values())
    low = np.concatenate([box.low.ravel() for box in flat])
    return spaces.Box(low, np.concatenate([box.high.ravel() for box in flat]), dtype=np.float32)


def shown(scene: Scene, rows: NDArray[np.float32]) -> Any:
    """Rows (..., dim) as the observation space has them: themselves, or views by block."""
    if not scene.settings.observation.as_dict:
        return rows
    return {
        name: rows[..., part.begin : part.end].reshape(*rows.shape[:-1], *part.shape)
        for name, part in sorted(scene.parts.items())
    }
