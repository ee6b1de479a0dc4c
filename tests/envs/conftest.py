"""A daemon inside a test configures logging on the test's own stderr, which is gone with the test."""

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def _logging_of_its_own() -> Iterator[None]:
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
