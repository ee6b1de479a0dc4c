"""Programs in plain Python: the rows bound once to the kernels that the compiled interpreter dispatches to.

    Program ─▶ stepper ─▶ step(S, bar, out)      the same bytes as `klined.kernels.program.plan_step`, and faster

A row becomes a call with its places and parameters at hand; only S is given per bar, so one stepper serves all symbols.
Once all rows have their inputs they run as one function that is written out for the plan, and a test compares every
byte.
"""

from array import array
from collections.abc import Callable, Sequence

from klined.kernels import program as op
from klined.kernels.frames import bar_step, frame_step
from klined.kernels.micro import micro_step
from klined.kernels.rows import Row
from klined.trader.calls import Run, bound
from klined.trader.programs import Program
from klined.trader.script import script

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
    run_all = script(_own_rows(program), constants)
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
            run_all(S)
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


def _own_rows(program: Program) -> list[tuple[int, ...]]:
    """The rows of the plan's own timeframe, which is the last one."""
    own: list[tuple[int, ...]] = []
    for row in program.code:
        if row[op.OP] in {op.BASE, op.FRAME}:
            own = []
        elif row[op.OP] not in {op.WRITE, op.MICRO}:
            own.append(row)
    return own
