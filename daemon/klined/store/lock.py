"""One daemon a state directory: a lock that the kernel releases when its holder dies, however it dies."""

import fcntl
import os
from pathlib import Path
from typing import Self

from klined.errors import StateError


class StateLock:
    """Held from construction until `release` or the end of the process.

    Raises:
        StateError: another process uses the directory (its pid is named), or it cannot be written.
    """

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / "lock"
        try:
            state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._handle: int | None = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as fault:
            raise StateError(
                f"{state_dir}: state directory cannot be written ({fault.strerror}); check its owner and mode"
            ) from fault
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as fault:
            pid = os.read(self._handle, 32).decode("ascii", "replace").strip() or "?"
            self.release()
            raise StateError(
                f"{state_dir}: state directory is used by pid {pid}; stop that daemon, or name another with --state"
            ) from fault
        try:
            os.ftruncate(self._handle, 0)
            os.pwrite(self._handle, f"{os.getpid()}\n".encode(), 0)
        except OSError as fault:
            self.release()
            raise StateError(
                f"{state_dir}: cannot be written ({fault.strerror}); free space, then start again"
            ) from fault

    def release(self) -> None:
        """Let the next one in. The file stays: deleting it would let two processes lock two files of one name."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
