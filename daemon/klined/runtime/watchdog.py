"""Whether there is progress: a stage that holds its work for longer than its deadline is silent. Pure.

    look("bars", "executor", mark) ─▶ None               the mark moved, or the deadline is not over
                                   └▶ Silence("executor", 12.0, 10.0)

A mark is any value that changes with progress. Silence counts only time in which this process ran: what a suspend or a
SIGSTOP took says nothing about a stage.
"""

from collections.abc import Mapping

from msgspec import Struct


class Silence(Struct, frozen=True):
    """No progress of `stage` for longer than it may take."""

    stage: str
    silent_s: float
    deadline_s: float

    def __str__(self) -> str:
        return f"{self.stage}: no progress for {self.silent_s:.0f} s, at most {self.deadline_s:g}"


class Watchdog:
    """`deadlines_s` by stage. A line is something that is in one stage at a time, such as the batch in flight."""

    def __init__(self, deadlines_s: Mapping[str, float]) -> None:
        self._deadlines_s = dict(deadlines_s)
        self._seen: dict[str, tuple[str, object]] = {}
        self._silent_s: dict[str, float] = {}

    def look(self, line: str, stage: str, mark: object, passed_s: float) -> Silence | None:
        """The silence of `stage`, which `line` is in, `passed_s` after the last look; an empty stage is idle."""
        now = (stage, mark)
        moved = self._seen.get(line) != now
        self._seen[line] = now
        silent_s = self._silent_s[line] = 0.0 if moved or not stage else self._silent_s[line] + passed_s
        deadline_s = self._deadlines_s.get(stage, 0.0)
        return Silence(stage, silent_s, deadline_s) if stage and silent_s > deadline_s else None
