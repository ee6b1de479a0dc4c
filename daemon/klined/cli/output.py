"""What a command prints: text for people, JSON for programs, colours only for a terminal."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

GREEN, RED, YELLOW, DIM, BOLD = "32", "31", "33", "2", "1"


def emit(data: object) -> None:
    """One JSON document a line."""
    print(json.dumps(data, default=str, ensure_ascii=False))


def paint(text: str, colour: str) -> str:
    """`text` in colour on a terminal, unless NO_COLOR is set or the terminal is dumb."""
    plain = not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain or not colour else f"\033[{colour}m{text}\033[0m"


def table(rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Columns as wide as their widest cell; those in `right` are numbers."""
    rows = [tuple(row) for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
    lines = (
        "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def clock(time_ms: float | None, *, date: bool = True) -> str:
    """UTC, `2025-05-20 12:41:00`, or the time alone."""
    if time_ms is None:
        return "never"
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S" if date else "%H:%M:%S")


def span(seconds: float) -> str:
    """A duration in two units: `3d 04h`, `12m 05s`, `3.1 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    for unit, size, lower, step in (("d", 86_400, "h", 3_600), ("h", 3_600, "m", 60), ("m", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size}{unit} {whole % size // step:02d}{lower}"
    return f"{whole}s"


def signed_percent(fraction: Any, digits: int = 2) -> str:
    """`+0.41%`; a dash for what is not known."""
    return "-" if fraction is None else f"{float(fraction) * 100:+.{digits}f}%"


def number(value: float) -> float | None:
    """A float as JSON knows it: NaN is null."""
    return value if value == value and abs(value) != float("inf") else None  # noqa: PLR0124 - NaN differs from itself


def money(amount: Any, digits: int = 2) -> str:
    return "-" if amount is None else f"{float(amount):,.{digits}f}"
