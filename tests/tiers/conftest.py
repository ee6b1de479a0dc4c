"""What a daemon in this process says goes into a file, as production words and masks it."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from klined.config import masks
from klined.runtime import log


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The log of everything, down to debug, libraries too."""
    monkeypatch.setattr(masks, "_known", set())
    before = structlog.get_config()
    libraries = log.Libraries(logging.DEBUG)
    path = tmp_path / "log"
    with path.open("w") as file:
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.format_exc_info,
                log.redact,
                structlog.processors.JSONRenderer(default=repr),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
            logger_factory=structlog.PrintLoggerFactory(file),
            cache_logger_on_first_use=False,
        )
        logging.getLogger().addHandler(libraries)
        yield path
        logging.getLogger().removeHandler(libraries)
    structlog.configure(**before)
