"""Fixtures every room may use."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

# CI tries the same examples every time, so that a red run is red for whoever looks into it; elsewhere each run tries
# new ones.
settings.register_profile("ci", derandomize=True, print_blob=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

SHARED = Path(os.environ.get("KLINED_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(autouse=True)
def log_of_its_own() -> Iterator[None]:
    """What one test sets up as the log, the next does not inherit."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real market data beside the repository; tests that need it skip where it is absent."""
    if not (SHARED / "small").is_dir():
        pytest.skip(f"no real market data at {SHARED}; set KLINED_SHARED_DATA")
    return SHARED


@pytest.fixture(scope="session")
def budget_s() -> float:
    """How long a long proof goes on: $PROVE_SECONDS, or two minutes."""
    return float(os.environ.get("PROVE_SECONDS", "120"))
