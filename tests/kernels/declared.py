"""Runs declared features in every build, for the tests of indicators and programs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from klined.kernels import jit
from klined.kernels import program as kernel
from klined.kernels.rows import Block
from klined.trader.programs import Program, build
from klined.trader.stepper import stepper

Floats = NDArray[np.float64]


def coded(program: Program) -> tuple[NDArray[np.int64], Floats]:
    return np.array(program.code, dtype=np.int64), np.array(program.constants)


def by_table(program: Program, bars: Floats) -> tuple[Floats, bytes]:
    """Features of every bar and the final state, as the daemon computes them."""
    state, out = Block(1, program.state_size), Block(len(bars), len(program.results))
    step = stepper(program)
    for t, bar in enumerate(bars.tolist()):
        step(state.row[0], bar, out.row[t])
    return out.array, state.dump()


def interpreted(program: Program, bars: Floats) -> tuple[Floats, bytes]:
    """The same by the source of the compiled interpreter, run as Python."""
    state, out = Block(1, program.state_size), Block(len(bars), len(program.results))
    constants = Block(1, len(program.constants))
    constants.array[0] = program.constants
    kernel.plan_history(program.code, constants.row[0], state.row[0], bars.tolist(), out.row)
    return out.array, state.dump()


def compiled(program: Program, bars: Floats, *, boundscheck: bool = False) -> tuple[Floats, bytes]:
    state, out = np.zeros(program.state_size), np.zeros((len(bars), len(program.results)))
    jit.compiled(boundscheck=boundscheck).program.plan_history(*coded(program), state, bars, out)
    return out, state.tobytes()


def values(bars: Floats, *declared: str) -> Floats:
    """Columns of these features by the compiled build, shape (T, features)."""
    return compiled(build(declared), bars)[0]


def alone(bars: Floats, declared: Sequence[str]) -> Floats:
    """Each feature in a program of its own, so that its own first bar shows."""
    return np.column_stack([values(bars, one)[:, 0] for one in declared])
