"""What a benchmark says, and how it is shown: a row, one table, one JSON file."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

RESULT = Path("build/bench.json")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One figure. `ratio` says how many times better than the baseline we are, whichever way better lies."""

    name: str
    value: float | None  # None: it could not be measured, `note` says why
    unit: str
    baseline: str = ""
    baseline_value: float | None = None
    ratio: float | None = None
    required: str = ""  # in words, with the unit's numbers
    ok: bool  # as far as it could be judged, see `verdict`
    note: str = ""

    @property
    def verdict(self) -> str:
        """`ok`, `MISS`, or `?` where the baseline that it must be compared with is absent."""
        if not self.ok:
            return "MISS"
        return "?" if "baseline" in self.required and self.ratio is None else "ok"


def row(
    name: str,
    value: float | None,
    unit: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    baseline: str = "",
    baseline_value: float | None = None,
    ratio_min: float | None = None,
    times_max: float | None = None,
    note: str = "",
) -> Row:
    """Judge one figure. A baseline that is absent cannot be missed; its row says so.

    `ratio_min`: how many times better than the baseline it must be at least. `times_max`: how many times the baseline's
    value it may be at most, for figures of which less is better; with neither bound it is told and not judged.
    """
    ratio = None
    if value and baseline_value:
        less = at_most is not None or times_max is not None
        ratio = baseline_value / value if less else value / baseline_value
    ok = value is not None
    if value is not None:
        ok = (at_least is None or value >= at_least) and (at_most is None or value <= at_most)
    if ratio is not None and ratio_min is not None:
        ok = ok and ratio >= ratio_min
    if ratio is not None and times_max is not None:
        ok = ok and ratio * times_max >= 1
    required = " and ".join(
        words
        for words in (
            "" if at_least is None else f">= {at_least:,.10g}",
            "" if at_most is None else f"<= {at_most:,.10g}",
            "" if ratio_min is None else f">= {ratio_min:g} x baseline",
            "" if times_max is None else f"<= {times_max:g} x baseline",
        )
        if words
    )
    return Row(
        name=name,
        value=value,
        unit=unit,
        baseline=baseline,
        baseline_value=baseline_value,
        ratio=ratio,
        required=required,
        ok=ok,
        note=note,
    )


def absent(name: str, unit: str, why: str) -> Row:
    """A row whose work could not be done at all."""
    return Row(name=name, value=None, unit=unit, ok=False, note=why)


def table(rows: Sequence[Row]) -> str:
    """All rows, columns aligned, one line each."""
    lines = [("name", "value", "unit", "baseline", "", "ratio", "required", "", "note")]
    lines += [
        (
            each.name,
            number(each.value),
            each.unit,
            each.baseline,
            number(each.baseline_value),
            "" if each.ratio is None else f"{each.ratio:.2f} x",
            each.required,
            each.verdict,
            each.note,
        )
        for each in rows
    ]
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    right = {1, 4, 5}
    return "\n".join(
        "  ".join(
            cell.rjust(width) if k in right else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def number(value: float | None) -> str:
    """Three significant digits below a thousand, whole numbers above."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def write(rows: Sequence[Row], path: Path = RESULT) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(list(rows)), indent=1) + b"\n")
