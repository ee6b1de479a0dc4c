"""A benchmark's row tells the truth about its bar, and the command about its rows."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import bars, table
from benchmarks.process import Absent
from benchmarks.table import absent, row


def test_more_is_better_where_a_row_has_a_floor() -> None:
    assert row("a", 30.0, "bars/s", at_least=20, baseline="b", baseline_value=15.0, ratio_min=1.1).ok
    assert row("a", 30.0, "bars/s", baseline="b", baseline_value=15.0).ratio == 2.0
    assert not row("a", 19.9, "bars/s", at_least=20).ok


def test_less_is_better_where_a_row_has_a_ceiling() -> None:
    fast = row("a", 2.0, "us", at_most=10, baseline="b", baseline_value=20.0)
    assert (fast.ok, fast.ratio) == (True, 10.0)
    assert not row("a", 10.1, "us", at_most=10).ok


def test_row_below_its_ratio_is_missed_though_it_clears_its_floor() -> None:
    slow = row("a", 30.0, "bars/s", at_least=20, baseline="b", baseline_value=29.0, ratio_min=1.1)
    assert not slow.ok
    assert slow.required == ">= 20 and >= 1.1 x baseline"


def test_figure_without_the_baseline_it_needs_is_not_called_ok() -> None:
    told = row("a", 9.0, "bars/s", at_least=5, ratio_min=2, baseline="b")
    assert (told.ok, told.verdict) == (True, "?")
    assert row("a", 9.0, "bars/s", at_least=5, ratio_min=2, baseline_value=4.0).verdict == "ok"
    assert row("a", 4.0, "bars/s", at_least=5, ratio_min=2, baseline="b").verdict == "MISS"


def test_absent_baseline_cannot_be_missed_but_absent_work_can() -> None:
    assert row("a", 30.0, "bars/s", at_least=20, baseline="b", ratio_min=1.1, note="b is not installed").ok
    assert not absent("a", "bars/s", "no such module").ok


def test_result_file_has_the_promised_keys(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "bench.json"
    table.write([row("a", 1.0, "s", at_most=2), absent("b", "s", "why")], path)
    rows = msgspec.json.decode(path.read_bytes())
    promised = {"name", "value", "unit", "baseline", "baseline_value", "ratio", "required", "ok"}
    assert all(promised <= set(each) for each in rows)
    assert [each["ok"] for each in rows] == [True, False]


def test_table_shows_every_row_on_one_line() -> None:
    shown = table.table([row("a.long_name", 1234567.0, "bars/s", at_least=2), absent("b", "s", "why")])
    assert len(shown.splitlines()) == 3
    assert "1,234,567" in shown
    assert "MISS" in shown.splitlines()[2]


def test_missed_row_fails_the_command_only_when_it_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> list[table.Row]:
        raise Absent("nothing to run")

    monkeypatch.setitem(command.TOPICS, "cli", missing)
    written = tmp_path / "bench.json"
    for flags, code in (([], 0), (["--check"], 1)):
        monkeypatch.setattr("sys.argv", ["benchmarks", "--only", "cli", "--json", str(written), *flags])
        assert command.main() == code
    assert msgspec.json.decode(written.read_bytes())[0]["note"] == "nothing to run"


def test_bars_are_seeded_and_could_be_a_market() -> None:
    made = bars.generate(2_000)
    assert np.array_equal(made, bars.generate(2_000))
    _, opened, high, low, close, volume = made.T
    assert np.all((low > 0) & (low <= np.minimum(opened, close)) & (high >= np.maximum(opened, close)) & (volume > 0))
    assert np.all(np.diff(made[:, 0]) == bars.MINUTE_MS)
    assert np.allclose(made[:, 1:5] * 100, np.round(made[:, 1:5] * 100), atol=1e-6)
