"""The log follows what it is told, whenever it is told."""

import io
import sys

import pytest
import structlog

from klined.runtime import log

speaker = structlog.get_logger()  # as every module of the daemon has one


def test_a_level_set_anew_reaches_a_logger_that_has_spoken_already(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("error", "json")
    speaker.error("first")
    speaker.info("unheard")
    log.configure("info", "json")
    speaker.info("second")
    told = capsys.readouterr().err
    assert '"first"' in told
    assert '"second"' in told
    assert "unheard" not in told


def test_what_stderr_is_now_is_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    monkeypatch.setattr(sys, "stderr", closed)
    log.configure("info", "json")
    speaker.info("before")
    assert "before" in closed.getvalue()
    closed.close()
    monkeypatch.setattr(sys, "stderr", opened := io.StringIO())
    speaker.info("after")
    assert "after" in opened.getvalue()
