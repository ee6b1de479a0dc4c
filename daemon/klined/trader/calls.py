"""One row of a program as a call in plain Python: its kernel, places and parameters bound once, S given per bar.

    (EMA, at, out, ..., 20, ..., a) ─▶ run(S): S[out] = ema_step(S, at, 20, S[a])

Unpacking arguments costs as much as a small kernel, so the shapes that indicators have are written out; any other shape
takes the general way. What joins indicators into features is written out as a whole.
"""

from array import array
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from klined.kernels import arithmetic, oscillators, regimes
from klined.kernels import program as op
from klined.kernels.arithmetic import UNIT_MIN
from klined.kernels.rows import Row
from klined.trader.functions import FUNCTIONS
from klined.trader.indicators import INDICATORS

Kernel = Callable[..., Any]
Run = Callable[[Row], None]


class Shape:
    """How a kernel is called: (S, at, wholes, floats, inputs) or, without state, (wholes, floats, inputs)."""

    __slots__ = ("floats", "inputs", "kernel", "outputs", "stateful", "wholes")

    def __init__(self, kernel: Kernel, wholes: int, floats: int, inputs: int, outputs: int, stateful: bool) -> None:  # noqa: FBT001 - a table's column
        self.kernel, self.wholes, self.floats, self.inputs = kernel, wholes, floats, inputs
        self.outputs, self.stateful = outputs, stateful


SHAPES = {
    **{
        one.op: Shape(one.kernel, len(one.wholes), len(one.floats), len(one.inputs), len(one.outputs), one.stateful)
        for one in INDICATORS.values()
    },
    **{
        one.op: Shape(
            one.kernel,
            sum(param.whole for param in one.params),
            sum(not param.whole for param in one.params),
            one.series + len(one.extra),
            1,
            one.stateful,
        )
        for one in FUNCTIONS.values()
    },
    op.AFFINE: Shape(arithmetic.affine, 0, 2, 1, 1, stateful=False),
    op.PLUS: Shape(arithmetic.plus, 0, 0, 2, 1, stateful=False),
    op.MINUS: Shape(arithmetic.minus, 0, 0, 2, 1, stateful=False),
    op.TIMES: Shape(arithmetic.times, 0, 0, 2, 1, stateful=False),
    op.QUOTIENT: Shape(arithmetic.quotient, 0, 0, 2, 1, stateful=False),
    op.INVERSE: Shape(arithmetic.inverse, 0, 1, 1, 1, stateful=False),
    op.SQUASH_PER: Shape(arithmetic.squash_per, 0, 1, 3, 1, stateful=False),
}
"""Every operation but the heads of timeframes, WRITE and HMM."""


def bound(row: Sequence[int], constants: Sequence[float]) -> Run:
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
    make = (_single, _single, _double, _triple, _quadruple)[shape.outputs]
    return make(shape.kernel, row[op.AT], params, places, out)


def inputs_of(row: Sequence[int]) -> Sequence[int]:
    """Places that a row reads."""
    shape = SHAPES.get(row[op.OP])
    return row[op.A : op.A + (shape.inputs if shape else row[op.N2])]


def outputs_of(row: Sequence[int]) -> range:
    """Places that a row writes, beside its state."""
    shape = SHAPES.get(row[op.OP])
    return range(row[op.OUT], row[op.OUT] + (shape.outputs if shape else row[op.N1]))


def reader(places: Sequence[int]) -> Callable[[Row], Sequence[float]]:
    """All of `places` in one call."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda S: [S[place] for place in places]  # noqa: N803 - as in the kernels


def _plain(  # noqa: C901 - one case per kernel worth writing out
    kernel: Kernel, params: tuple[float, ...], places: tuple[int, ...], out: int
) -> Run:
    a, b, c, d = (*places, 0, 0, 0)[:4]
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
        case arithmetic.bounded:

            def run(S: Row) -> None:  # noqa: N803
                x = S[a]
                S[out] = x if -p <= x <= p else kernel(p, x)
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
        case _ if len(places) == 1 and not params:

            def run(S: Row) -> None:  # noqa: N803
                S[out] = kernel(S[a])
        case _ if len(places) == 2 and not params:

            def run(S: Row) -> None:  # noqa: N803
                S[out] = kernel(S[a], S[b])
        case _ if len(places) == 4 and not params:

            def run(S: Row) -> None:  # noqa: N803
                S[out] = kernel(S[a], S[b], S[c], S[d])
        case _:
            read = reader(places)

            def run(S: Row) -> None:  # noqa: N803
                S[out] = kernel(*params, *read(S))

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
        case 1, 4:
            (n,) = params

            def run(S: Row) -> None:  # noqa: N803
                S[out] = kernel(S, at, n, S[a], S[b], S[c], S[d])
        case 2, 4:
            n, m = params

            def run(S: Row) -> None:  # noqa: N803
                S[out] = kernel(S, at, n, m, S[a], S[b], S[c], S[d])
        case _:
            read = reader(places)

            def run(S: Row) -> None:  # noqa: N803
                S[out] = kernel(S, at, *params, *read(S))

    return run


def _double(kernel: Kernel, at: int, params: tuple[float, ...], places: tuple[int, ...], out: int) -> Run:
    second = out + 1
    a, b, c, d = (*places, 0, 0, 0)[:4]
    match len(params), len(places):
        case 1, 1:
            (n,) = params

            def run(S: Row) -> None:  # noqa: N803 - as in the kernels
                S[out], S[second] = kernel(S, at, n, S[a])
        case 1, 2:
            (n,) = params

            def run(S: Row) -> None:  # noqa: N803
                S[out], S[second] = kernel(S, at, n, S[a], S[b])
        case 2, 4:
            n, m = params

            def run(S: Row) -> None:  # noqa: N803
                S[out], S[second] = kernel(S, at, n, m, S[a], S[b], S[c], S[d])
        case 3, 3:
            n, m, k = params

            def run(S: Row) -> None:  # noqa: N803
                S[out], S[second] = kernel(S, at, n, m, k, S[a], S[b], S[c])
        case _:
            read = reader(places)

            def run(S: Row) -> None:  # noqa: N803
                S[out], S[second] = kernel(S, at, *params, *read(S))

    return run


def _triple(kernel: Kernel, at: int, params: tuple[float, ...], places: tuple[int, ...], out: int) -> Run:
    second, third = out + 1, out + 2
    a, b = (*places, 0)[:2]
    match len(params), len(places):
        case 1, 2:
            (n,) = params

            def run(S: Row) -> None:  # noqa: N803 - as in the kernels
                S[out], S[second], S[third] = kernel(S, at, n, S[a], S[b])
        case 3, 1:
            n, m, k = params

            def run(S: Row) -> None:  # noqa: N803
                S[out], S[second], S[third] = kernel(S, at, n, m, k, S[a])
        case 3, 2:
            n, m, k = params

            def run(S: Row) -> None:  # noqa: N803
                S[out], S[second], S[third] = kernel(S, at, n, m, k, S[a], S[b])
        case _:
            read = reader(places)

            def run(S: Row) -> None:  # noqa: N803
                S[out], S[second], S[third] = kernel(S, at, *params, *read(S))

    return run


def _quadruple(kernel: Kernel, at: int, params: tuple[float, ...], places: tuple[int, ...], out: int) -> Run:
    second, third, fourth = out + 1, out + 2, out + 3
    a, b, c, d, e = (*places, 0, 0, 0, 0)[:5]
    match len(params), len(places):
        case 1, 5:
            (n,) = params

            def run(S: Row) -> None:  # noqa: N803 - as in the kernels
                S[out], S[second], S[third], S[fourth] = kernel(S, at, n, S[a], S[b], S[c], S[d], S[e])
        case 2, 1:
            n, m = params

            def run(S: Row) -> None:  # noqa: N803
                S[out], S[second], S[third], S[fourth] = kernel(S, at, n, m, S[a])
        case _:
            read = reader(places)

            def run(S: Row) -> None:  # noqa: N803
                S[out], S[second], S[third], S[fourth] = kernel(S, at, *params, *read(S))

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
