"""Frames to disk as they come: gzipped JSON lines, which the recorded feed plays."""

import gzip
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from klined.errors import ConfigError
from klined.feeds.columns import RecordedFrame

FLUSH_FRAMES = 256
"""So many frames a killed recording may lose."""


class Recording:
    """Writes frames to `path`, which must not exist: a recording is never overwritten.

    Raises:
        ConfigError: the file exists, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.frames = 0
        try:
            self._file = gzip.open(path, "xb", compresslevel=6)  # noqa: SIM115 - closed by close()
        except FileExistsError as error:
            raise ConfigError(f"{path} exists and was left as it is; record to another file") from error
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror}") from error

    def write(self, at_ms: int, frame: bytes | str) -> None:
        raw = frame if isinstance(frame, str) else frame.decode("utf-8", "backslashreplace")
        self._file.write(msgspec.json.encode(RecordedFrame(at_ms, raw)) + b"\n")
        self.frames += 1
        if self.frames % FLUSH_FRAMES == 0:
            self._file.flush()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
