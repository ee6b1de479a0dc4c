"""Actions: what each kind comes to at the gate, and which the gate would refuse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.markets import WIDE
from envs.making import LIMITS, duo_scene, perp_scene, spot_bars, spot_scene
from klined.domain import Reason
from klined.kernels import game, tapes
from klined.kernels import layout as at
from klined.trader.limits import Limits
from klined_models.envs import Continuous, Levels, Orders, TradingEnv, TradingVectorEnv, Weights


def targets(env: TradingEnv) -> list[float]:
    return list(env.decisions[:, tapes.TARGET])


def test_level_is_a_target_and_half_is_half_of_the_exposure_not_half_more() -> None:
    env = TradingEnv(spot_scene(actions=Levels((0.0, 0.5, 1.0))))
    env.reset(seed=3)
    for _ in range(3):
        env.step(1)
    assert targets(env) == [0.5]
    assert env.lanes.Q[0, 0, at.EXPOSURE] == pytest.approx(0.5, abs=0.02)


@given(
    wished=st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3).filter(lambda w: sum(w) > 0.01),
    cap=st.floats(0.05, 1.0),
)
@settings(max_examples=60, deadline=None)
def test_cap_holds_after_weights_were_made_to_sum_to_one(wished: list[float], cap: float) -> None:
    z, p = (memoryview(np.zeros(64)).cast("B").cast("d") for _ in range(2))
    z[game.MODE], z[game.CAP], p[at.MAX_EXPOSURE] = game.WEIGHTS, cap, 1.0
    row = memoryview(np.array(wished)).cast("B").cast("d")
    weights = [game.target_of(z, z, p, row, 2, i) for i in range(2)]
    assert max(weights) <= cap
    assert sum(weights) <= 1.0 + 1e-12
    for weight, wish in zip(weights, wished, strict=False):
        assert weight == pytest.approx(min(cap, wish / sum(wished)))


def test_two_symbols_share_one_purse() -> None:
    limits = Limits(**{**WIDE, "max_exposure": 1.0})  # type: ignore[arg-type]  # some are int
    env = TradingEnv(duo_scene(actions=Weights(cap=0.6), limits=limits))
    env.reset(seed=2)
    for _ in range(12):
        env.step([0.7, 0.2, 0.1])
    assert targets(env) == pytest.approx([0.6, 0.2])
    exposure = env.lanes.Q[0, :, at.EXPOSURE]
    assert exposure[0] == pytest.approx(0.6, abs=0.05)
    assert exposure[1] == pytest.approx(0.2, abs=0.05)
    held = (env.lanes.Q[0, :, at.LOTS] * env.lanes.M[0, :, at.LOT] * env.lanes.Q[0, :, at.MARK]).sum()
    assert env.lanes.A[0, at.CASH] + held == pytest.approx(env.lanes.A[0, at.EQUITY])


def test_limit_away_from_the_market_fills_at_its_price_or_not_at_all() -> None:
    env = TradingEnv(perp_scene(actions=Orders(offset_max=0.002), episode_bars=300))
    env.reset(seed=4)
    filled = missed = 0
    for step in range(300):
        bar, count = env.bar_index, len(env.fills)
        close, held = env.scene.bars[0, bar, 4], env.lanes.Q[0, 0, at.LOTS]
        side = 1.0 if step % 2 else -1.0
        env.step([side * 0.8, 0.5, 0.0])
        ordered = env.decisions[0, tapes.DECIDED_LOTS]
        if ordered == 0.0:
            continue
        tick = float(env.scene.instruments[0].tick)
        wanted = close * (1.0 - 0.001 * np.sign(ordered))
        new = env.fills[count:]
        low, high = env.scene.bars[0, bar + 1, [3, 2]]
        if len(new):
            filled += 1
            assert (new[0, tapes.FILL_TICKS] * tick - wanted) * np.sign(ordered) <= 1e-9
        else:
            missed += 1
            assert env.lanes.Q[0, 0, at.LOTS] == held
            assert (wanted - low if ordered > 0 else high - wanted) <= 2.0 * tick
    assert filled >= 5
    assert missed >= 5


def test_stop_beside_a_position_takes_it_out_within_the_bar() -> None:
    env = TradingEnv(perp_scene(actions=Orders(stop_max=0.001), episode_bars=300))
    env.reset(seed=4)
    stopped = 0
    for _ in range(300):
        count = len(env.fills)
        env.step([0.8, 0.0, 0.3])
        new = env.fills[count:]
        if len(new) and new[-1, tapes.FILL_LOTS] < 0.0:
            stopped += 1
            close, low = env.scene.bars[0, env.bar_index - 1, 4], env.scene.bars[0, env.bar_index, 3]
            assert env.lanes.Q[0, 0, at.LOTS] == 0.0
            assert low <= close * (1.0 - 0.0003) + 0.02
    assert stopped >= 5


def test_mask_forbids_what_the_gate_refuses_and_nothing_else() -> None:
    tight = Limits(**{**WIDE, "max_trades_hour": 1, "max_symbol": 0.3})  # type: ignore[arg-type]  # some are int
    scene = perp_scene(limits=tight, episode_bars=200)
    env = TradingEnv(scene)
    env.reset(seed=5)
    passing = {Reason.OK, Reason.HOLD_TARGET, Reason.HOLD_DEADBAND, Reason.EXIT}
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(200):
        mask, level = env.action_masks(), int(rng.integers(0, 5))
        before = env.lanes.A.tobytes() + env.lanes.Q.tobytes()
        assert mask.any()
        assert env.lanes.A.tobytes() + env.lanes.Q.tobytes() == before
        env.step(level)
        ordered = env.decisions[0, tapes.DECIDED_LOTS] != 0.0
        reason = Reason(int(env.decisions[0, tapes.REASON]))
        if ordered or reason in passing:
            assert mask[level]
        refused += int(not mask[level])
        if not mask[level]:
            assert not ordered
    assert refused > 20


def test_shorts_are_masked_where_there_are_none() -> None:
    env = TradingEnv(spot_scene(actions=Levels((-1.0, 0.0, 1.0))), masks=True)
    assert env.reset(seed=0)[1]["action_mask"].tolist() == [False, True, True]
    vector = TradingVectorEnv(3, spot_scene(actions=Levels((-1.0, 0.0, 1.0))), masks=True)
    vector.reset(seed=0)
    assert vector.step([1, 1, 1])[4]["action_mask"].tolist() == [[False, True, True]] * 3
    duo = TradingEnv(duo_scene())
    duo.reset(seed=0)
    assert duo.action_masks().shape == (6,)


def test_drawdown_halt_of_the_gate_ends_an_episode_flat() -> None:
    strict = Limits(**{**WIDE, "max_exposure": 5.0, "max_drawdown": 0.01, "reduce_drawdown": 0.01})  # type: ignore[arg-type]
    env = TradingEnv(perp_scene(actions=Continuous(), limits=strict, episode_bars=800))
    env.reset(seed=0)
    terminated = truncated = False
    steps = 0
    while not (terminated or truncated):
        *_, terminated, truncated, _ = env.step([1.0 if steps % 8 < 4 else -1.0])
        steps += 1
    assert terminated
    assert env.lanes.A[0, at.HALT] == Reason.DRAWDOWN_HALT
    assert env.lanes.Q[0, 0, at.LOTS] == 0.0


def test_lanes_take_turns_at_several_terms() -> None:
    half = Limits(**{**WIDE, "max_exposure": 0.25})  # type: ignore[arg-type]  # some are int
    vector = TradingVectorEnv(4, spot_bars(), limits=(LIMITS, half), episode_bars=100, start="first")
    vector.reset(seed=0)
    for _ in range(4):
        vector.step([2, 2, 2, 2])
    exposed = vector.lanes.A[:, at.GROSS_NOTIONAL] / vector.equity
    assert exposed == pytest.approx([0.5, 0.25, 0.5, 0.25], abs=0.02)
