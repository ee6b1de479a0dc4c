"""The unit files as files: correct, hardened, and put in place by the command."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from klined.cli.main import main
from klined.config.settings import Settings
from klined.runtime.health import END_S

UNITS = Path(__file__).parents[2] / "systemd"
EXPOSURE_MAX = 1.5


def setting(unit: str, name: str) -> str:
    found = re.findall(rf"^{name}=(.*)$", (UNITS / unit).read_text(), re.MULTILINE)
    assert found, f"{unit} has no {name}"
    return str(found[-1])


def analyze(tmp_path: Path, unit: str, *words: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    copy = tmp_path / unit
    copy.write_text((UNITS / unit).read_text().replace("/opt/klined/bin/python", "/usr/bin/true"))
    return subprocess.run(["systemd-analyze", *words, str(copy)], capture_output=True, text=True, check=False)


def exposure(tmp_path: Path, unit: str) -> float:
    told = analyze(tmp_path, unit, "security", "--offline=true", "--no-pager")
    found = re.search(r"exposure level for .*: ([0-9.]+)", told.stdout)
    assert found, told.stderr
    return float(found[1])


@pytest.mark.parametrize("unit", ["klined@.service", "klined-report@.service"])
def test_system_units_are_hardly_exposed(tmp_path: Path, unit: str) -> None:
    assert exposure(tmp_path, unit) <= EXPOSURE_MAX


def test_exposure_of_an_open_unit_would_be_noticed(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    bare = tmp_path / "bare@.service"
    bare.write_text("[Service]\nExecStart=/usr/bin/true\n")
    told = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(bare)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "UNSAFE" in told.stdout


def test_units_are_correct_to_the_last_setting(tmp_path: Path) -> None:
    assert analyze(tmp_path, "klined@.service", "verify").stderr == ""


@pytest.mark.parametrize("unit", ["klined@.service", "klined-report@.service"])
def test_user_units_are_correct_to_the_last_setting(tmp_path: Path, unit: str) -> None:
    shutil.copy(UNITS / "user" / unit, tmp_path / unit)
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    text = (tmp_path / unit).read_text().replace("/opt/klined/bin/python", "/usr/bin/true")
    (tmp_path / unit).write_text(text)
    told = subprocess.run(
        ["systemd-analyze", "verify", "--user", str(tmp_path / unit)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
    )
    assert (told.returncode, told.stderr) == (0, "")


@pytest.mark.parametrize("unit", ["klined@.service", "user/klined@.service"])
def test_unit_keeps_the_daemons_promises(unit: str) -> None:
    assert setting(unit, "Type") == "notify"
    assert setting(unit, "RestartPreventExitStatus") == "2"
    assert setting(unit, "StartLimitIntervalSec") == "0"
    assert setting(unit, "ExecReload") == "/bin/kill -HUP $MAINPID"
    assert float(setting(unit, "TimeoutStopSec")) > Settings().runtime.flatten_deadline_s + END_S
    assert float(setting(unit, "WatchdogSec")) > 2 * Settings().runtime.stage_deadline_s


def test_install_and_uninstall_leave_what_is_not_theirs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "etc" / "systemd" / "system"
    other = folder / "klined@eth.service.d" / "mine.conf"
    other.parent.mkdir(parents=True)
    other.write_text("[Service]\n")
    assert main(["service", "install", "eth", "--live", "--root", str(tmp_path)]) == 0
    assert "RUN_OPTIONS=--live" in (other.parent / "klined-live.conf").read_text()
    assert "/opt/klined" not in (folder / "klined@.service").read_text()
    assert main(["service", "uninstall", "eth", "--root", str(tmp_path)]) == 0
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [other]
    assert main(["service", "uninstall", "--root", str(tmp_path), "eth"]) == 0  # options may come first
    assert main(["service", "install", "../eth", "--root", str(tmp_path)]) == 2
    assert "a name has at most" in capsys.readouterr().err
