"""Every term of the reward against its formula written once more, from nothing but equity, prices and fills."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from envs.making import perp_scene
from klined.errors import ConfigError
from klined.kernels import rewards, tapes
from klined_models.envs import Continuous, Rewards, Steps, TradingEnv, TradingVectorEnv
from klined_models.envs.settings import TERMS

Floats = NDArray[np.float64]
ETA, SPAN, BARS, FRACTION = 0.05, 20.0, 25, 0.1
BALANCE = 10_000.0


class Episode:
    """One episode of random targets: what each term gave, and what it must follow from."""

    def __init__(self) -> None:
        spec = Rewards(dict.fromkeys(TERMS, 1.0), ETA, SPAN, BARS, FRACTION)
        env = TradingEnv(perp_scene(actions=Continuous(), reward=spec, episode_bars=300))
        _, info = env.reset(seed=8)
        rng = np.random.default_rng(3)
        self.equity: list[float] = [info["equity"]]
        self.position: list[float] = [0.0]
        self.total: list[float] = []
        self.terms: dict[str, list[float]] = {name: [] for name in TERMS}
        self.traded: list[float] = []
        self.start = env.bar_index
        for step in range(300):
            fills = len(env.fills)
            _, reward, *_, info = env.step([rng.uniform(-1, 1) if step % 3 == 0 else 0.3])
            new = env.fills[fills:]
            lot, tick = (float(getattr(env.scene.instruments[0], name)) for name in ("lot", "tick"))
            self.traded.append(float((np.abs(new[:, tapes.FILL_LOTS]) * lot * new[:, tapes.FILL_TICKS] * tick).sum()))
            self.equity.append(info["equity"])
            self.position.append(float(env.lanes.U[0, rewards.POSITION1]))
            self.total.append(reward)
            for name, slot in TERMS.items():
                self.terms[name].append(float(env.lanes.U[0, rewards.TERM0 + slot]))
        self.close = env.scene.bars[0, self.start : self.start + 301, 4]

    @property
    def gains(self) -> Floats:
        equity = np.array(self.equity)
        return equity[1:] / equity[:-1] - 1.0


@pytest.fixture(scope="module")
def episode() -> Episode:
    return Episode()


def drawdowns(equity: Floats) -> Floats:
    return 1.0 - equity / np.maximum.accumulate(equity)


def log_return(e: Episode) -> Any:
    return np.diff(np.log(e.equity))


def profit(e: Episode) -> Any:
    return np.diff(e.equity) / BALANCE


def risk_adjusted(e: Episode) -> Any:
    told, variance, weight = [], 0.0, 2.0 / (SPAN + 1.0)
    for gain in e.gains:
        told.append(0.0 if variance <= 1e-18 else max(-10.0, min(10.0, gain / variance**0.5)))
        variance = (1.0 - weight) * variance + weight * gain**2
    return told


def differential_sharpe(e: Episode) -> Any:
    """D = dS/d eta at eta = 0, of S = A / sqrt(B - A^2) with A and B moved by eta: by a numerical derivative."""
    told, mean, square, h = [], 0.0, 0.0, 1e-6
    for gain in e.gains:
        if square - mean**2 <= 1e-18:
            told.append(0.0)
        else:
            ratio = [
                (mean + eta * (gain - mean))
                / np.sqrt(square + eta * (gain**2 - square) - (mean + eta * (gain - mean)) ** 2)
                for eta in (-h, h)
            ]
            told.append((ratio[1] - ratio[0]) / (2.0 * h))
        mean, square = mean + ETA * (gain - mean), square + ETA * (gain**2 - square)
    return told


def differential_sortino(e: Episode) -> Any:
    """Moody and Saffell (2001), equation 14."""
    told, mean, down = [], 0.0, 0.0
    for gain in e.gains:
        if down <= 1e-18:
            told.append(0.0)
        elif gain > 0:
            told.append((gain - mean / 2) / down**0.5)
        else:
            told.append((down * (gain - mean / 2) - mean * gain**2 / 2) / down**1.5)
        mean, down = mean + ETA * (gain - mean), down + ETA * (min(gain, 0.0) ** 2 - down)
    return told


def excess(e: Episode) -> Any:
    return np.diff(np.log(e.equity)) - np.diff(np.log(e.close))


def drawdown(e: Episode) -> Any:
    return -np.maximum(0.0, np.diff(drawdowns(np.array(e.equity))))


def turnover(e: Episode) -> Any:
    return -np.array(e.traded) / np.array(e.equity[:-1])


def cvar(e: Episode) -> Any:
    worst = int(np.ceil(BARS * FRACTION))
    windows = [e.gains[max(0, t + 1 - BARS) : t + 1] for t in range(300)]
    return [min(0.0, float(np.mean(np.sort(window)[:worst]))) for window in windows]


def original(e: Episode) -> Any:
    """As the original system's own description has it."""
    told: list[float] = []
    earned: list[float] = []
    held = idle = 0
    peaks = np.maximum.accumulate(np.array(e.equity))
    for t in range(300):
        nav, position = e.equity[t + 1], e.position[t]
        earned.append(position * (e.close[t + 1] / e.close[t] - 1.0))
        change = abs(e.position[t + 1] - position)
        window = np.array(earned[-1440:])
        value = earned[-1] * nav / BALANCE * 100.0 - change * 0.0015 * nav
        if t and window.var() > 1e-18:
            value += 0.2 * window.mean() / window.std()
        value -= 50.0 * (nav < 0.9 * peaks[t + 1])
        if abs(e.position[t + 1]) > 0.1:
            held += 1
            value += 0.0005 if earned[-1] > 0 else -0.001
            value -= 0.002 * (held > 1440)
        else:
            held = 0
        idle = 0 if change > 0.01 else idle + 1
        told.append(value + (0.1 if idle == 0 else -0.005 * (1.0 + 0.1 * idle)))
    return told


FORMULAS = (
    log_return, profit, risk_adjusted, differential_sharpe, differential_sortino,
    excess, drawdown, turnover, cvar, original,
)  # fmt: skip


@pytest.mark.parametrize("formula", FORMULAS, ids=lambda formula: formula.__name__)
def test_term_is_its_formula(episode: Episode, formula: Any) -> None:
    given, expected = np.array(episode.terms[formula.__name__]), np.array(formula(episode))
    assert np.abs(expected).max() > 0.0
    np.testing.assert_allclose(given, expected, rtol=1e-6, atol=1e-5 if "sharpe" in formula.__name__ else 1e-9)


def test_every_term_has_a_formula_here() -> None:
    assert {formula.__name__ for formula in FORMULAS} == set(TERMS)


def test_weights_add_terms_up(episode: Episode) -> None:
    np.testing.assert_allclose(episode.total, np.sum([episode.terms[name] for name in TERMS], axis=0), rtol=1e-9)
    weights = {"log_return": 2.0, "turnover": 0.5, "drawdown": 0.25}
    vector = TradingVectorEnv(6, perp_scene(actions=Continuous(), reward=weights))
    vector.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(40):
        _, given, *_ = vector.step(rng.uniform(-1, 1, (6, 1)))
        parts = vector.reward_terms
        assert set(parts) == set(weights)
        np.testing.assert_allclose(given, sum(weights[name] * parts[name] for name in weights), rtol=1e-12, atol=1e-15)


def test_rewards_in_python_join_the_named_ones() -> None:
    def squared(steps: Steps) -> Floats:
        return (steps.equity_after / steps.equity_before - 1.0) ** 2

    weights: dict[Any, float] = {"profit": 1.0, squared: -3.0}
    vector = TradingVectorEnv(5, perp_scene(actions=Continuous(), reward=weights, episode_bars=20))
    single = TradingEnv(vector.scene)
    plain = TradingVectorEnv(5, perp_scene(actions=Continuous(), reward="profit", episode_bars=20))
    vector.reset(seed=0)
    plain.reset(seed=0)
    single.reset(seed=2)
    for step in range(45):
        before = vector.equity.copy()
        given, named = vector.step(np.full((5, 1), 0.8))[1].copy(), plain.step(np.full((5, 1), 0.8))[1]
        gain = np.where(step % 21 == 20, 0.0, vector.equity / before - 1.0)
        np.testing.assert_allclose(given, named - 3.0 * gain**2, rtol=1e-9, atol=1e-18)
        if step < 20:
            assert single.step([0.8])[1] == given[2]


def test_reward_of_the_wrong_shape_is_refused() -> None:
    def summed(steps: Steps) -> Floats:
        return steps.equity_after.sum(keepdims=True)

    vector = TradingVectorEnv(3, perp_scene(reward={summed: 1.0}))
    vector.reset(seed=0)
    with pytest.raises(ConfigError, match="gave shape"):
        vector.step(np.zeros(3, int))


def test_nothing_is_paid_for_activity_by_default() -> None:
    env = TradingEnv(perp_scene())
    env.reset(seed=0)
    assert [env.step(2)[1] for _ in range(50)] == [0.0] * 50
