"""The command line: exit codes, sentences instead of tracebacks, help that costs nothing."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from klined.cli.main import VERBS, main

HEAVY = (
    "numpy",
    "onnxruntime",
    "pydantic",
    "aiohttp",
    "websockets",
    "structlog",
    "aiosqlite",
    "uvloop",
    "sqlite3",
    "asyncio",
)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("KLINED_", "BINANCE_"))]:
        monkeypatch.delenv(name)


def imported_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(' '.join(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_help_imports_nothing_heavy() -> None:
    modules = imported_after("from klined.cli.main import main\nmain(['--help'])")
    assert "argparse" in modules
    assert modules.isdisjoint({*HEAVY, "msgspec", "tomllib", "klined.config.sources", "klined.domain"})


def test_status_of_no_daemon_imports_neither_pydantic_nor_numpy() -> None:
    modules = imported_after("from klined.cli.main import main\nmain(['status'])")
    assert "klined.cli.control" in modules
    assert modules.isdisjoint({"numpy", "pydantic", "onnxruntime", "asyncio", "structlog", "aiosqlite"})


def test_help_groups_every_verb_within_forty_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == main([]) == main(["help"]) == 0
    text = capsys.readouterr().out
    for verb in VERBS:
        assert re.search(rf"\b{verb}\b", text)
    assert len(text.splitlines()) <= 40 * 3


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_is_short_and_ends_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert ended.value.code == 0
    assert len(lines) <= 40
    assert lines[-1].startswith("example: klined ")
    assert verb in lines[-1]


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [(["statsu"], "did you mean status?"), (["--nonsense"], "--help"), (["why", "--lst", "3"], "klined why --help")],
)
def test_wrong_usage_is_one_sentence_and_exit_two(
    arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert hint in line


def test_init_writes_a_short_valid_file_and_never_overwrites(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init"]) == 0
    text = Path("klined.toml").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 15
    assert set(tomllib.loads(text)) == {"market", "policy", "risk", "mode"}
    Path("klined.toml").write_text("precious", encoding="utf-8")
    assert main(["init"]) == 2
    assert Path("klined.toml").read_text(encoding="utf-8") == "precious"
    assert "left as it is" in capsys.readouterr().err


def test_file_of_init_passes_the_settings_check(capsys: pytest.CaptureFixture[str]) -> None:
    main(["init"])
    main(["check", "--json"])
    checks = json.loads(capsys.readouterr().out.splitlines()[-1])["checks"]
    assert [c["ok"] for c in checks if c["check"] in {"settings", "bars", "state", "daemon"}] == [True] * 4
    assert not Path("state").exists(), "check starts and makes nothing"


def test_check_all_prints_every_setting_with_its_origin(capsys: pytest.CaptureFixture[str]) -> None:
    Path("klined.toml").write_text("[risk]\nmax_day_loss = 0.01\n", encoding="utf-8")
    main(["--json", "check", "--all"])
    rows = {row["key"]: row for row in json.loads(capsys.readouterr().out.splitlines()[0])}
    assert rows["risk.max_day_loss"]["value"] == "0.01"
    assert rows["risk.max_day_loss"]["origin"] == "klined.toml:2"
    assert all(row["meaning"] for row in rows.values())


@pytest.mark.parametrize("verb", ["check", "run", "replay", "record frames.gz"])
def test_wrong_settings_end_with_two_and_no_traceback(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("klined.toml").write_text("[risk]\nmax_day_loss = 7\n[mood]\n", encoding="utf-8")
    assert main(verb.split()) == 2
    said = capsys.readouterr().err
    assert said.startswith("klined: ")
    assert "klined.toml:2" in said
    assert "klined.toml:3" in said
    assert "Traceback" not in said
    assert not Path("frames.gz").exists()
    assert not Path("state").exists()


def test_missing_and_broken_files_end_with_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run"]) == 2
    assert main(["-c", "none.toml", "check"]) == 2
    Path("klined.toml").write_text("[risk", encoding="utf-8")
    assert main(["check"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 3
    assert "klined init" in errors[0]
    assert "none.toml" in errors[1]
    assert "klined.toml:1 is not TOML" in errors[2]


def test_real_money_needs_both_switches(capsys: pytest.CaptureFixture[str]) -> None:
    Path("klined.toml").write_text('[market]\nexchange = "binance"\n[mode]\nlive = true\n', encoding="utf-8")
    assert main(["run"]) == 2
    assert "klined run --live" in capsys.readouterr().err
    Path("klined.toml").write_text('[market]\nexchange = "binance"\n', encoding="utf-8")
    assert main(["run", "--live"]) == 2
    assert "mode.live = true" in capsys.readouterr().err


def test_unexpected_fault_is_a_sentence_and_a_traceback_only_with_v(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import klined.cli.setup

    def explode(_: object) -> int:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(klined.cli.setup, "check", explode)
    assert main(["check"]) == 1
    quiet = capsys.readouterr().err
    assert len(quiet.splitlines()) == 1
    assert "ZeroDivisionError: planted" in quiet
    assert main(["-v", "check"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_errors_are_json_too_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--json"]) == 3
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False
    assert answer["code"] == 3


def test_reader_that_left_early_is_no_error() -> None:
    code = "import sys; from klined.cli.main import main; sys.exit(main(['check', '--all']))"
    environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0
