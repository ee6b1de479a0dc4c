"""Programs in plain Python: the rows bound once to the kernels that the compiled interpreter dispatches to.

    Program ─▶ stepper ─▶ step(S, bar, out)      the same bytes as `klined.kernels.program.plan_step`, and faster

A row becomes a call with its places and parameters at hand; only S is given per bar, so one stepper serves all symbols.
The five commonest joins stand in their rows themselves: a call costs as much as their arithmetic, and a test compares
every byte.
"""

from array import array
from collections.abc import Callable, Sequence
from typing import Any

from klined.kernels import arithmetic, oscillators, regimes
from klined.kernels import program as op
from klined.kernels.arithmetic import UNIT_MIN
from klined.kernels.frames import bar_step, frame_step
from klined.kernels.rows import Row
from klined.trader.functions import FUNCTIONS
from klined.trader.indicators import INDICATORS
from klined.trader.programs import Program

Kernel = Callable[..., Any]
Run = Callable[[Row], None]
Step = Callable[[Row, Sequence[float], Row], None]
NAN = float("nan")


class _Shape:
    """How a kernel is called: (S, at, wholes, floats, inputs) or, without state, (wholes, floats, inputs)."""

    __slots__ = ("floats", "inputs", "kernel", "outputs", "stateful", "wholes")

    def __init__(self, kernel: Kernel, wholes: int, floats: int, inputs: int, outputs: int, stateful: bool) -> None:  # noqa: FBT001 - a table's column
        self.kernel, self.wholes, self.floats, self.inputs = kernel, wholes, floats, inputs
        self.outputs, self.stateful = outputs, stateful


SHAPES = {
    **{
        one.op: _Shape(one.kernel, len(one.wholes), len(one.floats), len(one.inputs), len(one.outputs), one.stateful)
        for one in INDICATORS.values()
    },
    **{
        one.op: _Shape(
            one.kernel,
            sum(param.whole for param in one.params),
            sum(not param.whole for param in one.params),
            one.series + len(one.extra),
            1,
            one.stateful,
        )
        for one in FUNCTIONS.values()
    },
    op.AFFINE: _Shape(arithmetic.affine, 0, 2, 1, 1, stateful=False),
    op.PLUS: _Shape(arithmetic.plus, 0, 0, 2, 1, stateful=False),
    op.MINUS: _Shape(arithmetic.minus, 0, 0, 2, 1, stateful=False),
    op.TIMES: _Shape(arithmetic.times, 0, 0, 2, 1, stateful=False),
    op.QUOTIENT: _Shape(arithmetic.quotient, 0, 0, 2, 1, stateful=False),
    op.INVERSE: _Shape(arithmetic.inverse, 0, 1, 1, 1, stateful=False),
    op.SQUASH_PER: _Shape(arithmetic.squash_per, 0, 1, 3, 1, stateful=False),
}
"""Every operation but the heads of timeframes, WRITE and HMM."""


def stepper(program: Program) -> Step:
    """The step function of a program over memoryview rows."""
    frames, writes = _grouped(program)
    constants = program.constants
    base, base_runs = frames[-1]
    interval, base_need = constants[base[op.CONSTANT]], float(base[op.START])
    settled = max((start for start, _ in base_runs), default=0)
    all_runs = tuple(run for _, run in base_runs)
    upper = [
        (head[op.AT], constants[head[op.CONSTANT]], float(head[op.START]), runs, max((s for s, _ in runs), default=0))
        for head, runs in frames[:-1]
    ]

    def step(S: Row, bar: Sequence[float], out: Row) -> None:  # noqa: N803 - as in the kernels
        ready = True
        for at, width, need, runs, last in upper:
            if frame_step(S, at, width, interval, bar):
                _run(runs, S, S[at], last)
            if S[at] < need:
                ready = False
        bar_step(S, 0, bar[0] + interval, bar[1], bar[2], bar[3], bar[4], bar[5])
        count = S[0]
        if count > settled:
            for run in all_runs:
                run(S)
        else:
            _run(base_runs, S, count, settled)
        if ready and count >= base_need:
            for slot, place in writes:
                out[slot] = S[place]
        else:
            for slot, _ in writes:
                out[slot] = NAN

    return step


def _run(runs: Sequence[tuple[int, Run]], S: Row, count: float, last: int) -> None:  # noqa: N803 - as in the kernels
    """Those rows whose inputs are there after `count` bars."""
    for start, run in runs:
        if count > last or count > start:
            run(S)


def _grouped(
    program: Program,
) -> tuple[list[tuple[tuple[int, ...], list[tuple[int, Run]]]], list[tuple[int, int]]]:
    """Rows by timeframe, under their heads, the plan's own last; and (slot, place) of what is written."""
    frames: list[tuple[tuple[int, ...], list[tuple[int, Run]]]] = []
    writes: list[tuple[int, int]] = []
    for row in program.code:
        if row[op.OP] in {op.BASE, op.FRAME}:
            frames.append((row, []))
        elif row[op.OP] == op.WRITE:
            writes.append((row[op.OUT], row[op.A]))
        else:
            frames[-1][1].append((row[op.START], _bound(row, program.constants)))
    return frames, writes


def _bound(row: Sequence[int], constants: Sequence[float]) -> Run:
    """The call that a row stands for."""
    if row[op.OP] == op.HMM:
        return _hidden(row, constants)
    shape = SHAPES[row[op.OP]]
    k = row[op.CONSTANT]
    params = (*row[op.N1 : op.N1 + shape.wholes], *constants[k : k + shape.floats])
    places = tuple(row[op.A : op.A + shape.inputs])
    out = row[op.OUT]
    if not shape.stateful:
        return _plain(shape.kernel, params, places, out)
    if shape.outputs == 1:
        return _single(shape.kernel, row[op.AT], params, places, out)
    return _several(shape.kernel, row[op.AT], params, places, out, shape.outputs)


def _plain(  # noqa: C901 - one case per kernel worth writing out
    kernel: Kernel, params: tuple[float, ...], places: tuple[int, ...], out: int
) -> Run:
    a, b, c = (*places, 0, 0)[:3]
    p, q = (*params, 0.0, 0.0)[:2]
    match kernel:
        case arithmetic.affine:

            def run(S: Row) -> None:  # noqa: N803 - as in the kernels
                S[out] = S[a] * p + q
        case arithmetic.plus:

            def run(S: Row) -> None:  # noqa: N803
                S[out] = S[a] + S[b]
        case arithmetic.minus:

            def run(S: Row) -> None:  # noqa: N803
                S[out] = S[a] - S[b]
        case arithmetic.squash_per:

            def run(S: Row) -> None:  # noqa: N803
                unit = S[b]
                least = UNIT_MIN * S[c]
                if unit > least:
                    x = p * (S[a] / unit)
                    S[out] = x / (1.0 + abs(x))
                else:
                    S[out] = kernel(p, S[a], unit, S[c])
        case oscillators.squash:

            def run(S: Row) -> None:  # noqa: N803
                x = S[a]
                S[out] = x / (1.0 + abs(x))
        case _ if len(params) == 0 and len(places) == 2:

            def run(S: Row) -> None:  # noqa: N803
                S[out] = kernel(S[a], S[b])
        case _:

            def run(S: Row) -> None:  # noqa: N803
                S[out] = kernel(*params, *[S[place] for place in places])

    return run


def _single(  # noqa: C901 - as above
    kernel: Kernel, at: int, params: tuple[float, ...], places: tuple[int, ...], out: int
) -> Run:
    a, b, c, d = (*places, 0, 0, 0)[:4]
    match len(params), len(places):
        case 1, 1:
            (n,) = params

            def run(S: Row) -> None:  # noqa: N803 - as in the kernels
                S[out] = kernel(S, at, n, S[a])
        case 2, 1:
            n, m = params

            def run(S: Row) -> None:  # noqa: N803
                S[out] = kernel(S, at, n, m, S[a])
        case 1, 2:
            (n,) = params

            def run(S: Row) -> None:  # noqa: N803
                S[out] = kernel(S, at, n, S[a], S[b])
        case 2, 3:
            n, m = params

            def run(S: Row) -> None:  # noqa: N803
                S[out] = kernel(S, at, n, m, S[a], S[b], S[c])
        case 2, 4:
            n, m = params

            def run(S: Row) -> None:  # noqa: N803
                S[out] = kernel(S, at, n, m, S[a], S[b], S[c], S[d])
        case _:

            def run(S: Row) -> None:  # noqa: N803
                S[out] = kernel(S, at, *params, *[S[place] for place in places])

    return run


def _several(
    kernel: Kernel, at: int, params: tuple[float, ...], places: tuple[int, ...], out: int, outputs: int
) -> Run:
    second, third = out + 1, out + 2
    if outputs == 2 and len(places) == 1 and len(params) == 1:
        (a,), (n,) = places, params

        def run(S: Row) -> None:  # noqa: N803 - as in the kernels
            S[out], S[second] = kernel(S, at, n, S[a])
    elif outputs == 2:

        def run(S: Row) -> None:  # noqa: N803
            S[out], S[second] = kernel(S, at, *params, *[S[place] for place in places])
    elif outputs == 3:

        def run(S: Row) -> None:  # noqa: N803
            S[out], S[second], S[third] = kernel(S, at, *params, *[S[place] for place in places])
    else:

        def run(S: Row) -> None:  # noqa: N803
            for slot, value in enumerate(kernel(S, at, *params, *[S[place] for place in places]), out):
                S[slot] = value

    return run


def _hidden(row: Sequence[int], constants: Sequence[float]) -> Run:
    held = memoryview(array("d", constants)).cast("B").cast("d")
    at, out, states, series, k = row[op.AT], row[op.OUT], row[op.N1], row[op.N2], row[op.CONSTANT]
    a, b, c = row[op.A : op.A + 3]

    def run(S: Row) -> None:  # noqa: N803 - as in the kernels
        regimes.hmm_step(S, at, states, series, held, k, S[a], S[b], S[c])
        for state in range(states):
            S[out + state] = S[at + 1 + state]

    return run
