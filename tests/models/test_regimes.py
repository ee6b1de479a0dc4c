"""Hidden states: EM finds a planted chain from training bars alone, and the engine filters it as the formula says."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kernels.declared import by_table, compiled
from klined.errors import ConfigError
from klined.trader.programs import build
from klined_models.regimes import STRETCH, Chain, fit, main, training_series

Floats = NDArray[np.float64]
PLANTED = Chain(
    np.array([0.5, 0.5]),
    np.array([[0.98, 0.02], [0.05, 0.95]]),
    np.array([[0.0, 1.0], [0.0, 3.0]]),
    np.array([[0.25, 0.5], [4.0, 1.0]]),
    0.0,
)


def played(chain: Chain, count: int, seed: int) -> tuple[Floats, NDArray[np.int64]]:
    """Series and the hidden states behind them."""
    rng = np.random.default_rng(seed)
    states = np.zeros(count, dtype=np.int64)
    for t in range(1, count):
        states[t] = rng.choice(len(chain.start), p=chain.moves[states[t - 1]])
    noise = rng.normal(size=(count, chain.means.shape[1]))
    return chain.means[states] + noise * np.sqrt(chain.variances[states]), states


def filtered(chain: Chain, series: Floats) -> Floats:
    """Forward recursion in batch, with logarithms throughout."""
    out, prior = [], chain.start
    for x in series:
        logs = -0.5 * ((x - chain.means) ** 2 / chain.variances + np.log(chain.variances)).sum(axis=1)
        joint = np.log(prior) + logs
        weights = np.exp(joint - joint.max())
        out.append(weights / weights.sum())
        prior = out[-1] @ chain.moves
    return np.array(out)


def as_bars(series: Floats) -> Floats:
    """Bars whose open and volume carry two series."""
    bars = np.ones((len(series), 6))
    bars[:, 0] = np.arange(len(series)) * 60_000.0
    bars[:, 1], bars[:, 5] = series[:, 0], series[:, 1]
    return bars


def test_em_recovers_the_planted_chain() -> None:
    series, states = played(PLANTED, 24_000, 1)
    found = fit(series, 2, seed=3)
    assert np.abs(found.moves - PLANTED.moves).max() < 0.01
    assert np.abs(found.means - PLANTED.means).max() < 0.1
    assert np.abs(found.variances / PLANTED.variances - 1.0).max() < 0.1
    guessed = filtered(found, series).argmax(axis=1)
    assert (guessed == states).mean() > 0.95
    assert fit(series, 2, seed=3).numbers() == found.numbers()


def test_engine_filters_as_the_formula_says_in_both_builds() -> None:
    series, _ = played(PLANTED, 1_200, 2)
    numbers = ", ".join(map(repr, PLANTED.numbers()))
    program = build([f"hmm(open, volume, {numbers}).p{k}" for k in (0, 1)])
    found, state = by_table(program, as_bars(series))
    assert np.abs(found - filtered(PLANTED, series)).max() < 1e-9
    twin, twin_state = compiled(program, as_bars(series))
    assert (found.tobytes(), state) == (twin.tobytes(), twin_state)


def test_fitting_sees_training_bars_only(shared_data: Path) -> None:
    path = shared_data / "small" / "ETHUSDT-1m_spot_2025-05_08.csv.gz"
    bars = np.loadtxt(path, delimiter=",", skiprows=1, max_rows=8_000)
    poisoned = bars.copy()
    poisoned[4_800:, 1:] = 1e9
    assert training_series(bars, 0.6, 60_000).tobytes() == training_series(poisoned, 0.6, 60_000).tobytes()


def test_command_prints_declarations_that_build(shared_data: Path, tmp_path: Path,
                                                capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    path = shared_data / "small" / "ETHUSDT-1m_spot_2025-05_08.csv.gz"
    rows = np.loadtxt(path, delimiter=",", skiprows=1, max_rows=9_000)
    short = tmp_path / "ETHUSDT-1m.csv"
    np.savetxt(short, rows[:, :6], delimiter=",", fmt="%.17g")
    assert main([str(short), "--states", "2"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("#")]
    program = build(lines)
    out, _ = by_table(program, rows[:4_000, :6])
    assert 0.0 <= out[program.first_bar :].min() <= out[program.first_bar :].max() <= 1.0
    assert out[program.first_bar :].std() > 0.05


def test_too_few_bars_are_refused() -> None:
    with pytest.raises(ConfigError, match="too few"):
        fit(np.zeros((STRETCH, 2)), 2)
