"""Quiet logs for daemons that run inside the test."""

import pytest
import structlog

from klined.runtime import log


@pytest.fixture(autouse=True)
def _quiet() -> None:
    structlog.reset_defaults()
    log.configure("critical", "json")
