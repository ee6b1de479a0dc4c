"""Fixtures every room may use."""

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("KLINED_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real market data beside the repository; tests that need it skip where it is absent."""
    if not (SHARED / "small").is_dir():
        pytest.skip(f"no real market data at {SHARED}; set KLINED_SHARED_DATA")
    return SHARED
