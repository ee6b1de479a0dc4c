"""The growing code of a program: rows by timeframe, places in the S row, constants; equal rows are made once."""

from klined.kernels import frames
from klined.kernels import program as op

MINUTE_MS = 60_000
ROW = (0,) * op.COLUMNS


class Coder:
    """`rows`, `blocks` and `needs` go by the minutes of their bars, 0 standing for the plan's own."""

    def __init__(self, interval_ms: int) -> None:
        self.interval_ms = interval_ms
        self.size = frames.BLOCK
        self.constants: list[float] = [float(interval_ms)]
        self.rows: dict[int, list[tuple[int, ...]]] = {0: []}
        self.blocks = {0: 0}  # where the bar of each timeframe stands
        self.needs: dict[int, int] = {0: 1}  # bars of each timeframe until all of it is there
        self.micro = -1  # place of what the feed tells beside the bar, once something reads it
        self.known: dict[tuple[object, ...], int] = {}
        self.only: set[int] = set()  # places of what is the one output of its row

    def in_bars(self, minutes: int, count: int, *, late: bool) -> int:
        """Bars of the plan that `count` bars of a timeframe take; `late`: joined at the worst moment."""
        if not minutes:
            return count
        ratio = minutes * MINUTE_MS // self.interval_ms
        return (count + late) * ratio - late

    def emit(
        self,
        code: int,
        minutes: int,
        start: int,
        wholes: tuple[int, ...],
        floats: tuple[float, ...],
        inputs: tuple[int, ...],
        size: int = 0,
        outputs: int = 1,
    ) -> int:
        """Place of the first output of this row, which is made unless an equal one exists."""
        key = (code, minutes, start, wholes, floats, inputs)
        if key not in self.known:
            at, out = self.room(size), self.room(outputs)
            constant = self.constant(*floats) if floats else 0
            row = self.row(code, at=at, out=out, start=start, wholes=wholes, constant=constant, inputs=inputs)
            self.rows[minutes].append(row)
            self.needs[minutes] = max(self.needs[minutes], start + 1)
            self.known[key] = out
            if outputs == 1:
                self.only.add(out)
        return self.known[key]

    def row(
        self,
        code: int,
        *,
        at: int = 0,
        out: int = 0,
        start: int = 0,
        wholes: tuple[int, ...] = (),
        constant: int = 0,
        inputs: tuple[int, ...] = (),
    ) -> tuple[int, ...]:
        return (code, at, out, start, *wholes, *ROW[len(wholes) : 3], constant, *inputs, *ROW[len(inputs) : 5])

    def written(self, places: list[int]) -> list[tuple[int, ...]]:
        """Rows that write what stands at `places`, which are moved side by side wherever nothing holds them."""
        first = self.room(len(places))
        moved = {place: first + slot for slot, place in reversed(list(enumerate(places))) if place in self.only}
        for rows in self.rows.values():
            rows[:] = [
                (
                    *row[: op.OUT],
                    moved.get(row[op.OUT], row[op.OUT]),
                    *row[op.START : op.A],
                    *(moved.get(at, at) for at in row[op.A :]),
                )
                for row in rows
            ]
        runs: list[list[int]] = []  # slot, place, length
        for slot, place in enumerate(moved.get(place, place) for place in places):
            if runs and sum(runs[-1][1:]) == place:
                runs[-1][2] += 1
            else:
                runs.append([slot, place, 1])
        return [self.row(op.WRITE, out=slot, wholes=(size,), inputs=(place,)) for slot, place, size in runs]

    def room(self, size: int) -> int:
        at = self.size
        self.size += size
        return at

    def constant(self, *values: float) -> int:
        at = len(self.constants)
        self.constants += map(float, values)
        return at
