"""The rows of a program written out as one function of plain Python: for bars that find every row ready.

    (EMA, at 60, out 91, ..., 20, ..., a 1) ─▶ "S[91] = v91 = ema_step(S, 60, 20, v1)"
    (MINUS, out 95, a 91, b 92)             ─▶ "S[95] = v95 = v91 - v92"

A call costs as much as the arithmetic of what joins indicators into features, and reading a row as much as either. Here
joins are no calls, places are constants, and what a row has written is read again as a local variable. Text holds
nothing but names of kernels and numbers of the program; every byte of S is the one that `calls` leaves.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

from klined.kernels import program as op
from klined.kernels.arithmetic import UNIT_MIN
from klined.kernels.frames import BLOCK
from klined.trader.calls import SHAPES, Run, bound, inputs_of, outputs_of

Rows = Sequence[tuple[int, ...]]


def script(rows: Rows, constants: Sequence[float]) -> Run:
    """One function for all of `rows`, which are those of the plan's own timeframe in their order."""
    page = _Page(rows, constants)
    text = "\n ".join(["def run(S):", *(line for row in rows for line in page.lines(row)), "return None"])
    exec(text, page.names)  # noqa: S102 - made of numbers and names of kernels alone
    run: Run = page.names["run"]
    return run


class _Page:
    """What has been written so far: which places are held in variables, and what the names in the text stand for."""

    def __init__(self, rows: Rows, constants: Sequence[float]) -> None:
        self.constants = constants
        self.read = {place for row in rows for place in inputs_of(row)}
        self.held: set[int] = set()
        self.wide: set[str] = set()
        self.names: dict[str, Any] = {"run": None}  # the text's own

    def lines(self, row: Sequence[int]) -> list[str]:
        code, k = row[op.OP], row[op.CONSTANT]
        if code == op.HMM:
            self.held.difference_update(outputs_of(row))
            return [f"{self._name(bound(row, self.constants))}(S)"]
        shape = SHAPES[code]
        before = [line for place in inputs_of(row) for line in self._hold(place)]
        inputs = [self._value(place) for place in inputs_of(row)]
        floats = [self._number(x) for x in self.constants[k : k + shape.floats]]
        kernel = self._name(shape.kernel)
        if code == op.SQUASH_PER:
            return [*before, *self._squash_per(row[op.OUT], kernel, *floats, *inputs)]
        if code in JOINS:
            value = JOINS[code](kernel, *floats, *inputs)
        else:
            state = ["S", str(row[op.AT])] if shape.stateful else []
            wholes = [str(n) for n in row[op.N1 : op.N1 + shape.wholes]]
            value = f"{kernel}({', '.join([*state, *wholes, *floats, *inputs])})"
        return [*before, *self._keep(outputs_of(row), value)]

    def _hold(self, place: int) -> list[str]:
        """Numbers of the bar do not change any more: read once."""
        if place >= BLOCK or place in self.held:
            return []
        self.held.add(place)
        return [f"v{place} = S[{place}]"]

    def _value(self, place: int) -> str:
        return f"v{place}" if place in self.held else f"S[{place}]"

    def _keep(self, places: Sequence[int], value: str) -> list[str]:
        """Write what came out into S, and into a variable where a later row reads it."""
        if len(places) == 1:
            return [f"{self._target(places[0])}{value}"]
        self.held.update(self.read.intersection(places))
        line = f"{', '.join(self._value(place) for place in places)} = {value}"
        return [line, *(f"S[{place}] = v{place}" for place in places if place in self.read)]

    def _target(self, place: int) -> str:
        if place not in self.read:
            return f"S[{place}] = "
        self.held.add(place)
        return f"S[{place}] = v{place} = "

    def _squash_per(self, place: int, kernel: str, gain: str, x: str, yardstick: str, close: str) -> list[str]:
        """Most features have their yardstick in common: whether it is long enough is asked once."""
        wide = f"wide_{yardstick}_{close}".replace("[", "_").replace("]", "")
        asked = [] if wide in self.wide else [f"{wide} = {yardstick} > {UNIT_MIN!r} * {close}"]
        self.wide.add(wide)
        out = self._target(place)
        return [
            *asked,
            f"if {wide}: x = {gain} * ({x} / {yardstick}); {out}{_squash('', 'x')}",
            f"else: {out}{kernel}({gain}, {x}, {yardstick}, {close})",
        ]

    def _name(self, value: Callable[..., Any]) -> str:
        """What stands for `value` in the text; two of one name are told apart."""
        name = value.__name__
        while self.names.setdefault(name, value) is not value:
            name += "_"
        return name

    def _number(self, x: float) -> str:
        return repr(x) if math.isfinite(x) else f"float({str(x)!r})"


def _affine(_: str, scale: str, shift: str, x: str) -> str:
    return f"{x} * {scale} + {shift}"


def _plus(_: str, x: str, y: str) -> str:
    return f"{x} + {y}"


def _minus(_: str, x: str, y: str) -> str:
    return f"{x} - {y}"


def _times(_: str, x: str, y: str) -> str:
    return f"{x} * {y}"


def _quotient(_: str, x: str, y: str) -> str:
    return f"{x} / {y} if {y} != 0.0 else 0.0"


def _clip(kernel: str, bound: str, x: str) -> str:
    return f"{x} if -{bound} <= {x} <= {bound} else {kernel}({bound}, {x})"


def _squash(_: str, x: str) -> str:
    return f"{x} / (1.0 + {x}) if {x} >= 0.0 else {x} / (1.0 - {x})"


JOINS: dict[int, Callable[..., str]] = {
    op.AFFINE: _affine,
    op.PLUS: _plus,
    op.MINUS: _minus,
    op.TIMES: _times,
    op.QUOTIENT: _quotient,
    op.CLIP: _clip,
    op.SQUASH: _squash,
}
"""What is written out instead of called."""
