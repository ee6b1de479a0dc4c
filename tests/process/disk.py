"""A disk that gets full."""

import os
from pathlib import Path


def fill_up(path: Path) -> None:
    """Take all the room there is."""
    with path.open("wb") as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    os.write(file.fileno(), bytes(size))
            except OSError:
                continue
