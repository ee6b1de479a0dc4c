"""Programs in plain Python: the rows bound once to the kernels that the compiled interpreter dispatches to.

    Program ─▶ stepper ─▶ step(S, bar, out)      the same bytes as `klined.kernels.program.plan_step`, and faster

A row becomes a call with its places and parameters at hand; only S is given per bar, so one stepper serves all symbols.
A call costs as much as the arithmetic of what joins indicators into features: once all rows have their inputs, equal
joins that do not wait for each other run in one loop, and a test compares every byte.
"""

from array import array
from collections.abc import Callable, Sequence
from itertools import groupby

from klined.kernels import arithmetic
from klined.kernels import program as op
from klined.kernels.arithmetic import UNIT_MIN
from klined.kernels.frames import bar_step, frame_step
from klined.kernels.micro import micro_step
from klined.kernels.rows import Row
from klined.trader.calls import Run, bound, inputs_of, outputs_of
from klined.trader.programs import Program

Step = Callable[[Row, Sequence[float], Row], None]
NAN = float("nan")


def stepper(program: Program) -> Step:
    """The step function of a program over memoryview rows."""
    frames, writes = _grouped(program)
    constants, width = program.constants, len(program.results)
    blank = memoryview(array("d", [NAN] * width))
    beside = next((row[op.AT] for row in program.code if row[op.OP] == op.MICRO), -1)
    base, base_runs = frames[-1]
    interval, base_need = constants[base[op.CONSTANT]], float(base[op.START])
    settled = max((start for start, _ in base_runs), default=0)
    all_runs = _looped(program)
    upper = [
        (head[op.AT], constants[head[op.CONSTANT]], float(head[op.START]), runs, max((s for s, _ in runs), default=0))
        for head, runs in frames[:-1]
    ]

    def step(S: Row, bar: Sequence[float], out: Row) -> None:  # noqa: N803 - as in the kernels
        ready = True
        for at, length, need, runs, last in upper:
            if frame_step(S, at, length, interval, bar):
                _run(runs, S, S[at], last)
            if S[at] < need:
                ready = False
        bar_step(S, 0, bar[0] + interval, bar[1], bar[2], bar[3], bar[4], bar[5])
        count = S[0]
        if beside >= 0:
            micro_step(S, beside, bar)
        if count > settled:
            for run in all_runs:
                run(S)
        else:
            _run(base_runs, S, count, settled)
        if ready and count >= base_need:
            for slot, place, size in writes:
                out[slot : slot + size] = S[place : place + size]
        else:
            out[:width] = blank

    return step


def _run(runs: Sequence[tuple[int, Run]], S: Row, count: float, last: int) -> None:  # noqa: N803 - as in the kernels
    """Those rows whose inputs are there after `count` bars."""
    for start, run in runs:
        if count > last or count > start:
            run(S)


def _grouped(
    program: Program,
) -> tuple[list[tuple[tuple[int, ...], list[tuple[int, Run]]]], list[tuple[int, int, int]]]:
    """Rows by timeframe, under their heads, the plan's own last; and (slot, place, length) of what is written."""
    frames: list[tuple[tuple[int, ...], list[tuple[int, Run]]]] = []
    writes: list[tuple[int, int, int]] = []
    for row in program.code:
        if row[op.OP] in {op.BASE, op.FRAME}:
            frames.append((row, []))
        elif row[op.OP] == op.WRITE:
            writes.append((row[op.OUT], row[op.A], row[op.N1]))
        elif row[op.OP] != op.MICRO:
            frames[-1][1].append((row[op.START], bound(row, program.constants)))
    return frames, writes


def _looped(program: Program) -> tuple[Run, ...]:
    """The plan's own rows for bars that find all of them ready: by depth, equal joins of a depth in one loop."""
    depths: dict[int, int] = {}
    ordered: list[tuple[int, tuple[int, ...], tuple[int, ...]]] = []
    base = False
    for row in program.code:
        code = row[op.OP]
        if code in {op.BASE, op.FRAME}:
            base = code == op.BASE
        elif base and code not in {op.WRITE, op.MICRO}:
            depth = 1 + max((depths.get(place, 0) for place in inputs_of(row)), default=0)
            depths.update(dict.fromkeys(outputs_of(row), depth))
            kind = (code, *row[op.B : op.D + 1]) if code == op.SQUASH_PER else (code if code in LOOPS else -1,)
            ordered.append((depth, kind, row))
    ordered.sort(key=lambda one: one[:2])
    runs: list[Run] = []
    for (_, kind), group in groupby(ordered, key=lambda one: one[:2]):
        rows = [row for _, _, row in group]
        alike = kind[0] in LOOPS and len(rows) > 1
        runs += [LOOPS[kind[0]](rows, program.constants)] if alike else [bound(r, program.constants) for r in rows]
    return tuple(runs)


Rows = Sequence[tuple[int, ...]]


def _affines(rows: Rows, constants: Sequence[float]) -> Run:
    told = tuple((r[op.OUT], r[op.A], constants[r[op.CONSTANT]], constants[r[op.CONSTANT] + 1]) for r in rows)

    def run(S: Row) -> None:  # noqa: N803 - as in the kernels
        for out, a, scale, shift in told:
            S[out] = S[a] * scale + shift

    return run


def _differences(rows: Rows, _: Sequence[float]) -> Run:
    told = tuple((r[op.OUT], r[op.A], r[op.B]) for r in rows)

    def run(S: Row) -> None:  # noqa: N803
        for out, a, b in told:
            S[out] = S[a] - S[b]

    return run


def _quotients(rows: Rows, _: Sequence[float]) -> Run:
    told = tuple((r[op.OUT], r[op.A], r[op.B]) for r in rows)

    def run(S: Row) -> None:  # noqa: N803
        for out, a, b in told:
            under = S[b]
            S[out] = S[a] / under if under != 0.0 else 0.0

    return run


def _squashes(rows: Rows, _: Sequence[float]) -> Run:
    told = tuple((r[op.OUT], r[op.A]) for r in rows)

    def run(S: Row) -> None:  # noqa: N803
        for out, a in told:
            x = S[a]
            S[out] = x / (1.0 + abs(x))

    return run


def _squashes_per(rows: Rows, constants: Sequence[float]) -> Run:
    """All of them have their yardstick in common."""
    told = tuple((r[op.OUT], r[op.A], constants[r[op.CONSTANT]]) for r in rows)
    yardstick, close = rows[0][op.B], rows[0][op.D]

    def run(S: Row) -> None:  # noqa: N803
        unit, last = S[yardstick], S[close]
        if unit > UNIT_MIN * last:
            for out, a, gain in told:
                x = gain * (S[a] / unit)
                S[out] = x / (1.0 + abs(x))
        else:
            for out, a, gain in told:
                S[out] = arithmetic.squash_per(gain, S[a], unit, last)

    return run


LOOPS: dict[int, Callable[[Rows, Sequence[float]], Run]] = {
    op.AFFINE: _affines,
    op.MINUS: _differences,
    op.QUOTIENT: _quotients,
    op.SQUASH: _squashes,
    op.SQUASH_PER: _squashes_per,
}
