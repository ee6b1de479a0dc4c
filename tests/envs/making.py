"""Scenes that the tests of environments share, made once."""

from functools import cache
from typing import Any

import numpy as np

from backtest.markets import WIDE, bars_of, history, perps, spot
from klined.kernels import jit
from klined.trader.limits import Limits
from klined_models.envs import Scene, Settings

COUNT = 1200
SPOT, PERP = ("ETH/USDT",), ("ETH/USDT:USDT",)
LIMITS = Limits(**WIDE)  # type: ignore[arg-type]  # some are int


def settings(**options: Any) -> Settings:
    """Wide limits and short episodes, changed by `options`."""
    return Settings(**{"limits": LIMITS, "episode_bars": 100, **options})


@cache
def spot_bars() -> Any:
    return bars_of(SPOT, COUNT)


def spot_scene(*, kernels: jit.Kernels | None = None, **options: Any) -> Scene:
    return Scene(settings(**options), spot_bars(), kernels=kernels)


def perp_scene(*symbols: str, kernels: jit.Kernels | None = None, count: int = COUNT, **options: Any) -> Scene:
    """With fundings every hour."""
    names = symbols or PERP
    listed = perps(*names)
    recorded = history(bars_of(names, count), listed)
    return Scene(settings(symbols=names, kind="perp", instruments=listed, **options), recorded, kernels=kernels)


def duo_scene(**options: Any) -> Scene:
    """Two symbols on spot, one account."""
    names = ("BTC/USDT", "ETH/USDT")
    return Scene(settings(symbols=names, instruments=spot(*names), **options), bars_of(names, COUNT))


def digest(*parts: Any) -> bytes:
    return b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
