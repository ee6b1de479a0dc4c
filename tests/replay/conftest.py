"""A fast place for the state of replays that are killed."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")  # noqa: S108 # a folder of our own is made in it
FREE_MIN = 256 << 20


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """As `tmp_path`, in memory where that can be had.

    A killed process loses nothing that it handed to the kernel, so what it left in memory proves as much, and a
    transaction that waits for no disk is a hundred times faster.
    """
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < FREE_MIN:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="klined-test-", dir=MEMORY) as folder:
        yield Path(folder)
