"""Proof by replay: the bars in a policy file, through this daemon's own engine, must give what training saw.

    golden bars ─▶ Engine ─▶ observations ≟ golden (1e-6) ─▶ policy ─▶ actions ≟ golden (1e-5)

Account slots are inputs and are taken from the golden observations. The tolerances allow for float32 kernels that
differ between CPU classes, and for nothing else.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from klined.domain import Bar
from klined.errors import BadBar, ModelError
from klined.kernels import layout as at
from klined.kernels.rows import Block
from klined.ports import Choice
from klined.trader.engine import Engine
from klined.trader.manifest import REMEDY, Manifest, check_plan, plan_of

OBSERVATION_TOLERANCE = 1e-6
ACTION_TOLERANCE = 1e-5
Decide = Callable[[NDArray[np.float32]], list[Choice]]


def verify(manifest: Manifest, decide: Decide, where: str) -> None:
    """Replay the golden bars; about 5 ms for 364 bars.

    Raises:
        ModelError: names the first bar and feature that differ, with both values.
    """
    check_plan(manifest, plan_of(manifest))
    seen = replay(manifest)
    expected = manifest.golden.observation_rows(manifest.dim)
    wrong = np.argwhere(~(np.abs(seen - expected) <= OBSERVATION_TOLERANCE))
    if len(wrong):
        bar, slot = (int(index) for index in wrong[0])
        raise ModelError(
            f"{where}: golden bar {bar}, feature {manifest.features[slot].name!r} is {seen[bar, slot]!r} here and "
            f"{expected[bar, slot]!r} in training; {REMEDY}"
        )
    for bar, (row, action) in enumerate(zip(expected, manifest.golden.action_rows().tolist(), strict=True)):
        target = decide(row[None, :])[0][0]
        if not abs(target - action) <= ACTION_TOLERANCE:
            raise ModelError(
                f"{where}: golden bar {bar}, target is {target!r} here and {action!r} in training; {REMEDY}"
            )


def replay(manifest: Manifest) -> NDArray[np.float32]:
    """Observations of the last golden bars, shape (k, dim), made by the daemon's engine from the golden bars.

    Raises:
        ModelError: a golden bar is no bar.
    """
    golden, plan = manifest.golden, plan_of(manifest)
    expected = golden.observation_rows(manifest.dim)
    rows = golden.bar_rows().tolist()
    shown = {name: plan.names.index(name) for name in manifest.account_features}
    position, change = shown.pop("position", None), shown.pop("position_change", None)
    given = list(shown.values())
    engine, account = Engine(plan, 1), Block(1, at.NQ)
    seen = np.empty_like(expected)
    first = len(rows) - len(expected)
    for index, row in enumerate(rows):
        try:
            bar = Bar(golden.symbol, golden.first_open_ms + index * manifest.bar_interval_ms, *row)
        except BadBar as error:
            raise ModelError(f"policy manifest {manifest.name!r}: golden.bars: {error}; {REMEDY}") from None
        engine.step(0, bar)
        if index >= first:
            k = index - first
            account.row[0][at.EXPOSURE] = 0.0 if position is None else float(expected[k, position])
            account.row[0][at.CHANGE] = 0.0 if change is None else 2.0 * float(expected[k, change])
            engine.observe(0, account.row[0], manifest.sentiment.neutral)
            seen[k] = engine.observations[0]
            seen[k, given] = expected[k, given]  # what else the account was then, no bar tells
    return seen
